#include "services/loyalty/adjustments.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {
namespace {

absl::Status CheckProposed(const Adjustment& adjustment, absl::Time now) {
  const AdjustmentState state = StateOf(adjustment, now);
  if (state == AdjustmentState::kProposed) return absl::OkStatus();
  return error::Precondition(
      "ADJUSTMENT_STATE",
      absl::StrCat("name: is ", Name(state), "; only what is PROPOSED is decided about"),
      {{"state", std::string(Name(state))}});
}

Adjustment Decided(Adjustment adjustment, AdjustmentState state, const std::string& actor,
                   absl::Time now) {
  adjustment.state = state;
  adjustment.decided_by = actor;
  adjustment.decide_time = now;
  return adjustment;
}

}  // namespace

absl::string_view Name(AdjustmentState state) {
  switch (state) {
    case AdjustmentState::kProposed:
      return "PROPOSED";
    case AdjustmentState::kApproved:
      return "APPROVED";
    case AdjustmentState::kRejected:
      return "REJECTED";
    case AdjustmentState::kLapsed:
      return "LAPSED";
  }
  return "";
}

AdjustmentState StateOf(const Adjustment& adjustment, absl::Time now) {
  const bool waits = adjustment.state == AdjustmentState::kProposed;
  return waits && now >= adjustment.lapse_time ? AdjustmentState::kLapsed : adjustment.state;
}

absl::StatusOr<Adjustment> Approve(const Adjustment& before, const std::string& actor,
                                   absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckProposed(before, now));
  if (actor == before.proposed_by) {
    return error::Make(absl::StatusCode::kPermissionDenied, "SAME_PERSON",
                       "name: was proposed by the caller; somebody else has to approve it");
  }
  return Decided(before, AdjustmentState::kApproved, actor, now);
}

absl::StatusOr<Adjustment> Reject(const Adjustment& before, const std::string& actor,
                                  const std::string& reason, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckProposed(before, now));
  Adjustment after = Decided(before, AdjustmentState::kRejected, actor, now);
  after.reject_reason = reason;
  return after;
}

absl::StatusOr<int64_t> CorrectedWith(int64_t limit, int64_t corrected, int64_t amount) {
  const int64_t points = std::abs(amount);
  const int64_t left = std::max<int64_t>(0, limit - corrected);
  if (limit > 0 && points > left) {
    return error::Precondition(
        "SECOND_PERSON_NEEDED",
        absl::StrCat("amount: of this balance one person may correct ", limit,
                     " points a day, and ", left,
                     " are left today; propose it, so that somebody else approves it"),
        {{"limit", absl::StrCat(limit)}, {"left", absl::StrCat(left)}});
  }
  return corrected + std::min(points, std::max<int64_t>(0, kMaxPoints - corrected));
}

}  // namespace clm::loyalty
