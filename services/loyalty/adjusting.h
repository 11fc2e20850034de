// How a balance is corrected by hand, by one person or by two.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTING_H_
#define CLM_SERVICES_LOYALTY_ADJUSTING_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/loyalty/earn_terms.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

// Who may get points needs not be a member; from whom they are taken does.
WalletSession::Admit AdmitFor(int64_t amount);
// What has to be at hand of a wallet, as for LoyaltyWork::NeedWallet.
int64_t SpendOf(int64_t amount);
// A correction counts at once.
absl::StatusOr<EarnTerms> ParseAdjustTerms(const std::string& expiry);

// Moves the points. FAILED_PRECONDITION, reason POINTS_SHORT, when there are not enough to take.
absl::StatusOr<StoredPosting> Adjust(WalletSession& session, int64_t amount, const EarnTerms& terms,
                                     PostingNote note);

// Loads what AdjustmentWork::NeedDay has asked for, once programmes are known.
void NeedForAdjustments(LoyaltyWork& work);
// Counts a correction by one person on the day of `at`, which a NeedDay has named; refused beyond
// the wallet's limit as CorrectedWith says. ABORTED when the wallet has come to be, or
// the member to be another's survivor, in this very transaction.
absl::Status CountAdjustment(LoyaltyWork& work, const WalletSession& session, int64_t amount,
                             absl::Time at);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTING_H_
