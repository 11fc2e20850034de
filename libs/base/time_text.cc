#include "libs/base/time_text.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"

namespace clm {
namespace {

// Takes exactly `digits` decimal digits from the front of `text`.
bool TakeNumber(absl::string_view& text, int digits, int& value) {
  if (text.size() < static_cast<size_t>(digits)) return false;
  value = 0;
  for (int i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

bool TakeChar(absl::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

bool TakeDay(absl::string_view& text, absl::CivilDay& day) {
  int y, m, d;
  if (!TakeNumber(text, 4, y) || !TakeChar(text, '-') || !TakeNumber(text, 2, m) ||
      !TakeChar(text, '-') || !TakeNumber(text, 2, d)) {
    return false;
  }
  day = absl::CivilDay(y, m, d);
  return y >= 1 && day.year() == y && day.month() == m && day.day() == d;
}

}  // namespace

std::string FormatTime(absl::Time time) {
  const auto ci = absl::UTCTimeZone().At(time);
  const int micros = static_cast<int>(absl::ToInt64Microseconds(ci.subsecond));
  return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", ci.cs.year(), ci.cs.month(),
                         ci.cs.day(), ci.cs.hour(), ci.cs.minute(), ci.cs.second(), micros);
}

std::optional<absl::Time> ParseTime(absl::string_view text) {
  absl::CivilDay day;
  int hour, minute, second;
  if (!TakeDay(text, day)) return std::nullopt;
  if (!TakeChar(text, 'T') && !TakeChar(text, 't') && !TakeChar(text, ' ')) return std::nullopt;
  if (!TakeNumber(text, 2, hour) || !TakeChar(text, ':') || !TakeNumber(text, 2, minute) ||
      !TakeChar(text, ':') || !TakeNumber(text, 2, second)) {
    return std::nullopt;
  }
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  int64_t micros = 0;
  if (TakeChar(text, '.')) {
    int64_t unit = 100'000;
    bool any = false;
    for (int digit; TakeNumber(text, 1, digit); any = true) {
      micros += digit * unit;
      unit /= 10;
    }
    if (!any) return std::nullopt;
  }
  absl::Duration offset = absl::ZeroDuration();
  if (!TakeChar(text, 'Z') && !TakeChar(text, 'z')) {
    const bool minus = TakeChar(text, '-');
    if (!minus && !TakeChar(text, '+')) return std::nullopt;
    int oh, om = 0, os = 0;
    if (!TakeNumber(text, 2, oh)) return std::nullopt;
    if (TakeChar(text, ':') && !TakeNumber(text, 2, om)) return std::nullopt;
    if (TakeChar(text, ':') && !TakeNumber(text, 2, os)) return std::nullopt;
    if (oh > 15 || om > 59 || os > 59) return std::nullopt;
    offset = absl::Hours(oh) + absl::Minutes(om) + absl::Seconds(os);
    if (minus) offset = -offset;
  }
  if (!text.empty()) return std::nullopt;
  const absl::CivilSecond civil(day.year(), day.month(), day.day(), hour, minute, second);
  return absl::FromCivil(civil, absl::UTCTimeZone()) + absl::Microseconds(micros) - offset;
}

std::string FormatDay(absl::CivilDay day) {
  return absl::StrFormat("%04d-%02d-%02d", day.year(), day.month(), day.day());
}

std::optional<absl::CivilDay> ParseDay(absl::string_view text) {
  absl::CivilDay day;
  if (!TakeDay(text, day) || !text.empty()) return std::nullopt;
  return day;
}

}  // namespace clm
