#include "services/loyalty/give_back.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "libs/base/status_macros.h"
#include "services/loyalty/ledger.h"

namespace clm::loyalty {
namespace {

// The redemption's parts, in the order in which they were taken.
std::vector<Allocation> AllocationsOf(const Posting& posting, const Wallet& wallet) {
  std::vector<Allocation> allocations;
  for (const Entry& entry : posting.entries) {
    if (entry.account == Account::kRedeemed && entry.lot) {
      allocations.push_back({*entry.lot, entry.amount});
    }
  }
  std::sort(allocations.begin(), allocations.end(), [&](const Allocation& a, const Allocation& b) {
    const auto first = wallet.lots.find(a.lot);
    const auto second = wallet.lots.find(b.lot);
    if (first == wallet.lots.end() || second == wallet.lots.end()) return a.lot < b.lot;
    return SpendsBefore(first->second, second->second);
  });
  return allocations;
}

int64_t GivenBack(const LoyaltyWork& work, const StoredPosting& redeemed) {
  int64_t sum = 0;
  for (const StoredPosting& posting : work.References(redeemed.key)) {
    if (posting.posting.kind == PostingKind::kCancelRedemption) sum += posting.amount;
  }
  return sum;
}

}  // namespace

int64_t LeftToGiveBack(const LoyaltyWork& work, const StoredPosting& redeemed) {
  return redeemed.amount - GivenBack(work, redeemed);
}

absl::StatusOr<StoredPosting> GivePointsBack(const LoyaltyWork& work, WalletSession& session,
                                             const StoredPosting& redeemed,
                                             std::optional<int64_t> amount, PostingNote note) {
  Cancellation cancellation;
  cancellation.allocations = AllocationsOf(redeemed.posting, session.wallet());
  cancellation.cancelled = GivenBack(work, redeemed);
  cancellation.amount = amount;
  CLM_ASSIGN_OR_RETURN(
      const Posting posting,
      CancelRedemption(session.wallet(), cancellation, Uuid::V7(session.now()), session.now()));
  note.amount = amount.value_or(redeemed.amount - cancellation.cancelled);
  note.refers_to = redeemed.key;
  return session.Post(posting, std::move(note));
}

}  // namespace clm::loyalty
