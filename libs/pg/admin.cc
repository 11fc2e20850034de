#include "libs/pg/admin.h"

#include "libs/base/status_macros.h"
#include "libs/pg/connection.h"
#include "libs/pg/dsn.h"
#include "libs/pg/rows.h"
#include "libs/pg/status.h"

namespace clm::pg {

absl::Status AdminExec(const std::string& dsn, const std::string& sql) {
  return AdminQuery(dsn, sql).status();
}

absl::StatusOr<Result> AdminQuery(const std::string& dsn, const std::string& sql) {
  CLM_ASSIGN_OR_RETURN(const DsnOptions options, ParseDsn(dsn));
  try {
    Connection connection(FormatDsn(WithDefaults(options, "clm-admin")));
    return ResultMaker::Make(MakeRows(connection.Exec(sql)));
  } catch (...) {
    return StatusFromCurrentException("admin", /*connected=*/true);
  }
}

}  // namespace clm::pg
