// The RequestInfo detail of an error: the id by which caller and operator speak of the same call. A
// server sets it when the error leaves; nobody else does. Pure functions.
#ifndef CLM_LIBS_BASE_REQUEST_INFO_H_
#define CLM_LIBS_BASE_REQUEST_INFO_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace clm::error {

// `status` with RequestInfo{request_id}, in place of the one that it may have from another server.
// OK stays OK.
absl::Status WithRequestId(absl::Status status, absl::string_view request_id);

// Empty when the status has none: it was made in this process, or comes from something between.
std::string RequestId(const absl::Status& status);

}  // namespace clm::error

#endif  // CLM_LIBS_BASE_REQUEST_INFO_H_
