#include "services/lifecycle/stage_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

absl::TimeZone Utc() { return absl::UTCTimeZone(); }

absl::Time At(double day) {
  return absl::FromCivil(absl::CivilDay(2026, 3, 1), Utc()) + absl::Hours(24) * day;
}

LoggedTransition Move(double day, int64_t sequence, std::string from, std::string to) {
  return {.at = At(day), .sequence = sequence, .from = std::move(from), .to = std::move(to)};
}

TEST(StageTimesTest, VisitsAddUp) {
  const auto times = ComputeStageTimes(
      {Move(0, 1, "", "a"), Move(2, 2, "a", "b"), Move(5, 3, "b", "a"), Move(6, 4, "a", "")},
      At(100));
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0], (StageTimes{.stage = "a",
                                  .first_entered = At(0),
                                  .last_entered = At(5),
                                  .last_exited = At(6),
                                  .visits = 2,
                                  .cumulative = absl::Hours(72)}));
  EXPECT_EQ(times[1].cumulative, absl::Hours(72));
}

TEST(StageTimesTest, TheVisitThatGoesOnCountsUpToNowAndIsNotExited) {
  const auto times = ComputeStageTimes({Move(0, 1, "", "a"), Move(2, 2, "a", "b")}, At(2.5));
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[1].cumulative, absl::Hours(12));
  EXPECT_EQ(times[1].last_exited, std::nullopt);
  const auto earlier = ComputeStageTimes({Move(0, 1, "", "a"), Move(2, 2, "a", "b")}, At(1));
  ASSERT_EQ(earlier.size(), 1u);
  EXPECT_EQ(earlier[0].last_exited, std::nullopt);
  EXPECT_EQ(earlier[0].cumulative, absl::Hours(24));
}

TEST(StageTimesTest, ABackDatedTransitionIsSortedInAndTimesAreDerivedAnew) {
  // Sequence 3 was written last, and is effective between the other two.
  const std::vector<LoggedTransition> log = {Move(0, 1, "", "a"), Move(4, 2, "b", "c"),
                                             Move(1, 3, "a", "b")};
  const auto times = ComputeStageTimes(log, At(5));
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0].cumulative, absl::Hours(24));
  EXPECT_EQ(times[1].stage, "b");
  EXPECT_EQ(times[1].cumulative, absl::Hours(72));
  EXPECT_EQ(StageAsOf(log, At(5)), "c");
  EXPECT_EQ(StageAsOf(log, At(3)), "b");
  EXPECT_EQ(FirstBreak(log), std::nullopt);
}

TEST(StageTimesTest, SequenceDecidesWithinAnInstant) {
  const std::vector<LoggedTransition> log = {Move(1, 3, "b", "c"), Move(1, 1, "", "a"),
                                             Move(1, 2, "a", "b")};
  EXPECT_EQ(StageAsOf(log, At(2)), "c");
  EXPECT_EQ(FirstBreak(log), std::nullopt);
  const auto times = ComputeStageTimes(log, At(2));
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0].cumulative, absl::ZeroDuration());
  EXPECT_EQ(times[2].cumulative, absl::Hours(24));
}

TEST(StageTimesTest, ALogThatDoesNotHoldTogetherIsFound) {
  EXPECT_EQ(FirstBreak({Move(0, 1, "", "a"), Move(1, 2, "b", "c")}), 1u);
  EXPECT_EQ(FirstBreak({Move(0, 1, "a", "b")}), 0u);
}

TEST(BoardTest, AsOfAnInstantLeavesOutWhatHappensAtIt) {
  const std::vector<std::vector<LoggedTransition>> logs = {
      {Move(0, 1, "", "a"), Move(2, 2, "a", "b")}, {Move(1, 1, "", "a")}, {}};
  EXPECT_THAT(BoardAsOf(logs, At(0)), IsEmpty());
  EXPECT_THAT(BoardAsOf(logs, At(2)), ElementsAre(Pair("a", 2)));
  EXPECT_THAT(BoardAsOf(logs, At(2) + absl::Microseconds(1)),
              ElementsAre(Pair("a", 1), Pair("b", 1)));
}

TEST(BoardTest, MidnightBelongsToTheDayThatBegins) {
  const std::vector<LoggedTransition> log = {Move(0, 1, "", "a"), Move(1, 2, "a", "b")};
  const absl::CivilDay day(2026, 3, 1);
  EXPECT_THAT(
      ComputeDailyFlows(log, day, day + 1, Utc()),
      ElementsAre(DailyFlow{day, "a", 0, 1, 0, 1}, DailyFlow{day, "b", 0, 0, 0, 0},
                  DailyFlow{day + 1, "a", 1, 0, 1, 0}, DailyFlow{day + 1, "b", 0, 1, 0, 1}));
}

TEST(BoardTest, DaysAreThoseOfTheZone) {
  const absl::TimeZone east = absl::FixedTimeZone(3600);
  const std::vector<LoggedTransition> log = {Move(0.99, 1, "", "a")};
  const auto rows =
      ComputeDailyFlows(log, absl::CivilDay(2026, 3, 1), absl::CivilDay(2026, 3, 2), east);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].entered, 0);
  EXPECT_EQ(rows[1].entered, 1);
}

// The daily flows lead from board to board, whichever way the board is counted.
TEST(BoardTest, TheSumsBalanceOnEveryDay) {
  std::mt19937 random(7);
  const std::string stages[] = {"", "a", "b", "c"};
  std::vector<std::vector<LoggedTransition>> logs(50);
  std::vector<LoggedTransition> all;
  for (auto& log : logs) {
    std::string stage;
    double day = 0;
    for (int64_t sequence = 1; sequence <= 12; ++sequence) {
      day += (random() % 5) / 2.0;
      const std::string& to = stages[random() % 4];
      if (to == stage) continue;
      log.push_back(Move(day, sequence, stage, to));
      stage = to;
    }
    std::shuffle(log.begin(), log.end(), random);
    all.insert(all.end(), log.begin(), log.end());
  }
  const absl::CivilDay first(2026, 3, 3);
  const absl::CivilDay last(2026, 3, 20);
  int64_t rows = 0;
  for (const DailyFlow& row : ComputeDailyFlows(all, first, last, Utc())) {
    auto opening = BoardAsOf(logs, absl::FromCivil(row.day, Utc()));
    auto closing = BoardAsOf(logs, absl::FromCivil(row.day + 1, Utc()));
    EXPECT_EQ(row.opening, opening[row.stage]);
    EXPECT_EQ(row.closing, closing[row.stage]);
    EXPECT_EQ(row.closing, row.opening + row.entered - row.left);
    ++rows;
  }
  EXPECT_EQ(rows, 3 * (last - first + 1));
}

}  // namespace
}  // namespace clm::lifecycle
