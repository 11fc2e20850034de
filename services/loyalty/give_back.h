// Giving back points that were spent, for all that can be cancelled after it has taken some.
#ifndef CLM_SERVICES_LOYALTY_GIVE_BACK_H_
#define CLM_SERVICES_LOYALTY_GIVE_BACK_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

// What of a needed redemption, or capture of a hold, was not given back yet.
int64_t LeftToGiveBack(const LoyaltyWork& work, const StoredPosting& redeemed);

// Posts that `amount` of it, or all that is left, is the member's again, with the expiry it had.
// `session` is on the wallet that owns its lots: that of its member or, once those of somebody who
// was merged have followed, of the survivor. FAILED_PRECONDITION, reason REDEMPTION_EXCEEDED.
absl::StatusOr<StoredPosting> GivePointsBack(const LoyaltyWork& work, WalletSession& session,
                                             const StoredPosting& redeemed,
                                             std::optional<int64_t> amount, PostingNote note);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_GIVE_BACK_H_
