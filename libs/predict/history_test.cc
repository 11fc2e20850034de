#include "libs/predict/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "libs/predict/cdnow.h"
#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

using ::clm::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::Pair;

double Days(TimeSpan span) { return span.In(TimeUnit::kDay); }

TEST(SummarizeTest, PurchasesOfADayAreOneAndTheFirstDayIsNoRepeat) {
  const absl::CivilDay day(2026, 1, 1);
  const Purchase log[] = {
      {day + 10, 700}, {day, 100}, {day + 10, 300}, {day, 9000}, {day + 4, 500}};
  const auto summary = Summarize(log, day + 30);
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->history.frequency, 2);
  EXPECT_EQ(Days(summary->history.recency), 10);
  EXPECT_EQ(Days(summary->history.age), 30);
  EXPECT_EQ(summary->mean_spend_minor, 750);  // (500 + 1000) / 2: the first day's 9100 is left out.
}

TEST(SummarizeTest, WhatComesAfterTheEndIsLeftOut) {
  const absl::CivilDay day(2026, 1, 1);
  const Purchase log[] = {{day, 100}, {day + 10, 300}, {day + 11, 5000}};
  const auto summary = Summarize(log, day + 10);
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->history.frequency, 1);
  EXPECT_EQ(Days(summary->history.recency), 10);
  EXPECT_EQ(Days(summary->history.age), 10);
  EXPECT_EQ(summary->mean_spend_minor, 300);
  EXPECT_FALSE(Summarize(log, day - 1).has_value());
}

TEST(SummarizeTest, ADayWorthNothingIsAPurchaseAndZeroInTheMean) {
  const absl::CivilDay day(2026, 1, 1);
  const Purchase some[] = {{day, 100}, {day + 1, 0}, {day + 2, 300}};
  EXPECT_EQ(Summarize(some, day + 2)->history.frequency, 2);
  EXPECT_EQ(Summarize(some, day + 2)->mean_spend_minor, 150);
  const Purchase nothing[] = {{day, 100}, {day + 1, 0}};
  EXPECT_EQ(Summarize(nothing, day + 2)->history.frequency, 1);
  EXPECT_EQ(Summarize(nothing, day + 2)->mean_spend_minor, std::nullopt);
}

TEST(GroupedTest, EqualHistoriesAreOneObservation) {
  const History one{1, TimeSpan::Weeks(2), TimeSpan::Weeks(9)};
  const History other{1, TimeSpan::Weeks(2), TimeSpan::Weeks(8)};
  const auto groups = Grouped({{one, 1}, {other, 1}, {one, 2.5}});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].weight, 1);
  EXPECT_EQ(groups[1].weight, 3.5);
  EXPECT_EQ(groups[1].history.age.In(TimeUnit::kWeek), 9);
}

TEST(CheckHistoryTest, EachFaultIsNamed) {
  const auto faults = [](const History& history) {
    return error::FieldViolations(CheckHistory(history));
  };
  EXPECT_THAT(faults({0, TimeSpan::Days(1), TimeSpan::Days(9)}),
              ElementsAre(Pair("history.recency", "must be 0 without a repeat purchase")));
  EXPECT_THAT(faults({2, TimeSpan::Days(10), TimeSpan::Days(9)}),
              ElementsAre(Pair("history.recency", "must not exceed the age")));
  EXPECT_THAT(faults({-1, TimeSpan::Days(-1), TimeSpan::Days(NAN)}),
              ElementsAre(Pair("history.frequency", "must not be negative"),
                          Pair("history.recency", "must not be negative"),
                          Pair("history.age", "must be a number")));
  // All of the time between may pass before the last purchase, and units may differ.
  EXPECT_THAT(CheckHistory({1, TimeSpan::Weeks(10), TimeSpan::Days(70)}), IsOk());
  EXPECT_THAT(CheckHistory({0, {}, {}}), IsOk());
}

TEST(CheckSampleTest, EachFaultIsNamedWithItsPlace) {
  EXPECT_EQ(error::FieldViolations(CheckSample({}))[0].first, "sample");
  const History good{0, {}, TimeSpan::Days(9)};
  EXPECT_EQ(error::FieldViolations(CheckSample({{good, 1}, {good, 0}}))[0].first,
            "sample[1].weight");
  EXPECT_EQ(error::FieldViolations(CheckSample({{good, 1}, {{-1, {}, {}}, 1}}))[0].first,
            "sample[1].frequency");
}

// numbers.md part 1: the published summary comes out of the published log.
TEST(SummarizeTest, TheCdnowLogGivesThePublishedSummary) {
  const auto published = cdnow::ReadPublished();
  const auto log = cdnow::ReadLog("CDNOW_sample.txt");
  if (published.sample.empty() || log.empty()) GTEST_SKIP() << "no CDNOW files in CLM_TEST_DATA";
  ASSERT_EQ(log.size(), 2357u);
  ASSERT_EQ(published.sample.size(), 2357u);
  std::vector<int> by_frequency(8);
  int64_t repeats = 0, later = 0;
  size_t i = 0;
  for (const auto& [id, purchases] : log) {
    const auto summary = Summarize(purchases, cdnow::kCalibrationEnd);
    ASSERT_TRUE(summary.has_value());
    const History& expected = published.sample[i].history;
    EXPECT_EQ(summary->history.frequency, expected.frequency) << id;
    EXPECT_NEAR(summary->history.recency.In(TimeUnit::kWeek), expected.recency.In(TimeUnit::kWeek),
                0.00501)
        << id;
    EXPECT_NEAR(summary->history.age.In(TimeUnit::kWeek), expected.age.In(TimeUnit::kWeek), 0.00501)
        << id;
    EXPECT_NEAR(summary->mean_spend_minor.value_or(0) / 100, published.mean_spend[i], 0.00501)
        << id;
    ++by_frequency[static_cast<size_t>(std::min<int64_t>(7, expected.frequency))];
    repeats += summary->history.frequency;
    later += Summarize(purchases, absl::CivilDay(1998, 6, 30))->history.frequency -
             summary->history.frequency;
    ++i;
  }
  EXPECT_THAT(by_frequency, ElementsAre(1411, 439, 214, 100, 62, 38, 29, 64));
  EXPECT_EQ(repeats, 2457);
  EXPECT_EQ(later, 1882);
  EXPECT_DOUBLE_EQ(
      Summarize(log.begin()->second, cdnow::kCalibrationEnd)->history.age.In(TimeUnit::kWeek),
      272.0 / 7);
}

}  // namespace
}  // namespace clm::predict
