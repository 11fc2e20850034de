// Rule conditions and stage gates in the expression language, over
//   the event      type, amount_minor, currency, channel, quantity, properties.X
//   the customer   source, locale, status, create_time, attributes.X, stage
//   its history    count("purchase", 90d), sum("purchase", "EUR", 90d), days_since("purchase");
//                  without the duration: over all time
// The customer's fields and the history are those of the instant that is judged, so that folding
// the past again judges alike. Fields of the event are missing when time is the cause.
#ifndef CLM_SERVICES_LIFECYCLE_CONDITION_H_
#define CLM_SERVICES_LIFECYCLE_CONDITION_H_

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/lifecycle/fold.h"

namespace clm::lifecycle {

// What must be loaded of a customer's history before an expression can be evaluated.
struct Needs {
  std::set<std::string> event_types;
  std::set<std::string> fields;  // "source", "attributes.plan"
  // How far windows look back.
  absl::Duration reach = absl::ZeroDuration();
};

// A predicate for `text`, whose situations must have a CustomerHistory, with StoredFact details.
// INVALID_ARGUMENT naming `field` and the position of the fault. Adds to `needs`.
absl::StatusOr<Predicate> CompileCondition(absl::string_view field, absl::string_view text,
                                           Needs& needs);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_CONDITION_H_
