// How transactions read programmes.
#ifndef CLM_SERVICES_LOYALTY_PROGRAM_ROWS_H_
#define CLM_SERVICES_LOYALTY_PROGRAM_ROWS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {

// Those that there are, in any order.
absl::StatusOr<std::vector<Program>> LoadPrograms(pg::Tx& tx, const std::vector<ProgramKey>& keys);
// All of the tenants, by id.
absl::StatusOr<std::vector<Program>> LoadProgramsOf(pg::Tx& tx, std::vector<std::string> tenants);

// Every statement of it, for the tests that prepare them.
std::vector<const pg::Statement*> ProgramRowsStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_PROGRAM_ROWS_H_
