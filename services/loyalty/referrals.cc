#include "services/loyalty/referrals.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

constexpr int64_t kMostOfLimit = 1'000'000;

// The end of `spec` after `from`: as with expiry, the day that is reached belongs to it.
absl::Time EndOf(const DurationSpec& spec, absl::Time from, const absl::TimeZone& zone) {
  return ExpireTime({.after = spec}, from, zone);
}

const char* PeriodName(EarnCap::Period period) {
  switch (period) {
    case EarnCap::Period::kDay:
      return "DAY";
    case EarnCap::Period::kWeek:
      return "WEEK";
    case EarnCap::Period::kMonth:
      return "MONTH";
    case EarnCap::Period::kYear:
      return "YEAR";
    case EarnCap::Period::kLifetime:
      break;
  }
  return "LIFETIME";
}

ReferralCourse Ended(const ReferralCourse& before, ReferralState state, ReferralEnd reason,
                     absl::Time now) {
  ReferralCourse after = before;
  after.state = state;
  after.end_reason = reason;
  after.due_time = absl::InfiniteFuture();
  after.end_time = now;
  return after;
}

}  // namespace

absl::Status ValidateReferralTerms(const ReferralTerms& terms) {
  error::FieldErrors errors;
  if (terms.advocate_points == 0 && terms.friend_points == 0) {
    errors.Add("advocate_points", "must be set, or friend_points");
  }
  if (terms.minimum_minor > 0 && terms.currency.empty()) {
    errors.Add("currency", "is required with minimum_minor");
  }
  const auto check = [&](const char* field, const std::optional<ReferralLimit>& limit) {
    if (limit && (limit->count < 1 || limit->count > kMostOfLimit)) {
      errors.Add(absl::StrCat(field, ".count"), absl::StrCat("must be 1 to ", kMostOfLimit));
    }
  };
  check("advocate_limit", terms.advocate_limit);
  check("identifier_limit", terms.identifier_limit);
  return errors.ToStatus();
}

bool IsOpen(ReferralState state) {
  return state == ReferralState::kClaimed || state == ReferralState::kQualified;
}

bool Qualifies(const ReferralTerms& terms, const std::string& currency, int64_t amount_minor) {
  return (terms.currency.empty() || terms.currency == currency) &&
         amount_minor >= terms.minimum_minor;
}

bool IsBefore(const ReferralPurchase& a, const ReferralPurchase& b) {
  return std::tie(a.occur_time, a.event) < std::tie(b.occur_time, b.event);
}

ReferralCourse ClaimedAt(const ReferralTerms& terms, absl::Time now, const absl::TimeZone& zone) {
  ReferralCourse course;
  course.terms = terms;
  course.claim_time = now;
  course.due_time = EndOf(terms.claim_duration, now, zone);
  return course;
}

ReferralCourse OnPurchase(const ReferralCourse& before, const ReferralPurchase& purchase,
                          absl::Time now, const absl::TimeZone& zone) {
  if (!IsOpen(before.state)) return before;
  if (purchase.occur_time < before.claim_time) {
    return Ended(before, ReferralState::kCancelled, ReferralEnd::kNotNew, now);
  }
  if (before.state == ReferralState::kClaimed && purchase.occur_time >= before.due_time) {
    return before;
  }
  if (before.purchase && !IsBefore(purchase, *before.purchase)) return before;
  ReferralCourse after = before;
  after.state = ReferralState::kQualified;
  after.purchase = purchase;
  after.refunded_minor = 0;
  after.due_time = EndOf(before.terms.return_window, purchase.occur_time, zone);
  return after;
}

ReferralCourse OnRefund(const ReferralCourse& before, std::optional<int64_t> amount_minor,
                        absl::Time now) {
  const bool rewarded = before.state == ReferralState::kRewarded;
  if (!rewarded && before.state != ReferralState::kQualified) return before;
  ReferralCourse after = before;
  const int64_t left = before.purchase->amount_minor - before.refunded_minor;
  after.refunded_minor += std::min(left, amount_minor.value_or(left));
  const int64_t kept = before.purchase->amount_minor - after.refunded_minor;
  if (kept >= std::max<int64_t>(1, before.terms.minimum_minor)) return after;
  if (!rewarded) return Ended(after, ReferralState::kReversed, ReferralEnd::kRefunded, now);
  after.state = ReferralState::kReversing;
  after.end_reason = ReferralEnd::kRefunded;
  after.due_time = now;
  return after;
}

ReferralCourse OnCancel(const ReferralCourse& before, ReferralEnd reason, absl::Time now) {
  if (!IsOpen(before.state)) return before;
  return Ended(before, ReferralState::kCancelled, reason, now);
}

ReferralDue DueOf(const ReferralCourse& course, absl::Time now) {
  if (course.due_time > now) return ReferralDue::kNothing;
  switch (course.state) {
    case ReferralState::kClaimed:
      return ReferralDue::kExpire;
    case ReferralState::kQualified:
      return ReferralDue::kReward;
    case ReferralState::kReversing:
      return ReferralDue::kTakeBack;
    case ReferralState::kRewarded:
    case ReferralState::kReversed:
    case ReferralState::kCancelled:
    case ReferralState::kExpired:
      break;
  }
  return ReferralDue::kNothing;
}

ReferralCourse Expired(const ReferralCourse& before, absl::Time now) {
  return Ended(before, ReferralState::kExpired, ReferralEnd::kNone, now);
}

ReferralCourse Rewarded(const ReferralCourse& before, absl::Time now) {
  ReferralCourse after = before;
  after.state = ReferralState::kRewarded;
  after.due_time = absl::InfiniteFuture();
  after.reward_time = now;
  return after;
}

ReferralCourse TakenBack(const ReferralCourse& before, ReferralEnd reason, absl::Time now) {
  return Ended(before, ReferralState::kReversed, reason, now);
}

absl::Status CheckReferralCode(const ReferralCodeTerms& code, const Uuid& claimant,
                               absl::Time now) {
  if (code.revoked) {
    return error::Precondition("CODE_REVOKED", "code: the advocate has another one by now");
  }
  if (now < code.start) return error::Precondition("CODE_NOT_STARTED", "code: is not valid yet");
  if (now >= code.expire) {
    return error::Precondition("CODE_EXPIRED", "code: is not valid any more");
  }
  if (code.friend_only && code.only_friend != claimant) {
    return error::Precondition("CODE_NOT_FOR_FRIEND", "code: is for somebody else");
  }
  if (code.usage_limit > 0 && code.uses >= code.usage_limit) {
    return error::Precondition("CODE_USED_UP", "code: was claimed as often as it may be",
                               {{"limit", absl::StrCat(code.usage_limit)}});
  }
  return absl::OkStatus();
}

absl::Status CheckReferralLimit(const std::optional<ReferralLimit>& limit, int64_t count,
                                const char* reason, const char* message) {
  if (!limit || count < limit->count) return absl::OkStatus();
  return error::Precondition(
      reason, message,
      {{"limit", absl::StrCat(limit->count)}, {"period", PeriodName(limit->period)}});
}

}  // namespace clm::loyalty
