// What handlers of consumed events have in common.
#ifndef CLM_LIBS_JOURNAL_CONSUMED_EVENT_H_
#define CLM_LIBS_JOURNAL_CONSUMED_EVENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/resource_name.h"

namespace clm::journal {

// Whether the event's payload is a `Payload`.
template <class Payload>
bool HasPayload(const event::v1::Event& event) {
  return event.type() == Payload::descriptor()->full_name();
}

// DATA_LOSS, reason EVENT_MALFORMED: the event is parked.
absl::Status MalformedEvent(absl::string_view what);

// The entity that a field of the event's payload names. Malformed when the name is none, or of
// another tenant than the event.
absl::StatusOr<EntityKey> EntityOf(const event::v1::Event& event, absl::string_view field,
                                   absl::string_view collection, const std::string& name);

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_CONSUMED_EVENT_H_
