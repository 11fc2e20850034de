// What orders do to points and tiers when they close, and when they do not stay closed.
#ifndef CLM_SERVICES_LOYALTY_ORDER_EARNING_H_
#define CLM_SERVICES_LOYALTY_ORDER_EARNING_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/orders.h"
#include "services/loyalty/rule_earning.h"

namespace clm::loyalty {

// What the needed orders touch, once they and programmes are loaded.
void NeedForOrders(LoyaltyWork& work, absl::Time now);

// The order is an open one of `member`. It is closed afterwards, as of its first close_time or now.
// One outcome for each rule of the programme.
absl::StatusOr<std::vector<EarnOutcome>> CloseOrder(LoyaltyWork& work, journal::Recorder& recorder,
                                                    const Program& program, const MemberKey& member,
                                                    const std::string& actor, Order& order);

// Takes back what the units brought, which are not marked as returned by it: as the wallets'
// policies say unless there is another one. `note` is that of the postings.
absl::StatusOr<PointsTaken> TakeBackUnits(LoyaltyWork& work, journal::Recorder& recorder,
                                          const Program& program, const MemberKey& member,
                                          const std::vector<UnitsBack>& units,
                                          std::optional<ReturnPolicy> policy,
                                          const PostingNote& note, Order& order);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_EARNING_H_
