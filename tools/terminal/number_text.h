// Numbers, money and spans of time as a person reads them. Thread-safe: functions without state.
#ifndef CLM_TOOLS_TERMINAL_NUMBER_TEXT_H_
#define CLM_TOOLS_TERMINAL_NUMBER_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm::terminal {

// "1,234,567".
std::string CountText(int64_t n);

// With `digits` after the point and separators: "1,234.57". "-" for what is not a finite number.
std::string NumberText(double x, int digits = 2);

// A share as per cent, with `digits` after the point: 0.1234 is "12.3%". "-" when not finite.
std::string PercentText(double share, int digits = 1);

// Digits of a currency's minor unit after ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD; 2 when
// unknown.
int MinorDigits(absl::string_view currency);

// Exact: 123450 minor units are "1,234.50 EUR", "123,450 JPY".
std::string MoneyText(int64_t minor, absl::string_view currency);
// The same without separators and currency, for programs: "1234.50".
std::string MoneyDecimal(int64_t minor, absl::string_view currency);

// Two units at most, rounded: "380 us", "12.4 ms", "3.2 s", "2 min 5 s", "3 h 20 min", "2 d 4 h",
// "34 d"; nothing at all is "0 s".
// "-" when infinite; a leading minus when negative.
std::string DurationText(absl::Duration d);

// Powers of 1024: "512 B", "39.1 MB".
std::string BytesText(int64_t bytes);

// To the minute in UTC, "2026-11-21 08:30". "-" when infinite.
std::string TimeText(absl::Time time);

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_NUMBER_TEXT_H_
