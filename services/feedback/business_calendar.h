// When a company works: its time zone, the hours of each day of the week, and its holidays; and how
// time is counted by it. Three ways of counting, all from an instant on:
//
//   calendar time  what a clock on the wall of that zone shows, so that a day is from one o'clock
//   to
//                  the next one o'clock, whether it had 23, 24 or 25 hours.
//   working time   the time that really passes while the wall clock is within the hours of a day
//   that
//                  is no holiday.
//   business days  the days with hours that are no holidays; each counts when it ends, at midnight.
//                  The day of the instant itself is day 0.
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_BUSINESS_CALENDAR_H_
#define CLM_SERVICES_FEEDBACK_BUSINESS_CALENDAR_H_

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace clm::feedback {

// Of a day, in minutes since its midnight; `to` is not part of it.
struct WorkingHours {
  int from = 0;
  int to = 0;
  friend bool operator==(const WorkingHours&, const WorkingHours&) = default;
};

struct BusinessCalendar {
  std::string time_zone = "UTC";  // Of the IANA database.
  absl::TimeZone zone = absl::UTCTimeZone();
  // By absl::Weekday, which begins with Monday. In ascending order, without overlaps.
  std::array<std::vector<WorkingHours>, 7> hours;
  std::set<absl::CivilDay> holidays;

  friend bool operator==(const BusinessCalendar& a, const BusinessCalendar& b) {
    return a.time_zone == b.time_zone && a.hours == b.hours && a.holidays == b.holidays;
  }
};

// Monday to Friday from 9 to 17 in UTC, without holidays.
BusinessCalendar DefaultCalendar();

// INVALID_ARGUMENT with every bad field: hours that are none, that overlap or are out of order, and
// a week without any. Paths are relative to the calendar; its zone has been loaded.
absl::Status ValidateCalendar(const BusinessCalendar& calendar);

bool IsBusinessDay(const BusinessCalendar& calendar, absl::CivilDay day);

// What the wall clock has advanced by from `from` to `to`; may be negative across the hour that
// repeats.
absl::Duration CalendarTimeBetween(const BusinessCalendar& calendar, absl::Time from,
                                   absl::Time to);
// The first instant from `from` on at which the wall clock has advanced by `time` or more.
absl::Time AfterCalendarTime(const BusinessCalendar& calendar, absl::Time from,
                             absl::Duration time);

absl::Duration WorkingTimeBetween(const BusinessCalendar& calendar, absl::Time from, absl::Time to);
// The instant at which `time` has been worked; InfiniteFuture if that takes more than kMostDays.
absl::Time AfterWorkingTime(const BusinessCalendar& calendar, absl::Time from, absl::Duration time);

// Business days after day `day0` whose ends lie in (from, to].
int BusinessDaysBetween(const BusinessCalendar& calendar, absl::CivilDay day0, absl::Time from,
                        absl::Time to);
// The end, after `from`, of the `days`th business day after day `day0`; InfiniteFuture if that is
// further away than kMostDays.
absl::Time AfterBusinessDays(const BusinessCalendar& calendar, absl::CivilDay day0, absl::Time from,
                             int days);

// How far is looked ahead, in days.
inline constexpr int kMostDays = 4000;

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_BUSINESS_CALENDAR_H_
