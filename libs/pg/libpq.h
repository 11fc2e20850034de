// Prepared statements through libpq itself, where libpqxx would copy every parameter and knows
// neither results in binary nor pipelines. Throws Refusal: for connection.cc only.
#ifndef CLM_LIBS_PG_LIBPQ_H_
#define CLM_LIBS_PG_LIBPQ_H_

#include <libpq-fe.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "libs/pg/pg.h"

namespace clm::pg {

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, ClearResult>;

// A statement as the server knows it.
struct PreparedStatement {
  std::string name;
  std::vector<std::string> types;  // Of its parameters.
  bool binary = false;             // Its columns are wanted in binary.
};

// A statement failed, or the connection broke during it.
class Refusal : public std::runtime_error {
 public:
  // Of a result that tells of a failure; null when libpq could not even make one.
  Refusal(PGconn* connection, const PGresult* result);

  // Empty when it was not the server who refused.
  const std::string& state() const { return state_; }
  // Of a 23xxx.
  const std::string& constraint() const { return constraint_; }

 private:
  std::string state_;
  std::string constraint_;
};

void Prepare(PGconn* connection, const std::string& name, const char* sql);

PgResult ExecPrepared(PGconn* connection, const PreparedStatement& statement, const Args& args);

// Both statements in one round trip and in one transaction of their own; the result is the
// second's. `connection` must not be in a transaction. It is left in pipeline mode when it is of no
// more use.
PgResult ExecTogether(PGconn* connection, const PreparedStatement& first, const Args& first_args,
                      const PreparedStatement& second, const Args& second_args);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_LIBPQ_H_
