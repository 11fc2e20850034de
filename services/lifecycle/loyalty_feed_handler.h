// What the lifecycle service does with the loyalty service's events: a change of tier is a fact of
// its customer, which rules and conditions can name like any event.
#ifndef CLM_SERVICES_LIFECYCLE_LOYALTY_FEED_HANDLER_H_
#define CLM_SERVICES_LIFECYCLE_LOYALTY_FEED_HANDLER_H_

#include "absl/status/status.h"
#include "libs/journal/consumer.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

// Stateless. The unit of work must be a LifecycleWork. Applies TierChanged, as a kTierChangedFact;
// everything else changes nothing. Of a merged customer the fact goes to the survivor, of an erased
// one it is dropped. Of a customer that nobody has heard of yet it is the beginning, until the
// contact service tells when they really began: the two feeds do not wait for each other.
class LoyaltyFeedHandler : public journal::EventHandler {
 public:
  void Declare(const event::v1::Event& event, journal::Work& base) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& base,
                     journal::Recorder& recorder) override;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_LOYALTY_FEED_HANDLER_H_
