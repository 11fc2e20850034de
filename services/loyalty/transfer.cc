#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/booking.h"
#include "services/loyalty/ledger.h"

namespace clm::loyalty {
namespace {

// Points of different wallets of a programme, or of different programmes, are different things.
absl::Status CheckPair(const Wallet& from, const Wallet& to) {
  WalletKey same = from.key;
  same.member = to.key.member;
  if (same != to.key) return error::Internal("wallet: the two count different points");
  if (from.key == to.key) return error::InvalidField("member", "is the same member");
  return absl::OkStatus();
}

// All points of `wallet` must lie in the lots at hand, and what is held in the holds.
absl::Status CheckComplete(const Wallet& wallet) {
  Totals seen;
  bool fits = true;
  for (const auto& [id, lot] : wallet.lots) {
    fits = fits && AddPoints(lot.pending ? seen.pending : seen.active, lot.remaining);
    fits = fits && AddPoints(seen.held, lot.held);
  }
  int64_t in_holds = 0;
  for (const auto& [id, hold] : wallet.holds) {
    if (hold.state != HoldState::kOpen) continue;
    CLM_ASSIGN_OR_RETURN(const int64_t held, Sum(hold.allocations));
    fits = fits && AddPoints(in_holds, held);
  }
  const Totals& kept = wallet.totals;
  if (fits && seen.active == kept.active && seen.pending == kept.pending &&
      seen.held == kept.held && in_holds == kept.held) {
    return absl::OkStatus();
  }
  return error::Internal("wallet: not all of its lots and holds are at hand");
}

absl::Status MoveLots(Booking& booking, Wallet& from, Wallet& into) {
  for (auto& [id, lot] : from.lots) {
    Lot arrived = lot;
    arrived.remaining = arrived.held = 0;
    if (arrived.mark == Mark::kStored) arrived.mark = Mark::kChanged;
    CLM_ASSIGN_OR_RETURN(Lot * to, AddLot(into, arrived));
    const Account where = lot.pending ? Account::kPending : Account::kActive;
    booking.Move({&from, &lot, where}, {&into, to, where}, lot.remaining);
    booking.Move({&from, &lot, Account::kHeld}, {&into, to, Account::kHeld}, lot.held);
  }
  return absl::OkStatus();
}

absl::Status MoveHolds(Wallet& from, Wallet& into) {
  for (auto& [id, hold] : from.holds) {
    if (hold.mark == Mark::kStored) hold.mark = Mark::kChanged;
    if (!into.holds.emplace(id, hold).second) {
      return error::Internal(absl::StrCat("hold ", id.ToString(), ": exists already"));
    }
  }
  return absl::OkStatus();
}

absl::Status MoveLifetime(Totals& from, Totals& into) {
  for (const TotalField& field : kTotalFields) {
    if (!field.lifetime) continue;
    if (!AddPoints(into.*field.value, from.*field.value)) return PointsOutOfRange();
    from.*field.value = 0;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Posting> TransferPoints(Wallet& from, Wallet& to, int64_t amount,
                                       const Uuid& posting, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckAmount(amount));
  CLM_RETURN_IF_ERROR(CheckPair(from, to));
  CLM_RETURN_IF_ERROR(CheckSettled(from, now));
  CLM_RETURN_IF_ERROR(CheckSettled(to, now));
  Wallet giver = from;
  Wallet receiver = to;
  Booking booking(PostingKind::kTransfer, posting, now);
  absl::Status added;
  CLM_RETURN_IF_ERROR(TakeInSpendOrder(giver, amount, [&](Lot& lot, int64_t part) {
    const auto made = AddLot(receiver, {.id = Uuid::V5(posting, lot.id.ToString()),
                                        .posting = posting,
                                        .earned = part,
                                        .earn_time = lot.earn_time,
                                        .activate_time = lot.activate_time,
                                        .expire_time = lot.expire_time,
                                        .mark = Mark::kNew});
    added.Update(made.status());
    if (!made.ok()) return;
    booking.MoveToActive({&giver, &lot, Account::kActive}, receiver, **made, part);
  }));
  CLM_RETURN_IF_ERROR(added);
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  from = std::move(giver);
  to = std::move(receiver);
  return booked;
}

absl::StatusOr<Posting> MergeWallets(Wallet& from, Wallet& into, const Uuid& posting,
                                     absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckPair(from, into));
  CLM_RETURN_IF_ERROR(CheckSettled(from, now));
  CLM_RETURN_IF_ERROR(CheckSettled(into, now));
  CLM_RETURN_IF_ERROR(CheckComplete(from));
  Wallet source = from;
  Wallet target = into;
  Booking booking(PostingKind::kMerge, posting, now);
  CLM_RETURN_IF_ERROR(MoveLots(booking, source, target));
  CLM_RETURN_IF_ERROR(MoveHolds(source, target));
  CLM_RETURN_IF_ERROR(MoveLifetime(source.totals, target.totals));
  booking.Move({&target, nullptr, Account::kDebt}, {&source, nullptr, Account::kDebt},
               source.totals.debt);
  const int64_t paid = std::min(target.totals.debt, target.totals.active);
  CLM_RETURN_IF_ERROR(TakeInSpendOrder(target, paid, [&](Lot& lot, int64_t part) {
    booking.Move(target, lot, Account::kActive, Account::kDebt, part);
  }));
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  source.lots.clear();
  source.holds.clear();
  from = std::move(source);
  into = std::move(target);
  return booked;
}

}  // namespace clm::loyalty
