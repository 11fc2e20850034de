#include "tools/bench/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tools/bench/report.h"

namespace clm::bench {
namespace {

using ::testing::HasSubstr;

Sample WithRate(double rate, double cpu_us) {
  Sample sample;
  sample.rate = rate;
  sample.cpu_us.suite = cpu_us;
  return sample;
}

TEST(MeasureTest, SidesTakeTurnsAndRestBefore) {
  std::string order;
  const auto side = [&](char name) {
    return Side{.prepare =
                    [&order, name] {
                      order += static_cast<char>(name - 'A' + 'a');
                      return absl::OkStatus();
                    },
                .run = [&order, name]() -> absl::StatusOr<Sample> {
                  order += name;
                  return WithRate(name, 1);
                }};
  };
  const auto rounds = Measure({side('S'), side('C')},
                              {.rounds = 3, .keep_disturbed = true, .used = [] { return 0.0; }});
  ASSERT_TRUE(rounds.ok()) << rounds.status();
  EXPECT_EQ(order, "sScCcCsSsScC");
  ASSERT_EQ(rounds->samples.size(), 3);
  for (const auto& samples : rounds->samples) {
    EXPECT_EQ(samples[0].rate, 'S');
    EXPECT_EQ(samples[1].rate, 'C');
  }
}

TEST(MeasureTest, WhereEveryRoundIsDisturbedTheyCountAndThatIsSaid) {
  // As if nothing of what the machine does were ours.
  double negative = 0;
  const Side side = {.run = []() -> absl::StatusOr<Sample> { return WithRate(1, 1); }};
  const auto rounds =
      Measure({side}, {.rounds = 2, .used = [&negative] { return negative -= 1000; }});
  ASSERT_TRUE(rounds.ok()) << rounds.status();
  EXPECT_EQ(rounds->samples.size(), 4);
  EXPECT_EQ(rounds->disturbed, 4);
  EXPECT_TRUE(rounds->counts_disturbed);
}

TEST(MeasureTest, Quantiles) {
  EXPECT_EQ(Quantile({}, 0.5), 0);
  EXPECT_EQ(Quantile({7}, 0.99), 7);
  EXPECT_EQ(Quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_EQ(Quantile({4, 1, 3, 2}, 1), 4);
}

TEST(ReportTest, MoreOrLessIsBetter) {
  EXPECT_EQ(Judge(0.93, {0.80, 0.93}), Reached::kAim);
  EXPECT_EQ(Judge(0.92, {0.80, 0.93}), Reached::kAtLeast);
  EXPECT_EQ(Judge(0.79, {0.80, 0.93}), Reached::kNo);
  EXPECT_EQ(Judge(6, {15, 6, true}), Reached::kAim);
  EXPECT_EQ(Judge(15, {15, 6, true}), Reached::kAtLeast);
  EXPECT_EQ(Judge(15.1, {15, 6, true}), Reached::kNo);
}

TEST(ReportTest, TheMedianOfTheRoundsRatiosIsTheFigure) {
  Rounds rounds;
  // Ratios 2, 1 and 4; that of the medians would be 200 / 100.
  rounds.samples = {{WithRate(200, 10), WithRate(100, 20)},
                    {WithRate(100, 10), WithRate(100, 10)},
                    {WithRate(800, 10), WithRate(200, 40)}};
  const Row row = RatioRow("create", "work", "ceiling", {1.5, 3.0}, rounds);
  EXPECT_EQ(row.value, 2);
  EXPECT_EQ(row.cpu_ratio, 2);
  EXPECT_EQ(row.reached, Reached::kAtLeast);
  EXPECT_EQ(row.rounds, 3);
}

TEST(ReportTest, AClaimThatProcessorTimeDoesNotHoldIsSaidToBeSo) {
  Rounds rounds;
  rounds.samples = {{WithRate(400, 20), WithRate(100, 20)}};
  EXPECT_THAT(RatioRow("create", "", "", {1.5, 3.0}, rounds).note,
              HasSubstr("by processor time: no"));
}

TEST(ReportTest, AFigureWithFailuresIsNotReached) {
  Rounds rounds;
  rounds.samples = {{WithRate(400, 20), WithRate(100, 80)}};
  rounds.samples[0][0].failures = 2;
  rounds.samples[0][0].failure = "grpc-status 14: gone";
  const Row row = RatioRow("create", "", "", {1.5, 3.0}, rounds);
  EXPECT_EQ(row.reached, Reached::kNo);
  EXPECT_EQ(row.failed, 2);
  EXPECT_THAT(row.note, HasSubstr("gone"));
}

}  // namespace
}  // namespace clm::bench
