// Random clocks in zones whose clocks change, against one that walks through time minute by minute
// and knows nothing but what the wall clock shows.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/feedback/case_clocks.h"

namespace clm::feedback {
namespace {

constexpr int kDays = 40;

// Around changes of the clock: an hour forward and back, at two, at midnight, by half an hour; and
// a day that is left out.
struct Place {
  const char* zone;
  const char* from;
};
constexpr Place kPlaces[] = {
    {"UTC", "2026-02-20"},
    {"Europe/Berlin", "2026-03-10"},
    {"Europe/Berlin", "2026-10-10"},
    {"America/New_York", "2026-10-20"},
    {"America/Sao_Paulo", "2018-10-20"},
    {"America/Sao_Paulo", "2019-02-01"},
    {"America/Havana", "2026-10-20"},
    {"Australia/Lord_Howe", "2026-03-20"},
    {"Asia/Beirut", "2026-03-15"},
    {"Pacific/Apia", "2011-12-10"},
    {"Asia/Kathmandu", "2026-05-01"},
};

absl::TimeZone Zone(const std::string& name) {
  absl::TimeZone zone;
  RC_ASSERT(absl::LoadTimeZone(name, &zone));
  return zone;
}

// The time after `minutes` of it, as PostgreSQL keeps it.
absl::Time Later(absl::Time time, int minutes) { return time + absl::Minutes(minutes); }

bool Waits(const CaseClock& clock, const std::vector<CasePause>& pauses, absl::Time time) {
  return clock.terms.pauses && std::any_of(pauses.begin(), pauses.end(), [&](const CasePause& p) {
           return p.from <= time && time < p.to;
         });
}

bool Works(const BusinessCalendar& calendar, absl::CivilSecond wall) {
  const absl::CivilDay day(wall);
  const int minute = wall.hour() * 60 + wall.minute();
  if (calendar.holidays.contains(day)) return false;
  for (const WorkingHours& hours : calendar.hours[static_cast<size_t>(absl::GetWeekday(day))]) {
    if (hours.from <= minute && minute < hours.to) return true;
  }
  return false;
}

bool HasHours(const BusinessCalendar& calendar, absl::CivilDay day) {
  return !calendar.hours[static_cast<size_t>(absl::GetWeekday(day))].empty() &&
         !calendar.holidays.contains(day);
}

// When the amounts have passed, each by walking; InfiniteFuture for those beyond `end`.
std::vector<absl::Time> Walk(const BusinessCalendar& calendar, const CaseClock& clock,
                             const std::vector<CasePause>& pauses,
                             const std::vector<int64_t>& amounts, absl::Time end) {
  std::vector<absl::Time> reached(amounts.size(), absl::InfiniteFuture());
  const absl::CivilDay day0(calendar.zone.At(clock.start).cs);
  int64_t passed = 0;
  for (absl::Time time = clock.start; time < end; time = Later(time, 1)) {
    const absl::CivilSecond before = calendar.zone.At(time).cs;
    const absl::CivilSecond after = calendar.zone.At(Later(time, 1)).cs;
    if (Waits(clock, pauses, time)) continue;
    int64_t unit = 1;
    switch (clock.terms.unit) {
      case ClockUnit::kCalendarDays:
        passed += (after - before) / 60;
        unit = 24 * 60;
        break;
      case ClockUnit::kWorkingMinutes:
        passed += Works(calendar, before) ? 1 : 0;
        break;
      case ClockUnit::kBusinessDays:
        if (absl::CivilDay(after) > absl::CivilDay(before) && absl::CivilDay(before) > day0 &&
            HasHours(calendar, absl::CivilDay(before))) {
          ++passed;
        }
        break;
    }
    for (size_t i = 0; i < amounts.size(); ++i) {
      if (passed >= amounts[i] * unit) reached[i] = std::min(reached[i], Later(time, 1));
    }
  }
  return reached;
}

rc::Gen<int> Below(int end) { return rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, end)); }

struct World {
  BusinessCalendar calendar;
  CaseClock clock;
  std::vector<CasePause> pauses;
  std::vector<int64_t> amounts;
  absl::Time end;
};

World AnyWorld() {
  World world;
  const Place place = kPlaces[*Below(std::size(kPlaces))];
  BusinessCalendar& calendar = world.calendar;
  calendar.time_zone = place.zone;
  calendar.zone = Zone(place.zone);
  for (auto& hours : calendar.hours) {
    int at = 0;
    for (int parts = *Below(3); parts > 0 && at < 24 * 60; --parts) {
      const int from = at + *Below(24 * 60 - at);
      const int to = from + 1 + *Below(24 * 60 - from);
      hours.push_back({from, to});
      at = to;
    }
  }
  absl::Time first;
  std::string error;
  RC_ASSERT(absl::ParseTime("%Y-%m-%d", place.from, calendar.zone, &first, &error));
  for (int i = *Below(4); i > 0; --i) {
    calendar.holidays.insert(absl::CivilDay(calendar.zone.At(first).cs) + *Below(kDays));
  }
  CaseClock& clock = world.clock;
  clock.terms.unit = static_cast<ClockUnit>(1 + *Below(3));
  clock.terms.pauses = *Below(4) != 0;
  clock.start = Later(first, *Below(24 * 60 * 20));
  absl::Time at = clock.start;
  for (int i = *Below(5); i > 0; --i) {
    // Often at midnight, where days are counted.
    CasePause pause{Later(at, *Below(24 * 60 * 5))};
    if (*Below(2) == 0) {
      pause.from = std::max(
          at,
          calendar.zone.At(absl::CivilSecond(absl::CivilDay(calendar.zone.At(pause.from).cs))).pre);
    }
    pause.to =
        i == 1 && *Below(4) == 0 ? absl::InfiniteFuture() : Later(pause.from, *Below(24 * 60 * 5));
    world.pauses.push_back(pause);
    at = pause.to;
    if (at == absl::InfiniteFuture()) break;
  }
  const bool minutes = clock.terms.unit == ClockUnit::kWorkingMinutes;
  for (int i = 0; i < 6; ++i) world.amounts.push_back(1 + *Below(minutes ? 4000 : 20));
  world.end = Later(first, 24 * 60 * (kDays + 20));
  return world;
}

TEST(CaseClocksPropertyTest, EachAmountPassesWhenAWalkThroughTimeSaysSo) {
  EXPECT_TRUE(rc::check([] {
    const World world = AnyWorld();
    const std::vector<absl::Time> walked =
        Walk(world.calendar, world.clock, world.pauses, world.amounts, world.end);
    for (size_t i = 0; i < world.amounts.size(); ++i) {
      absl::Time told = WhenPassed(world.calendar, world.clock, world.pauses, world.amounts[i]);
      if (told > world.end) told = absl::InfiniteFuture();
      RC_ASSERT(absl::FormatTime(told, world.calendar.zone) ==
                absl::FormatTime(walked[i], world.calendar.zone));
    }
  }));
}

TEST(CaseClocksPropertyTest, MarksAreRaisedOnceAndInTimeHoweverOftenSomebodyLooks) {
  EXPECT_TRUE(rc::check([] {
    World world = AnyWorld();
    CaseClock& clock = world.clock;
    const bool minutes = clock.terms.unit == ClockUnit::kWorkingMinutes;
    clock.terms.limit = 3 + *Below(minutes ? 3000 : 12);
    clock.terms.warn_before = {2, 1};
    if (*Below(2) == 0) clock.stop = Later(clock.start, *Below(24 * 60 * 40));
    std::vector<CaseClock> clocks = {clock};
    std::vector<ClockMark> raised;
    for (absl::Time now = clock.start; now < world.end; now = Later(now, 1 + *Below(24 * 60 * 9))) {
      const absl::Time next = NextMarkTime(world.calendar, clocks, world.pauses);
      const auto marks = RaiseMarks(world.calendar, clocks, world.pauses, now);
      RC_ASSERT(marks.empty() == (next > now));
      raised.insert(raised.end(), marks.begin(), marks.end());
    }
    const auto last = RaiseMarks(world.calendar, clocks, world.pauses, world.end);
    raised.insert(raised.end(), last.begin(), last.end());
    RC_ASSERT(RaiseMarks(world.calendar, clocks, world.pauses, world.end).empty());

    const std::vector<int64_t> befores = {2, 1, 0};
    std::vector<int64_t> amounts;
    for (const int64_t before : befores) amounts.push_back(clock.terms.limit - before);
    const auto walked = Walk(world.calendar, world.clock, world.pauses, amounts, world.end);
    std::vector<ClockMark> expected;
    for (size_t i = 0; i < befores.size(); ++i) {
      if (walked[i] < world.clock.stop && walked[i] <= world.end) {
        expected.push_back({clock.terms.kind, befores[i], walked[i]});
      }
    }
    RC_ASSERT(raised.size() == expected.size());
    RC_ASSERT(std::equal(raised.begin(), raised.end(), expected.begin()));
  }));
}

}  // namespace
}  // namespace clm::feedback
