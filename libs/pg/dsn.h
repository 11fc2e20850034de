// Connection strings, key=value and postgresql:// alike, as key=value with parts replaced.
#ifndef CLM_LIBS_PG_DSN_H_
#define CLM_LIBS_PG_DSN_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace clm::pg {

using DsnOptions = std::map<std::string, std::string>;

// INVALID_ARGUMENT when libpq cannot read it.
absl::StatusOr<DsnOptions> ParseDsn(const std::string& dsn);
std::string FormatDsn(const DsnOptions& options);

// The same for libpq's own programs, by name of environment variable: PGHOST, PGPASSWORD ... On a
// command line others could read it. Options that have no variable are left out.
absl::StatusOr<std::map<std::string, std::string>> DsnEnvironment(const DsnOptions& options);

// Adds what every connection of the suite wants and the DSN does not say: short connect time,
// keepalives, a writable server, TLS with a verified name to other machines.
DsnOptions WithDefaults(DsnOptions options, const std::string& application_name);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_DSN_H_
