// Time as the models of this library take it: a count that knows its unit. There is no way from a
// number to a span, or back, that does not name the unit, and no sum of two spans; so weeks are
// never taken for days.
//
// Pure values, safe to use from any thread.
#ifndef CLM_LIBS_PREDICT_TIME_SPAN_H_
#define CLM_LIBS_PREDICT_TIME_SPAN_H_

#include "absl/strings/string_view.h"

namespace clm::predict {

// A year is 365 days and a month its twelfth part, 30.4167 days or 4.3452 weeks. (The lifetimes
// library rounds a month to 4.345 weeks; whoever compares with it says TimeSpan::Weeks(4.345).)
enum class TimeUnit { kDay, kWeek, kMonth, kYear };

double DaysOf(TimeUnit unit);
// "day", "week", "month", "year".
const char* TimeUnitName(TimeUnit unit);
// False when there is no such unit.
bool ParseTimeUnit(absl::string_view name, TimeUnit* unit);

class TimeSpan {
 public:
  static constexpr TimeSpan Of(double count, TimeUnit unit) { return {count, unit}; }
  static constexpr TimeSpan Days(double count) { return {count, TimeUnit::kDay}; }
  static constexpr TimeSpan Weeks(double count) { return {count, TimeUnit::kWeek}; }
  static constexpr TimeSpan Months(double count) { return {count, TimeUnit::kMonth}; }
  static constexpr TimeSpan Years(double count) { return {count, TimeUnit::kYear}; }
  constexpr TimeSpan() = default;  // No time at all.

  // The count as it was given when `unit` is its own unit; converted otherwise.
  double In(TimeUnit unit) const {
    return unit == unit_ ? count_ : count_ * DaysOf(unit_) / DaysOf(unit);
  }
  TimeUnit unit() const { return unit_; }
  // `factor` times as long, in the same unit.
  TimeSpan Times(double factor) const { return {count_ * factor, unit_}; }

 private:
  constexpr TimeSpan(double count, TimeUnit unit) : count_(count), unit_(unit) {}

  double count_ = 0;
  TimeUnit unit_ = TimeUnit::kDay;
};

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_TIME_SPAN_H_
