// Warnings before points expire: when they are due, and what is told.
#ifndef CLM_SERVICES_LOYALTY_EXPIRY_WARNING_H_
#define CLM_SERVICES_LOYALTY_EXPIRY_WARNING_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// When points that expire at `expire` are warned of for the first time, once they are active at
// `now`: so many `days` (the most first) before, at the same local time. When that has passed for
// some of the days, at once. InfiniteFuture: never. Pure.
absl::Time FirstExpiryWarning(absl::Span<const int> days, absl::Time expire, absl::Time now,
                              const absl::TimeZone& zone);

// And after a warning at `now`. Pure.
absl::Time NextExpiryWarning(absl::Span<const int> days, absl::Time expire, absl::Time now,
                             const absl::TimeZone& zone);

// Warns the member of what expires soon of those lots of a wallet that LoyaltyWork has found by
// NeedWarnings; what is due in the wallet happens first.
absl::Status WarnOfExpiry(LoyaltyWork& work, journal::Recorder& recorder, const WalletKey& key);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_EXPIRY_WARNING_H_
