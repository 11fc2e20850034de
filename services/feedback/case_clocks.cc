#include "services/feedback/case_clocks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::feedback {
namespace {

// A stretch of time in which a clock runs.
struct Run {
  absl::Time from;
  absl::Time to;
};

// From the clock's start on, without the pauses that count for it.
std::vector<Run> RunsOf(const CaseClock& clock, const std::vector<CasePause>& pauses) {
  std::vector<Run> runs;
  absl::Time from = clock.start;
  if (clock.terms.pauses) {
    for (const CasePause& pause : pauses) {
      if (pause.to <= from) continue;
      if (pause.from > from) runs.push_back({from, pause.from});
      from = std::max(from, pause.to);
    }
  }
  if (from < absl::InfiniteFuture()) runs.push_back({from, absl::InfiniteFuture()});
  return runs;
}

// When `left` of something has passed while the clock ran. `after(from, left)`: when it has if it
// runs from `from` on; `between(from, to)`: how much of it does meanwhile.
template <class Amount, class After, class Between>
absl::Time AfterRuns(const std::vector<Run>& runs, Amount left, After after, Between between) {
  for (const Run& run : runs) {
    const absl::Time reached = after(run.from, left);
    if (reached <= run.to) return reached;
    left -= between(run.from, run.to);
  }
  return absl::InfiniteFuture();
}

bool Contains(const std::vector<int64_t>& values, int64_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

absl::Status ValidateClockTerms(const ClockTerms& terms) {
  error::FieldErrors errors;
  const int64_t most = terms.unit == ClockUnit::kWorkingMinutes ? kMostMinutes : kMostDaysOfClock;
  if (terms.limit < 1 || terms.limit > most) {
    errors.Add("limit", absl::StrCat("must be 1 to ", most));
  }
  if (terms.holding_limit != 0) {
    if (terms.kind != ClockKind::kFinalAnswer) {
      errors.Add("holding_limit", "is for the final answer only");
    }
    if (terms.holding_limit <= terms.limit || terms.holding_limit > most) {
      errors.Add("holding_limit", absl::StrCat("must be more than limit, and at most ", most));
    }
  }
  for (size_t i = 0; i < terms.warn_before.size(); ++i) {
    const int64_t before = terms.warn_before[i];
    if (before < 1 || before >= terms.limit) {
      errors.Add(absl::StrCat("warn_before[", i, "]"), "must be at least 1 and less than limit");
    } else if (i > 0 && before >= terms.warn_before[i - 1]) {
      errors.Add(absl::StrCat("warn_before[", i, "]"), "must be less than the one before");
    }
  }
  return errors.ToStatus();
}

absl::Time WhenPassed(const BusinessCalendar& calendar, const CaseClock& clock,
                      const std::vector<CasePause>& pauses, int64_t amount) {
  const std::vector<Run> runs = RunsOf(clock, pauses);
  switch (clock.terms.unit) {
    case ClockUnit::kCalendarDays:
      return AfterRuns(
          runs, absl::Hours(24) * amount,
          [&](absl::Time from, absl::Duration left) {
            return AfterCalendarTime(calendar, from, left);
          },
          [&](absl::Time from, absl::Time to) { return CalendarTimeBetween(calendar, from, to); });
    case ClockUnit::kWorkingMinutes:
      return AfterRuns(
          runs, absl::Minutes(1) * amount,
          [&](absl::Time from, absl::Duration left) {
            return AfterWorkingTime(calendar, from, left);
          },
          [&](absl::Time from, absl::Time to) { return WorkingTimeBetween(calendar, from, to); });
    case ClockUnit::kBusinessDays:
      break;
  }
  const absl::CivilDay day0(calendar.zone.At(clock.start).cs);
  return AfterRuns(
      runs, static_cast<int>(amount),
      [&](absl::Time from, int left) { return AfterBusinessDays(calendar, day0, from, left); },
      [&](absl::Time from, absl::Time to) {
        return BusinessDaysBetween(calendar, day0, from, to);
      });
}

absl::Time LimitOf(const BusinessCalendar& calendar, const CaseClock& clock,
                   const std::vector<CasePause>& pauses) {
  return WhenPassed(calendar, clock, pauses,
                    clock.extended ? clock.terms.holding_limit : clock.terms.limit);
}

void Extend(CaseClock& clock) {
  if (clock.terms.holding_limit == 0 || clock.extended || clock.breach_time) return;
  clock.extended = true;
  clock.warned.clear();
}

std::optional<ClockMark> NextMark(const BusinessCalendar& calendar, const CaseClock& clock,
                                  const std::vector<CasePause>& pauses) {
  if (clock.breach_time) return std::nullopt;
  const int64_t limit = clock.extended ? clock.terms.holding_limit : clock.terms.limit;
  ClockMark mark{clock.terms.kind, 0, absl::InfiniteFuture()};
  for (const int64_t before : clock.terms.warn_before) {
    if (Contains(clock.warned, before)) continue;
    mark.before = before;
    break;
  }
  mark.time = WhenPassed(calendar, clock, pauses, limit - mark.before);
  if (mark.time == absl::InfiniteFuture() || mark.time >= clock.stop) return std::nullopt;
  return mark;
}

std::vector<ClockMark> RaiseMarks(const BusinessCalendar& calendar, std::vector<CaseClock>& clocks,
                                  const std::vector<CasePause>& pauses, absl::Time now) {
  std::vector<ClockMark> raised;
  for (CaseClock& clock : clocks) {
    for (;;) {
      const auto mark = NextMark(calendar, clock, pauses);
      if (!mark || mark->time > now) break;
      if (mark->before == 0) {
        clock.breach_time = mark->time;
      } else {
        clock.warned.push_back(mark->before);
      }
      raised.push_back(*mark);
    }
  }
  std::stable_sort(raised.begin(), raised.end(),
                   [](const ClockMark& a, const ClockMark& b) { return a.time < b.time; });
  return raised;
}

absl::Time NextMarkTime(const BusinessCalendar& calendar, const std::vector<CaseClock>& clocks,
                        const std::vector<CasePause>& pauses) {
  absl::Time next = absl::InfiniteFuture();
  for (const CaseClock& clock : clocks) {
    const auto mark = NextMark(calendar, clock, pauses);
    if (mark) next = std::min(next, mark->time);
  }
  return next;
}

}  // namespace clm::feedback
