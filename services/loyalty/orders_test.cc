#include "services/loyalty/orders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

OrderLine Line(const std::string& id, int64_t quantity, int64_t price, int64_t discount = 0) {
  OrderLine line;
  line.id = id;
  line.item.quantity = quantity;
  line.item.unit_price_minor = price;
  line.item.discount_minor = discount;
  return line;
}

// 3 mugs of 3.34 and 2 bags of 5.00, less 1.00.
Order Mugs() {
  Order order;
  order.currency = "EUR";
  order.lines = {Line("mugs", 3, 334), Line("bags", 2, 500, 100)};
  OrderEarning earning;
  earning.earning.points = 19;
  earning.shares = {{"mugs", 10}, {"bags", 9}};
  order.earnings = {earning};
  return order;
}

TEST(OrdersTest, TheAmountIsThatOfTheLinesAfterDiscounts) {
  EXPECT_EQ(AmountMinorOf(Mugs()), 3 * 334 + 2 * 500 - 100);
  EXPECT_EQ(FactOf(Mugs()).lines.size(), 2);
  EXPECT_EQ(FactOf(Mugs()).event_type, "");
}

TEST(OrdersTest, EveryBadFieldIsNamed) {
  CLM_EXPECT_OK(ValidateOrder(Mugs()));
  Order empty;
  empty.currency = "EUR";
  EXPECT_THAT(ValidateOrder(empty),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("order.lines: is required")));
  Order bad = Mugs();
  bad.lines[1].id = "mugs";
  bad.lines[0].item.discount_minor = 1003;
  bad.lines[1].item.quantity = 0;
  EXPECT_THAT(ValidateOrder(bad),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("order.lines[1].id: 'mugs' is there twice"),
                             HasSubstr("order.lines[0].discount_minor"),
                             HasSubstr("order.lines[1].quantity"))));
}

TEST(OrdersTest, ASumThatCannotBeCountedIsRefused) {
  Order much = Mugs();
  much.lines[0].item.unit_price_minor = 9007199254740991;
  EXPECT_THAT(ValidateOrder(much), StatusIs(StatusCode::kInvalidArgument, HasSubstr("lines")));
}

TEST(OrdersTest, NoMoreComesBackThanWasBought) {
  Order order = Mugs();
  order.lines[0].returned = 1;
  const auto plan = PlanReturn(order, {{"mugs", 2}, {"bags", 1}});
  CLM_ASSERT_OK(plan);
  ASSERT_EQ(plan->size(), 2);
  EXPECT_EQ((*plan)[0].before, 1);
  EXPECT_EQ((*plan)[0].after, 3);
  EXPECT_THAT(PlanReturn(order, {}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("lines: is required")));
  EXPECT_THAT(
      PlanReturn(order, {{"mugs", 3}, {"cups", 1}, {"bags", 0}, {"mugs", 1}}),
      StatusIs(StatusCode::kInvalidArgument,
               AllOf(HasSubstr("lines[0].quantity: must be at most 2: of 3 bought, 1 came back"),
                     HasSubstr("lines[1].line_id: the order has no line 'cups'"),
                     HasSubstr("lines[2].quantity: must be at least 1"),
                     HasSubstr("lines[3].line_id: is there twice"))));
}

TEST(OrdersTest, AnOrderComesBackInSoManyPiecesAtMost) {
  Order order;
  order.lines = {Line("nails", 10'000, 1), Line("screws", 10'000, 1)};
  order.returns.resize(kMaxReturnedLines - 1, {"", {{"nails", 1}}, absl::Time()});
  CLM_EXPECT_OK(PlanReturn(order, {{"nails", 1}}));
  EXPECT_THAT(PlanReturn(order, {{"nails", 1}, {"screws", 1}}), testing::ReasonIs("ORDER_RETURNS"));
}

// Returns `step` mugs at a time, and both bags in the end.
TEST(OrdersTest, ThePartsOfAnyWayOfReturningSumUpToTheWhole) {
  for (const std::vector<int64_t>& steps :
       std::vector<std::vector<int64_t>>{{1, 1, 1}, {1, 2}, {2, 1}, {3}}) {
    Order order = Mugs();
    int64_t points = 0, money = 0;
    std::vector<int64_t> parts;
    const auto take = [&](const ReturnedUnits& units) {
      const auto plan = PlanReturn(order, units);
      CLM_ASSERT_OK(plan);
      parts.push_back(PointsBack(order, order.earnings[0], *plan));
      points += parts.back();
      money += MoneyBack(order, *plan);
      for (const UnitsBack& back : *plan) order.lines[back.line].returned = back.after;
      EXPECT_EQ(MoneyKept(order), AmountMinorOf(order) - money);
    };
    for (const int64_t step : steps) take({{"mugs", step}});
    EXPECT_EQ(points, 10);
    EXPECT_EQ(money, 1002);
    take({{"bags", 2}});
    EXPECT_EQ(points, 19);
    EXPECT_EQ(money, AmountMinorOf(order));
    EXPECT_THAT(UnitsLeft(order), IsEmpty());
    if (steps.size() == 3) {
      EXPECT_THAT(parts, ::testing::ElementsAre(3, 3, 4, 9));
    }
  }
}

TEST(OrdersTest, WhatIsLeftBringsTheRest) {
  Order order = Mugs();
  order.lines[0].returned = 2;
  EXPECT_EQ(PointsBack(order, order.earnings[0], UnitsLeft(order)), 4 + 9);
  // A rule that looked at the bags alone.
  order.earnings[0].shares = {{"bags", 9}};
  EXPECT_EQ(PointsBack(order, order.earnings[0], UnitsLeft(order)), 9);
}

}  // namespace
}  // namespace clm::loyalty
