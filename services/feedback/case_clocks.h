// The clocks of a case: until when it has to be acknowledged, when the customer has to hear
// something of substance, and when they need the final answer. A clock begins when the case was
// received (or opened again), ends when what it is about was done, and raises marks on the way:
// warnings before its limit, and the breach at it.
//
//   CALENDAR_DAYS   by calendar time: 56 are eight weeks, to the same o'clock.
//   BUSINESS_DAYS   over at the end of the last one; the day of receipt is day 0.
//   WORKING_MINUTES by working time.
//
// While a case waits for the customer, clocks whose terms say so stand still: calendar and working
// time do not advance, and a business day on whose end it waits is not counted. See
// business_calendar.h.
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_CASE_CLOCKS_H_
#define CLM_SERVICES_FEEDBACK_CASE_CLOCKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/feedback/business_calendar.h"

namespace clm::feedback {

// The numbers are those of the API.
enum class ClockKind { kAcknowledgement = 1, kFirstResponse = 2, kFinalAnswer = 3 };
enum class ClockUnit { kCalendarDays = 1, kBusinessDays = 2, kWorkingMinutes = 3 };

// Most that a clock's limit may be.
inline constexpr int64_t kMostDaysOfClock = 366;
inline constexpr int64_t kMostMinutes = 20'000;

struct ClockTerms {
  ClockKind kind = ClockKind::kFinalAnswer;
  ClockUnit unit = ClockUnit::kCalendarDays;
  int64_t limit = 0;
  // The limit once a holding answer was given in time; 0: that changes nothing. From receipt, too.
  int64_t holding_limit = 0;
  // How long before the limit it warns, in its unit; descending.
  std::vector<int64_t> warn_before;
  // Stands still while the case waits for the customer.
  bool pauses = false;
  friend bool operator==(const ClockTerms&, const ClockTerms&) = default;
};

// INVALID_ARGUMENT with every bad field; paths are relative to the terms.
absl::Status ValidateClockTerms(const ClockTerms& terms);

// From when to when a case waited for the customer; the last one may go on.
struct CasePause {
  absl::Time from;
  absl::Time to = absl::InfiniteFuture();
  friend bool operator==(const CasePause&, const CasePause&) = default;
};

// A clock of a case.
struct CaseClock {
  ClockTerms terms;
  absl::Time start;
  absl::Time stop = absl::InfiniteFuture();  // Done; a mark at that very instant is not raised.
  bool extended = false;                     // The holding limit counts.
  // What was raised: the warnings before the limit that counts, by their `warn_before`, and when it
  // was breached.
  std::vector<int64_t> warned;
  std::optional<absl::Time> breach_time;
  friend bool operator==(const CaseClock&, const CaseClock&) = default;
};

// When `amount` of the clock's unit has passed; InfiniteFuture while a pause keeps it from that.
// `pauses`: in their order.
absl::Time WhenPassed(const BusinessCalendar& calendar, const CaseClock& clock,
                      const std::vector<CasePause>& pauses, int64_t amount);

// When it is breached if nothing happens.
absl::Time LimitOf(const BusinessCalendar& calendar, const CaseClock& clock,
                   const std::vector<CasePause>& pauses);

// A holding answer was given: from now on the holding limit counts, if there is one and the clock
// was not breached before; its warnings are then to come once more.
void Extend(CaseClock& clock);

// Something that a clock raises.
struct ClockMark {
  ClockKind clock = ClockKind::kFinalAnswer;
  // How long before the limit, in the clock's unit; 0: the breach.
  int64_t before = 0;
  absl::Time time;
  friend bool operator==(const ClockMark&, const ClockMark&) = default;
};

// The earliest mark that the clock has yet to raise; none when it has stopped by then.
std::optional<ClockMark> NextMark(const BusinessCalendar& calendar, const CaseClock& clock,
                                  const std::vector<CasePause>& pauses);

// Raises all marks of the clocks up to `now` which they have not raised, in the order of their
// times.
std::vector<ClockMark> RaiseMarks(const BusinessCalendar& calendar, std::vector<CaseClock>& clocks,
                                  const std::vector<CasePause>& pauses, absl::Time now);

// When the next one is to be raised; InfiniteFuture: as things stand, never.
absl::Time NextMarkTime(const BusinessCalendar& calendar, const std::vector<CaseClock>& clocks,
                        const std::vector<CasePause>& pauses);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_CLOCKS_H_
