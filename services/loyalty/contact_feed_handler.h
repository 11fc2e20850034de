// What the contact service tells and the loyalty service has to follow: people who were merged, and
// people who were erased.
#ifndef CLM_SERVICES_LOYALTY_CONTACT_FEED_HANDLER_H_
#define CLM_SERVICES_LOYALTY_CONTACT_FEED_HANDLER_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/journal/consumer.h"
#include "libs/journal/mutation.h"

namespace clm::loyalty {

// Events earn points and count for tiers (event_earning.h). Of a merge it notes who is whom from
// now on; what they had moves under the locks of both (merge_members.h). Stateless.
class ContactFeedHandler : public journal::EventHandler {
 public:
  void Declare(const event::v1::Event& event, journal::Work& work) override;
  absl::Status Apply(const event::v1::Event& event, journal::Work& work,
                     journal::Recorder& recorder) override;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_CONTACT_FEED_HANDLER_H_
