#include "services/feedback/scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <vector>

namespace clm::feedback {
namespace {

using ::testing::DoubleNear;

Histogram Of(std::initializer_list<int> values, int min = 0) {
  Histogram histogram;
  for (const int value : values) ++histogram.values[static_cast<size_t>(value - min)];
  return histogram;
}
Histogram Groups(int64_t promoters, int64_t passives, int64_t detractors) {
  Histogram histogram;
  histogram.values[9] = promoters;
  histogram.values[7] = passives;
  histogram.values[6] = detractors;
  return histogram;
}

struct NpsRow {
  const char* what;
  Histogram histogram;
  int64_t promoters, passives, detractors;
  const char* shown;
  double value;
};

// Every row of numbers.md, part 8.
TEST(NpsTest, ThePublishedFiguresComeOut) {
  Histogram dismissed_twice = Of({10});
  dismissed_twice.dismissed = 2;
  Histogram one_left_out = Of({1, 8, 8, 10, 5, 9});
  one_left_out.skipped = 1;
  const NpsRow rows[] = {
      {"0 to 10 once each", Of({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), 2, 2, 7, "-45.5", -500.0 / 11},
      {"100, 30, 80", Groups(100, 30, 80), 100, 30, 80, "9.5", 2000.0 / 210},
      {"1, 8, 8, 10, 5, NA, 9", one_left_out, 2, 2, 2, "0.0", 0},
      {"1, 9, 10", Of({1, 9, 10}), 2, 0, 1, "33.3", 100.0 / 3},
      {"one 10 and two dismissals", dismissed_twice, 1, 0, 0, "100.0", 100},
  };
  for (const NpsRow& row : rows) {
    SCOPED_TRACE(row.what);
    const Nps nps = NpsOf(row.histogram);
    EXPECT_EQ(nps.promoters, row.promoters);
    EXPECT_EQ(nps.passives, row.passives);
    EXPECT_EQ(nps.detractors, row.detractors);
    ASSERT_TRUE(nps.score);
    EXPECT_EQ(nps.score->n, row.promoters + row.passives + row.detractors);
    EXPECT_EQ(nps.score->score.numerator, 100 * (row.promoters - row.detractors));
    EXPECT_EQ(nps.score->score.denominator, nps.score->n);
    EXPECT_THAT(nps.score->score.value(), DoubleNear(row.value, 1e-9));
    EXPECT_EQ(OneDecimal(nps.score->score), row.shown);
  }
  EXPECT_EQ(NpsOf(dismissed_twice).dismissed, 2);
  EXPECT_EQ(NpsOf(one_left_out).skipped, 1);
}

TEST(NpsTest, WhereNobodyAnsweredThereIsNoScore) {
  Histogram histogram;
  histogram.dismissed = 7;
  histogram.skipped = 2;
  const Nps nps = NpsOf(histogram);
  EXPECT_FALSE(nps.score);
  EXPECT_FALSE(nps.mean);
  EXPECT_EQ(nps.dismissed, 7);
}

TEST(NpsTest, TheIntervalIsThePublishedOne) {
  EXPECT_THAT(NpsOf(Groups(100, 30, 80)).score->half_width, DoubleNear(12.4556, 5e-5));
  EXPECT_THAT(NpsOf(Groups(50, 30, 20)).score->half_width, DoubleNear(15.3081, 5e-5));
  // Everybody the same: nothing varies.
  EXPECT_EQ(NpsOf(Groups(5, 0, 0)).score->half_width, 0);
}

TEST(NpsTest, TheRawMeanIsKeptToo) { EXPECT_EQ(NpsOf(Of({1, 9, 10})).mean, (Fraction{20, 3})); }

TEST(NpsTest, TheBoundariesOfTheGroupsAreWhereTheyBelong) {
  EXPECT_EQ(NpsOf(Of({6})).detractors, 1);
  EXPECT_EQ(NpsOf(Of({7})).passives, 1);
  EXPECT_EQ(NpsOf(Of({8})).passives, 1);
  EXPECT_EQ(NpsOf(Of({9})).promoters, 1);
}

TEST(CsatTest, ThreeOfFiveStaysInTheDenominator) {
  const Csat csat = CsatOf(Of({5, 4, 3, 2, 1}, 1), 1, 4);
  EXPECT_EQ(csat.satisfied, 2);
  EXPECT_EQ(csat.others, 3);
  EXPECT_EQ(csat.score->score, (Fraction{200, 5}));
  EXPECT_EQ(OneDecimal(csat.score->score), "40.0");
}

TEST(CsatTest, TheThresholdIsTheQuestions) {
  // On 1-3 only 3 is good; thumbs are 0-1.
  EXPECT_EQ(CsatOf(Of({1, 2, 3}, 1), 1, 3).satisfied, 1);
  EXPECT_EQ(CsatOf(Of({0, 1, 1, 1}), 0, 1).score->score, (Fraction{300, 4}));
  EXPECT_EQ(CsatOf(Of({5, 4, 3}, 1), 1, 3).satisfied, 3);
  EXPECT_FALSE(CsatOf(Histogram(), 1, 4).score);
}

TEST(CesTest, SevenPointsFallIntoThreeGroups) {
  const Ces ces = CesOf(Of({1, 2, 3, 4, 5, 6, 7}, 1), 1, 7);
  EXPECT_EQ(ces.high_effort, 3);
  EXPECT_EQ(ces.neutral, 1);
  EXPECT_EQ(ces.low_effort, 3);
  EXPECT_EQ(ces.mean->score, (Fraction{28, 7}));
  EXPECT_EQ(ces.share->score, (Fraction{300, 7}));
  EXPECT_THAT(ces.mean->half_width, DoubleNear(1.96 * std::sqrt(4.0 / 7), 1e-9));
}

TEST(CesTest, FivePointsHaveTheirMiddleAtThree) {
  const Ces ces = CesOf(Of({1, 2, 3, 4, 5}, 1), 1, 5);
  EXPECT_EQ(ces.high_effort, 2);
  EXPECT_EQ(ces.neutral, 1);
  EXPECT_EQ(ces.low_effort, 2);
}

TEST(RqiTest, TheWorkedExampleComesOut) {
  // 5 and 6 on 1-7, 3 on 1-5: 66.667, 83.333, 50.
  const std::vector<RqiItem> items = {{.min = 1, .max = 7, .value = 5},
                                      {.min = 1, .max = 7, .value = 6},
                                      {.min = 1, .max = 5, .value = 3}};
  const auto rqi = RqiOf(items);
  ASSERT_TRUE(rqi);
  EXPECT_THAT(rqi->value(), DoubleNear(200.0 / 3, 1e-9));
  EXPECT_EQ(OneDecimal(*rqi), "66.7");
}

TEST(RqiTest, MissingItemsAreReweighted) {
  std::vector<RqiItem> items = {
      {.weight = 2, .value = 7}, {.weight = 1, .value = 1}, {.weight = 5, .value = std::nullopt}};
  EXPECT_THAT(RqiOf(items)->value(), DoubleNear(200.0 / 3, 1e-9));
  items[1].value = std::nullopt;
  EXPECT_FALSE(RqiOf(items)) << "one item is no index";
  EXPECT_FALSE(RqiOf({}));
}

TEST(RqiTest, TheCompanysIsTheMeanOverCustomers) {
  const std::vector<Fraction> customers = {{600, 6}, {0, 6}, {300, 6}};
  const Rqi rqi = CompanyRqi(customers);
  EXPECT_EQ(rqi.customers, 3);
  EXPECT_THAT(rqi.mean, DoubleNear(50, 1e-9));
  EXPECT_EQ(rqi.shown, "50.0");
  EXPECT_THAT(rqi.half_width, DoubleNear(1.96 * std::sqrt(5000.0 / 3 / 3), 1e-6));
  EXPECT_EQ(CompanyRqi({}).customers, 0);
  EXPECT_EQ(CompanyRqi({}).shown, "");
  // Of different weights.
  const std::vector<Fraction> mixed = {{600, 6}, {400, 8}};
  EXPECT_EQ(CompanyRqi(mixed).shown, "75.0");
}

TEST(RoundingTest, HalvesGoAwayFromZero) {
  EXPECT_EQ(RoundHalfAway({19, 2}), 10);
  EXPECT_EQ(RoundHalfAway({-19, 2}), -10);
  EXPECT_EQ(RoundHalfAway({94, 10}), 9);
  EXPECT_EQ(OneDecimal({5, 100}), "0.1");
  EXPECT_EQ(OneDecimal({-5, 100}), "-0.1");
  EXPECT_EQ(OneDecimal({4, 100}), "0.0");
  EXPECT_EQ(OneDecimal({-4, 100}), "0.0");
  EXPECT_EQ(OneDecimal({-9995, 100}), "-100.0");
}

TEST(HistogramTest, SumsAreSums) {
  Histogram a = Of({1, 2});
  a.dismissed = 1;
  Histogram b = Of({2});
  b.skipped = 3;
  a += b;
  EXPECT_EQ(a.answered(), 3);
  EXPECT_EQ(a.values[2], 2);
  EXPECT_EQ(a.dismissed, 1);
  EXPECT_EQ(a.skipped, 3);
}

}  // namespace
}  // namespace clm::feedback
