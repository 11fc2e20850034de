#include "tools/clm/loyalty_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"
#include "libs/base/time_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::Coupon;
using loyalty::v1::Program;
using loyalty::v1::Wallet;
using ::testing::HasSubstr;

const absl::Time kNow = *clm::ParseTime("2026-11-21T12:00:00Z");

std::string FieldOf(const absl::Status& status) {
  const auto violations = error::FieldViolations(status);
  return violations.empty() ? "" : violations.front().first;
}

TEST(ParsePointsValueTest, IsOfOnePointOrOfMany) {
  auto value = ParsePointsValue("--value", "1EUR/100");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->minor, 100);
  EXPECT_EQ(value->currency, "EUR");
  EXPECT_EQ(value->points, 100);
  value = ParsePointsValue("--value", "0.01EUR");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->minor, 1);
  EXPECT_EQ(value->points, 1);
  value = ParsePointsValue("--value", "5JPY/2");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->minor, 5);
  EXPECT_EQ(value->currency, "JPY");
}

TEST(ParsePointsValueTest, NothingIsGuessedOrRounded) {
  for (const char* text : {"", "EUR", "1", "1/100", "1eur/100", "1EUR/", "1EUR/0", "1EUR/-5",
                           "1EUR/1.5", "0.001EUR", "-1EUR", "1 EUR", "EUR1/100", "1EUR/2/3"}) {
    const auto value = ParsePointsValue("--value", text);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(FieldOf(value.status()), "--value") << text;
  }
}

TEST(PointsValueTextTest, IsReadBack) {
  for (const char* text : {"1.00EUR/100", "0.01EUR", "5JPY/2", "1.500KWD/7"}) {
    const auto value = ParsePointsValue("--value", text);
    ASSERT_TRUE(value.ok()) << text;
    Wallet wallet;
    wallet.set_value_minor(value->minor);
    wallet.set_value_points(value->points);
    wallet.set_currency(value->currency);
    EXPECT_EQ(PointsValueText(wallet), text);
  }
  EXPECT_EQ(PointsValueText(Wallet()), "");
}

TEST(ParseBasisPointsTest, AreExact) {
  EXPECT_EQ(*ParseBasisPoints("--breakage", "12.5"), 1250);
  EXPECT_EQ(*ParseBasisPoints("--breakage", "0.29"), 29);
  EXPECT_EQ(*ParseBasisPoints("--breakage", "100"), 10'000);
  for (const char* text : {"", "100.01", "-1", "0.001", "x"}) {
    EXPECT_EQ(FieldOf(ParseBasisPoints("--breakage", text).status()), "--breakage") << text;
  }
}

TEST(ParseMomentAheadTest, ASpanIsCountedFromNowOn) {
  EXPECT_EQ(*ParseMomentAhead("--now", "36h", kNow), *clm::ParseTime("2026-11-23T00:00:00Z"));
  EXPECT_EQ(*ParseMomentAhead("--now", "2026-12-24", kNow),
            *clm::ParseTime("2026-12-24T00:00:00Z"));
  const auto bad = ParseMomentAhead("--now", "tomorrow", kNow);
  EXPECT_EQ(FieldOf(bad.status()), "--now");
  EXPECT_THAT(std::string(bad.status().message()), HasSubstr("from now on"));
}

TEST(ChangeWalletsTest, WhatIsNotSaidStays) {
  Program program;
  WalletFlags flags;
  flags.wallets = {"points"};
  flags.pending = "14D";
  flags.value = "1EUR/100";
  ASSERT_TRUE(ChangeWallets(flags, &program).ok());
  WalletFlags later;
  later.expiry = "12M";
  later.expiry_rounding = "half_year";
  later.expiry_warning = "30,7";
  later.return_policy = "unlimited";
  later.breakage = "15";
  later.adjustment_limit = "500";
  ASSERT_TRUE(ChangeWallets(later, &program).ok());
  ASSERT_EQ(program.wallets_size(), 1);
  const Wallet& wallet = program.wallets(0);
  EXPECT_EQ(wallet.pending(), "14D");
  EXPECT_EQ(wallet.value_minor(), 100);
  EXPECT_EQ(wallet.value_points(), 100);
  EXPECT_EQ(wallet.currency(), "EUR");
  EXPECT_EQ(wallet.expiry(), "12M");
  EXPECT_EQ(wallet.expiry_rounding(), Wallet::EXPIRY_ROUNDING_HALF_YEAR);
  EXPECT_THAT(wallet.expiry_warning_days(), testing::ElementsAre(30, 7));
  EXPECT_EQ(wallet.return_policy(), Wallet::RETURN_POLICY_UNLIMITED);
  EXPECT_EQ(wallet.breakage_basis_points(), 1500);
  EXPECT_EQ(wallet.adjustment_limit(), 500);
  WalletFlags last;
  last.adjustment_limit = "none";
  ASSERT_TRUE(ChangeWallets(last, &program).ok());
  EXPECT_EQ(wallet.adjustment_limit(), 0);
  for (const char* text : {"0", "-1", "some"}) {
    last.adjustment_limit = text;
    EXPECT_EQ(FieldOf(ChangeWallets(last, &program)), "--adjustment-limit") << text;
  }
}

TEST(ChangeWalletsTest, OfSeveralOneMustBeNamed) {
  Program program;
  WalletFlags flags;
  flags.wallets = {"miles", "status"};
  ASSERT_TRUE(ChangeWallets(flags, &program).ok());
  WalletFlags later;
  EXPECT_TRUE(ChangeWallets(later, &program).ok()) << "nothing is to change";
  later.expiry = "never";
  const absl::Status refused = ChangeWallets(later, &program);
  EXPECT_EQ(FieldOf(refused), "--wallet");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("miles, status"));
  later.wallets = {"status"};
  ASSERT_TRUE(ChangeWallets(later, &program).ok());
  EXPECT_EQ(program.wallets(0).expiry(), "");
  EXPECT_EQ(program.wallets(1).expiry(), "never");
}

TEST(LoyaltyWordsTest, NothingSaidIsTheWordOfWhatItMeans) {
  EXPECT_EQ(RoundingWord(Wallet::EXPIRY_ROUNDING_UNSPECIFIED), "day");
  EXPECT_EQ(ReturnPolicyWord(Wallet::RETURN_POLICY_UNSPECIFIED), "within_balance");
  EXPECT_EQ(JoinPolicyWord(Program::JOIN_POLICY_UNSPECIFIED), "points_earned");
  EXPECT_EQ(JoinPolicyWord(Program::JOIN_POLICY_ENROLMENT), "enrolment");
  EXPECT_EQ(*ParseJoinPolicy("--join", "enrolment"), Program::JOIN_POLICY_ENROLMENT);
  EXPECT_EQ(FieldOf(ParseJoinPolicy("--join", "unspecified").status()), "--join");
}

TEST(ParsePricedUnitsTest, AreUnitsTimesAPriceLessADiscount) {
  auto line = ParsePricedUnits("--line", "3x10.00-5.50", "EUR");
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->units, 3);
  EXPECT_EQ(line->unit_price_minor, 1000);
  EXPECT_EQ(line->discount_minor, 550);
  line = ParsePricedUnits("--line", "1x0.05", "EUR");
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->unit_price_minor, 5);
  EXPECT_EQ(line->discount_minor, 0);
  for (const char* wrong : {"", "3", "0x1.00", "-1x1.00", "3x", "x1.00", "3x1.00-"}) {
    EXPECT_EQ(FieldOf(ParsePricedUnits("--line", wrong, "EUR").status()), "--line") << wrong;
  }
}

TEST(CouponOffTextTest, SaysWhatEachKindTakesOff) {
  Coupon coupon;
  coupon.set_kind(Coupon::KIND_PERCENT);
  coupon.set_basis_points(1250);
  EXPECT_EQ(CouponOffText(coupon), "12.50 %");
  coupon.set_kind(Coupon::KIND_FREE_PRODUCT);
  coupon.set_free_quantity(2);
  coupon.add_skus("mug");
  coupon.add_skus("cap");
  EXPECT_EQ(CouponOffText(coupon), "2 of mug, cap at 12.50 % off");
  coupon.set_kind(Coupon::KIND_BUY_X_GET_Y);
  coupon.set_buy_quantity(3);
  coupon.clear_basis_points();
  EXPECT_EQ(CouponOffText(coupon), "buy 3 of mug, cap, 2 free");
  coupon.clear_skus();
  coupon.add_free_skus("pen");
  EXPECT_EQ(CouponOffText(coupon), "buy 3, 2 of pen free");
  coupon.set_kind(Coupon::KIND_AMOUNT);
  coupon.set_amount_minor(500);
  coupon.set_currency("EUR");
  EXPECT_EQ(CouponOffText(coupon), "5.00 EUR");
}

TEST(IsNameBelowMemberTest, WantsAWholeName) {
  const std::string member = "tenants/demo/programs/stars/members/0193a5b0";
  EXPECT_TRUE(IsNameBelowMember("postings", member + "/postings/points-17"));
  EXPECT_FALSE(IsNameBelowMember("postings", member + "/holds/points-17"));
  EXPECT_FALSE(IsNameBelowMember("postings", member));
  EXPECT_FALSE(IsNameBelowMember("postings", "points-17"));
}

}  // namespace
}  // namespace clm::cli
