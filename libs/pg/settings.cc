#include "libs/pg/settings.h"

#include "libs/base/status_macros.h"

namespace clm::pg {
namespace {

constexpr Statement kSettings = {"pg.settings", "SELECT current_setting('synchronous_commit')"};

}  // namespace

absl::StatusOr<std::vector<std::string>> WeakSettings(Pool& pool) {
  CLM_ASSIGN_OR_RETURN(const Result result, pool.Query({.scope = Scope::Suite()}, kSettings));
  std::vector<std::string> weak;
  // Every other value waits for this server's own disk at least.
  if (result[0].Text(0) == "off") {
    weak.emplace_back(
        "postgresql.conf: synchronous_commit is off, a crash loses what was answered shortly "
        "before; set synchronous_commit = on");
  }
  return weak;
}

}  // namespace clm::pg
