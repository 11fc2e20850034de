#include "services/feedback/case_clocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "libs/base/error.h"
#include "services/feedback/cases.h"

namespace clm::feedback {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

BusinessCalendar CalendarOf(const std::string& zone) {
  BusinessCalendar calendar = DefaultCalendar();
  calendar.time_zone = zone;
  EXPECT_TRUE(absl::LoadTimeZone(zone, &calendar.zone));
  return calendar;
}

absl::Time At(const BusinessCalendar& calendar, const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%E*S", text, calendar.zone, &time, &error)) << error;
  return time;
}

std::string Shown(const BusinessCalendar& calendar, absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E*S", time, calendar.zone);
}

CaseClock ClockOf(CaseType type, ClockKind kind, absl::Time start) {
  CaseClock clock;
  for (const ClockTerms& terms : DefaultProcedure(type).clocks) {
    if (terms.kind == kind) clock.terms = terms;
  }
  EXPECT_GT(clock.terms.limit, 0);
  clock.start = start;
  return clock;
}

TEST(CaseClocksTest, AComplaintIsBreachedAfterEightWeeksToTheSameOClock) {
  const BusinessCalendar calendar = CalendarOf("Europe/Berlin");
  // The clocks go forward meanwhile.
  const absl::Time start = At(calendar, "2026-02-16 10:30:15.250");
  const CaseClock clock = ClockOf(CaseType::kComplaint, ClockKind::kFinalAnswer, start);
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, {})), "2026-04-13 10:30:15.25");
  EXPECT_EQ(LimitOf(calendar, clock, {}) - start, absl::Hours(56 * 24 - 1));
}

TEST(CaseClocksTest, APaymentComplaintIsBreachedAfterFifteenBusinessDaysOrThirtyFiveIfHeld) {
  BusinessCalendar calendar = CalendarOf("Europe/London");
  calendar.holidays = {absl::CivilDay(2026, 4, 3), absl::CivilDay(2026, 4, 6)};  // Easter.
  const absl::Time start = At(calendar, "2026-03-23 16:00:00");
  CaseClock clock = ClockOf(CaseType::kPaymentComplaint, ClockKind::kFinalAnswer, start);
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, {})), "2026-04-16 00:00:00");
  Extend(clock);
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, {})), "2026-05-14 00:00:00");
}

TEST(CaseClocksTest, TheDayOfReceiptIsDayZeroAlsoAtTheWeekend) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  for (const char* start : {"2026-01-02 23:59:59", "2026-01-03 00:00:00", "2026-01-04 12:00:00"}) {
    CaseClock clock =
        ClockOf(CaseType::kPaymentComplaint, ClockKind::kFinalAnswer, At(calendar, start));
    clock.terms.limit = 1;
    EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, {})), "2026-01-06 00:00:00") << start;
  }
}

TEST(CaseClocksTest, WorkingTimeStopsOvernightAtWeekendsAndOnHolidays) {
  BusinessCalendar calendar = CalendarOf("America/New_York");
  calendar.holidays = {absl::CivilDay(2026, 5, 25)};
  // Friday: an hour is left, then Monday is a holiday.
  const CaseClock clock =
      ClockOf(CaseType::kInquiry, ClockKind::kFirstResponse, At(calendar, "2026-05-22 16:00:00"));
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, {})), "2026-05-26 16:00:00");
}

TEST(CaseClocksTest, APauseCountsOnlyWhereTheTermsSaySo) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  const absl::Time start = At(calendar, "2026-01-05 09:00:00");
  const std::vector<CasePause> week = {
      {At(calendar, "2026-01-06 12:00:00"), At(calendar, "2026-01-13 12:00:00")}};
  CaseClock clock = ClockOf(CaseType::kInquiry, ClockKind::kFinalAnswer, start);
  // The ends of five business days are waited through.
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, {})), "2026-01-20 00:00:00");
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, week)), "2026-01-27 00:00:00");
  clock.terms.pauses = false;
  EXPECT_EQ(Shown(calendar, LimitOf(calendar, clock, week)), "2026-01-20 00:00:00");
}

TEST(CaseClocksTest, WhileItWaitsNothingIsDue) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  const absl::Time start = At(calendar, "2026-01-05 09:00:00");
  const CaseClock clock = ClockOf(CaseType::kInquiry, ClockKind::kFinalAnswer, start);
  EXPECT_EQ(NextMarkTime(calendar, {clock}, {{At(calendar, "2026-01-06 12:00:00")}}),
            absl::InfiniteFuture());
}

TEST(CaseClocksTest, WarningsComeBeforeTheBreachAndEachOnce) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  const absl::Time start = At(calendar, "2026-01-05 09:00:00");
  std::vector<CaseClock> clocks = {ClockOf(CaseType::kComplaint, ClockKind::kFinalAnswer, start)};
  const auto raise = [&](int days) {
    return RaiseMarks(calendar, clocks, {}, start + absl::Hours(24) * days);
  };
  const ClockMark early{ClockKind::kFinalAnswer, 14, start + absl::Hours(24 * 42)};
  const ClockMark late{ClockKind::kFinalAnswer, 3, start + absl::Hours(24 * 53)};
  const ClockMark breach{ClockKind::kFinalAnswer, 0, start + absl::Hours(24 * 56)};
  EXPECT_THAT(raise(41), IsEmpty());
  EXPECT_THAT(raise(42), ElementsAre(early));
  EXPECT_THAT(raise(42), IsEmpty());
  // Whoever looks late is told all of it, with the times at which it was.
  EXPECT_THAT(raise(100), ElementsAre(late, breach));
  EXPECT_THAT(raise(1000), IsEmpty());
}

TEST(CaseClocksTest, WhatIsDoneAtTheLimitIsDoneInTime) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  const absl::Time start = At(calendar, "2026-01-05 09:00:00");
  CaseClock clock = ClockOf(CaseType::kComplaint, ClockKind::kFinalAnswer, start);
  clock.warned = {14, 3};
  clock.stop = start + absl::Hours(24 * 56);
  std::vector<CaseClock> clocks = {clock};
  EXPECT_THAT(RaiseMarks(calendar, clocks, {}, absl::InfiniteFuture()), IsEmpty());
  clocks[0].stop += absl::Microseconds(1);
  EXPECT_EQ(RaiseMarks(calendar, clocks, {}, absl::InfiniteFuture()).size(), 1);
}

TEST(CaseClocksTest, AHoldingAnswerAfterTheBreachExtendsNothing) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  const absl::Time start = At(calendar, "2026-01-05 09:00:00");
  std::vector<CaseClock> clocks = {
      ClockOf(CaseType::kPaymentComplaint, ClockKind::kFinalAnswer, start)};
  EXPECT_EQ(RaiseMarks(calendar, clocks, {}, start + absl::Hours(24 * 30)).size(), 3);
  Extend(clocks[0]);
  EXPECT_FALSE(clocks[0].extended);
  EXPECT_THAT(RaiseMarks(calendar, clocks, {}, start + absl::Hours(24 * 90)), IsEmpty());
}

TEST(CaseClocksTest, WarningsComeOnceMoreBeforeTheLimitOfAHoldingAnswer) {
  const BusinessCalendar calendar = CalendarOf("UTC");
  const absl::Time start = At(calendar, "2026-01-05 09:00:00");
  std::vector<CaseClock> clocks = {
      ClockOf(CaseType::kPaymentComplaint, ClockKind::kFinalAnswer, start)};
  EXPECT_EQ(RaiseMarks(calendar, clocks, {}, At(calendar, "2026-01-20 00:00:00")).size(), 1);
  Extend(clocks[0]);
  const auto marks = RaiseMarks(calendar, clocks, {}, start + absl::Hours(24 * 90));
  ASSERT_EQ(marks.size(), 3);
  EXPECT_EQ(marks[0].before, 5);
  EXPECT_EQ(marks[2].before, 0);
  EXPECT_EQ(Shown(calendar, marks[2].time), "2026-02-24 00:00:00");
}

TEST(CaseClocksTest, TermsThatAreNoneAreRefusedByField) {
  ClockTerms terms = DefaultProcedure(CaseType::kPaymentComplaint).clocks[1];
  EXPECT_TRUE(ValidateClockTerms(terms).ok());
  terms.limit = 0;
  terms.warn_before = {3, 5};
  error::FieldErrors errors;
  errors.AddStatus("", ValidateClockTerms(terms));
  EXPECT_TRUE(errors.Names("limit"));
  EXPECT_TRUE(errors.Names("warn_before[0]"));
  EXPECT_TRUE(errors.Names("warn_before[1]"));
  terms = {.kind = ClockKind::kFirstResponse, .limit = 5, .holding_limit = 4};
  EXPECT_FALSE(ValidateClockTerms(terms).ok());
}

TEST(BusinessCalendarTest, HoursThatAreNoneAreRefusedWithTheirDay) {
  BusinessCalendar calendar;
  EXPECT_FALSE(ValidateCalendar(calendar).ok());
  calendar.hours[0] = {{60, 120}, {110, 180}};
  calendar.hours[6] = {{10, 10}, {20, 1441}};
  error::FieldErrors errors;
  errors.AddStatus("", ValidateCalendar(calendar));
  EXPECT_FALSE(errors.Names("hours.monday[0]"));
  EXPECT_TRUE(errors.Names("hours.monday[1]"));
  EXPECT_TRUE(errors.Names("hours.sunday[0]"));
  EXPECT_TRUE(errors.Names("hours.sunday[1]"));
  EXPECT_TRUE(ValidateCalendar(DefaultCalendar()).ok());
}

}  // namespace
}  // namespace clm::feedback
