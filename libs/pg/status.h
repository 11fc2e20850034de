// The one place where a failure of PostgreSQL or libpqxx becomes a status.
#ifndef CLM_LIBS_PG_STATUS_H_
#define CLM_LIBS_PG_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace clm::pg {

// The status for a SQLSTATE. Messages carry neither SQL nor values.
absl::Status FromSqlState(absl::string_view state, absl::string_view constraint);

// UNAVAILABLE, reason DATABASE_UNAVAILABLE: no connection, or it broke before the commit.
absl::Status ConnectionLost();

// To be called in a catch block: the status of the exception in flight, told to the error log with
// `doing`, the name of the statement. `connected` is whether the connection survived.
absl::Status StatusFromCurrentException(absl::string_view doing, bool connected);

// True for what running the whole transaction again may cure.
bool IsRetryable(const absl::Status& status);

// The last "CONSTRAINT NAME:" line of a verbose server message; empty when there is none. The last,
// because the lines before it quote values.
std::string ConstraintIn(absl::string_view verbose_message);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_STATUS_H_
