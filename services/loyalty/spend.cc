#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/booking.h"
#include "services/loyalty/ledger.h"

namespace clm::loyalty {
namespace {

// How much comes back to which lot.
struct Part {
  Lot* lot;
  int64_t amount;
};

absl::StatusOr<int64_t> LeftToCancel(const Cancellation& cancellation) {
  CLM_ASSIGN_OR_RETURN(const int64_t redeemed, Sum(cancellation.allocations));
  const int64_t cancelled = cancellation.cancelled;
  if (cancelled >= 0 && cancelled <= redeemed) return redeemed - cancelled;
  return error::Internal(
      absl::StrCat("redemption: ", cancelled, " of ", redeemed, " points cannot be cancelled"));
}

// From the last allocation backwards, past what came back before.
absl::StatusOr<std::vector<Part>> PartsToReturn(Wallet& wallet, const Cancellation& cancellation,
                                                int64_t amount) {
  std::vector<Part> parts;
  int64_t gone = cancellation.cancelled;
  int64_t left = amount;
  for (auto it = cancellation.allocations.rbegin(); it != cancellation.allocations.rend(); ++it) {
    const int64_t skipped = std::min(gone, it->amount);
    const int64_t part = std::min(left, it->amount - skipped);
    gone -= skipped;
    left -= part;
    if (part == 0) continue;
    CLM_ASSIGN_OR_RETURN(Lot * lot, FindLot(wallet, it->lot));
    parts.push_back({lot, part});
  }
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return SpendsBefore(*a.lot, *b.lot); });
  return parts;
}

}  // namespace

absl::StatusOr<Redemption> Redeem(Wallet& wallet, int64_t amount, const Uuid& posting,
                                  absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckAmount(amount));
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  Redemption redemption;
  Booking booking(PostingKind::kRedeem, posting, now);
  CLM_RETURN_IF_ERROR(TakeInSpendOrder(draft, amount, [&](Lot& lot, int64_t part) {
    booking.Move(draft, lot, Account::kActive, Account::kRedeemed, part);
    redemption.allocations.push_back({lot.id, part});
  }));
  CLM_ASSIGN_OR_RETURN(redemption.posting, booking.Finish());
  wallet = std::move(draft);
  return redemption;
}

absl::StatusOr<Posting> CancelRedemption(Wallet& wallet, const Cancellation& cancellation,
                                         const Uuid& posting, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(const int64_t available, LeftToCancel(cancellation));
  const int64_t amount = cancellation.amount.value_or(available);
  if (amount > available || available == 0) {
    return error::Precondition(
        "REDEMPTION_EXCEEDED",
        absl::StrCat("amount: ", available, " points of the redemption are left to be cancelled"),
        {{"requested", absl::StrCat(amount)}, {"available", absl::StrCat(available)}});
  }
  CLM_RETURN_IF_ERROR(CheckAmount(amount));
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  CLM_ASSIGN_OR_RETURN(const std::vector<Part> parts, PartsToReturn(draft, cancellation, amount));
  Booking booking(PostingKind::kCancelRedemption, posting, now);
  for (const auto& [lot, part] : parts) {
    booking.MoveToActive({&draft, lot, Account::kRedeemed}, draft, *lot, part);
  }
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  wallet = std::move(draft);
  return booked;
}

absl::StatusOr<Posting> AdjustDown(Wallet& wallet, int64_t amount, const Uuid& posting,
                                   absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckAmount(amount));
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  Booking booking(PostingKind::kAdjust, posting, now);
  CLM_RETURN_IF_ERROR(TakeInSpendOrder(draft, amount, [&](Lot& lot, int64_t part) {
    booking.Move(draft, lot, Account::kActive, Account::kAdjusted, part);
  }));
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  wallet = std::move(draft);
  return booked;
}

}  // namespace clm::loyalty
