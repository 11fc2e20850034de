// The states of a case, and which verb moves it from which to which:
//
//   RECEIVED -> ACKNOWLEDGED -> INVESTIGATING <-> AWAITING_CUSTOMER
//                                     |                  |
//                                  RESOLVED <------------+
//                                     |
//                                  CLOSED
//
// RESOLVED and CLOSED are opened again (REOPENED) and investigated once more. Whatever is open can
// be escalated, and withdrawn by the customer, which is the end of it. What was escalated is
// investigated or resolved. An inquiry may be resolved as soon as it is acknowledged.
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_CASE_STATES_H_
#define CLM_SERVICES_FEEDBACK_CASE_STATES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace clm::feedback {

// The numbers are those of the API.
enum class CaseType { kComplaint = 1, kPaymentComplaint = 2, kDispute = 3, kInquiry = 4 };
enum class CaseState {
  kReceived = 1,
  kAcknowledged = 2,
  kInvestigating = 3,
  kAwaitingCustomer = 4,
  kResolved = 5,
  kClosed = 6,
  kReopened = 7,
  kEscalated = 8,
  kWithdrawn = 9,
};
enum class CaseVerb {
  kAcknowledge,
  kInvestigate,
  kAwaitCustomer,
  kResume,
  kResolve,
  kClose,
  kReopen,
  kEscalate,
  kWithdraw,
};

// As in the API: the names of its enums, and the last part of its methods.
absl::string_view Name(CaseType type);
absl::string_view Name(CaseState state);
absl::string_view Name(CaseVerb verb);

// Something is still to be done for the customer.
bool IsOpen(CaseState state);

// FAILED_PRECONDITION, reason CASE_STATE, for every other move: names the state and the verb, and
// in the metadata `allowed` the verbs that move it, separated by ", ".
absl::StatusOr<CaseState> MoveCase(CaseType type, CaseState from, CaseVerb verb);

// The verbs that move it, separated by ", "; empty for one that stays as it is.
std::string VerbsFrom(CaseType type, CaseState from);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_STATES_H_
