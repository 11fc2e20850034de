// What events of customers do to points: they earn by the rules of programmes, count for tiers, and
// refunds take both back.
#ifndef CLM_SERVICES_LOYALTY_EVENT_EARNING_H_
#define CLM_SERVICES_LOYALTY_EVENT_EARNING_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact.pb.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {

// An event of a contact as programmes see it.
struct CustomerEvent {
  EntityKey contact;
  Uuid id;
  absl::Time occur_time;
  EarnFact fact;
  int64_t amount_minor = 0;
  bool has_amount = false;
  // The event whose points it takes back: a "refund" that names one in its property `refund_of`.
  std::optional<Uuid> refund_of;
};

// nullopt for an event that no version of the contact service tells.
std::optional<CustomerEvent> CustomerEventOf(const EntityKey& contact,
                                             const contact::v1::BehaviorEvent& event);

void NeedCustomerEvent(LoyaltyWork& work, const CustomerEvent& event);

// Applies it in every programme of the tenant, once for ever.
absl::Status ApplyCustomerEvent(LoyaltyWork& work, journal::Recorder& recorder,
                                const CustomerEvent& event);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_EVENT_EARNING_H_
