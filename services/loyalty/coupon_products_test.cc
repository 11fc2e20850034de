#include "services/loyalty/coupon_products.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::ReasonIs;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;
using Kind = Coupon::Kind;
using Lines = std::vector<CouponLine>;

Coupon FreeMugs(int64_t pieces) {
  Coupon coupon;
  coupon.kind = Kind::kFreeProduct;
  coupon.skus = {"mug"};
  coupon.free_quantity = pieces;
  return coupon;
}

Coupon BuyGet(int64_t buy, int64_t free) {
  Coupon coupon;
  coupon.kind = Kind::kBuyXGetY;
  coupon.buy_quantity = buy;
  coupon.free_quantity = free;
  return coupon;
}

absl::StatusOr<int64_t> Off(const Coupon& coupon, const Lines& lines) {
  EXPECT_THAT(ValidateCoupon(coupon), IsOk());
  EXPECT_THAT(ValidateLines(lines), IsOk());
  return ProductDiscount(coupon, lines);
}

std::string Missing(const Coupon& coupon, const Lines& lines) {
  const auto refused = Off(coupon, lines);
  EXPECT_THAT(refused, ReasonIs("COUPON_PRODUCTS"));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  return error::MetadataValue(refused.status(), "missing");
}

TEST(CouponProductsTest, TheCheapestPiecesOfAFreeProductAreFree) {
  const Lines lines = {{"mug", 2, 900}, {"bag", 1, 100}, {"mug", 1, 700}};
  EXPECT_THAT(Off(FreeMugs(1), lines), IsOkAndHolds(700));
  EXPECT_THAT(Off(FreeMugs(2), lines), IsOkAndHolds(1600));
  EXPECT_THAT(Off(FreeMugs(9), lines), IsOkAndHolds(2500));
  Coupon either = FreeMugs(1);
  either.skus = {"mug", "bag"};
  EXPECT_THAT(Off(either, lines), IsOkAndHolds(100));
}

TEST(CouponProductsTest, AShareOfAProductIsRoundedForEachPiece) {
  Coupon coupon = FreeMugs(3);
  coupon.basis_points = 5000;
  EXPECT_THAT(Off(coupon, {{"mug", 3, 333}}), IsOkAndHolds(3 * 166));
  coupon.rounding = Coupon::Rounding::kHalfUp;
  EXPECT_THAT(Off(coupon, {{"mug", 3, 333}}), IsOkAndHolds(3 * 167));
  EXPECT_THAT(Off(coupon, {{"mug", 1, 1}}), IsOkAndHolds(1));
  coupon.basis_points = 1;
  EXPECT_THAT(Off(coupon, {{"mug", 3, 333}}), IsOkAndHolds(0));
}

TEST(CouponProductsTest, OfTheSameProductsSeveralSetsEachBringWhatIsFree) {
  const Coupon coupon = BuyGet(2, 1);
  EXPECT_THAT(Off(coupon, {{"mug", 3, 500}}), IsOkAndHolds(500));
  EXPECT_THAT(Off(coupon, {{"mug", 5, 500}}), IsOkAndHolds(500));
  EXPECT_THAT(Off(coupon, {{"mug", 6, 500}}), IsOkAndHolds(1000));
  EXPECT_THAT(Off(coupon, {{"mug", 1'000'000, 500}}), IsOkAndHolds(333'333 * int64_t{500}));
  EXPECT_EQ(Missing(coupon, {{"mug", 2, 500}}), "1");
  EXPECT_EQ(Missing(coupon, {{"mug", 1, 500}}), "2");
}

TEST(CouponProductsTest, TheLastSetMayLackSomeOfWhatIsFree) {
  const Coupon coupon = BuyGet(2, 3);
  EXPECT_EQ(Missing(coupon, {{"mug", 2, 500}}), "1");
  EXPECT_THAT(Off(coupon, {{"mug", 3, 500}}), IsOkAndHolds(500));
  EXPECT_THAT(Off(coupon, {{"mug", 5, 500}}), IsOkAndHolds(1500));
  EXPECT_THAT(Off(coupon, {{"mug", 7, 500}}), IsOkAndHolds(1500));
  EXPECT_THAT(Off(coupon, {{"mug", 9, 500}}), IsOkAndHolds(2500));
}

TEST(CouponProductsTest, TheDearestAreBoughtAndTheCheapestAreFree) {
  const Coupon coupon = BuyGet(2, 1);
  const Lines lines = {{"mug", 1, 300}, {"bag", 2, 900}, {"pen", 3, 100}};
  EXPECT_THAT(Off(coupon, lines), IsOkAndHolds(200));
  Coupon mugs_and_bags = coupon;
  mugs_and_bags.skus = {"mug", "bag"};
  EXPECT_THAT(Off(mugs_and_bags, lines), IsOkAndHolds(300));
}

TEST(CouponProductsTest, WhatIsFreeMayBeAnotherProduct) {
  Coupon coupon = BuyGet(2, 1);
  coupon.skus = {"mug"};
  coupon.free_skus = {"pen", "cap"};
  const Lines lines = {{"mug", 4, 900}, {"pen", 3, 100}, {"cap", 1, 400}};
  EXPECT_THAT(Off(coupon, lines), IsOkAndHolds(200));
  EXPECT_THAT(Off(coupon, {{"mug", 4, 900}, {"pen", 1, 100}, {"cap", 1, 400}}), IsOkAndHolds(500));
  EXPECT_THAT(Off(coupon, {{"mug", 2, 900}, {"pen", 3, 100}}), IsOkAndHolds(100));
  EXPECT_THAT(Off(coupon, {{"mug", 9, 900}, {"pen", 1, 100}}), IsOkAndHolds(100));
  EXPECT_EQ(Missing(coupon, {{"mug", 1, 900}, {"pen", 9, 100}}), "1");
  EXPECT_EQ(Missing(coupon, {{"mug", 2, 900}}), "1");
  // Whatever else is bought counts when nothing is named.
  coupon.skus.clear();
  EXPECT_THAT(Off(coupon, {{"mug", 1, 900}, {"bag", 1, 50}, {"pen", 3, 100}}), IsOkAndHolds(100));
  EXPECT_EQ(Missing(coupon, {{"mug", 1, 900}, {"pen", 9, 100}}), "1");
}

TEST(CouponProductsTest, ALimitOfApplicationsHoldsInOneOrder) {
  Coupon coupon = BuyGet(2, 1);
  coupon.most_applications = 2;
  EXPECT_THAT(Off(coupon, {{"mug", 5, 500}}), IsOkAndHolds(500));
  EXPECT_THAT(Off(coupon, {{"mug", 6, 500}}), IsOkAndHolds(1000));
  EXPECT_THAT(Off(coupon, {{"mug", 60, 500}}), IsOkAndHolds(1000));
  coupon.free_skus = {"pen"};
  EXPECT_THAT(Off(coupon, {{"mug", 60, 500}, {"pen", 9, 100}}), IsOkAndHolds(200));
}

TEST(CouponProductsTest, WithoutLinesThereIsNothingToJudge) {
  EXPECT_THAT(Off(FreeMugs(1), {}), ReasonIs("COUPON_LINES_NEEDED"));
  EXPECT_EQ(Missing(FreeMugs(1), {{"bag", 3, 500}}), "1");
}

TEST(CouponProductsTest, LimitsInMoneyHoldForProductsToo) {
  Coupon coupon = FreeMugs(2);
  coupon.currency = "EUR";
  coupon.most_minor = 800;
  CouponOrder order{.currency = "EUR", .amount_minor = 2000, .lines = {{"mug", 2, 1000}}};
  const auto off = [&](int64_t gone) {
    return DiscountOf(coupon, {.value_minor = gone}, std::nullopt, order, CouponAct::kRedeem,
                      absl::UnixEpoch());
  };
  EXPECT_THAT(off(0), IsOkAndHolds(800));
  coupon.value_limit_minor = 1000;
  EXPECT_THAT(off(500), IsOkAndHolds(500));
  // What other discounts have left of the order is the most.
  order.amount_minor = 300;
  EXPECT_THAT(off(0), IsOkAndHolds(300));
  order.lines[0].unit_price_minor = 0;
  EXPECT_THAT(off(0), ReasonIs("COUPON_NO_DISCOUNT"));
}

TEST(CouponProductsTest, LinesThatCannotBeAreRefusedByTheirPlace) {
  const auto fields = [](const Lines& lines) {
    std::vector<std::string> names;
    for (const auto& [field, what] : error::FieldViolations(ValidateLines(lines))) {
      names.push_back(field);
    }
    return names;
  };
  EXPECT_THAT(fields({{"mug", 1, 5}, {"mug", 0, -1}, {"mug", kMaxCouponPieces + 1, 5}}),
              ElementsAre("lines[1].quantity", "lines[1].unit_price_minor", "lines[2].quantity"));
  EXPECT_THAT(fields({{"mug", 1, kMaxCouponMinor}}), ElementsAre());
  EXPECT_THAT(fields({{"mug", 1, kMaxCouponMinor}, {"bag", 1, 1}}), ElementsAre("lines"));
  EXPECT_THAT(fields(Lines(1000, {"mug", kMaxCouponPieces, kMaxCouponMinor})),
              ElementsAre("lines"));
  CouponOrder order{.amount_minor = 5, .lines = {{"mug", 0, 5}}};
  const auto refused = DiscountOf(FreeMugs(1), {}, std::nullopt, order, CouponAct::kRedeem, {});
  EXPECT_EQ(error::FieldViolations(refused.status())[0].first, "order.lines[0].quantity");
}

TEST(CouponProductsTest, ValidationNamesEveryBadField) {
  const auto fields = [](const Coupon& coupon) {
    std::vector<std::string> names;
    for (const auto& [field, what] : error::FieldViolations(ValidateCoupon(coupon))) {
      names.push_back(field);
    }
    return names;
  };
  Coupon coupon = FreeMugs(0);
  coupon.skus.clear();
  coupon.buy_quantity = 1;
  coupon.most_applications = 1;
  coupon.amount_minor = 5;
  EXPECT_THAT(fields(coupon), UnorderedElementsAre("amount_minor", "skus", "buy_quantity",
                                                   "free_quantity", "most_applications"));
  coupon = BuyGet(0, kMaxCouponPieces + 1);
  coupon.most_applications = -1;
  coupon.skus = {"mug", "mug"};
  coupon.free_skus = {"", "mug"};
  EXPECT_THAT(fields(coupon), UnorderedElementsAre("skus", "free_skus", "free_skus", "buy_quantity",
                                                   "free_quantity", "most_applications"));
  coupon = {.basis_points = 1000};
  coupon.skus = {"mug"};
  coupon.free_skus = {"bag"};
  coupon.free_quantity = 1;
  EXPECT_THAT(fields(coupon), UnorderedElementsAre("skus", "free_skus", "free_quantity"));
  coupon = FreeMugs(1);
  coupon.most_minor = 5;
  EXPECT_THAT(fields(coupon), ElementsAre("currency"));
}

// By one piece after the other, as people would reckon it.
int64_t Naive(const Coupon& coupon, const Lines& lines) {
  std::vector<int64_t> named, gifts;
  for (const CouponLine& line : lines) {
    const bool gift = std::count(coupon.free_skus.begin(), coupon.free_skus.end(), line.sku) > 0;
    const bool bought =
        coupon.skus.empty() || std::count(coupon.skus.begin(), coupon.skus.end(), line.sku) > 0;
    for (int64_t i = 0; i < line.quantity; ++i) {
      if (gift) gifts.push_back(line.unit_price_minor);
      if (!gift && bought) named.push_back(line.unit_price_minor);
    }
  }
  size_t free = 0;
  const bool same = coupon.free_skus.empty();
  size_t left = named.size();
  for (int64_t times = 0; coupon.most_applications == 0 || times < coupon.most_applications;
       ++times) {
    if (left < static_cast<size_t>(coupon.buy_quantity)) break;
    left -= coupon.buy_quantity;
    for (int64_t i = 0; i < coupon.free_quantity; ++i) {
      if (same && left == 0) break;
      if (same) --left;
      ++free;
    }
  }
  std::vector<int64_t>& prices = same ? named : gifts;
  std::sort(prices.begin(), prices.end());
  int64_t sum = 0;
  for (size_t i = 0; i < std::min(free, prices.size()); ++i) sum += prices[i];
  return sum;
}

RC_GTEST_PROP(CouponProductsPropertyTest, SetsAreWhatTheyAreByOnePieceAfterTheOther, ()) {
  const auto number = [](int64_t low, int64_t high) { return *rc::gen::inRange(low, high + 1); };
  Coupon coupon = BuyGet(number(1, 4), number(1, 4));
  coupon.most_applications = number(0, 3);
  if (number(0, 1) == 1) coupon.skus = {"a", "b"};
  if (number(0, 1) == 1) coupon.free_skus = {"c"};
  Lines lines;
  for (int64_t i = number(1, 6); i > 0; --i) {
    lines.push_back(
        {std::string(1, static_cast<char>('a' + number(0, 3))), number(1, 6), number(0, 1000)});
  }
  const int64_t off = Off(coupon, lines).value_or(0);
  RC_ASSERT(off == Naive(coupon, lines));
  // Nothing depends on how lines are put.
  Lines other;
  for (const CouponLine& line : lines) {
    for (int64_t i = 0; i < line.quantity; ++i) {
      other.insert(other.begin(), {line.sku, 1, line.unit_price_minor});
    }
  }
  RC_ASSERT(Off(coupon, other).value_or(0) == off);
}

}  // namespace
}  // namespace clm::loyalty
