// Settings of a server that a service runs with and its operator should know of.
#ifndef CLM_LIBS_PG_SETTINGS_H_
#define CLM_LIBS_PG_SETTINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/pg/pg.h"

namespace clm::pg {

// What weakens a guarantee without ending it (CheckServer refuses what does), a sentence each, with
// the setting and the fix. Read in a session of the pool: settings of its role and database count.
absl::StatusOr<std::vector<std::string>> WeakSettings(Pool& pool);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_SETTINGS_H_
