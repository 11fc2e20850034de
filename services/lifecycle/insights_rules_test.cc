#include "services/lifecycle/insights_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/testing/status_matchers.h"

namespace clm::lifecycle {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

absl::CivilDay D(int year, int month, int day) { return absl::CivilDay(year, month, day); }

TEST(RetentionTest, ThePublishedFormulaLeavesNewCustomersOut) {
  // S = 200, N = 40, E = 220.
  EXPECT_THAT(RetentionRate(200, 220, 40), Optional(DoubleNear(0.9, 1e-12)));
  const Retention retention = RetentionOf(200, 220, 40, 180);
  EXPECT_THAT(retention.rate, Optional(DoubleNear(0.9, 1e-12)));
  EXPECT_THAT(retention.churn, Optional(DoubleNear(0.1, 1e-12)));
  EXPECT_THAT(retention.naive_rate, Optional(DoubleNear(0.9, 1e-12)));
  EXPECT_EQ(retention.lost, 20);
  EXPECT_EQ(retention.returned, 0);
}

TEST(RetentionTest, ThePublishedChurnOfFortyFiveOfNinetyEight) {
  EXPECT_THAT(ChurnRate(98, 45), Optional(DoubleNear(0.45918, 5e-6)));
}

TEST(RetentionTest, WhoComesBackIsKeptInTheNaiveReadingOnly) {
  // 10 at the start, 6 of them stay; 2 are new, 3 come back.
  const Retention retention = RetentionOf(10, 11, 2, 6);
  EXPECT_EQ(retention.lost, 4);
  EXPECT_EQ(retention.returned, 3);
  EXPECT_THAT(retention.rate, Optional(DoubleNear(0.6, 1e-12)));
  EXPECT_THAT(retention.naive_rate, Optional(DoubleNear(0.9, 1e-12)));
  EXPECT_NEAR(*retention.rate + *retention.churn, 1, 1e-12);
}

TEST(RetentionTest, NobodyAtTheStartLeavesTheRatesUndefined) {
  const Retention retention = RetentionOf(0, 5, 5, 0);
  EXPECT_EQ(retention.rate, std::nullopt);
  EXPECT_EQ(retention.churn, std::nullopt);
  EXPECT_EQ(retention.naive_rate, std::nullopt);
}

TEST(ValueTest, ThePublishedMarginMultiples) {
  EXPECT_THAT(MarginMultiple(0.8, 0.1), Optional(DoubleNear(2.6667, 5e-5)));
  EXPECT_THAT(MarginMultiple(0.9, 0.1), Optional(DoubleNear(4.5, 1e-9)));
  EXPECT_THAT(MarginMultiple(0.6, 0.1), Optional(DoubleNear(1.2, 1e-9)));
  EXPECT_THAT(MarginMultiple(0.9, 0.12), Optional(DoubleNear(4.0909, 5e-5)));
}

TEST(ValueTest, AMarginMultipleThatDoesNotConvergeIsNone) {
  EXPECT_EQ(MarginMultiple(1, 0), std::nullopt);
  EXPECT_EQ(MarginMultiple(1.2, 0.1), std::nullopt);
  EXPECT_EQ(MarginMultiple(-0.1, 0.1), std::nullopt);
}

TEST(ValueTest, ThePublishedLifeExpectancy) {
  EXPECT_THAT(LifeExpectancy(0.8), Optional(DoubleNear(5, 1e-9)));
  EXPECT_EQ(LifeExpectancy(1), std::nullopt);
}

TEST(ValueTest, ThePublishedHistoricValue) {
  EXPECT_EQ(HistoricValue(100'000, 0, 18'000), 82'000);
  EXPECT_EQ(HistoricValue(100'000, 30'000, 80'000), -10'000);
}

TEST(RoundingTest, HalvesGoToTheEvenNumber) {
  EXPECT_THAT(DivideHalfEven(5, 2), Optional(Eq(2)));
  EXPECT_THAT(DivideHalfEven(7, 2), Optional(Eq(4)));
  EXPECT_THAT(DivideHalfEven(-5, 2), Optional(Eq(-2)));
  EXPECT_THAT(DivideHalfEven(-7, 2), Optional(Eq(-4)));
  EXPECT_THAT(DivideHalfEven(8, 3), Optional(Eq(3)));
  EXPECT_THAT(DivideHalfEven(-8, 3), Optional(Eq(-3)));
  EXPECT_EQ(DivideHalfEven(8, 0), std::nullopt);
}

TEST(RoundingTest, AShareInMillionthsDoesNotOverflow) {
  EXPECT_THAT(PartsPerMillion(1, 3), Optional(Eq(333'333)));
  EXPECT_THAT(PartsPerMillion(INT64_MAX, INT64_MAX), Optional(Eq(1'000'000)));
  EXPECT_EQ(PartsPerMillion(1, 0), std::nullopt);
}

TEST(PeriodTest, WeeksBeginOnMonday) {
  EXPECT_EQ(PeriodStart(Period::kWeek, D(2026, 11, 22)), D(2026, 11, 16));  // A Sunday.
  EXPECT_EQ(PeriodStart(Period::kWeek, D(2026, 11, 23)), D(2026, 11, 23));
  EXPECT_EQ(PeriodAfter(Period::kWeek, D(2026, 12, 28)), D(2027, 1, 4));
  EXPECT_EQ(PeriodsBetween(Period::kWeek, D(2026, 11, 16), D(2027, 1, 4)), 7);
}

TEST(PeriodTest, MonthsAndQuartersCrossTheYear) {
  EXPECT_EQ(PeriodStart(Period::kMonth, D(2024, 2, 29)), D(2024, 2, 1));
  EXPECT_EQ(PeriodAfter(Period::kMonth, D(2024, 11, 1), 3), D(2025, 2, 1));
  EXPECT_EQ(PeriodsBetween(Period::kMonth, D(2023, 11, 1), D(2025, 2, 1)), 15);
  EXPECT_EQ(PeriodStart(Period::kQuarter, D(2024, 9, 30)), D(2024, 7, 1));
  EXPECT_EQ(PeriodStart(Period::kQuarter, D(2024, 10, 1)), D(2024, 10, 1));
  EXPECT_EQ(PeriodAfter(Period::kQuarter, D(2024, 10, 1)), D(2025, 1, 1));
  EXPECT_EQ(PeriodsBetween(Period::kQuarter, D(2023, 10, 1), D(2025, 1, 1)), 5);
}

TEST(PeriodTest, BoundariesKeepTheAskedForEndsAndCutBetween) {
  const absl::Time start = Midnight(D(2024, 1, 15));
  const absl::Time end = Midnight(D(2024, 3, 1));
  EXPECT_THAT(Boundaries(start, end, Period::kMonth, 100),
              ElementsAre(start, Midnight(D(2024, 2, 1)), end));
  EXPECT_THAT(Boundaries(start, end, std::nullopt, 100), ElementsAre(start, end));
  EXPECT_GT(Boundaries(start, end, Period::kDay, 10).size(), 11u);
}

StageModel Model() {
  StageModel model;
  model.stages = {{.id = "fan", .position = 4},
                  {.id = "lead", .position = 1},
                  {.id = "lost", .position = 3, .kind = StageKind::kTerminal},
                  {.id = "user", .position = 2, .kind = StageKind::kLoop},
                  {.id = "grey", .position = 5, .kind = StageKind::kNegative}};
  return model;
}

TEST(StagesTest, AFunnelIsOfNormalStagesAndCustomersAreInLiveOnes) {
  EXPECT_THAT(FunnelSteps(Model()), ElementsAre("lead", "fan"));
  EXPECT_THAT(ActiveStages(Model()), ElementsAre("lead", "user", "fan"));
}

TEST(StagesTest, TheStageBeforeIsANormalOne) {
  EXPECT_EQ(NormalStageBefore(Model(), "fan")->id, "lead");
  EXPECT_EQ(NormalStageBefore(Model(), "lead"), nullptr);
  EXPECT_EQ(NormalStageBefore(Model(), "nowhere"), nullptr);
}

TEST(StagesTest, UnknownAndRepeatedStagesAreNamed) {
  CLM_EXPECT_OK(CheckStages(Model(), "steps", {"lead", "fan"}));
  EXPECT_THAT(CheckStages(Model(), "steps", {"lead", "nowhere"}),
              clm::testing::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("steps[1]")));
  EXPECT_THAT(CheckStages(Model(), "steps", {"lead", "lead"}),
              clm::testing::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
}

}  // namespace
}  // namespace clm::lifecycle
