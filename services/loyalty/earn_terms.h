// By which terms points are earned: those of the wallet, or what a request says instead.
#ifndef CLM_SERVICES_LOYALTY_EARN_TERMS_H_
#define CLM_SERVICES_LOYALTY_EARN_TERMS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/points_time.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

// Where a request says something else than the wallet.
struct EarnTerms {
  std::optional<PendingRule> pending;
  std::optional<ExpiryRule> expiry;
};

// INVALID_ARGUMENT naming every bad field, with the prefix before it.
absl::StatusOr<EarnTerms> ParseEarnTerms(const std::string& prefix, const std::string& pending,
                                         const std::string& expiry);

// A lot of the session's wallet, earned at `earn_time`. What would have become active by now is so
// at once; what would have expired has an expire_time that is not after the session's now, and may
// not be earned.
NewLot LotOf(const WalletSession& session, int64_t amount, const EarnTerms& terms,
             absl::Time earn_time);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_EARN_TERMS_H_
