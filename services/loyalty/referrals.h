// Referrals: a member brings a friend, the friend buys something and does not return it, and both
// get points.
//
//   claimed     the friend has named the advocate's code, and has bought nothing yet.
//   qualified   by the friend's first purchase: of those that qualify the one that happened first,
//               in whatever order they are heard of. The return window runs from when it happened.
//   rewarded    the window is over and the purchase was kept; what is refunded later reverses it.
//   reversing   refunded; the points have to be taken back.
//   reversed, cancelled, expired
//
// A purchase is refunded when less of it is left than the minimum, or nothing. A purchase that
// turns out to have happened before the claim cancels what was not rewarded: the friend was not
// new. What has ended stays so, whatever is heard later.
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_LOYALTY_REFERRALS_H_
#define CLM_SERVICES_LOYALTY_REFERRALS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/points_time.h"

namespace clm::loyalty {

// Most of something in a period.
struct ReferralLimit {
  EarnCap::Period period = EarnCap::Period::kLifetime;
  int64_t count = 1;
  friend bool operator==(const ReferralLimit&, const ReferralLimit&) = default;
};

struct ReferralTerms {
  bool closed = false;
  int64_t advocate_points = 0;
  int64_t friend_points = 0;
  std::string wallet;  // Empty: the first.
  std::string event_type = "purchase";
  int64_t minimum_minor = 0;
  std::string currency;  // Empty: any.
  DurationSpec return_window{14, DurationSpec::Unit::kDay};
  DurationSpec claim_duration{30, DurationSpec::Unit::kDay};
  std::optional<ReferralLimit> advocate_limit;
  std::optional<ReferralLimit> identifier_limit;
  friend bool operator==(const ReferralTerms&, const ReferralTerms&) = default;
};

// INVALID_ARGUMENT with every bad field; paths are relative to the terms. Not whether there is such
// a wallet.
absl::Status ValidateReferralTerms(const ReferralTerms& terms);

// The numbers are those of the API.
enum class ReferralState {
  kClaimed = 1,
  kQualified = 2,
  kRewarded = 3,
  kReversing = 4,
  kReversed = 5,
  kCancelled = 6,
  kExpired = 7,
};
enum class ReferralEnd {
  kNone = 0,
  kByHand = 1,
  kRefunded = 2,
  kNotNew = 3,
  kSamePerson = 4,
  kReferredBefore = 5,
  kErased = 6,
};

struct ReferralPurchase {
  Uuid event;
  absl::Time occur_time;
  int64_t amount_minor = 0;
  friend bool operator==(const ReferralPurchase&, const ReferralPurchase&) = default;
};

// What becomes of a referral.
struct ReferralCourse {
  ReferralState state = ReferralState::kClaimed;
  ReferralEnd end_reason = ReferralEnd::kNone;
  ReferralTerms terms;
  absl::Time claim_time;
  absl::Time due_time = absl::InfiniteFuture();
  std::optional<ReferralPurchase> purchase;
  int64_t refunded_minor = 0;
  std::optional<absl::Time> reward_time;
  std::optional<absl::Time> end_time;
  friend bool operator==(const ReferralCourse&, const ReferralCourse&) = default;
};

// Nothing was given yet, and something may be.
bool IsOpen(ReferralState state);

// Whether an event of the terms' type is a purchase that counts.
bool Qualifies(const ReferralTerms& terms, const std::string& currency, int64_t amount_minor);

// Whether `a` is the first purchase of the two.
bool IsBefore(const ReferralPurchase& a, const ReferralPurchase& b);

// `zone`: the programme's.
ReferralCourse ClaimedAt(const ReferralTerms& terms, absl::Time now, const absl::TimeZone& zone);

// Each tells the course afterwards, which is the same where nothing is to happen.
// A purchase of the friend that qualifies.
ReferralCourse OnPurchase(const ReferralCourse& before, const ReferralPurchase& purchase,
                          absl::Time now, const absl::TimeZone& zone);
// Of the purchase that counts. Absent: all that is left of it.
ReferralCourse OnRefund(const ReferralCourse& before, std::optional<int64_t> amount_minor,
                        absl::Time now);
// Ends what is open.
ReferralCourse OnCancel(const ReferralCourse& before, ReferralEnd reason, absl::Time now);

// What is to be done by `now`, beside changing the course. kReward and kTakeBack are followed by
// Rewarded and TakenBack.
enum class ReferralDue { kNothing, kExpire, kReward, kTakeBack };
ReferralDue DueOf(const ReferralCourse& course, absl::Time now);
ReferralCourse Expired(const ReferralCourse& before, absl::Time now);
ReferralCourse Rewarded(const ReferralCourse& before, absl::Time now);
ReferralCourse TakenBack(const ReferralCourse& before, ReferralEnd reason, absl::Time now);

// By whom a code may be claimed.
struct ReferralCodeTerms {
  int64_t usage_limit = 0;  // 0: none.
  int64_t uses = 0;
  absl::Time start = absl::InfinitePast();
  absl::Time expire = absl::InfiniteFuture();
  bool revoked = false;
  bool friend_only = false;  // For `only_friend` alone, who may have been erased.
  std::optional<Uuid> only_friend;
};

// FAILED_PRECONDITION, reasons CODE_REVOKED, CODE_NOT_STARTED, CODE_EXPIRED, CODE_NOT_FOR_FRIEND,
// and CODE_USED_UP with the metadata `limit`.
absl::Status CheckReferralCode(const ReferralCodeTerms& code, const Uuid& claimant, absl::Time now);

// FAILED_PRECONDITION with that reason, and the limit and its period in the metadata, if `count`
// has reached it.
absl::Status CheckReferralLimit(const std::optional<ReferralLimit>& limit, int64_t count,
                                const char* reason, const char* message);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRALS_H_
