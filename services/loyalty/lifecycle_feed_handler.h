// What the loyalty service does with the lifecycle service's events: entering a stage is an event
// of the customer, which may earn points by the rules of programmes.
#ifndef CLM_SERVICES_LOYALTY_LIFECYCLE_FEED_HANDLER_H_
#define CLM_SERVICES_LOYALTY_LIFECYCLE_FEED_HANDLER_H_

#include "absl/status/status.h"
#include "libs/journal/consumer.h"
#include "libs/journal/mutation.h"

namespace clm::loyalty {

// The event type that a stage's reward is a rule for, which callers cannot record themselves. Its
// properties are "model", "stage" and "from_stage" (empty: none), each an id; its time is when the
// stage was entered.
inline constexpr char kStageEnteredEvent[] = "lifecycle.stage_entered";

// Applies StageChanged and StagesSuperseded, for tenants whose programmes look at stages;
// everything else changes nothing. Not an entering is what nobody did: a stage that was filled in,
// one that a new version of the model put in the place of another, and what happens to somebody
// erased.
//
// Late facts correct the log of moves: one move is superseded, and perhaps another one told in its
// place. So rules look at a move only if the customer has, by what is known now, entered the stage
// more often than rules have seen it. What was given stays when a move turns out untrue; the next
// move into the stage is then the one that was paid for. Of customers who turn out to be one person
// what rules have seen of either counts. Stateless.
class LifecycleFeedHandler : public journal::EventHandler {
 public:
  void Declare(const event::v1::Event& event, journal::Work& work) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& work,
                     journal::Recorder& recorder) override;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LIFECYCLE_FEED_HANDLER_H_
