// When points become active and when they expire, in the local time of a programme.
//
// A duration is written as a number and a unit, "30s 40m 1h 5D 7W 10M 15Y", perhaps with a suffix:
// "_D" after D goes back to the start of the day that was reached, "_U" after D, W, M or Y goes on
// to the end of the day, week (Monday to Sunday), month or year.
//
//   seconds, minutes, hours   time that elapses, whatever the clocks on the wall do.
//   days and longer           counted on the local calendar, at the same local time of day, cut to
//                             seconds. A day that a month lacks is the end of that month: a month
//                             after 30 January, 18:00, is the end of 28 (29) February.
//
// Where clocks change: a local time that is skipped is the instant of the change; of one that
// occurs twice it is the first. Who earns while an hour is repeated is treated like who earned in
// the last second before the clocks were put back. So who earns later never gets an earlier
// instant.
//
// Ends are exclusive: the end of a day is the instant at which the next one begins.
//
// Values and pure functions; thread-safe. Instants are of the years 1 to 9999.
#ifndef CLM_SERVICES_LOYALTY_POINTS_TIME_H_
#define CLM_SERVICES_LOYALTY_POINTS_TIME_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace clm::loyalty {

// No duration is longer than a hundred years.
inline constexpr int kMaxYears = 100;

struct DurationSpec {
  enum class Unit { kSecond, kMinute, kHour, kDay, kWeek, kMonth, kYear };
  enum class Rounding { kNone, kDown, kUp };

  int64_t count = 1;  // 1 or more.
  Unit unit = Unit::kDay;
  Rounding rounding = Rounding::kNone;

  friend bool operator==(const DurationSpec&, const DurationSpec&) = default;
};

// INVALID_ARGUMENT naming `field` for anything but a number without leading zeros, a unit, and a
// suffix that the unit may have; also for what is longer than kMaxYears.
absl::StatusOr<DurationSpec> ParseDurationSpec(absl::string_view field, absl::string_view text);

// The text that ParseDurationSpec read.
std::string ToString(const DurationSpec& spec);

// How long points are pending before they are active.
struct PendingRule {
  enum class Kind {
    kImmediate,  // "immediate": not at all.
    kOnAction,   // "on_action": until somebody activates them.
    kAfter,      // A duration.
  };
  Kind kind = Kind::kImmediate;
  DurationSpec after;  // Only for kAfter.

  friend bool operator==(const PendingRule&, const PendingRule&) = default;
};

absl::StatusOr<PendingRule> ParsePendingRule(absl::string_view field, absl::string_view text);
std::string ToString(const PendingRule& rule);

// From when on points earned at `earned` are active; nullopt while that waits for an action.
std::optional<absl::Time> ActiveFrom(const PendingRule& rule, absl::Time earned,
                                     const absl::TimeZone& zone);

// What an expiry is put off to the end of, after everything else.
enum class RoundUp { kNone, kMonth, kQuarter, kHalfYear, kYear };

// How long points can be spent.
struct ExpiryRule {
  std::optional<DurationSpec> after;  // Absent: they never expire.
  RoundUp round_up = RoundUp::kNone;

  friend bool operator==(const ExpiryRule&, const ExpiryRule&) = default;
};

// A duration or "never".
absl::StatusOr<ExpiryRule> ParseExpiryRule(absl::string_view field, absl::string_view text,
                                           RoundUp round_up);
// The text, without round_up.
std::string ToString(const ExpiryRule& rule);

// The instant from which on points counted from `from` (their earning, or the member's last
// activity) can no longer be spent; InfiniteFuture for never. Counted in days or longer they can be
// spent to the end of the day that is reached, unless the duration says "_D": earned on 25 January
// with "1M", the instant is the start of 26 February.
absl::Time ExpireTime(const ExpiryRule& rule, absl::Time from, const absl::TimeZone& zone);

// The first instant of `day`, which is later than 00:00 where the clocks skip midnight.
absl::Time StartOfDay(absl::CivilDay day, const absl::TimeZone& zone);

// The local day of `instant`.
absl::CivilDay DayOf(absl::Time instant, const absl::TimeZone& zone);

// `months` after `day`, clipped to the month's last day.
absl::CivilDay AddMonths(absl::CivilDay day, int64_t months);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_POINTS_TIME_H_
