#include "services/loyalty/booking.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

void Touch(Mark& mark) {
  if (mark == Mark::kStored) mark = Mark::kChanged;
}

}  // namespace

void Booking::Move(const Place& from, const Place& to, int64_t amount) {
  if (amount == 0) return;
  Book(from, -amount);
  Book(to, amount);
}

void Booking::MoveToActive(const Place& from, Wallet& wallet, Lot& lot, int64_t amount) {
  if (lot.expire_time <= time_) {
    Move(from, {&wallet, &lot, Account::kExpired}, amount);
    return;
  }
  const int64_t owed = std::min(amount, wallet.totals.debt);
  Move(from, {&wallet, &lot, Account::kDebt}, owed);
  Move(from, {&wallet, &lot, Account::kActive}, amount - owed);
}

void Booking::Activate(Wallet& wallet, Lot& lot) {
  lot.pending = false;
  MoveToActive({&wallet, &lot, Account::kPending}, wallet, lot, lot.remaining);
}

absl::StatusOr<std::vector<Allocation>> Booking::EndHold(Wallet& wallet, Hold& hold,
                                                         HoldState state, int64_t captured) {
  std::vector<Allocation> redeemed;
  int64_t left = captured;
  for (const auto& [lot_id, amount] : hold.allocations) {
    CLM_ASSIGN_OR_RETURN(Lot * lot, FindLot(wallet, lot_id));
    const int64_t part = std::min(left, amount);
    left -= part;
    if (part > 0) redeemed.push_back({lot_id, part});
    Move(wallet, *lot, Account::kHeld, Account::kRedeemed, part);
    MoveToActive({&wallet, lot, Account::kHeld}, wallet, *lot, amount - part);
  }
  hold.state = state;
  Touch(hold.mark);
  return redeemed;
}

void Booking::Book(const Place& place, int64_t amount) {
  Wallet& wallet = *place.wallet;
  Totals& totals = wallet.totals;
  Lot* lot = place.lot;
  wallets_.insert(&wallet);
  std::optional<Uuid> lot_id;
  if (lot != nullptr) lot_id = lot->id;
  Add(entries_[{wallet.key.member, place.account, lot_id}], amount);
  if (kind_ == PostingKind::kTransfer) Add(totals.transferred, amount);

  switch (place.account) {
    case Account::kActive:
      Add(totals.active, amount);
      Add(lot->remaining, amount);
      break;
    case Account::kPending:
      Add(totals.pending, amount);
      Add(lot->remaining, amount);
      break;
    case Account::kHeld:
      Add(totals.held, amount);
      Add(lot->held, amount);
      break;
    case Account::kDebt:
      Add(totals.debt, -amount);
      break;
    case Account::kIssued:
      if (kind_ == PostingKind::kReturn) {
        Add(totals.returned, amount);
        Add(lot->returned, amount);
      } else {
        Add(totals.earned, -amount);
      }
      break;
    case Account::kRedeemed:
      Add(totals.redeemed, amount);
      break;
    case Account::kExpired:
      Add(totals.expired, amount);
      Add(lot->expired, amount);
      break;
    case Account::kAdjusted:
      Add(totals.adjusted, -amount);
      break;
    case Account::kTransferred:
      // Here a posting over two members is still one.
      break;
  }
  if (lot == nullptr) return;
  Touch(lot->mark);
  if (lot->remaining < 0 || lot->held < 0 || lot->held > lot->earned - lot->remaining) {
    status_.Update(
        error::Internal(absl::StrCat("lot ", lot->id.ToString(), ": of ", lot->earned, " points, ",
                                     lot->remaining, " would remain and ", lot->held, " be held")));
  }
}

void Booking::Add(int64_t& value, int64_t amount) {
  if (!AddPoints(value, amount)) status_.Update(PointsOutOfRange());
}

absl::StatusOr<Posting> Booking::Finish() const {
  absl::Status status = status_;
  for (const Wallet* wallet : wallets_) status.Update(CheckTotals(wallet->totals));
  if (!status.ok()) return status;
  Posting posting{.id = id_, .kind = kind_, .time = time_};
  for (const auto& [key, amount] : entries_) {
    const auto& [member, account, lot] = key;
    if (amount != 0) posting.entries.push_back({member, account, lot, amount});
  }
  return posting;
}

absl::Status TakeInSpendOrder(Wallet& wallet, int64_t amount,
                              absl::FunctionRef<void(Lot&, int64_t)> take) {
  const int64_t active = wallet.totals.active;
  if (amount > active) {
    return error::Precondition(
        "POINTS_SHORT",
        absl::StrCat("amount: ", amount, " points are wanted and ", active, " are active"),
        {{"requested", absl::StrCat(amount)},
         {"available", absl::StrCat(active)},
         {"shortfall", absl::StrCat(amount - active)}});
  }
  std::vector<Lot*> lots;
  for (auto& [id, lot] : wallet.lots) {
    if (!lot.pending && lot.remaining > 0) lots.push_back(&lot);
  }
  std::sort(lots.begin(), lots.end(),
            [](const Lot* a, const Lot* b) { return SpendsBefore(*a, *b); });
  int64_t left = amount;
  for (auto it = lots.begin(); left > 0 && it != lots.end(); ++it) {
    const int64_t part = std::min(left, (*it)->remaining);
    take(**it, part);
    left -= part;
  }
  if (left > 0) {
    return error::Internal(absl::StrCat("wallet: its lots lack ", left, " of the ", amount,
                                        " points that its totals have"));
  }
  return absl::OkStatus();
}

absl::Status CheckSettled(const Wallet& wallet, absl::Time now) {
  for (const auto& [id, lot] : wallet.lots) {
    if (DueTime(lot) <= now) {
      return error::Internal(absl::StrCat("lot ", id.ToString(), ": is due and not settled"));
    }
  }
  for (const auto& [id, hold] : wallet.holds) {
    if (DueTime(hold) <= now) {
      return error::Internal(absl::StrCat("hold ", id.ToString(), ": is due and not settled"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAmount(int64_t amount) {
  if (amount >= 1 && amount <= kMaxPoints) return absl::OkStatus();
  return error::InvalidField("amount", absl::StrCat("must be 1 to ", kMaxPoints));
}

absl::StatusOr<int64_t> Sum(absl::Span<const Allocation> allocations) {
  int64_t sum = 0;
  for (const auto& [lot, amount] : allocations) {
    if (amount < 0 || !AddPoints(sum, amount)) {
      return error::Internal(
          absl::StrCat("lot ", lot.ToString(), ": ", amount, " points cannot have been allocated"));
    }
  }
  return sum;
}

absl::StatusOr<Lot*> FindLot(Wallet& wallet, const Uuid& id) {
  const auto it = wallet.lots.find(id);
  if (it == wallet.lots.end()) {
    return error::Internal(absl::StrCat("lot ", id.ToString(), ": is not at hand"));
  }
  return &it->second;
}

absl::StatusOr<Lot*> AddLot(Wallet& wallet, const Lot& lot) {
  const auto [it, added] = wallet.lots.emplace(lot.id, lot);
  if (!added) return error::Internal(absl::StrCat("lot ", lot.id.ToString(), ": exists already"));
  return &it->second;
}

}  // namespace clm::loyalty
