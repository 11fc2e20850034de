#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/booking.h"
#include "services/loyalty/ledger.h"

namespace clm::loyalty {
namespace {

absl::Status CheckNewLot(const NewLot& lot, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckAmount(lot.amount));
  error::FieldErrors errors;
  if (lot.earn_time > now) errors.Add("earn_time", "must not lie in the future");
  if (lot.expire_time <= now) errors.Add("expire_time", "must lie in the future");
  return errors.ToStatus();
}

absl::StatusOr<Posting> Issue(PostingKind kind, Account source, Wallet& wallet, const NewLot& lot,
                              const Uuid& posting, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckNewLot(lot, now));
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  if (wallet.lots.contains(lot.id)) {
    return error::Internal(absl::StrCat("lot ", lot.id.ToString(), ": exists already"));
  }
  // Without the other lots: nothing happens to them, and a busy wallet has many to copy.
  Wallet draft{.key = wallet.key, .totals = wallet.totals};
  CLM_ASSIGN_OR_RETURN(Lot * made, AddLot(draft, {.id = lot.id,
                                                  .posting = posting,
                                                  .pending = lot.activate_time > now,
                                                  .earned = lot.amount,
                                                  .earn_time = lot.earn_time,
                                                  .activate_time = lot.activate_time,
                                                  .expire_time = lot.expire_time,
                                                  .mark = Mark::kNew}));
  Booking booking(kind, posting, now);
  const Place from{&draft, made, source};
  if (made->pending) {
    booking.Move(from, {&draft, made, Account::kPending}, lot.amount);
  } else {
    booking.MoveToActive(from, draft, *made, lot.amount);
  }
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  wallet.totals = draft.totals;
  wallet.lots.merge(draft.lots);
  return booked;
}

absl::Status CheckReturn(const Lot& lot, int64_t amount) {
  CLM_RETURN_IF_ERROR(CheckAmount(amount));
  const int64_t available = lot.earned - lot.returned;
  if (amount <= available) return absl::OkStatus();
  return error::Precondition(
      "RETURN_EXCEEDED",
      absl::StrCat("amount: ", amount, " points are to be taken back; of ", lot.earned, " earned, ",
                   lot.returned, " have been already"),
      {{"requested", absl::StrCat(amount)}, {"available", absl::StrCat(available)}});
}

// Active points first, then debt.
absl::Status ReturnActive(Booking& booking, Wallet& wallet, Lot& lot, int64_t amount,
                          ReturnPolicy policy, Return& result) {
  const Place issued{&wallet, &lot, Account::kIssued};
  result.from_lot = std::min(amount, lot.remaining);
  booking.Move({&wallet, &lot, Account::kActive}, issued, result.from_lot);

  result.from_others = std::min(amount - result.from_lot, wallet.totals.active);
  CLM_RETURN_IF_ERROR(TakeInSpendOrder(wallet, result.from_others, [&](Lot& other, int64_t part) {
    booking.Move({&wallet, &other, Account::kActive}, issued, part);
  }));
  if (policy == ReturnPolicy::kUnlimited) {
    result.as_debt = amount - result.from_lot - result.from_others;
    booking.Move({&wallet, &lot, Account::kDebt}, issued, result.as_debt);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Posting> Earn(Wallet& wallet, const NewLot& lot, const Uuid& posting,
                             absl::Time now) {
  return Issue(PostingKind::kEarn, Account::kIssued, wallet, lot, posting, now);
}

absl::StatusOr<Posting> AdjustUp(Wallet& wallet, const NewLot& lot, const Uuid& posting,
                                 absl::Time now) {
  return Issue(PostingKind::kAdjust, Account::kAdjusted, wallet, lot, posting, now);
}

absl::StatusOr<Posting> Activate(Wallet& wallet, const Uuid& lot, const Uuid& posting,
                                 absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  CLM_ASSIGN_OR_RETURN(Lot * pending, FindLot(draft, lot));
  if (!pending->pending || pending->remaining == 0) {
    return error::Precondition("LOT_NOT_PENDING", absl::StrCat("lot: none of its ", pending->earned,
                                                               " points is pending"));
  }
  Booking booking(PostingKind::kActivate, posting, now);
  booking.Activate(draft, *pending);
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  wallet = std::move(draft);
  return booked;
}

absl::StatusOr<Return> ReturnEarned(Wallet& wallet, const Uuid& lot, int64_t amount,
                                    ReturnPolicy policy, const Uuid& posting, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  CLM_ASSIGN_OR_RETURN(Lot * returned, FindLot(draft, lot));
  CLM_RETURN_IF_ERROR(CheckReturn(*returned, amount));
  // What expired has been taken from the member once.
  const int64_t asked =
      std::clamp<int64_t>(returned->earned - returned->returned - returned->expired, 0, amount);
  Return result;
  Booking booking(PostingKind::kReturn, posting, now);
  if (returned->pending) {
    result.from_pending = std::min(asked, returned->remaining);
    booking.Move(draft, *returned, Account::kPending, Account::kIssued, result.from_pending);
  } else if (policy != ReturnPolicy::kOnlyPending) {
    CLM_RETURN_IF_ERROR(ReturnActive(booking, draft, *returned, asked, policy, result));
  }
  result.not_taken =
      amount - result.from_pending - result.from_lot - result.from_others - result.as_debt;
  CLM_ASSIGN_OR_RETURN(result.posting, booking.Finish());
  wallet = std::move(draft);
  return result;
}

}  // namespace clm::loyalty
