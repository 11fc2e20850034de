#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/booking.h"
#include "services/loyalty/ledger.h"

namespace clm::loyalty {
namespace {

absl::StatusOr<Hold*> FindOpenHold(Wallet& wallet, const Uuid& id) {
  const auto it = wallet.holds.find(id);
  if (it == wallet.holds.end()) {
    return error::Internal(absl::StrCat("hold ", id.ToString(), ": is not at hand"));
  }
  Hold& hold = it->second;
  if (hold.state != HoldState::kOpen) {
    return error::Precondition("HOLD_ENDED",
                               absl::StrCat("hold: has ended, state ", Name(hold.state)),
                               {{"state", std::string(Name(hold.state))}});
  }
  return &hold;
}

absl::Status CheckCapture(const Hold& hold, int64_t amount) {
  CLM_ASSIGN_OR_RETURN(const int64_t held, Sum(hold.allocations));
  if (amount >= 1 && amount <= held) return absl::OkStatus();
  return error::InvalidField("amount", absl::StrCat("must be 1 to the ", held, " points held"));
}

}  // namespace

absl::StatusOr<Posting> PlaceHold(Wallet& wallet, const NewHold& hold, const Uuid& posting,
                                  absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckAmount(hold.amount));
  if (hold.expire_time <= now) return error::InvalidField("expire_time", "must lie in the future");
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  Hold placed{.id = hold.id, .expire_time = hold.expire_time, .mark = Mark::kNew};
  Booking booking(PostingKind::kHold, posting, now);
  CLM_RETURN_IF_ERROR(TakeInSpendOrder(draft, hold.amount, [&](Lot& lot, int64_t part) {
    booking.Move(draft, lot, Account::kActive, Account::kHeld, part);
    placed.allocations.push_back({lot.id, part});
  }));
  if (!draft.holds.emplace(hold.id, std::move(placed)).second) {
    return error::Internal(absl::StrCat("hold ", hold.id.ToString(), ": exists already"));
  }
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  wallet = std::move(draft);
  return booked;
}

absl::StatusOr<Redemption> CaptureHold(Wallet& wallet, const Uuid& hold, int64_t amount,
                                       const Uuid& posting, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  CLM_ASSIGN_OR_RETURN(Hold * open, FindOpenHold(draft, hold));
  CLM_RETURN_IF_ERROR(CheckCapture(*open, amount));
  Redemption redemption;
  Booking booking(PostingKind::kCapture, posting, now);
  CLM_ASSIGN_OR_RETURN(redemption.allocations,
                       booking.EndHold(draft, *open, HoldState::kCaptured, amount));
  CLM_ASSIGN_OR_RETURN(redemption.posting, booking.Finish());
  wallet = std::move(draft);
  return redemption;
}

absl::StatusOr<Posting> ReleaseHold(Wallet& wallet, const Uuid& hold, const Uuid& posting,
                                    absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckSettled(wallet, now));
  Wallet draft = wallet;
  CLM_ASSIGN_OR_RETURN(Hold * open, FindOpenHold(draft, hold));
  Booking booking(PostingKind::kRelease, posting, now);
  CLM_RETURN_IF_ERROR(booking.EndHold(draft, *open, HoldState::kReleased, 0).status());
  CLM_ASSIGN_OR_RETURN(Posting booked, booking.Finish());
  wallet = std::move(draft);
  return booked;
}

}  // namespace clm::loyalty
