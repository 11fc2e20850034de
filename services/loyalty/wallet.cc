#include "services/loyalty/wallet.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::loyalty {

absl::string_view Name(Account account) {
  switch (account) {
    case Account::kActive:
      return "ACTIVE";
    case Account::kPending:
      return "PENDING";
    case Account::kHeld:
      return "HELD";
    case Account::kDebt:
      return "DEBT";
    case Account::kIssued:
      return "ISSUED";
    case Account::kRedeemed:
      return "REDEEMED";
    case Account::kExpired:
      return "EXPIRED";
    case Account::kAdjusted:
      return "ADJUSTED";
    case Account::kTransferred:
      return "TRANSFERRED";
  }
  return "";
}

bool IsHouse(Account account) { return account >= Account::kIssued; }

absl::string_view Name(PostingKind kind) {
  switch (kind) {
    case PostingKind::kEarn:
      return "EARN";
    case PostingKind::kActivate:
      return "ACTIVATE";
    case PostingKind::kRedeem:
      return "REDEEM";
    case PostingKind::kHold:
      return "HOLD";
    case PostingKind::kCapture:
      return "CAPTURE";
    case PostingKind::kRelease:
      return "RELEASE";
    case PostingKind::kExpire:
      return "EXPIRE";
    case PostingKind::kReturn:
      return "RETURN";
    case PostingKind::kCancelRedemption:
      return "CANCEL_REDEMPTION";
    case PostingKind::kTransfer:
      return "TRANSFER";
    case PostingKind::kAdjust:
      return "ADJUST";
    case PostingKind::kMerge:
      return "MERGE";
  }
  return "";
}

absl::string_view Name(HoldState state) {
  switch (state) {
    case HoldState::kOpen:
      return "OPEN";
    case HoldState::kCaptured:
      return "CAPTURED";
    case HoldState::kReleased:
      return "RELEASED";
    case HoldState::kTimedOut:
      return "TIMED_OUT";
  }
  return "";
}

absl::Status PointsOutOfRange() {
  return error::Make(
      absl::StatusCode::kOutOfRange, "POINTS_OUT_OF_RANGE",
      absl::StrCat("amount: the wallet would count more than ", kMaxPoints, " points"),
      {{"limit", absl::StrCat(kMaxPoints)}});
}

absl::Status CheckTotals(const Totals& t) {
  for (const TotalField& field : kTotalFields) {
    const int64_t value = t.*field.value;
    if (value < 0 && !field.may_fall_below_zero) {
      return error::Internal(absl::StrCat("wallet: ", field.name, " would be ", value));
    }
    if (value < -kMaxPoints || value > kMaxPoints) return PointsOutOfRange();
  }
  static_assert(std::size(kTotalFields) * kMaxPoints < std::numeric_limits<int64_t>::max(),
                "no sum of totals that passed the above can overflow");
  if (t.active + t.pending + t.held + t.redeemed + t.expired > kMaxPoints) {
    return PointsOutOfRange();
  }
  if (t.debt > 0 && t.active > 0) {
    return error::Internal(
        absl::StrCat("wallet: ", t.active, " points are active beside a debt of ", t.debt));
  }
  const int64_t there = t.active + t.pending + t.held - t.debt;
  const int64_t came = t.earned + t.adjusted + t.transferred;
  const int64_t went = t.redeemed + t.expired + t.returned;
  if (there != came - went) {
    return error::Internal(
        absl::StrCat("wallet: ", came, " points came, ", went, " went and ", there, " are there"));
  }
  return absl::OkStatus();
}

bool SpendsBefore(const Lot& a, const Lot& b) {
  return std::tie(a.expire_time, a.earn_time, a.id) < std::tie(b.expire_time, b.earn_time, b.id);
}

absl::Time DueTime(const Lot& lot) {
  if (lot.remaining == 0) return absl::InfiniteFuture();
  return lot.pending ? std::min(lot.activate_time, lot.expire_time) : lot.expire_time;
}

absl::Time DueTime(const Hold& hold) {
  return hold.state == HoldState::kOpen ? hold.expire_time : absl::InfiniteFuture();
}

}  // namespace clm::loyalty
