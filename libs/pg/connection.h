// One connection with its prepared statements. Throws what libpqxx throws: for pool.cc and
// migrate.cc only.
#ifndef CLM_LIBS_PG_CONNECTION_H_
#define CLM_LIBS_PG_CONNECTION_H_

#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/pg/libpq.h"
#include "libs/pg/pg.h"
#include "libs/pg/pqxx_compat.h"

namespace clm::pg {

// Used by one thread at a time.
class Connection {
 public:
  // Connects and sets what all sessions have in common: UTC, ISO dates, UTF-8, plain string
  // literals, and an end to transactions that stay idle. `dsn` as FormatDsn writes it.
  explicit Connection(const std::string& dsn);

  bool open() const {
    return connection_.is_open() && PQpipelineStatus(connection_.raw()) == PQ_PIPELINE_OFF;
  }
  absl::Time expires() const { return expires_; }
  void set_expires(absl::Time expires) { expires_ = expires; }
  // For the watchdog: cuts the line, so that a wait for a server that hangs ends.
  int socket() const { return connection_.sock(); }

  // Prepares the statement now if it was not yet. Stays valid.
  const PreparedStatement& Prepared(const Statement& statement);

  pqxx::result Exec(const std::string& sql);
  PgResult ExecPrepared(const PreparedStatement& statement, const Args& args);
  // One statement that reads, as a transaction of its own with these settings: one round trip.
  // Timeouts in milliseconds; the session's where there is none.
  PgResult Query(const Statement& statement, const Args& args, const std::string& tenant,
                 std::optional<int64_t> statement_timeout, std::optional<int64_t> lock_timeout);
  pqxx::result ExecParams(const std::string& sql, const Args& args);
  // By COPY, or by INSERT where row level security forbids COPY.
  void Copy(const std::string& table, const std::vector<std::string>& columns,
            const std::vector<std::vector<std::optional<std::string>>>& rows);

 private:
  bool HasRowSecurity(const std::string& table);
  void InsertRows(const std::string& table, const std::vector<std::string>& columns,
                  const std::vector<std::vector<std::optional<std::string>>>& rows);

  compat::Connection connection_;
  std::shared_ptr<void> notices_;  // What silences the server's notices.
  // BEGIN and COMMIT are ours: they share a round trip with other statements, and the outcome of a
  // commit is decided here.
  std::unique_ptr<pqxx::nontransaction> session_;
  // Its entries stay where they are.
  std::unordered_map<const Statement*, PreparedStatement> prepared_;
  absl::Time expires_ = absl::InfiniteFuture();
};

// 'value', for a session with standard_conforming_strings. A text in wrong UTF-8 makes the server
// refuse the whole string before it looks for quotes.
void AppendLiteral(std::string& sql, absl::string_view value);
std::string QuoteIdentifier(absl::string_view name);

// EXECUTE "name"('a',NULL): `name` as Prepared returned it.
void AppendExecute(std::string& sql, const std::string& name, const Args& args);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_CONNECTION_H_
