#include "services/feedback/business_calendar.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::feedback {
namespace {

constexpr int kMinutesOfDay = 24 * 60;
// So that what is counted by them comes to an end.
constexpr int kLeastMinutesOfWeek = 60;

const std::vector<WorkingHours>& HoursOf(const BusinessCalendar& calendar, absl::CivilDay day) {
  return calendar.hours[static_cast<size_t>(absl::GetWeekday(day))];
}

// What the wall clock shows, as if it was UTC.
absl::Time WallOf(const absl::TimeZone& zone, absl::Time time) {
  return time + absl::Seconds(zone.At(time).offset);
}

// The first instant, not before `from`, at which the wall clock shows `wall` or later.
absl::Time WhenShown(const absl::TimeZone& zone, absl::Time wall, absl::Time from) {
  const absl::TimeZone::CivilInfo shown = absl::UTCTimeZone().At(wall);
  const absl::TimeZone::TimeInfo info = zone.At(shown.cs);
  switch (info.kind) {
    case absl::TimeZone::TimeInfo::UNIQUE:
      return std::max(info.pre + shown.subsecond, from);
    case absl::TimeZone::TimeInfo::SKIPPED:
      return std::max(info.trans, from);
    case absl::TimeZone::TimeInfo::REPEATED:
      break;
  }
  // Between the two the clock shows it, goes back to before it, and shows it again.
  if (from <= info.pre + shown.subsecond) return info.pre + shown.subsecond;
  return from < info.trans ? from : std::max(info.post + shown.subsecond, from);
}

absl::Time EndOf(const BusinessCalendar& calendar, absl::CivilDay day) {
  return WhenShown(calendar.zone, absl::FromCivil(day + 1, absl::UTCTimeZone()),
                   absl::InfinitePast());
}

// A stretch of time through which the zone keeps its offset: the wall clock runs evenly.
struct EvenStretch {
  absl::Time from;
  absl::Time to;
  absl::Duration offset;
};

EvenStretch StretchFrom(const absl::TimeZone& zone, absl::Time from, absl::Time most) {
  EvenStretch stretch{from, most, absl::Seconds(zone.At(from).offset)};
  absl::TimeZone::CivilTransition change;
  if (zone.NextTransition(from, &change)) {
    stretch.to = std::min(most, zone.At(change.to).trans);
  }
  return stretch;
}

// Calls `visit(from, to)` with the stretches of time that are worked from `from` on, in their
// order, until it returns false or `to` has come.
template <class Visit>
void VisitWork(const BusinessCalendar& calendar, absl::Time from, absl::Time to, Visit visit) {
  while (from < to) {
    const EvenStretch even = StretchFrom(calendar.zone, from, to);
    const auto instant = [&](absl::CivilSecond time) {
      return absl::FromCivil(time, absl::UTCTimeZone()) - even.offset;
    };
    for (absl::CivilDay day(calendar.zone.At(even.from).cs);
         instant(absl::CivilSecond(day)) < even.to; ++day) {
      if (!IsBusinessDay(calendar, day)) continue;
      for (const WorkingHours& hours : HoursOf(calendar, day)) {
        const absl::Time begin = std::max(even.from, instant(absl::CivilMinute(day) + hours.from));
        const absl::Time end = std::min(even.to, instant(absl::CivilMinute(day) + hours.to));
        if (begin < end && !visit(begin, end)) return;
      }
    }
    from = even.to;
  }
}

// Calls `visit(day, end)` with the business days that end after `from`, until it returns false or
// kMostDays have been looked at.
template <class Visit>
void VisitDays(const BusinessCalendar& calendar, absl::Time from, Visit visit) {
  const absl::CivilDay first(calendar.zone.At(from).cs);
  absl::Time last = from;
  for (absl::CivilDay day = first; day < first + kMostDays; ++day) {
    const absl::Time end = EndOf(calendar, day);
    // Where a zone crosses the date line a day is left out: it begins and ends at once.
    if (end <= last) continue;
    last = end;
    if (IsBusinessDay(calendar, day) && !visit(day, end)) return;
  }
}

}  // namespace

BusinessCalendar DefaultCalendar() {
  BusinessCalendar calendar;
  for (size_t day = 0; day < 5; ++day) calendar.hours[day] = {{9 * 60, 17 * 60}};
  return calendar;
}

absl::Status ValidateCalendar(const BusinessCalendar& calendar) {
  static constexpr const char* kDays[] = {"monday", "tuesday",  "wednesday", "thursday",
                                          "friday", "saturday", "sunday"};
  error::FieldErrors errors;
  int minutes = 0;
  for (size_t day = 0; day < calendar.hours.size(); ++day) {
    int last = 0;
    for (size_t i = 0; i < calendar.hours[day].size(); ++i) {
      const WorkingHours& hours = calendar.hours[day][i];
      const std::string field = absl::StrCat("hours.", kDays[day], "[", i, "]");
      minutes += std::max(0, hours.to - hours.from);
      if (hours.from < 0 || hours.to > kMinutesOfDay || hours.from >= hours.to) {
        errors.Add(field, "must end after it begins, within the day");
      } else if (hours.from < last) {
        errors.Add(field, "must begin after the one before has ended");
      }
      last = std::max(last, hours.to);
    }
  }
  if (minutes < kLeastMinutesOfWeek) {
    errors.Add("hours",
               absl::StrCat("must have at least ", kLeastMinutesOfWeek, " minutes a week"));
  }
  return errors.ToStatus();
}

bool IsBusinessDay(const BusinessCalendar& calendar, absl::CivilDay day) {
  return !HoursOf(calendar, day).empty() && !calendar.holidays.contains(day);
}

absl::Duration CalendarTimeBetween(const BusinessCalendar& calendar, absl::Time from,
                                   absl::Time to) {
  return WallOf(calendar.zone, to) - WallOf(calendar.zone, from);
}

absl::Time AfterCalendarTime(const BusinessCalendar& calendar, absl::Time from,
                             absl::Duration time) {
  if (time <= absl::ZeroDuration()) return from;
  return WhenShown(calendar.zone, WallOf(calendar.zone, from) + time, from);
}

absl::Duration WorkingTimeBetween(const BusinessCalendar& calendar, absl::Time from,
                                  absl::Time to) {
  absl::Duration worked;
  VisitWork(calendar, from, to, [&](absl::Time begin, absl::Time end) {
    worked += end - begin;
    return true;
  });
  return worked;
}

absl::Time AfterWorkingTime(const BusinessCalendar& calendar, absl::Time from,
                            absl::Duration time) {
  if (time <= absl::ZeroDuration()) return from;
  absl::Time reached = absl::InfiniteFuture();
  VisitWork(calendar, from, from + absl::Hours(24) * kMostDays,
            [&](absl::Time begin, absl::Time end) {
              if (time <= end - begin) {
                reached = begin + time;
                return false;
              }
              time -= end - begin;
              return true;
            });
  return reached;
}

int BusinessDaysBetween(const BusinessCalendar& calendar, absl::CivilDay day0, absl::Time from,
                        absl::Time to) {
  int days = 0;
  VisitDays(calendar, from, [&](absl::CivilDay day, absl::Time end) {
    if (end > to) return false;
    if (day > day0) ++days;
    return true;
  });
  return days;
}

absl::Time AfterBusinessDays(const BusinessCalendar& calendar, absl::CivilDay day0, absl::Time from,
                             int days) {
  if (days <= 0) return from;
  absl::Time reached = absl::InfiniteFuture();
  VisitDays(calendar, from, [&](absl::CivilDay day, absl::Time end) {
    if (day <= day0 || --days > 0) return true;
    reached = end;
    return false;
  });
  return reached;
}

}  // namespace clm::feedback
