#include "services/loyalty/tiers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/time_text.h"
#include "libs/testing/status_matchers.h"
#include "services/loyalty/points_time.h"

namespace clm::loyalty {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::ReasonIs;
using testing::StatusIs;
using Kind = TierChange::Kind;

const absl::TimeZone kUtc = absl::UTCTimeZone();

absl::Time At(absl::string_view text) {
  const auto time = ParseTime(text.size() == 10 ? absl::StrCat(text, "T00:00:00Z") : text);
  EXPECT_TRUE(time.has_value()) << text;
  return time.value_or(absl::UnixEpoch());
}

TierScheme Scheme(DowngradePolicy downgrade = DowngradePolicy::kNone) {
  return {.tiers = {{.id = "bronze", .threshold = 0, .entry_rewards = {"hello"}},
                    {.id = "silver", .threshold = 100, .entry_rewards = {"s1", "s2"}},
                    {.id = "gold", .threshold = 500, .entry_rewards = {"g"}},
                    {.id = "platinum", .threshold = 1000, .entry_rewards = {"p"}}},
          .downgrade = downgrade};
}

TierState In(const std::string& tier, absl::string_view since,
             std::optional<absl::string_view> expires = std::nullopt) {
  TierState state{.joined = At("2026-01-15"), .tier = tier, .since = At(since)};
  if (expires) state.expires = At(*expires);
  return state;
}

TierChange Eval(const TierScheme& scheme, const TierState& before, int64_t value,
                absl::string_view now) {
  auto change = Evaluate(scheme, before, {.present = value, .to_remain = value}, At(now), kUtc);
  EXPECT_THAT(change, IsOk());
  return change.ok() ? *std::move(change) : TierChange();
}

TEST(TiersTest, AJumpEntersEveryTierPassed) {
  const TierChange change = Eval(Scheme(), In("bronze", "2026-01-15"), 700, "2026-03-01");
  EXPECT_EQ(change.kind, Kind::kUpgraded);
  EXPECT_EQ(change.from, "bronze");
  EXPECT_EQ(change.to, "gold");
  EXPECT_EQ(change.at, At("2026-03-01"));
  EXPECT_THAT(change.entered, ElementsAre("silver", "gold"));
  EXPECT_THAT(change.rewards, ElementsAre("s1", "s2", "g"));
  EXPECT_EQ(change.after.since, At("2026-03-01"));
  EXPECT_EQ(change.next_due, std::nullopt);
}

TEST(TiersTest, TheFirstEvaluationEntersTheBaseTier) {
  const TierChange change = Eval(Scheme(), {.joined = At("2026-01-15")}, 0, "2026-01-15");
  EXPECT_EQ(change.kind, Kind::kUpgraded);
  EXPECT_EQ(change.from, "");
  EXPECT_THAT(change.rewards, ElementsAre("hello"));
}

TEST(TiersTest, AThresholdIsReachedByItsValueAndNotByOneLess) {
  EXPECT_EQ(Eval(Scheme(), In("bronze", "2026-01-15"), 99, "2026-03-01").kind, Kind::kNone);
  EXPECT_EQ(Eval(Scheme(), In("bronze", "2026-01-15"), 100, "2026-03-01").to, "silver");
}

TEST(TiersTest, WithoutDowngradeNothingIsLost) {
  const TierChange change = Eval(Scheme(), In("gold", "2026-01-15"), 0, "2096-01-15");
  EXPECT_EQ(change.kind, Kind::kNone);
  EXPECT_EQ(change.to, "gold");
  EXPECT_EQ(change.next_due, std::nullopt);
}

TEST(TiersTest, PointsShortAtTheEndOfTheTermOneDown) {
  const TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  const TierChange change =
      Eval(scheme, In("platinum", "2026-03-05", "2027-03-06"), 0, "2027-03-06");
  EXPECT_EQ(change.kind, Kind::kDropped);
  EXPECT_EQ(change.to, "gold");
  EXPECT_THAT(change.rewards, IsEmpty());
  EXPECT_EQ(change.after.expires, At("2028-03-07"));
}

TEST(TiersTest, PointsShortAtTheEndOfTheTermBalanceBased) {
  const TierScheme scheme = Scheme(DowngradePolicy::kBalanceBased);
  const TierState state = In("platinum", "2026-03-05", "2027-03-06");
  EXPECT_EQ(Eval(scheme, state, 120, "2027-03-06").to, "silver");
  EXPECT_EQ(Eval(scheme, state, 0, "2027-03-06").to, "bronze");
  EXPECT_EQ(Eval(scheme, state, 120, "2027-03-05T23:59:59Z").kind, Kind::kNone);
}

TEST(TiersTest, EnoughAtTheEndOfTheTermRetainsWithoutAReward) {
  const TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  const TierChange change = Eval(scheme, In("gold", "2026-03-05", "2027-03-06"), 500, "2027-03-06");
  EXPECT_EQ(change.kind, Kind::kRetained);
  EXPECT_THAT(change.entered, IsEmpty());
  EXPECT_THAT(change.rewards, IsEmpty());
  EXPECT_EQ(change.after.since, At("2026-03-05"));
  EXPECT_EQ(change.after.expires, At("2028-03-06"));
}

TEST(TiersTest, ARewardIsDueAgainAfterADropAndAClimb) {
  const TierScheme scheme = Scheme(DowngradePolicy::kBalanceBased);
  const TierChange drop = Eval(scheme, In("gold", "2026-03-05", "2027-03-06"), 0, "2027-03-06");
  ASSERT_EQ(drop.to, "bronze");
  const TierChange climb = Eval(scheme, drop.after, 500, "2027-04-01");
  EXPECT_THAT(climb.rewards, ElementsAre("s1", "s2", "g"));
}

TEST(TiersTest, TheBaseTierHasNoTerm) {
  const TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  const TierChange change = Eval(scheme, {.joined = At("2026-01-15")}, 0, "2026-01-15");
  EXPECT_EQ(change.to, "bronze");
  EXPECT_EQ(change.after.expires, std::nullopt);
  EXPECT_EQ(change.next_due, std::nullopt);
}

TEST(TiersTest, BelowTheLowestTierIsNone) {
  TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  scheme.tiers.erase(scheme.tiers.begin());
  const TierChange change = Eval(scheme, In("silver", "2026-03-05", "2027-03-06"), 0, "2027-03-06");
  EXPECT_EQ(change.kind, Kind::kDropped);
  EXPECT_EQ(change.to, "");
  EXPECT_EQ(Eval(scheme, change.after, 0, "2030-01-01").kind, Kind::kNone);
}

TEST(TiersTest, TermsFollowTheTierTheJoiningOrTheCycle) {
  TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  // Usable to the end of the day; 29 February has no twin in 2029, but in 2032.
  const TierState leap = In("bronze", "2028-01-15");
  EXPECT_EQ(Eval(scheme, leap, 100, "2028-02-29T18:00:00Z").after.expires, At("2029-03-01"));
  scheme.term_months = 48;
  EXPECT_EQ(Eval(scheme, leap, 100, "2028-02-29T18:00:00Z").after.expires, At("2032-03-01"));
  // Multiples count from the start: no term is shortened by a clipped one before it.
  scheme.term_months = 1;
  EXPECT_EQ(Eval(scheme, In("silver", "2027-01-31", "2027-03-01"), 100, "2027-03-01").after.expires,
            At("2027-04-01"));

  scheme.term = TierTerm::kFromJoining;
  scheme.term_months = 12;
  TierState joined = leap;
  joined.joined = At("2024-02-29T18:00:00Z");
  EXPECT_EQ(Eval(scheme, joined, 100, "2026-02-27").after.expires, At("2026-02-28"));
  EXPECT_EQ(Eval(scheme, joined, 100, "2026-02-28").after.expires, At("2027-02-28"));
  EXPECT_EQ(Eval(scheme, joined, 100, "2027-12-31").after.expires, At("2028-02-29"));

  scheme.term = TierTerm::kYearlyCycle;
  scheme.cycle_month = 7;
  EXPECT_EQ(Eval(scheme, leap, 100, "2026-06-30").after.expires, At("2026-07-01"));
  EXPECT_EQ(Eval(scheme, leap, 100, "2026-07-01").after.expires, At("2027-07-01"));
}

TEST(TiersTest, AfterDaysIsAYearUnlessSaidOtherwise) {
  const TierScheme scheme = Scheme(DowngradePolicy::kAfterDays);
  const TierChange up = Eval(scheme, In("bronze", "2026-01-15"), 500, "2026-03-05T12:00:00Z");
  EXPECT_EQ(up.after.expires, At("2027-03-06"));
  EXPECT_EQ(up.next_due, At("2027-03-06"));
  EXPECT_EQ(Eval(scheme, up.after, 120, "2027-03-06").to, "silver");
  EXPECT_EQ(Eval(scheme, up.after, 500, "2027-03-06").after.expires, At("2028-03-05"));
}

TEST(TiersTest, RealTimeDropsAtOnce) {
  const TierScheme scheme = Scheme(DowngradePolicy::kRealTime);
  const TierChange change = Eval(scheme, In("gold", "2026-03-05"), 499, "2026-04-01T12:00:00Z");
  EXPECT_EQ(change.to, "silver");
  EXPECT_EQ(change.at, At("2026-04-01T12:00:00Z"));
}

TEST(TiersTest, RealTimeWithGraceDropsAfterItUnlessTheMissingIsEarned) {
  TierScheme scheme = Scheme(DowngradePolicy::kRealTime);
  scheme.grace_days = 10;
  const TierChange first = Eval(scheme, In("gold", "2026-03-05"), 499, "2026-04-01T12:00:00Z");
  EXPECT_EQ(first.kind, Kind::kNone);
  EXPECT_EQ(first.next_due, At("2026-04-12"));
  EXPECT_EQ(Eval(scheme, first.after, 300, "2026-04-11T23:00:00Z").kind, Kind::kNone);
  EXPECT_EQ(Eval(scheme, first.after, 500, "2026-04-05").after.short_since, std::nullopt);
  const TierChange drop = Eval(scheme, first.after, 300, "2026-04-20");
  EXPECT_EQ(drop.to, "silver");
  EXPECT_EQ(drop.at, At("2026-04-12"));
}

TEST(TiersTest, WhatIsEarnedInGraceCountsForTheTermThatEndedAndForNoUpgrade) {
  TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  scheme.period = QualificationPeriod::kCalendarYear;
  scheme.term = TierTerm::kYearlyCycle;
  scheme.grace_days = 31;
  const TierState state = In("gold", "2026-03-05", "2027-01-01");
  const BasisWindows open = WindowsAt(scheme, state, At("2026-12-31"), kUtc);
  EXPECT_EQ(open.present, (BasisWindow{.from = At("2026-01-01")}));
  EXPECT_EQ(open.to_remain, open.present);
  const BasisWindows grace = WindowsAt(scheme, state, At("2027-01-10"), kUtc);
  EXPECT_EQ(grace.present, (BasisWindow{.from = At("2027-01-01")}));
  EXPECT_EQ(grace.to_remain, (BasisWindow{.from = At("2026-01-01"), .until = At("2027-02-01")}));

  const auto eval = [&](int64_t present, int64_t to_remain, absl::string_view now) {
    return *Evaluate(scheme, state, {.present = present, .to_remain = to_remain}, At(now), kUtc);
  };
  const TierChange waiting = eval(0, 450, "2027-01-01");
  EXPECT_EQ(waiting.kind, Kind::kNone);
  EXPECT_EQ(waiting.next_due, At("2027-02-01"));
  const TierChange retained = eval(600, 1050, "2027-01-20");
  EXPECT_EQ(retained.kind, Kind::kRetained);
  EXPECT_EQ(retained.to, "gold");
  EXPECT_EQ(retained.after.expires, At("2028-01-01"));
  EXPECT_EQ(eval(30, 480, "2027-02-01").to, "silver");
}

TEST(TiersTest, AnEndIsDatedByItselfHoweverLateItIsEvaluated) {
  const TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  const TierChange late = Eval(scheme, In("platinum", "2026-03-05", "2027-03-06"), 0, "2028-06-01");
  EXPECT_EQ(late.to, "gold");
  EXPECT_EQ(late.at, At("2027-03-06"));
  EXPECT_EQ(late.after.since, At("2027-03-06"));
  EXPECT_EQ(late.after.expires, At("2028-03-07"));
  EXPECT_EQ(late.next_due, At("2028-06-01"));
  const TierChange second = Eval(scheme, late.after, 0, "2028-06-01");
  EXPECT_EQ(second.to, "silver");
  EXPECT_EQ(second.at, At("2028-03-07"));
}

TEST(TiersTest, WindowsOfEveryPeriod) {
  TierScheme scheme = Scheme();
  TierState state = In("silver", "2026-03-05");
  const auto from = [&](absl::string_view now) {
    return WindowsAt(scheme, state, At(now), kUtc).present.from;
  };
  EXPECT_EQ(from("2026-06-01"), absl::InfinitePast());
  scheme.period = QualificationPeriod::kRollingDays;
  scheme.rolling_days = 30;
  EXPECT_EQ(from("2026-06-01T15:00:00Z"), At("2026-05-02"));
  scheme.period = QualificationPeriod::kSinceTierChange;
  EXPECT_EQ(from("2026-06-01"), At("2026-03-05T00:00:00.000001Z"));
  scheme.period = QualificationPeriod::kMembershipYear;
  EXPECT_EQ(from("2026-06-01"), At("2026-01-15"));
  EXPECT_EQ(from("2027-01-14T23:00:00Z"), At("2026-01-15"));
  EXPECT_EQ(from("2027-01-15"), At("2027-01-15"));
  state.joined = At("2024-02-29T12:00:00Z");
  EXPECT_EQ(from("2026-02-27"), At("2025-02-28"));
  EXPECT_EQ(from("2026-02-28"), At("2026-02-28"));
  EXPECT_EQ(from("2028-02-28"), At("2027-02-28"));
  EXPECT_EQ(from("2028-02-29"), At("2028-02-29"));
  EXPECT_EQ(from("2029-01-10"), At("2028-02-29"));
  scheme.basis = TierBasis::kActiveBalance;
  EXPECT_EQ(from("2028-02-29"), absl::InfinitePast());
}

TEST(TiersTest, ATierGivenByHandIsNotTakenAway) {
  const TierScheme scheme = Scheme(DowngradePolicy::kBalanceBased);
  TierState state = In("silver", "2026-03-05", "2027-03-06");
  state.manual_tier = "gold";
  const TierChange change = Eval(scheme, state, 0, "2027-03-06");
  EXPECT_EQ(change.kind, Kind::kNone);
  EXPECT_EQ(change.to, "gold");
  EXPECT_EQ(change.after.tier, "bronze");
  // Earned as well: nothing new for the member. Beyond it, only what is beyond is entered.
  EXPECT_THAT(Eval(scheme, state, 500, "2026-06-01").entered, IsEmpty());
  EXPECT_THAT(Eval(scheme, state, 1000, "2026-06-01").entered, ElementsAre("platinum"));
}

TEST(TiersTest, ATierGivenByHandUntilADateEndsThen) {
  const TierScheme scheme = Scheme();
  TierState state = In("silver", "2026-03-05");
  state.manual_tier = "gold";
  state.manual_until = At("2026-12-31T12:00:00Z");
  const TierChange before = Eval(scheme, state, 100, "2026-12-31T11:59:59Z");
  EXPECT_EQ(before.to, "gold");
  EXPECT_EQ(before.next_due, state.manual_until);
  const TierChange after = Eval(scheme, state, 100, "2027-01-05");
  EXPECT_EQ(after.kind, Kind::kDropped);
  EXPECT_EQ(after.to, "silver");
  EXPECT_EQ(after.at, At("2026-12-31T12:00:00Z"));
  EXPECT_EQ(after.after, In("silver", "2026-03-05"));
}

TEST(TiersTest, WarnsBeforeADropWhileSomethingIsMissing) {
  TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  scheme.warn_days = 30;
  const TierState state = In("gold", "2026-03-05", "2027-03-06");
  const TierChange early = Eval(scheme, state, 420, "2027-02-03T23:00:00Z");
  EXPECT_EQ(early.warning, std::nullopt);
  EXPECT_EQ(early.next_due, At("2027-02-04"));
  const TierChange warned = Eval(scheme, state, 420, "2027-02-04");
  EXPECT_EQ(warned.warning, (TierStanding{.tier = "gold",
                                          .value = 420,
                                          .required_to_remain = 500,
                                          .missing_to_remain = 80,
                                          .next_tier = "platinum",
                                          .missing_to_next = 580,
                                          .tier_expiration = At("2027-03-06")}));
  EXPECT_EQ(warned.next_due, At("2027-03-06"));
  EXPECT_EQ(Eval(scheme, state, 500, "2027-02-04").warning, std::nullopt);
  scheme.grace_days = 10;
  EXPECT_EQ(Eval(scheme, state, 420, "2027-02-14").warning->tier_expiration, At("2027-03-16"));
}

TEST(TiersTest, TheHighestTierHasNoNextAndAGiftNoExpiration) {
  TierState state = In("silver", "2026-03-05");
  state.manual_tier = "platinum";
  const auto standing = StandingOf(Scheme(DowngradePolicy::kOneDown), state,
                                   {.present = 120, .to_remain = 120}, kUtc);
  ASSERT_THAT(standing, IsOk());
  EXPECT_EQ(
      *standing,
      (TierStanding{
          .tier = "platinum", .value = 120, .required_to_remain = 1000, .missing_to_remain = 880}));
}

TEST(TiersTest, ATierThatIsEarnedAndGivenTakesTheEndOfBoth) {
  const TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  TierState state = In("gold", "2026-03-05", "2027-03-06");
  state.manual_tier = "gold";
  const auto expiration = [&] { return StandingOf(scheme, state, {}, kUtc)->tier_expiration; };
  EXPECT_EQ(expiration(), std::nullopt);
  state.manual_until = At("2027-01-01");
  EXPECT_EQ(expiration(), At("2027-03-06"));
  state.manual_until = At("2027-06-01");
  EXPECT_EQ(expiration(), At("2027-06-01"));
}

TEST(TiersTest, AnUpgradeThatBeginsTheWindowAnewIsLookedAtAgainWithIt) {
  TierScheme scheme = Scheme(DowngradePolicy::kOneDown);
  scheme.period = QualificationPeriod::kSinceTierChange;
  const TierChange change = Eval(scheme, In("bronze", "2026-01-15"), 500, "2026-03-05");
  EXPECT_EQ(change.to, "gold");
  EXPECT_EQ(change.next_due, At("2026-03-05"));
  EXPECT_EQ(Eval(scheme, change.after, 0, "2026-03-05").next_due, At("2027-03-06"));
}

TEST(TiersTest, AnotherPolicyThanBeforeTakesOver) {
  const TierState state = In("gold", "2026-03-05", "2027-03-06");
  const TierChange none = Eval(Scheme(DowngradePolicy::kNone), state, 0, "2028-01-01");
  EXPECT_EQ(none.to, "gold");
  EXPECT_EQ(none.after.expires, std::nullopt);
  const TierChange terms =
      Eval(Scheme(DowngradePolicy::kOneDown), In("gold", "2026-03-05"), 0, "2028-01-01");
  EXPECT_EQ(terms.to, "gold");
  EXPECT_EQ(terms.after.expires, At("2028-03-06"));
}

TEST(TiersTest, RefusesATierThatIsNotThereAndValuesBeyondTheRange) {
  EXPECT_THAT(Evaluate(Scheme(), In("iron", "2026-03-05"), {}, At("2026-04-01"), kUtc),
              ReasonIs("TIER_UNKNOWN"));
  EXPECT_THAT(Evaluate(Scheme(), In("gold", "2026-03-05"), {.present = kMaxTierValue + 1},
                       At("2026-04-01"), kUtc),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(ValidateTierSchemeTest, NamesEveryBadField) {
  TierScheme scheme = Scheme();
  EXPECT_THAT(ValidateTierScheme(scheme), IsOk());
  scheme.tiers[1].id = "";
  scheme.tiers[2].threshold = 100;
  scheme.tiers[3].id = "bronze";
  scheme.basis = TierBasis::kMoneySpent;
  scheme.currency = "eur";
  scheme.period = QualificationPeriod::kSinceTierChange;
  scheme.downgrade = DowngradePolicy::kRealTime;
  scheme.rolling_days = scheme.term_months = scheme.after_days = 0;
  scheme.grace_days = scheme.warn_days = -1;
  scheme.cycle_month = 2;
  scheme.cycle_day = 29;
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(ValidateTierScheme(scheme))) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields, ElementsAre("tiers[1].id", "tiers[2].threshold", "tiers[3].id", "currency",
                                  "period", "rolling_days", "term_months", "after_days",
                                  "grace_days", "warn_days", "cycle_day"));
  EXPECT_THAT(ValidateTierScheme({}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tiers: must be 1 to 50")));
}

// Virtual years of random members, in zones that skip and repeat midnights.
struct Entry {
  absl::Time at;       // When it came in.
  absl::Time counted;  // Of a return: when what it takes back was earned.
  int64_t value;
};

struct Life {
  TierScheme scheme;
  absl::TimeZone zone;
  absl::Time begin, end;
  TierState start;
  std::vector<Entry> entries;  // By time.
};

Life AnyLife() {
  const auto pick = [](int n) { return *rc::gen::inRange(0, n); };
  Life life;
  const char* const zones[] = {"UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut",
                               "Pacific/Apia"};
  EXPECT_TRUE(absl::LoadTimeZone(zones[pick(5)], &life.zone));
  TierScheme& scheme = life.scheme;
  scheme = Scheme(static_cast<DowngradePolicy>(pick(5)));
  if (pick(3) == 0) scheme.tiers.erase(scheme.tiers.begin());
  scheme.basis = pick(4) == 0 ? TierBasis::kActiveBalance : TierBasis::kPointsEarned;
  if (scheme.basis != TierBasis::kActiveBalance) {
    scheme.period = static_cast<QualificationPeriod>(
        pick(scheme.downgrade == DowngradePolicy::kRealTime ? 4 : 5));
  }
  scheme.rolling_days = 1 + pick(400);
  scheme.term = static_cast<TierTerm>(pick(3));
  scheme.term_months = 1 + pick(24);
  scheme.after_days = 1 + pick(400);
  scheme.cycle_month = 1 + pick(12);
  scheme.cycle_day = 1 + pick(28);
  if (pick(2)) scheme.grace_days = pick(40);
  if (pick(2)) scheme.warn_days = pick(40);
  RC_ASSERT(ValidateTierScheme(scheme).ok());

  // 2011 to 2014 and 2016 to 2019: a leap day, a day that Apia skipped, midnights that are skipped.
  const absl::CivilDay first = absl::CivilDay(pick(2) ? 2011 : 2016, 1, 1) + pick(365);
  life.begin = StartOfDay(first, life.zone) + absl::Hours(pick(24));
  life.end = life.begin + absl::Hours(24) * 1100;
  life.start.joined = life.begin;
  if (pick(4) == 0) {
    life.start.manual_tier = scheme.tiers[pick(static_cast<int>(scheme.tiers.size()))].id;
    if (pick(2)) life.start.manual_until = life.begin + absl::Hours(1 + pick(20'000));
  }
  for (int i = pick(25); i > 0; --i) {
    absl::Time at = life.begin + absl::Minutes(pick(1100 * 24 * 60));
    if (pick(3) == 0) at = StartOfDay(DayOf(at, life.zone), life.zone);
    if (at < life.begin) continue;
    const int value = pick(600);
    life.entries.push_back({at, at, value});
    if (pick(4) == 0) {
      life.entries.push_back({at + absl::Minutes(pick(90 * 24 * 60)), at, -pick(value + 1)});
    }
  }
  std::sort(life.entries.begin(), life.entries.end(),
            [](const Entry& a, const Entry& b) { return a.at < b.at; });
  return life;
}

std::string Text(const TierState& state) {
  const auto text = [](const std::optional<absl::Time>& time) {
    return time ? absl::FormatTime(*time, absl::UTCTimeZone()) : "-";
  };
  return absl::StrCat("'", state.tier, "' since ", text(state.since), " expires ",
                      text(state.expires), " short since ", text(state.short_since), " by hand '",
                      state.manual_tier, "' until ", text(state.manual_until));
}

std::string Text(const Life& life) {
  std::string text = absl::StrCat(
      life.zone.name(), " tiers ", life.scheme.tiers.size(), " basis ",
      static_cast<int>(life.scheme.basis), " period ", static_cast<int>(life.scheme.period), " of ",
      life.scheme.rolling_days, " downgrade ", static_cast<int>(life.scheme.downgrade), " term ",
      static_cast<int>(life.scheme.term), " of ", life.scheme.term_months, " grace ",
      life.scheme.grace_days, " warn ", life.scheme.warn_days, "\n", Text(life.start), "\n");
  for (const Entry& entry : life.entries) {
    absl::StrAppend(&text, absl::FormatTime(entry.at, absl::UTCTimeZone()), " ", entry.value, "\n");
  }
  return text;
}

using Move = std::tuple<absl::Time, std::string, std::string, std::vector<std::string>>;
using Warned = std::tuple<absl::Time, std::string, absl::Time>;

class Walker {
 public:
  explicit Walker(const Life& life, bool knows_oldest)
      : life_(life), knows_oldest_(knows_oldest), state_(life.start) {}

  // Evaluates at `now` until nothing is due.
  void Visit(absl::Time now) {
    for (int i = 0;; ++i) {
      RC_ASSERT(i < 2000);
      const BasisWindows windows = WindowsAt(life_.scheme, state_, now, life_.zone);
      BasisValues values{.present = Sum(windows.present, now),
                         .to_remain = Sum(windows.to_remain, now)};
      if (knows_oldest_) values.oldest = Oldest(windows.present, now);
      const auto change = Evaluate(life_.scheme, state_, values, now, life_.zone);
      RC_ASSERT(change.ok());
      RC_ASSERT(change->at <= now);
      state_ = change->after;
      due_ = change->next_due;
      if (change->from != change->to || !change->entered.empty()) {
        moves_.emplace_back(change->at, change->from, change->to, change->entered);
      }
      if (change->warning) {
        const TierStanding& w = *change->warning;
        if (warned_.emplace(w.tier, *w.tier_expiration).second) {
          warnings_.emplace_back(now, w.tier, *w.tier_expiration);
        }
      }
      if (!due_ || *due_ > now) return;
    }
  }

  const TierState& state() const { return state_; }
  std::optional<absl::Time> due() const { return due_; }
  const std::vector<Move>& moves() const { return moves_; }
  const std::vector<Warned>& warnings() const { return warnings_; }

 private:
  template <class Each>
  void ForEach(const BasisWindow& window, absl::Time now, Each each) const {
    for (const Entry& entry : life_.entries) {
      if (entry.at <= now && window.from <= entry.counted && entry.counted < window.until)
        each(entry);
    }
  }
  int64_t Sum(const BasisWindow& window, absl::Time now) const {
    int64_t sum = 0;
    ForEach(window, now, [&](const Entry& entry) { sum += entry.value; });
    return sum;
  }
  std::optional<absl::Time> Oldest(const BasisWindow& window, absl::Time now) const {
    std::optional<absl::Time> oldest;
    ForEach(window, now, [&](const Entry& entry) {
      oldest = std::min(oldest.value_or(entry.counted), entry.counted);
    });
    return oldest;
  }

  const Life& life_;
  const bool knows_oldest_;
  TierState state_;
  std::optional<absl::Time> due_;
  std::vector<Move> moves_;
  std::vector<Warned> warnings_;
  std::set<std::pair<std::string, absl::Time>> warned_;
};

RC_GTEST_PROP(TiersPropertyTest, LookingWhenDueIsAsGoodAsLookingEveryDay, ()) {
  const Life life = AnyLife();
  RC_LOG() << Text(life);
  Walker daily(life, false), due(life, true);
  daily.Visit(life.begin);
  due.Visit(life.begin);
  absl::CivilDay day = DayOf(life.begin, life.zone);
  auto entry = life.entries.begin();
  for (absl::Time now = life.begin; now < life.end;) {
    const absl::Time midnight = StartOfDay(day + 1, life.zone);
    const bool has_entry = entry != life.entries.end() && entry->at <= midnight;
    now = has_entry ? entry->at : midnight;
    while (due.due() && *due.due() < now) due.Visit(*due.due());
    if (has_entry || (due.due() && *due.due() == now)) due.Visit(now);
    daily.Visit(now);
    RC_ASSERT(Text(daily.state()) == Text(due.state()));
    if (has_entry) {
      ++entry;
    } else {
      ++day;
    }
  }
  RC_ASSERT(daily.moves() == due.moves());
  RC_ASSERT(daily.warnings() == due.warnings());
}

RC_GTEST_PROP(TiersPropertyTest, LookingLateFindsTheSameMoves, ()) {
  Life life = AnyLife();
  // Without a term, falling short begins when somebody looks; the balance of the past is not known.
  if (life.scheme.downgrade == DowngradePolicy::kRealTime) {
    life.scheme.downgrade = DowngradePolicy::kBalanceBased;
  }
  life.scheme.basis = TierBasis::kPointsEarned;
  // A return would be seen by who looks late, and not by who looked in time.
  for (Entry& entry : life.entries) entry.value = std::max<int64_t>(0, entry.value);
  RC_LOG() << Text(life);
  Walker late(life, true), due(life, true);
  late.Visit(life.begin);
  due.Visit(life.begin);
  const auto visit_due = [&](absl::Time until) {
    while (due.due() && *due.due() <= until) due.Visit(*due.due());
  };
  for (const Entry& entry : life.entries) {
    visit_due(entry.at - absl::Microseconds(1));
    due.Visit(entry.at);
    late.Visit(entry.at);
  }
  visit_due(life.end);
  due.Visit(life.end);
  late.Visit(life.end);
  RC_ASSERT(late.moves() == due.moves());
  RC_ASSERT(Text(late.state()) == Text(due.state()));
}

RC_GTEST_PROP(TiersPropertyTest, EveryTierEnteredIsAboveTheOneBefore, ()) {
  const Life life = AnyLife();
  Walker walker(life, true);
  walker.Visit(life.begin);
  for (const Entry& entry : life.entries) walker.Visit(entry.at);
  const auto rank = [&](const std::string& id) {
    for (size_t i = 0; i < life.scheme.tiers.size(); ++i) {
      if (life.scheme.tiers[i].id == id) return static_cast<int>(i);
    }
    return -1;
  };
  for (const auto& [at, from, to, entered] : walker.moves()) {
    RC_ASSERT(static_cast<int>(entered.size()) == std::max(0, rank(to) - rank(from)));
    for (size_t i = 0; i < entered.size(); ++i) {
      RC_ASSERT(rank(entered[i]) == rank(from) + 1 + static_cast<int>(i));
    }
  }
}

}  // namespace
}  // namespace clm::loyalty
