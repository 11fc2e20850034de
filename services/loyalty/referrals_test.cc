#include "services/loyalty/referrals.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

const absl::Time kClaim = absl::FromUnixSeconds(1'700'000'000);

ReferralTerms Terms() {
  ReferralTerms terms;
  terms.advocate_points = 500;
  terms.friend_points = 200;
  terms.minimum_minor = 1000;
  terms.currency = "EUR";
  return terms;
}

ReferralCourse Claimed() { return ClaimedAt(Terms(), kClaim, absl::UTCTimeZone()); }

ReferralPurchase Bought(int number, absl::Duration after, int64_t amount = 2000) {
  return {Uuid::V5(Uuid(), absl::StrCat(number)), kClaim + after, amount};
}

ReferralCourse Buy(const ReferralCourse& before, const ReferralPurchase& purchase) {
  return OnPurchase(before, purchase, kClaim + absl::Hours(24 * 5), absl::UTCTimeZone());
}

TEST(ReferralsTest, TheFirstPurchaseQualifiesAndStartsTheWindow) {
  const ReferralCourse course = Buy(Claimed(), Bought(1, absl::Hours(1)));
  EXPECT_EQ(course.state, ReferralState::kQualified);
  EXPECT_GE(course.due_time, kClaim + absl::Hours(1 + 24 * 14));
  EXPECT_EQ(DueOf(course, course.due_time - absl::Nanoseconds(1)), ReferralDue::kNothing);
  EXPECT_EQ(DueOf(course, course.due_time), ReferralDue::kReward);
}

TEST(ReferralsTest, WhatHappenedFirstCountsInWhateverOrderItIsHeard) {
  const ReferralPurchase early = Bought(1, absl::Hours(1));
  const ReferralPurchase late = Bought(2, absl::Hours(30));
  EXPECT_EQ(Buy(Buy(Claimed(), early), late), Buy(Buy(Claimed(), late), early));
  EXPECT_EQ(Buy(Buy(Claimed(), late), early).purchase, early);
}

TEST(ReferralsTest, WhoBoughtBeforeTheClaimIsNotNew) {
  const ReferralPurchase before = Bought(1, -absl::Seconds(1));
  const ReferralCourse qualified = Buy(Claimed(), Bought(2, absl::Hours(1)));
  for (const ReferralCourse& course : {Claimed(), qualified}) {
    EXPECT_EQ(Buy(course, before).state, ReferralState::kCancelled);
    EXPECT_EQ(Buy(course, before).end_reason, ReferralEnd::kNotNew);
  }
  const ReferralCourse rewarded = Rewarded(qualified, kClaim + absl::Hours(1000));
  EXPECT_EQ(Buy(rewarded, before), rewarded);
  EXPECT_EQ(Buy(Claimed(), Bought(1, absl::ZeroDuration())).state, ReferralState::kQualified);
}

TEST(ReferralsTest, APurchaseAfterTheClaimHasExpiredIsNone) {
  const ReferralCourse course = Claimed();
  EXPECT_EQ(DueOf(course, course.due_time), ReferralDue::kExpire);
  EXPECT_EQ(Buy(course, Bought(1, course.due_time - kClaim)), course);
  EXPECT_EQ(Buy(course, Bought(1, course.due_time - kClaim - absl::Seconds(1))).state,
            ReferralState::kQualified);
  const ReferralCourse expired = Expired(course, course.due_time);
  EXPECT_EQ(Buy(expired, Bought(1, absl::Hours(1))), expired);
}

TEST(ReferralsTest, ARefundBelowTheMinimumReverses) {
  const ReferralCourse qualified = Buy(Claimed(), Bought(1, absl::Hours(1), 2000));
  const absl::Time now = kClaim + absl::Hours(50);
  EXPECT_EQ(OnRefund(qualified, 1000, now).state, ReferralState::kQualified);
  EXPECT_EQ(OnRefund(OnRefund(qualified, 1000, now), 1, now).state, ReferralState::kReversed);
  EXPECT_EQ(OnRefund(qualified, std::nullopt, now).refunded_minor, 2000);
  EXPECT_EQ(OnRefund(qualified, 5000, now).refunded_minor, 2000);
  const ReferralCourse reversing = OnRefund(Rewarded(qualified, now), std::nullopt, now);
  EXPECT_EQ(reversing.state, ReferralState::kReversing);
  EXPECT_EQ(DueOf(reversing, now), ReferralDue::kTakeBack);
  EXPECT_EQ(OnRefund(Claimed(), std::nullopt, now), Claimed());
}

TEST(ReferralsTest, WhatHasEndedStaysSo) {
  const absl::Time now = kClaim + absl::Hours(50);
  const ReferralCourse cancelled = OnCancel(Claimed(), ReferralEnd::kByHand, now);
  EXPECT_EQ(cancelled.state, ReferralState::kCancelled);
  EXPECT_EQ(cancelled.due_time, absl::InfiniteFuture());
  EXPECT_EQ(Buy(cancelled, Bought(1, absl::Hours(1))), cancelled);
  EXPECT_EQ(OnCancel(cancelled, ReferralEnd::kErased, now), cancelled);
  EXPECT_EQ(OnRefund(cancelled, std::nullopt, now), cancelled);
}

TEST(ReferralsTest, OnlyPurchasesOfTheCurrencyAndTheMinimumQualify) {
  EXPECT_TRUE(Qualifies(Terms(), "EUR", 1000));
  EXPECT_FALSE(Qualifies(Terms(), "EUR", 999));
  EXPECT_FALSE(Qualifies(Terms(), "USD", 5000));
  EXPECT_TRUE(Qualifies(ReferralTerms(), "USD", 0));
}

TEST(ReferralsTest, ACodeIsRefusedForAReason) {
  const Uuid ada = Uuid::V5(Uuid(), "ada"), ben = Uuid::V5(Uuid(), "ben");
  const auto reason = [&](ReferralCodeTerms code) {
    return error::Reason(CheckReferralCode(code, ada, kClaim));
  };
  EXPECT_EQ(reason({}), "");
  EXPECT_EQ(reason({.revoked = true}), "CODE_REVOKED");
  EXPECT_EQ(reason({.start = kClaim + absl::Seconds(1)}), "CODE_NOT_STARTED");
  EXPECT_EQ(reason({.start = kClaim}), "");
  EXPECT_EQ(reason({.expire = kClaim}), "CODE_EXPIRED");
  EXPECT_EQ(reason({.friend_only = true, .only_friend = ben}), "CODE_NOT_FOR_FRIEND");
  EXPECT_EQ(reason({.friend_only = true}), "CODE_NOT_FOR_FRIEND");
  EXPECT_EQ(reason({.friend_only = true, .only_friend = ada}), "");
  EXPECT_EQ(reason({.usage_limit = 2, .uses = 1}), "");
  EXPECT_EQ(reason({.usage_limit = 2, .uses = 2}), "CODE_USED_UP");
}

TEST(ReferralsTest, TermsNameWhatIsWrong) {
  error::FieldErrors errors;
  ReferralTerms terms;
  terms.minimum_minor = 1;
  terms.advocate_limit = ReferralLimit{EarnCap::Period::kDay, 0};
  errors.AddStatus("", ValidateReferralTerms(terms));
  EXPECT_TRUE(errors.Names("advocate_points"));
  EXPECT_TRUE(errors.Names("currency"));
  EXPECT_TRUE(errors.Names("advocate_limit.count"));
  EXPECT_TRUE(ValidateReferralTerms(Terms()).ok());
}

TEST(ReferralsTest, ALimitIsReachedByItsCount) {
  const std::optional<ReferralLimit> limit = ReferralLimit{EarnCap::Period::kMonth, 3};
  EXPECT_TRUE(CheckReferralLimit(std::nullopt, 99, "R", "m").ok());
  EXPECT_TRUE(CheckReferralLimit(limit, 2, "R", "m").ok());
  const absl::Status refused = CheckReferralLimit(limit, 3, "R", "m");
  EXPECT_EQ(error::Reason(refused), "R");
  EXPECT_EQ(error::MetadataValue(refused, "limit"), "3");
  EXPECT_EQ(error::MetadataValue(refused, "period"), "MONTH");
}

}  // namespace
}  // namespace clm::loyalty
