#include "services/loyalty/coupons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "absl/numeric/int128.h"
#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::ReasonIs;
using testing::StatusIs;
using Kind = Coupon::Kind;
using Rounding = Coupon::Rounding;

const absl::Time kNow = absl::FromUnixSeconds(1'795'000'000);

// What a test changes one thing of.
struct Case {
  Coupon coupon = {.kind = Kind::kAmount, .amount_minor = 500, .currency = "EUR"};
  CouponCounters counters;
  std::optional<CouponBudget> budget;
  CouponOrder order = {.member = "ada", .currency = "EUR", .amount_minor = 2000};
  CouponAct act = CouponAct::kRedeem;

  absl::StatusOr<int64_t> Ask() const {
    EXPECT_THAT(ValidateCoupon(coupon), IsOk());
    return DiscountOf(coupon, counters, budget, order, act, kNow);
  }
};

TEST(CouponsTest, AnAmountIsTakenOffButNeverMoreThanTheOrder) {
  Case c;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(500));
  c.order.amount_minor = 499;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(499));
}

TEST(CouponsTest, APercentageIsRoundedAsTheCouponSays) {
  Case c;
  c.coupon = {.basis_points = 1250};
  c.order.amount_minor = 1999;  // 249.875
  EXPECT_THAT(c.Ask(), IsOkAndHolds(249));
  c.coupon.rounding = Rounding::kHalfUp;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(250));
  c.order.amount_minor = 1996;  // 249.5
  EXPECT_THAT(c.Ask(), IsOkAndHolds(250));
  c.order.amount_minor = 1995;  // 249.375
  EXPECT_THAT(c.Ask(), IsOkAndHolds(249));
  c.coupon.basis_points = 10'000;
  c.order.amount_minor = kMaxCouponMinor;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(kMaxCouponMinor));
  c.coupon.currency = "EUR";
  c.coupon.most_minor = 700;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(700));
}

TEST(CouponsTest, IsValidFromItsStartToBeforeItsEnd) {
  Case c;
  c.coupon.start = kNow;
  c.coupon.end = kNow + absl::Microseconds(1);
  EXPECT_THAT(c.Ask(), IsOk());
  c.coupon.start = kNow + absl::Microseconds(1);
  c.coupon.end = kNow + absl::Hours(1);
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_NOT_STARTED"));
  c.coupon.start = absl::InfinitePast();
  c.coupon.end = kNow;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_EXPIRED"));
  EXPECT_THAT(c.Ask(), StatusIs(absl::StatusCode::kFailedPrecondition));
  c.coupon.enabled = false;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_DISABLED"));
}

TEST(CouponsTest, ForWhomAndForWhichOrders) {
  Case c;
  c.coupon.member = "ada";
  EXPECT_THAT(c.Ask(), IsOk());
  c.order.member = "bob";
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_OF_ANOTHER_MEMBER"));
  c = {};
  c.order.currency = "USD";
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_CURRENCY"));
  c = {};
  c.coupon.minimum_minor = 2000;
  EXPECT_THAT(c.Ask(), IsOk());
  c.coupon.minimum_minor = 2030;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_MINIMUM"));
  EXPECT_EQ(error::MetadataValue(c.Ask().status(), "shortfall_minor"), "30");
  c = {};
  c.order.amount_minor = 0;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_NO_DISCOUNT"));
  c.order.amount_minor = -1;
  EXPECT_THAT(c.Ask(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(CouponsTest, LimitsCountUsesAndReservationsAndZeroIsNoLimit) {
  Case c;
  c.counters = {.used = 1'000, .reserved = 1'000, .used_by_member = 500, .reserved_by_member = 500};
  EXPECT_THAT(c.Ask(), IsOk());
  c.coupon.usage_limit = 2'001;
  EXPECT_THAT(c.Ask(), IsOk());
  c.coupon.usage_limit = 2'000;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_USED_UP"));
  c.coupon.usage_limit = 0;
  c.coupon.member_limit = 1'001;
  EXPECT_THAT(c.Ask(), IsOk());
  c.coupon.member_limit = 1'000;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_MEMBER_LIMIT"));
}

TEST(CouponsTest, ReservationsAtATimeAreLimitedAndRedemptionsAreNotByThat) {
  Case c;
  c.coupon.reservation_limit = 3;
  c.counters = {.used = 7, .reserved = 3};
  EXPECT_THAT(c.Ask(), IsOk());
  c.act = CouponAct::kReserve;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_RESERVATION_LIMIT"));
  c.counters.reserved = 2;
  EXPECT_THAT(c.Ask(), IsOk());
}

TEST(CouponsTest, AGiftCardGivesWhatIsLeftOfIt) {
  Case c;
  c.coupon.value_limit_minor = 800;
  c.counters.value_minor = 500;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(300));
  c.counters.value_minor = 800;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_VALUE_USED_UP"));
}

TEST(CouponsTest, ABudgetOfUsesAndMoneyIsNeverOverdrawn) {
  Case c;
  c.budget = CouponBudget{.uses = 1'000, .value_minor = 1'000};
  EXPECT_THAT(c.Ask(), IsOk());
  c.budget->use_limit = 1'000;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_BUDGET_USES"));
  c.budget = CouponBudget{.value_limit_minor = 1'500, .value_minor = 1'000, .currency = "EUR"};
  EXPECT_THAT(c.Ask(), IsOkAndHolds(500));
  c.budget->value_minor = 1'020;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_BUDGET_VALUE"));
  EXPECT_EQ(error::MetadataValue(c.Ask().status(), "shortfall_minor"), "20");
  c.budget->value_minor = 1'600;
  EXPECT_EQ(error::MetadataValue(c.Ask().status(), "shortfall_minor"), "500");
  c.budget->currency = "USD";
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_BUDGET_CURRENCY"));
}

TEST(CouponsTest, WhatCountsPerMemberIsForMembersOnly) {
  Case c;
  c.order.member = "";
  EXPECT_THAT(c.Ask(), IsOkAndHolds(500));
  c.coupon.member_limit = 1;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_MEMBER_NEEDED"));
}

TEST(CouponsTest, NothingIsTakenOffThatCouldNotBeCounted) {
  Case c;
  c.counters.value_minor = kMaxCouponMinor - 200;
  EXPECT_THAT(c.Ask(), IsOkAndHolds(200));
  c.counters.value_minor = kMaxCouponMinor;
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_VALUE_USED_UP"));
  c.counters.value_minor = 0;
  c.budget = {.value_minor = kMaxCouponMinor - 499, .currency = "EUR"};
  EXPECT_THAT(c.Ask(), ReasonIs("COUPON_BUDGET_VALUE"));
  c.budget->currency = "USD";
  EXPECT_THAT(c.Ask(), IsOkAndHolds(500));
}

TEST(ValidateCouponTest, NamesEveryBadField) {
  const auto fields = [](const Coupon& coupon) {
    std::vector<std::string> names;
    for (const auto& [field, what] : error::FieldViolations(ValidateCoupon(coupon))) {
      names.push_back(field);
    }
    return names;
  };
  EXPECT_THAT(fields({.basis_points = 10'001,
                      .amount_minor = 5,
                      .currency = "eur",
                      .minimum_minor = -1,
                      .most_minor = -1,
                      .value_limit_minor = -1,
                      .usage_limit = -1,
                      .member_limit = -1,
                      .reservation_limit = -1,
                      .start = kNow,
                      .end = kNow}),
              ElementsAre("basis_points", "amount_minor", "minimum_minor", "most_minor",
                          "value_limit_minor", "usage_limit", "member_limit", "reservation_limit",
                          "currency", "end_time"));
  EXPECT_THAT(fields({.kind = Kind::kAmount, .basis_points = 1}),
              ElementsAre("basis_points", "amount_minor", "currency"));
  EXPECT_THAT(fields({.basis_points = 10, .most_minor = 5}), ElementsAre("currency"));
}

RC_GTEST_PROP(CouponsPropertyTest, APercentageIsTheNearestOrTheOneBelow, ()) {
  Case c;
  c.coupon = {.basis_points = *rc::gen::inRange<int64_t>(1, 10'001),
              .rounding = static_cast<Rounding>(*rc::gen::inRange(0, 2))};
  c.order.amount_minor = *rc::gen::oneOf(rc::gen::inRange<int64_t>(0, 100'000),
                                         rc::gen::inRange<int64_t>(0, kMaxCouponMinor));
  const absl::int128 exact = absl::int128(c.order.amount_minor) * c.coupon.basis_points;
  const bool half_up = c.coupon.rounding == Rounding::kHalfUp;
  const absl::int128 expected = (exact + (half_up ? 5'000 : 0)) / 10'000;
  // Nothing is refused.
  RC_ASSERT(c.Ask().value_or(0) == static_cast<int64_t>(expected));
}

RC_GTEST_PROP(CouponsPropertyTest, UseAfterUseNothingIsOverdrawn, ()) {
  Case c;
  c.coupon.value_limit_minor = *rc::gen::inRange<int64_t>(1, 3'000);
  c.coupon.usage_limit = *rc::gen::inRange<int64_t>(0, 8);
  c.budget = CouponBudget{.use_limit = *rc::gen::inRange<int64_t>(0, 8),
                          .value_limit_minor = *rc::gen::inRange<int64_t>(0, 3'000),
                          .currency = "EUR"};
  for (int i = 0; i < 10; ++i) {
    c.order.amount_minor = *rc::gen::inRange<int64_t>(0, 900);
    const auto discount = c.Ask();
    if (!discount.ok()) continue;
    RC_ASSERT(*discount > 0);
    RC_ASSERT(*discount <= c.order.amount_minor);
    ++c.counters.used;
    ++c.budget->uses;
    c.counters.value_minor += *discount;
    c.budget->value_minor += *discount;
  }
  RC_ASSERT(c.counters.value_minor <= c.coupon.value_limit_minor);
  const auto within = [](int64_t count, int64_t limit) { return limit == 0 || count <= limit; };
  RC_ASSERT(within(c.counters.used, c.coupon.usage_limit));
  RC_ASSERT(within(c.budget->uses, c.budget->use_limit));
  RC_ASSERT(within(c.budget->value_minor, c.budget->value_limit_minor));
}

}  // namespace
}  // namespace clm::loyalty
