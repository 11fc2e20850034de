#include "services/loyalty/bonuses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::TimeZone Berlin() {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone("Europe/Berlin", &zone));
  return zone;
}

absl::Time At(int month, int day, int hour, int minute = 0) {
  return absl::FromCivil(absl::CivilMinute(2026, month, day, hour, minute), Berlin());
}

const absl::Time kAsOf = At(6, 15, 12);

// Gold, ten purchases of 1000.00 EUR together, the last a week ago; a member for a while.
BonusFigures Ada() {
  return {.tier = "gold",
          .spend_minor = 100'000,
          .purchases = 10,
          .last_purchase = At(6, 8, 9),
          .enrol_time = At(1, 1, 0)};
}

CompiledBonusCriteria Compiled(const BonusCriteria& criteria) {
  const auto compiled = CompileBonusCriteria(criteria, {"silver", "gold"});
  CLM_EXPECT_OK(compiled);
  return compiled.value_or(CompiledBonusCriteria());
}

bool Eligible(const BonusCriteria& criteria, const BonusFigures& figures) {
  return IsEligible(Compiled(criteria), figures, kAsOf, Berlin());
}

std::vector<std::string> FaultsOf(const BonusCriteria& criteria) {
  std::vector<std::string> fields;
  for (const auto& [field, what] :
       error::FieldViolations(CompileBonusCriteria(criteria, {"gold"}).status())) {
    fields.push_back(field);
  }
  return fields;
}

TEST(BonusCriteriaTest, EveryBadFieldIsNamed) {
  EXPECT_THAT(FaultsOf({.tiers = {"gold", "lead"},
                        .bought_within_days = 10,
                        .not_bought_for_days = 11,
                        .condition = "shoes = 3",
                        .top_basis_points = 100,
                        .top_count = 7}),
              ElementsAre("tiers[1]", "condition", "top_count", "currency", "not_bought_for_days"));
}

TEST(BonusCriteriaTest, SomethingHasToBeAsked) {
  EXPECT_THAT(FaultsOf({}), ElementsAre("condition"));
  EXPECT_THAT(FaultsOf({.currency = "EUR", .window_days = 30}), ElementsAre("condition"));
  Compiled({.condition = "member_days >= 0"});
}

TEST(BonusCriteriaTest, SpendNeedsACurrencyWhereverItIsAskedFor) {
  EXPECT_THAT(FaultsOf({.minimum_spend_minor = 1}), ElementsAre("currency"));
  EXPECT_THAT(FaultsOf({.condition = "spend_minor > 5"}), ElementsAre("currency"));
  EXPECT_THAT(FaultsOf({.top_count = 5}), ElementsAre("currency"));
  Compiled({.minimum_purchases = 1});
}

TEST(BonusEligibilityTest, EveryCriterionCountsByItself) {
  EXPECT_TRUE(Eligible({.tiers = {"silver", "gold"}}, Ada()));
  EXPECT_FALSE(Eligible({.tiers = {"silver"}}, Ada()));
  EXPECT_TRUE(Eligible({.currency = "EUR", .minimum_spend_minor = 100'000}, Ada()));
  EXPECT_FALSE(Eligible({.currency = "EUR", .minimum_spend_minor = 100'001}, Ada()));
  EXPECT_TRUE(Eligible({.minimum_purchases = 10}, Ada()));
  EXPECT_FALSE(Eligible({.minimum_purchases = 11}, Ada()));
  EXPECT_TRUE(Eligible({.bought_within_days = 7}, Ada()));
  EXPECT_FALSE(Eligible({.bought_within_days = 6}, Ada()));
  EXPECT_TRUE(Eligible({.not_bought_for_days = 7}, Ada()));
  EXPECT_FALSE(Eligible({.not_bought_for_days = 8}, Ada()));
}

TEST(BonusEligibilityTest, AllCriteriaHaveToBeMet) {
  const BonusCriteria all{.tiers = {"gold"},
                          .currency = "EUR",
                          .minimum_spend_minor = 1,
                          .minimum_purchases = 1,
                          .bought_within_days = 7,
                          .condition = "tier = gold",
                          .top_count = 3};
  EXPECT_TRUE(Eligible(all, Ada()));
  BonusFigures other = Ada();
  other.tier = "silver";
  EXPECT_FALSE(Eligible(all, other));
}

TEST(BonusEligibilityTest, WhoNeverBoughtIsNeitherRecentNorLapsed) {
  BonusFigures none = Ada();
  none.spend_minor = none.purchases = 0;
  none.last_purchase = std::nullopt;
  EXPECT_FALSE(Eligible({.bought_within_days = 36500}, none));
  EXPECT_FALSE(Eligible({.not_bought_for_days = 1}, none));
  EXPECT_FALSE(Eligible({.condition = "days_since_purchase >= 0"}, none));
  EXPECT_TRUE(Eligible({.condition = "NOT days_since_purchase:*"}, none));
}

TEST(BonusEligibilityTest, WhoSpentNothingIsInNoShareOfTheBest) {
  BonusFigures none = Ada();
  none.spend_minor = 0;
  EXPECT_FALSE(Eligible({.currency = "EUR", .top_basis_points = 10'000}, none));
  EXPECT_FALSE(Eligible({.currency = "EUR", .top_count = 1'000}, none));
  EXPECT_TRUE(Eligible({.tiers = {"gold"}}, none));
}

TEST(BonusEligibilityTest, AConditionSeesEveryFigure) {
  EXPECT_TRUE(Eligible({.currency = "EUR",
                        .condition = "tier = gold spend_minor = 100000 purchases = 10 "
                                     "days_since_purchase = 7 member_days = 165"},
                       Ada()));
  EXPECT_FALSE(Eligible({.condition = "member_days = 166"}, Ada()));
  BonusFigures untiered = Ada();
  untiered.tier = "";
  EXPECT_FALSE(Eligible({.condition = "tier != silver"}, untiered));
}

TEST(BonusTimeTest, DaysAreThoseOfTheCalendar) {
  // Two minutes, and a midnight between them.
  EXPECT_EQ(DaysBetween(At(6, 14, 23, 59), At(6, 15, 0, 1), Berlin()), 1);
  EXPECT_EQ(DaysBetween(At(6, 15, 0), At(6, 15, 23, 59), Berlin()), 0);
  // Over the change of clocks, which takes an hour.
  EXPECT_EQ(DaysBetween(At(3, 28, 12), At(3, 30, 11), Berlin()), 2);
  // What is later than asked for is no days before.
  EXPECT_EQ(DaysBetween(At(6, 20, 0), At(6, 15, 0), Berlin()), 0);
}

TEST(BonusTimeTest, TheWindowBeginsWithALocalDay) {
  EXPECT_EQ(WindowStart({.window_days = 1}, kAsOf, Berlin()), At(6, 14, 0));
  EXPECT_EQ(WindowStart({.window_days = 90}, kAsOf, Berlin()), At(3, 17, 0));
  EXPECT_EQ(WindowStart({}, kAsOf, Berlin()), absl::InfinitePast());
}

// The ranks that members of these amounts get, read in pages of so many.
std::vector<int64_t> RanksOf(const std::vector<int64_t>& spend, size_t page) {
  std::vector<int64_t> ranks;
  BonusPlace place;
  for (size_t at = 0; at < spend.size(); at += page) {
    std::vector<BonusMember> members;
    for (size_t i = at; i < std::min(at + page, spend.size()); ++i) {
      members.push_back({.figures = {.spend_minor = spend[i]}});
    }
    RankNext(members, place);
    for (const BonusMember& member : members) ranks.push_back(member.rank);
  }
  return ranks;
}

TEST(BonusRankTest, WhoSpentTheSameRanksTheSame) {
  EXPECT_THAT(RanksOf({90, 80, 80, 80, 70, 0, 0}, 100), ElementsAre(1, 2, 2, 2, 5, 6, 6));
}

RC_GTEST_PROP(BonusRankTest, IsOneMoreThanThoseWhoSpentMoreWhateverThePages, ()) {
  auto spend = *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 9));
  std::sort(spend.rbegin(), spend.rend());
  const std::vector<int64_t> ranks = RanksOf(spend, *rc::gen::inRange<size_t>(1, 5));
  for (size_t i = 0; i < spend.size(); ++i) {
    const auto more =
        std::count_if(spend.begin(), spend.end(), [&](int64_t other) { return other > spend[i]; });
    RC_ASSERT(ranks[i] == more + 1);
  }
}

TEST(BonusRankTest, AShareIsRoundedUpToWholeMembers) {
  EXPECT_EQ(LastRankIn({.top_basis_points = 1000}, 100), 10);
  EXPECT_EQ(LastRankIn({.top_basis_points = 1000}, 101), 11);
  EXPECT_EQ(LastRankIn({.top_basis_points = 1}, 3), 1);
  EXPECT_EQ(LastRankIn({.top_basis_points = 10'000}, 7), 7);
  EXPECT_EQ(LastRankIn({.top_basis_points = 10'000}, int64_t{1} << 53), int64_t{1} << 53);
  EXPECT_EQ(LastRankIn({.top_basis_points = 500}, 0), 0);
  EXPECT_EQ(LastRankIn({.top_count = 5}, 100), 5);
  EXPECT_EQ(LastRankIn({.minimum_purchases = 1}, 42), 42);
}

TEST(BonusExplanationTest, SaysTheFiguresByWhichAMemberIsIn) {
  BonusRun run;
  run.criteria = {.currency = "EUR", .window_days = 365, .top_basis_points = 1000};
  run.as_of = kAsOf;
  run.eligible = 120;
  const BonusMember ada{.figures = Ada(), .rank = 3};
  EXPECT_EQ(ExplainBonus(run, ada, Berlin()),
            "tier gold, spent 100000 minor units of EUR in 365 days, rank 3 of 120 (2.50%), "
            "10 purchases in 365 days, the last one 7 days before");
  run.criteria = {.not_bought_for_days = 1};
  EXPECT_EQ(
      ExplainBonus(run, {.figures = {.purchases = 1, .last_purchase = At(6, 14, 12)}, .rank = 1},
                   Berlin()),
      "1 purchase ever, the last one 1 day before");
}

TEST(BonusRunTest, GoesThroughItsStates) {
  BonusRun run;
  run.place = {.contact = Uuid(), .count = 3};
  run = NextStateOf(run, kAsOf);
  EXPECT_EQ(run.state, BonusRunState::kRanking);
  EXPECT_EQ(run.place, BonusPlace());
  run = NextStateOf(run, kAsOf);
  EXPECT_EQ(run.state, BonusRunState::kGranting);
  EXPECT_EQ(run.end_time, std::nullopt);
  run = NextStateOf(run, kAsOf);
  EXPECT_EQ(run.state, BonusRunState::kSucceeded);
  EXPECT_EQ(run.end_time, kAsOf);
}

TEST(BonusRunTest, ADryRunGivesNothing) {
  BonusRun run{.dry_run = true};
  run.state = BonusRunState::kRanking;
  EXPECT_EQ(NextStateOf(run, kAsOf).state, BonusRunState::kSucceeded);
}

TEST(BonusRunTest, IsStoppedOnceAndOnlyWhileItIsUnderWay) {
  for (const auto state :
       {BonusRunState::kCollecting, BonusRunState::kRanking, BonusRunState::kGranting}) {
    BonusRun run;
    run.state = state;
    const auto cancelled = CancelRun(run, kAsOf);
    CLM_ASSERT_OK(cancelled);
    EXPECT_EQ(cancelled->state, BonusRunState::kCancelled);
    EXPECT_EQ(cancelled->end_time, kAsOf);
    const auto again = CancelRun(*cancelled, kAsOf);
    EXPECT_THAT(again, StatusIs(StatusCode::kFailedPrecondition, HasSubstr("CANCELLED")));
    EXPECT_THAT(again, ReasonIs("BONUS_RUN_STATE"));
  }
  BonusRun done;
  done.state = BonusRunState::kSucceeded;
  EXPECT_THAT(CancelRun(done, kAsOf), ReasonIs("BONUS_RUN_STATE"));
}

}  // namespace
}  // namespace clm::loyalty
