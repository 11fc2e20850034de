// Statements outside of any pool: for tools and tests that administer a server.
#ifndef CLM_LIBS_PG_ADMIN_H_
#define CLM_LIBS_PG_ADMIN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/pg/pg.h"

namespace clm::pg {

// Runs `sql` on a connection of its own, outside of a transaction. `sql` is the program's, never
// made of what a caller said.
absl::Status AdminExec(const std::string& dsn, const std::string& sql);

// The same, with what it answered.
absl::StatusOr<Result> AdminQuery(const std::string& dsn, const std::string& sql);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_ADMIN_H_
