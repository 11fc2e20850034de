#include "services/loyalty/earn_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>

#include "libs/base/time_text.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::Pair;
using testing::StatusIs;
using Earning = EarnRule::Earning;
using Period = EarnCap::Period;
using Rounding = EarnRule::Rounding;
using RoundEach = EarnRule::RoundEach;
using Why = EarnOutcome::Why;

absl::Time At(absl::string_view text) {
  const auto time = ParseTime(text);
  EXPECT_TRUE(time.has_value()) << text;
  return time.value_or(absl::UnixEpoch());
}

int64_t NothingSoFar(const std::string&, Period) { return 0; }

// A point for every full euro, unless changed.
EarnRule PerEuro() {
  return {.id = "euro", .earning = Earning::kPerMoney, .points = 1, .per = 100, .currency = "EUR"};
}

// 19.99 three times with 10.00 off, and one of 5.50.
EarnFact Order() {
  return {.currency = "EUR",
          .lines = {{.sku = "tea",
                     .category = "food",
                     .quantity = 3,
                     .unit_price_minor = 1999,
                     .discount_minor = 1000,
                     .tax_minor = 349},
                    {.sku = "mug",
                     .category = "home",
                     .quantity = 1,
                     .unit_price_minor = 550,
                     .tax_minor = 105}}};
}

EarnOutcome Earn(const EarnRule& rule, const EarnFact& fact, const EarnMember& member = {},
                 EarnedSoFar earned = NothingSoFar) {
  const auto compiled = CompileEarnRule(rule);
  EXPECT_THAT(compiled, IsOk());
  if (!compiled.ok()) return {};
  auto outcomes = EvaluateEarnRules({*compiled}, fact, member, earned, At("2026-11-26T12:00:00Z"));
  EXPECT_THAT(outcomes, IsOk());
  return outcomes.ok() ? outcomes->at(0) : EarnOutcome();
}

TEST(EarnRulesTest, PointsPerMoneySpentAreFlooredForTheOrderAfterDiscountsBeforeTax) {
  // 59.97 - 10.00 + 5.50 = 55.47
  const EarnOutcome outcome = Earn(PerEuro(), Order());
  EXPECT_EQ(outcome.why, Why::kApplied);
  EXPECT_EQ(outcome.points, 55);
  // 49.546 and 5.453: the larger remainder is rounded up.
  EXPECT_THAT(outcome.shares, ElementsAre(Pair(0, 50), Pair(1, 5)));
}

TEST(EarnRulesTest, MoneyIsMeasuredAsTheRuleSays) {
  EarnRule rule = PerEuro();
  rule.before_discounts = true;
  EXPECT_EQ(Earn(rule, Order()).points, 65);  // 65.47
  rule.with_tax = true;
  EXPECT_EQ(Earn(rule, Order()).points, 70);  // 70.01
  rule.before_discounts = false;
  EXPECT_EQ(Earn(rule, Order()).points, 60);  // 60.01
}

TEST(EarnRulesTest, RoundsAsTheRuleSays) {
  EarnRule rule = PerEuro();
  EarnFact order = {.currency = "EUR", .lines = {{.unit_price_minor = 1050}}};
  EXPECT_EQ(Earn(rule, order).points, 10);
  rule.rounding = Rounding::kHalfUp;
  EXPECT_EQ(Earn(rule, order).points, 11);
  order.lines[0].unit_price_minor = 1049;
  EXPECT_EQ(Earn(rule, order).points, 10);
  rule.rounding = Rounding::kCeiling;
  EXPECT_EQ(Earn(rule, order).points, 11);
  order.lines[0].unit_price_minor = 1000;
  EXPECT_EQ(Earn(rule, order).points, 10);
}

TEST(EarnRulesTest, RoundsEachLineWhenTheRuleSaysSo) {
  EarnRule rule = PerEuro();
  rule.round_each = RoundEach::kLine;
  const EarnOutcome outcome = Earn(rule, Order());  // 49.97 and 5.50
  EXPECT_EQ(outcome.points, 54);
  EXPECT_THAT(outcome.shares, ElementsAre(Pair(0, 49), Pair(1, 5)));
}

TEST(EarnRulesTest, PointsPerUnitAndFixedPoints) {
  EarnRule rule = {.id = "unit", .earning = Earning::kPerUnit, .points = 5, .per = 2};
  EXPECT_EQ(Earn(rule, Order()).points, 10);
  EXPECT_THAT(Earn(rule, Order()).shares, ElementsAre(Pair(0, 8), Pair(1, 2)));
  rule.earning = Earning::kFixed;
  // By money: 4997 of 5547 are 4.504.
  EXPECT_THAT(Earn(rule, Order()).shares, ElementsAre(Pair(0, 5)));
  rule.points = 50;
  EXPECT_THAT(Earn(rule, Order()).shares, ElementsAre(Pair(0, 45), Pair(1, 5)));
  rule.round_each = RoundEach::kLine;
  EXPECT_EQ(Earn(rule, Order()).points, 50);
}

TEST(EarnRulesTest, AGiftHasItsShareByUnits) {
  const EarnRule rule = {.id = "gift", .points = 4};
  const EarnFact free = {.lines = {{.quantity = 1}, {.quantity = 3}}};
  EXPECT_THAT(Earn(rule, free).shares, ElementsAre(Pair(0, 1), Pair(1, 3)));
}

TEST(EarnRulesTest, ATierMultipliesBeforeRounding) {
  EarnRule rule = PerEuro();
  rule.tier_basis_points = {{"gold", 15'000}, {"guest", 0}};
  const EarnOutcome gold = Earn(rule, Order(), {.tier = "gold"});
  EXPECT_EQ(gold.points, 83);  // 83.205, where 55 by one and a half would be 82.
  EXPECT_THAT(gold.explanation, HasSubstr("15000 basis points for tier gold"));
  EXPECT_EQ(Earn(rule, Order(), {.tier = "silver"}).points, 55);
  EXPECT_EQ(Earn(rule, Order()).points, 55);
  EXPECT_EQ(Earn(rule, Order(), {.tier = "guest"}).why, Why::kRoundedToNothing);
}

TEST(EarnRulesTest, OnlyLinesThatPassTheFilterCount) {
  EarnRule rule = PerEuro();
  rule.line_filter = "category = \"home\" OR sku = \"pot\"";
  const EarnOutcome outcome = Earn(rule, Order());
  EXPECT_EQ(outcome.points, 5);
  EXPECT_THAT(outcome.shares, ElementsAre(Pair(1, 5)));
  rule.minimum_minor = 551;
  EXPECT_EQ(Earn(rule, Order()).why, Why::kMinimumAmount);
  EXPECT_THAT(Earn(rule, Order()).explanation,
              HasSubstr("amount to 550 EUR minor units, at least 551"));
  rule.minimum_minor = 550;
  EXPECT_EQ(Earn(rule, Order()).why, Why::kApplied);
  rule.minimum_quantity = 2;
  EXPECT_EQ(Earn(rule, Order()).why, Why::kMinimumQuantity);
  rule.line_filter = "amount_minor >= 4997 unit_price_minor = 1999 quantity = 3";
  EXPECT_EQ(Earn(rule, Order()).points, 49);
  rule.line_filter = "sku = \"pot\"";
  EXPECT_EQ(Earn(rule, Order()).why, Why::kNoLine);
}

TEST(EarnRulesTest, TheConditionSeesTheOrderAndTheMember) {
  EarnRule rule = PerEuro();
  const auto holds = [&](const std::string& condition, const EarnMember& member = {}) {
    rule.condition = condition;
    return Earn(rule, Order(), member).why == Why::kApplied;
  };
  EXPECT_TRUE(holds("amount_minor = 5547 quantity = 4 currency = \"EUR\""));
  EXPECT_TRUE(holds("skus:\"mug\" categories:\"food\" NOT type:*"));
  EXPECT_FALSE(holds("skus:\"pot\""));
  EXPECT_TRUE(holds("tier = \"gold\"", {.tier = "gold"}));
  EXPECT_FALSE(holds("tier = \"gold\""));
  const EarnMember member = {
      .attributes = {{"seats", "12"}, {"tags", std::vector<std::string>{"vip"}}}};
  EXPECT_TRUE(holds("attributes.seats > 10", member));
  EXPECT_EQ(Earn(rule, Order()).explanation, "the condition does not hold");
}

TEST(EarnRulesTest, AnEventOfItsTypeEarns) {
  const EarnRule rule = {.id = "review",
                         .event_type = "review_written",
                         .condition = "properties.stars >= 4 type = \"review_written\"",
                         .points = 20};
  EarnFact event = {.event_type = "review_written", .properties = {{"stars", "5"}}};
  const EarnOutcome outcome = Earn(rule, event);
  EXPECT_EQ(outcome.points, 20);
  EXPECT_THAT(outcome.shares, IsEmpty());
  event.properties["stars"] = "3";
  EXPECT_EQ(Earn(rule, event).why, Why::kCondition);
  event.event_type = "birthday";
  EXPECT_EQ(Earn(rule, event).why, Why::kOtherTrigger);
  EXPECT_EQ(Earn(rule, Order()).why, Why::kOtherTrigger);
  EXPECT_EQ(Earn(PerEuro(), event).why, Why::kOtherTrigger);
}

TEST(EarnRulesTest, AnEventWithoutLinesEarnsNothingPerMoney) {
  EarnRule rule = PerEuro();
  rule.event_type = "donation";
  EarnFact event = {.event_type = "donation", .currency = "EUR"};
  EXPECT_EQ(Earn(rule, event).why, Why::kNoLine);
  event.lines = {{.unit_price_minor = 700}};
  EXPECT_EQ(Earn(rule, event).points, 7);
}

TEST(EarnRulesTest, AnotherCurrencyEarnsNothing) {
  EarnFact order = Order();
  order.currency = "USD";
  EXPECT_EQ(Earn(PerEuro(), order).why, Why::kCurrency);
}

TEST(EarnRulesTest, CapsCutAndSayWhatTheyCut) {
  EarnRule rule = PerEuro();
  rule.caps = {{Period::kDay, 100}, {Period::kMonth, 120}, {Period::kYear, 500}};
  const auto so_far = [](const std::string& id, Period period) -> int64_t {
    EXPECT_EQ(id, "euro");
    return period == Period::kDay ? 60 : 100;
  };
  const EarnOutcome outcome = Earn(rule, Order(), {}, so_far);
  EXPECT_EQ(outcome.why, Why::kApplied);
  EXPECT_EQ(outcome.points, 20);
  EXPECT_EQ(outcome.cut_by_cap, 35);
  EXPECT_EQ(outcome.cap, Period::kMonth);
  EXPECT_THAT(outcome.explanation, HasSubstr("a cap took 35 points"));
  EXPECT_THAT(outcome.shares, ElementsAre(Pair(0, 18), Pair(1, 2)));
}

TEST(EarnRulesTest, ACapThatIsReachedLeavesNothingAndOneOverdrawnNoMoreThanItself) {
  EarnRule rule = PerEuro();
  rule.caps = {{Period::kLifetime, 40}};
  const EarnOutcome outcome =
      Earn(rule, Order(), {}, [](const std::string&, Period) -> int64_t { return 41; });
  EXPECT_EQ(outcome.why, Why::kCapReached);
  EXPECT_EQ(outcome.points, 0);
  EXPECT_EQ(outcome.cut_by_cap, 55);
  EXPECT_THAT(outcome.shares, IsEmpty());
  EXPECT_EQ(
      Earn(rule, Order(), {}, [](const std::string&, Period) -> int64_t { return -10; }).points,
      40);
}

TEST(EarnRulesTest, CapPeriodsBeginInTheLocalZone) {
  absl::TimeZone zone;
  ASSERT_TRUE(absl::LoadTimeZone("America/Sao_Paulo", &zone));
  const absl::Time now = At("2018-11-05T01:00:00Z");  // Sunday the 4th, 23:00; it began at 01:00.
  EXPECT_EQ(CapPeriodStart(Period::kDay, now, zone), At("2018-11-04T03:00:00Z"));
  EXPECT_EQ(CapPeriodStart(Period::kWeek, now, zone), At("2018-10-29T03:00:00Z"));
  EXPECT_EQ(CapPeriodStart(Period::kWeek, At("2018-11-05T12:00:00Z"), zone),
            At("2018-11-05T02:00:00Z"));
  EXPECT_EQ(CapPeriodStart(Period::kMonth, now, zone), At("2018-11-01T03:00:00Z"));
  EXPECT_EQ(CapPeriodStart(Period::kYear, now, zone), At("2018-01-01T02:00:00Z"));
  EXPECT_EQ(CapPeriodStart(Period::kLifetime, now, zone), absl::InfinitePast());
}

TEST(EarnRulesTest, RefusesARuleNamingEveryBadField) {
  EarnRule rule = {.condition = "total > 5",
                   .line_filter = "sku > ",
                   .earning = Earning::kPerMoney,
                   .per = 0,
                   .currency = "euro",
                   .minimum_minor = -1,
                   .minimum_quantity = -1,
                   .tier_basis_points = {{"gold", kMaxMultiplierBasisPoints + 1}},
                   .caps = {{Period::kDay, 0}, {Period::kDay, 5}}};
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(CompileEarnRule(rule).status())) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields, ElementsAre("id", "points", "per", "minimum_minor", "minimum_quantity",
                                  "currency", "tier_basis_points.gold", "caps[0].points",
                                  "caps[1].period", "condition", "line_filter"));
  EarnRule minimum = {.id = "m", .points = 1, .minimum_minor = 5};
  EXPECT_THAT(CompileEarnRule(minimum),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("currency: ")));
}

TEST(EarnRulesTest, RefusesAFactNamingEveryBadField) {
  EarnFact order = Order();
  order.lines[0].discount_minor = 5998;
  order.lines[1].tax_minor = -1;
  order.lines.push_back({.quantity = 0});
  order.lines.push_back({.quantity = int64_t{1} << 40, .unit_price_minor = int64_t{1} << 40});
  const auto refused = EvaluateEarnRules({}, order, {}, NothingSoFar, absl::UnixEpoch());
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(refused.status())) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields, ElementsAre("lines[0].discount_minor", "lines[1].tax_minor",
                                  "lines[2].quantity", "lines[3].quantity"));
}

TEST(EarnRulesTest, NothingOverflows) {
  EarnRule rule = PerEuro();
  rule.points = kMaxEarnedPoints;
  rule.per = 1;
  rule.tier_basis_points = {{"gold", kMaxMultiplierBasisPoints}};
  const auto evaluate = [&](const EarnFact& fact) {
    const auto compiled = CompileEarnRule(rule);
    EXPECT_THAT(compiled, IsOk());
    return EvaluateEarnRules({*compiled}, fact, {.tier = "gold"}, NothingSoFar, absl::UnixEpoch());
  };
  const EarnFact most = {.currency = "EUR", .lines = {{.unit_price_minor = kMaxEarnMoneyMinor}}};
  for (const RoundEach each : {RoundEach::kOrder, RoundEach::kLine}) {
    rule.round_each = each;
    EXPECT_THAT(evaluate(most), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("rule euro")));
  }
  EarnFact sum = most;
  sum.lines.push_back({.unit_price_minor = 1});
  EXPECT_THAT(EvaluateEarnRules({}, sum, {}, NothingSoFar, absl::UnixEpoch()),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("more money")));
  EarnFact units = {.lines = {{.quantity = kMaxEarnedPoints}, {.quantity = 1}}};
  EXPECT_THAT(EvaluateEarnRules({}, units, {}, NothingSoFar, absl::UnixEpoch()),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("more units")));
  rule.per = kMaxEarnMoneyMinor;
  rule.tier_basis_points.clear();
  const auto one = evaluate(most);
  ASSERT_THAT(one, IsOk());
  EXPECT_EQ(one->at(0).points, kMaxEarnedPoints);
}

TEST(SplitTest, TheLargestRemaindersAreRoundedUpAndOfEqualOnesTheFirst) {
  EXPECT_THAT(SplitByLargestRemainder(10, {1, 1, 1}), ElementsAre(4, 3, 3));
  EXPECT_THAT(SplitByLargestRemainder(2, {1, 1, 1}), ElementsAre(1, 1, 0));
  EXPECT_THAT(SplitByLargestRemainder(5, {0, 3, 1}), ElementsAre(0, 4, 1));
  EXPECT_THAT(SplitByLargestRemainder(5, {0, 0}), ElementsAre(0, 0));
  EXPECT_THAT(SplitByLargestRemainder(5, {}), IsEmpty());
}

TEST(PartOfUnitsTest, UnitsReturnedOneByOneTakeBackTheWhole) {
  EXPECT_EQ(PartOfUnits(10, 3, 0, 1), 3);
  EXPECT_EQ(PartOfUnits(10, 3, 1, 2), 3);
  EXPECT_EQ(PartOfUnits(10, 3, 2, 3), 4);
  EXPECT_EQ(PartOfUnits(kMaxEarnedPoints, kMaxEarnedPoints, 0, kMaxEarnedPoints), kMaxEarnedPoints);
}

RC_GTEST_PROP(EarnRulesPropertyTest, SharesSumUpAndAreWithinAPointOfTheExactOnes, ()) {
  const auto weights =
      *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 1000));
  const int64_t points = *rc::gen::inRange<int64_t>(0, 100'000);
  const auto parts = SplitByLargestRemainder(points, weights);
  const int64_t sum = std::accumulate(weights.begin(), weights.end(), int64_t{0});
  RC_PRE(sum > 0);
  RC_ASSERT(std::accumulate(parts.begin(), parts.end(), int64_t{0}) == points);
  for (size_t i = 0; i < parts.size(); ++i) {
    RC_ASSERT(parts[i] >= points * weights[i] / sum);
    RC_ASSERT(parts[i] * sum < points * weights[i] + sum);
  }
}

RC_GTEST_PROP(EarnRulesPropertyTest, ReturningEveryUnitOfEveryLineTakesBackEveryPoint, ()) {
  EarnRule rule = PerEuro();
  rule.earning = static_cast<Earning>(*rc::gen::inRange(0, 3));
  rule.points = *rc::gen::inRange<int64_t>(1, 50);
  rule.per = *rc::gen::inRange<int64_t>(1, 300);
  rule.rounding = static_cast<Rounding>(*rc::gen::inRange(0, 3));
  rule.round_each = static_cast<RoundEach>(*rc::gen::inRange(0, 2));
  rule.line_filter = *rc::gen::element<std::string>("", "sku = \"a\"");
  rule.tier_basis_points = {{"gold", *rc::gen::inRange<int64_t>(0, 30'000)}};
  if (*rc::gen::arbitrary<bool>()) {
    rule.caps = {{Period::kDay, *rc::gen::inRange<int64_t>(1, 500)}};
  }
  EarnFact order = {.currency = "EUR"};
  for (int i = *rc::gen::inRange(1, 8); i > 0; --i) {
    EarnLine line;
    line.sku = *rc::gen::element<std::string>("a", "b");
    line.quantity = *rc::gen::inRange<int64_t>(1, 9);
    line.unit_price_minor = *rc::gen::inRange<int64_t>(0, 5000);
    line.tax_minor = *rc::gen::inRange<int64_t>(0, 900);
    order.lines.push_back(line);
  }
  const EarnOutcome outcome = Earn(rule, order, {.tier = "gold"});
  int64_t taken_back = 0;
  for (const auto& [line, share] : outcome.shares) {
    const int64_t quantity = order.lines[line].quantity;
    const int64_t first = *rc::gen::inRange<int64_t>(0, quantity + 1);
    taken_back += PartOfUnits(share, quantity, 0, first);
    taken_back += PartOfUnits(share, quantity, first, quantity);
  }
  RC_ASSERT(taken_back == outcome.points);
  if (!rule.caps.empty()) RC_ASSERT(outcome.points <= rule.caps[0].points);
}

}  // namespace
}  // namespace clm::loyalty
