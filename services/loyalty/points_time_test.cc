#include "services/loyalty/points_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/time_text.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;
using Unit = DurationSpec::Unit;
using Rounding = DurationSpec::Rounding;

absl::TimeZone Zone(const std::string& name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

absl::Time At(absl::string_view text) {
  const auto time = ParseTime(text);
  EXPECT_TRUE(time.has_value()) << text;
  return time.value_or(absl::UnixEpoch());
}

std::string Text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

std::string Expire(absl::string_view spec, absl::string_view from, const std::string& zone = "UTC",
                   RoundUp round_up = RoundUp::kNone) {
  const auto rule = ParseExpiryRule("expiry", spec, round_up);
  EXPECT_THAT(rule, testing::IsOk());
  return Text(ExpireTime(*rule, At(from), Zone(zone)));
}

std::string Active(absl::string_view spec, absl::string_view earned,
                   const std::string& zone = "UTC") {
  const auto rule = ParsePendingRule("pending", spec);
  EXPECT_THAT(rule, testing::IsOk());
  const auto active = ActiveFrom(*rule, At(earned), Zone(zone));
  return active ? Text(*active) : "on action";
}

TEST(DurationSpecTest, ReadsEveryUnitAndSuffix) {
  const std::vector<std::pair<std::string, DurationSpec>> cases = {
      {"30s", {30, Unit::kSecond}},
      {"40m", {40, Unit::kMinute}},
      {"1h", {1, Unit::kHour}},
      {"5D", {5, Unit::kDay}},
      {"7W", {7, Unit::kWeek}},
      {"10M", {10, Unit::kMonth}},
      {"15Y", {15, Unit::kYear}},
      {"1D_D", {1, Unit::kDay, Rounding::kDown}},
      {"1D_U", {1, Unit::kDay, Rounding::kUp}},
      {"2W_U", {2, Unit::kWeek, Rounding::kUp}},
      {"3M_U", {3, Unit::kMonth, Rounding::kUp}},
      {"1Y_U", {1, Unit::kYear, Rounding::kUp}},
  };
  for (const auto& [text, spec] : cases) {
    EXPECT_THAT(ParseDurationSpec("f", text), testing::IsOkAndHolds(spec)) << text;
    EXPECT_EQ(ToString(spec), text);
  }
}

TEST(DurationSpecTest, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "5", "D", "0D", "05D", "-5D", "+5D", "5 D", "5d", "5H", "5D_",
                           "5D_d", "5D_UU", "5DU", "1.5D", "1h1m", "immediate", "\xd9\xa3\x44"}) {
    EXPECT_THAT(ParseDurationSpec("rule.expiry", text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rule.expiry: must be")))
        << text;
  }
  for (const char* text : {"1h_D", "1W_D", "1M_D", "1Y_D"}) {
    EXPECT_THAT(ParseDurationSpec("f", text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("_D follows days")))
        << text;
  }
  for (const char* text : {"1s_U", "1m_U", "1h_U"}) {
    EXPECT_THAT(ParseDurationSpec("f", text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("_U follows")))
        << text;
  }
}

TEST(DurationSpecTest, AHundredYearsIsTheMost) {
  for (const char* text :
       {"3155760000s", "52596000m", "876600h", "36525D", "5217W", "1200M", "100Y"}) {
    EXPECT_THAT(ParseDurationSpec("f", text), testing::IsOk()) << text;
  }
  for (const char* text : {"3155760001s", "52596001m", "876601h", "36526D", "5218W", "1201M",
                           "101Y", "9223372036854775808s", "99999999999999999999999D"}) {
    EXPECT_THAT(ParseDurationSpec("f", text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("longer than 100 years")))
        << text;
  }
}

TEST(PendingRuleTest, WordsAndDurations) {
  EXPECT_EQ(Active("immediate", "2026-01-25T10:30:00Z"), "2026-01-25T10:30:00Z");
  EXPECT_EQ(Active("on_action", "2026-01-25T10:30:00Z"), "on action");
  EXPECT_EQ(Active("40m", "2026-01-25T10:30:00Z"), "2026-01-25T11:10:00Z");
  EXPECT_EQ(Active("14D", "2026-01-25T10:30:00Z"), "2026-02-08T10:30:00Z");
  EXPECT_EQ(Active("14D_D", "2026-01-25T10:30:00Z"), "2026-02-08T00:00:00Z");
  EXPECT_EQ(Active("14D_U", "2026-01-25T10:30:00Z"), "2026-02-09T00:00:00Z");
  for (const char* text : {"immediate", "on_action", "14D_D"}) {
    const auto rule = ParsePendingRule("pending", text);
    ASSERT_THAT(rule, testing::IsOk());
    EXPECT_EQ(ToString(*rule), text);
  }
  EXPECT_THAT(ParsePendingRule("pending", "never"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(PendingRuleTest, ADayThatTheMonthLacksIsItsEnd) {
  EXPECT_EQ(Active("1M", "2026-01-28T18:00:00Z"), "2026-02-28T18:00:00Z");
  EXPECT_EQ(Active("1M", "2026-01-30T18:00:00Z"), "2026-03-01T00:00:00Z");
  EXPECT_EQ(Active("1M", "2028-01-29T18:00:00Z"), "2028-02-29T18:00:00Z");
  EXPECT_EQ(Active("1Y", "2028-02-29T18:00:00Z"), "2029-03-01T00:00:00Z");
  EXPECT_EQ(Active("4Y", "2028-02-29T18:00:00Z"), "2032-02-29T18:00:00Z");
}

TEST(PendingRuleTest, ADayIsNotTwentyFourHoursWhereClocksChange) {
  // 23 hours long.
  EXPECT_EQ(Active("1D", "2026-03-28T12:00:00+01:00", "Europe/Berlin"), "2026-03-29T10:00:00Z");
  EXPECT_EQ(Active("24h", "2026-03-28T12:00:00+01:00", "Europe/Berlin"), "2026-03-29T11:00:00Z");
  // 02:30 is skipped; the clocks change at 01:00 UTC.
  EXPECT_EQ(Active("1D", "2026-03-28T02:30:00+01:00", "Europe/Berlin"), "2026-03-29T01:00:00Z");
  // 02:30 occurs at 00:30 and at 01:30 UTC.
  EXPECT_EQ(Active("1D", "2026-10-24T02:30:00+02:00", "Europe/Berlin"), "2026-10-25T00:30:00Z");
  EXPECT_EQ(Active("1D", "2026-10-25T02:30:00+02:00", "Europe/Berlin"), "2026-10-26T01:30:00Z");
  EXPECT_EQ(Active("1D", "2026-10-25T02:30:00+01:00", "Europe/Berlin"), "2026-10-26T01:59:59Z");
}

TEST(ExpiryRuleTest, LastsToTheEndOfTheDayThatIsReached) {
  // Usable to the end of 25 February.
  EXPECT_EQ(Expire("1M", "2026-01-25T10:30:00Z"), "2026-02-26T00:00:00Z");
  EXPECT_EQ(Expire("1M", "2026-01-25T00:00:00Z"), "2026-02-26T00:00:00Z");
  EXPECT_EQ(Expire("1D", "2026-01-25T23:59:59Z"), "2026-01-27T00:00:00Z");
  EXPECT_EQ(Expire("1W", "2026-01-25T10:30:00Z"), "2026-02-02T00:00:00Z");
  EXPECT_EQ(Expire("15Y", "2026-01-25T10:30:00Z"), "2041-01-26T00:00:00Z");
  // The local day counts: 23:30 UTC is the 26th in Berlin.
  EXPECT_EQ(Expire("1M", "2026-01-25T23:30:00Z", "Europe/Berlin"), "2026-02-26T23:00:00Z");
  EXPECT_EQ(Expire("1h", "2026-01-25T10:30:00Z"), "2026-01-25T11:30:00Z");
  EXPECT_EQ(Expire("never", "2026-01-25T10:30:00Z"), Text(absl::InfiniteFuture()));
}

TEST(ExpiryRuleTest, AMonthIsClippedToItsLastDay) {
  EXPECT_EQ(Expire("1M", "2026-01-31T10:30:00Z"), "2026-03-01T00:00:00Z");
  EXPECT_EQ(Expire("1M", "2028-01-31T10:30:00Z"), "2028-03-01T00:00:00Z");
  EXPECT_EQ(Expire("1M", "2028-01-28T10:30:00Z"), "2028-02-29T00:00:00Z");
  EXPECT_EQ(Expire("3M", "2026-08-31T10:30:00Z"), "2026-12-01T00:00:00Z");
  EXPECT_EQ(Expire("1Y", "2028-02-29T10:30:00Z"), "2029-03-01T00:00:00Z");
}

TEST(ExpiryRuleTest, SuffixesMoveTheEnd) {
  EXPECT_EQ(Expire("1D_D", "2026-01-25T10:30:00Z"), "2026-01-26T00:00:00Z");
  EXPECT_EQ(Expire("1D_U", "2026-01-25T10:30:00Z"), "2026-01-27T00:00:00Z");
  // A week after Sunday 25 January 2026 is Sunday 1 February, the last day of its week.
  EXPECT_EQ(Expire("1W_U", "2026-01-25T10:30:00Z"), "2026-02-02T00:00:00Z");
  EXPECT_EQ(Expire("1W_U", "2026-01-26T10:30:00Z"), "2026-02-09T00:00:00Z");
  EXPECT_EQ(Expire("1M_U", "2026-01-31T10:30:00Z"), "2026-03-01T00:00:00Z");
  EXPECT_EQ(Expire("1M_U", "2026-01-01T00:00:00Z"), "2026-03-01T00:00:00Z");
  EXPECT_EQ(Expire("1Y_U", "2026-01-01T00:00:00Z"), "2028-01-01T00:00:00Z");
}

TEST(ExpiryRuleTest, RoundsUpToTheEndOfALongerPeriod) {
  const char* const from = "2026-01-25T10:30:00Z";
  EXPECT_EQ(Expire("1D", from, "UTC", RoundUp::kMonth), "2026-02-01T00:00:00Z");
  EXPECT_EQ(Expire("1D", from, "UTC", RoundUp::kQuarter), "2026-04-01T00:00:00Z");
  EXPECT_EQ(Expire("1D", from, "UTC", RoundUp::kHalfYear), "2026-07-01T00:00:00Z");
  EXPECT_EQ(Expire("1D", from, "UTC", RoundUp::kYear), "2027-01-01T00:00:00Z");
  EXPECT_EQ(Expire("9M", from, "UTC", RoundUp::kQuarter), "2027-01-01T00:00:00Z");
  EXPECT_EQ(Expire("9M", from, "UTC", RoundUp::kHalfYear), "2027-01-01T00:00:00Z");
  EXPECT_EQ(Expire("1h", from, "Asia/Tokyo", RoundUp::kMonth), "2026-01-31T15:00:00Z");
  // What ends with the period already is not put off by another one.
  EXPECT_EQ(Expire("1M", "2026-02-28T10:30:00Z", "UTC", RoundUp::kQuarter), "2026-04-01T00:00:00Z");
  EXPECT_EQ(Expire("1M", "2026-01-31T10:30:00Z", "UTC", RoundUp::kMonth), "2026-03-01T00:00:00Z");
  EXPECT_THAT(ParseExpiryRule("expiry", "never", RoundUp::kMonth),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseExpiryRule("expiry", "immediate", RoundUp::kNone),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ExpiryRuleTest, ADayBeginsWithItsFirstInstant) {
  // The clocks went from 00:00 to 01:00.
  EXPECT_EQ(Expire("1D", "2018-11-02T12:00:00-03:00", "America/Sao_Paulo"), "2018-11-04T03:00:00Z");
  EXPECT_EQ(Expire("1D", "2022-03-25T12:00:00+02:00", "Asia/Beirut"), "2022-03-26T22:00:00Z");
  // 00:00 occurs twice, at 04:00 and at 05:00 UTC.
  EXPECT_EQ(Expire("1D", "2026-10-30T12:00:00-04:00", "America/Havana"), "2026-11-01T04:00:00Z");
  // There was no 30 December 2011; the 29th ended at 10:00 UTC.
  EXPECT_EQ(Expire("1D", "2011-12-28T12:00:00-10:00", "Pacific/Apia"), "2011-12-30T10:00:00Z");
  EXPECT_EQ(Expire("2D", "2011-12-28T12:00:00-10:00", "Pacific/Apia"), "2011-12-30T10:00:00Z");
  EXPECT_EQ(Expire("3D", "2011-12-28T12:00:00-10:00", "Pacific/Apia"), "2011-12-31T10:00:00Z");
}

TEST(ExpiryRuleTest, AnHourRepeatedBeforeMidnightBelongsToTheDayThatEnds) {
  // At 00:00 of 18 February the clocks went back to 23:00 of the 17th.
  EXPECT_EQ(Expire("1D", "2018-02-17T23:30:00-02:00", "America/Sao_Paulo"), "2018-02-19T03:00:00Z");
  EXPECT_EQ(Expire("1D", "2018-02-17T23:30:00-03:00", "America/Sao_Paulo"), "2018-02-19T03:00:00Z");
  EXPECT_EQ(DayOf(At("2018-02-17T23:30:00-03:00"), Zone("America/Sao_Paulo")),
            absl::CivilDay(2018, 2, 17));
}

// Properties, over zones whose clocks change at, before and after midnight, by half an hour, and by
// a day.
std::string AnyZone() {
  return *rc::gen::element<std::string>("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut",
                                        "America/Havana", "Australia/Lord_Howe", "Pacific/Apia",
                                        "Asia/Kathmandu");
}

DurationSpec AnySpec() {
  DurationSpec spec{.count = *rc::gen::inRange<int64_t>(1, 40),
                    .unit = static_cast<Unit>(*rc::gen::inRange(0, 7))};
  if (spec.unit == Unit::kDay) spec.rounding = static_cast<Rounding>(*rc::gen::inRange(0, 3));
  if (spec.unit > Unit::kDay && *rc::gen::arbitrary<bool>()) spec.rounding = Rounding::kUp;
  return spec;
}

// Half of them within two hours of a change of the clocks.
absl::Time AnyInstant(const absl::TimeZone& zone) {
  const absl::Time instant =
      At("2005-01-01T00:00:00Z") + absl::Seconds(*rc::gen::inRange<int64_t>(0, 800'000'000));
  absl::TimeZone::CivilTransition change;
  if (*rc::gen::arbitrary<bool>() || !zone.NextTransition(instant, &change)) return instant;
  return absl::FromCivil(change.from, zone) + absl::Seconds(*rc::gen::inRange(-7200, 7200));
}

RC_GTEST_PROP(PointsTimePropertyTest, TextsAreReadBack, ()) {
  const DurationSpec spec = AnySpec();
  const auto read = ParseDurationSpec("f", ToString(spec));
  RC_ASSERT(read.ok());
  RC_ASSERT(*read == spec);
}

RC_GTEST_PROP(PointsTimePropertyTest, WhoEarnsLaterGetsNothingEarlierAndNothingBeforeEarning, ()) {
  const absl::TimeZone zone = Zone(AnyZone());
  const PendingRule pending{.kind = PendingRule::Kind::kAfter, .after = AnySpec()};
  const ExpiryRule expiry{.after = pending.after,
                          .round_up = static_cast<RoundUp>(*rc::gen::inRange(0, 5))};
  const absl::Time first = AnyInstant(zone);
  // From half an hour, to fall into the same change, up to three days, to be clipped alike.
  const absl::Time second =
      first + absl::Seconds(*rc::gen::inRange(0, *rc::gen::element(1800, 7200, 260'000)));
  RC_LOG() << ToString(pending.after) << " " << zone.name() << " " << Text(first) << " "
           << Text(second) << "\n";
  RC_ASSERT(ActiveFrom(pending, first, zone) <= ActiveFrom(pending, second, zone));
  RC_ASSERT(ExpireTime(expiry, first, zone) <= ExpireTime(expiry, second, zone));
  RC_ASSERT(*ActiveFrom(pending, first, zone) >= first);
  RC_ASSERT(ExpireTime(expiry, first, zone) >= first);
}

RC_GTEST_PROP(PointsTimePropertyTest, TheDayThatIsReachedCanBeUsedToItsLastInstant, ()) {
  const absl::TimeZone zone = Zone(AnyZone());
  const int64_t days = *rc::gen::inRange<int64_t>(1, 400);
  const absl::Time from = AnyInstant(zone);
  const absl::Time end =
      ExpireTime({.after = DurationSpec{.count = days, .unit = Unit::kDay}}, from, zone);
  RC_ASSERT(DayOf(end, zone) > DayOf(from, zone) + days);
  RC_ASSERT(DayOf(end - absl::Microseconds(1), zone) <= DayOf(from, zone) + days);
}

}  // namespace
}  // namespace clm::loyalty
