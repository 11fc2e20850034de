// The one place where a non-OK status is made. Every error carries a google.rpc.ErrorInfo with a
// stable UPPER_SNAKE reason (AIP-193), as a payload of the absl::Status; libs/rpc puts the payloads
// on the wire. Messages name the field and the fix, never SQL, hosts or another tenant's data.
#ifndef CLM_LIBS_BASE_ERROR_H_
#define CLM_LIBS_BASE_ERROR_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm::error {

// The ErrorInfo domain of every error of the suite.
inline constexpr char kDomain[] = "clm.dev";

// Payload type URLs of the details that a status may carry, one of each at most.
inline constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
inline constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
inline constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";
inline constexpr char kPreconditionUrl[] = "type.googleapis.com/google.rpc.PreconditionFailure";

using Metadata = std::vector<std::pair<std::string, std::string>>;

// A status with ErrorInfo{reason, kDomain, metadata}.
absl::Status Make(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                  const Metadata& metadata = {});

// NOT_FOUND for a resource. The answer for another tenant's resource too: existence is not told.
absl::Status NotFound(absl::string_view resource_name);

// INVALID_ARGUMENT for a single field, with a BadRequest detail. `field` is the proto path;
// empty: what is wrong is the request, or the value on its way into a field that the caller adds.
absl::Status InvalidField(absl::string_view field, absl::string_view what);

// FAILED_PRECONDITION.
absl::Status Precondition(absl::string_view reason, absl::string_view message,
                          const Metadata& metadata = {});

// ABORTED, reason ETAG_MISMATCH: the caller must read again. `current` is the present etag.
absl::Status EtagMismatch(absl::string_view field, absl::string_view current);

// UNAVAILABLE with RetryInfo. The outcome of the call may be unknown; repeating it with the same
// request_id is safe.
absl::Status Unavailable(absl::string_view reason, absl::string_view message,
                         absl::Duration retry_after);

// INTERNAL. `message` must be fit for callers; details belong in the log.
absl::Status Internal(absl::string_view message);

// The reason of a status made here; empty when there is none.
std::string Reason(const absl::Status& status);

// The metadata value for `key`; empty when there is none.
std::string MetadataValue(const absl::Status& status, absl::string_view key);

// True for statuses that say nothing about the request itself, so that the same request may succeed
// when repeated: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED by the database.
bool IsTransient(const absl::Status& status);

// Collects every bad field of a request before refusing it, so that a caller mends them at once.
class FieldErrors {
 public:
  static constexpr size_t kMostShown = 20;

  // `field` is the proto path, as in "contact.email".
  void Add(absl::string_view field, absl::string_view what);
  // Adopts the violations of a status made by InvalidField or ToStatus, prefixing their paths.
  void AddStatus(absl::string_view prefix, const absl::Status& status);
  bool empty() const { return violations_.empty(); }
  size_t size() const { return violations_.size(); }
  // As many as a status shows; more are only counted.
  bool Full() const { return violations_.size() >= kMostShown; }
  bool Names(absl::string_view field) const;
  // OK when empty, else INVALID_ARGUMENT with reason INVALID_ARGUMENT and at most kMostShown
  // violations.
  absl::Status ToStatus() const;

 private:
  std::vector<std::pair<std::string, std::string>> violations_;
};

// The (field, description) pairs of a BadRequest detail; empty when there is none.
std::vector<std::pair<std::string, std::string>> FieldViolations(const absl::Status& status);

}  // namespace clm::error

#endif  // CLM_LIBS_BASE_ERROR_H_
