#include "tools/terminal/number_text.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace clm::terminal {
namespace {

// Digits in groups of three.
std::string Grouped(absl::string_view digits) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

// Without a sign, exact for every value, also the least.
std::string Magnitude(int64_t n) {
  const uint64_t magnitude = n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n);
  return absl::StrCat(magnitude);
}

struct MinorParts {
  std::string whole, fraction;
};

MinorParts Split(int64_t minor, absl::string_view currency) {
  const auto digits = static_cast<size_t>(MinorDigits(currency));
  std::string all = Magnitude(minor);
  if (all.size() <= digits) all.insert(0, digits + 1 - all.size(), '0');
  return {all.substr(0, all.size() - digits), all.substr(all.size() - digits)};
}

}  // namespace

std::string CountText(int64_t n) { return absl::StrCat(n < 0 ? "-" : "", Grouped(Magnitude(n))); }

std::string NumberText(double x, int digits) {
  if (!std::isfinite(x)) return "-";
  const std::string text = absl::StrFormat("%.*f", digits, std::abs(x));
  const size_t point = std::min(text.find('.'), text.size());
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return absl::StrCat(x < 0 && !zero ? "-" : "", Grouped(text.substr(0, point)),
                      text.substr(point));
}

std::string PercentText(double share, int digits) {
  if (!std::isfinite(share)) return "-";
  return absl::StrCat(NumberText(share * 100, digits), "%");
}

int MinorDigits(absl::string_view currency) {
  constexpr std::array kNone = {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW",
                                "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"};
  constexpr std::array kThree = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"};
  if (std::find(kNone.begin(), kNone.end(), currency) != kNone.end()) return 0;
  return std::find(kThree.begin(), kThree.end(), currency) != kThree.end() ? 3 : 2;
}

std::string MoneyText(int64_t minor, absl::string_view currency) {
  const MinorParts parts = Split(minor, currency);
  return absl::StrCat(minor < 0 ? "-" : "", Grouped(parts.whole), parts.fraction.empty() ? "" : ".",
                      parts.fraction, currency.empty() ? "" : " ", currency);
}

std::string MoneyDecimal(int64_t minor, absl::string_view currency) {
  const MinorParts parts = Split(minor, currency);
  return absl::StrCat(minor < 0 ? "-" : "", parts.whole, parts.fraction.empty() ? "" : ".",
                      parts.fraction);
}

std::string DurationText(absl::Duration d) {
  if (d == absl::InfiniteDuration() || d == -absl::InfiniteDuration()) return "-";
  if (d < absl::ZeroDuration()) return absl::StrCat("-", DurationText(-d));
  if (d == absl::ZeroDuration()) return "0 s";
  // Each step rounds first, so that 59.96 s is "1 min 0 s" and not "60.0 s".
  if (d < absl::Nanoseconds(999'500)) {
    return absl::StrFormat("%d us", std::llround(absl::ToDoubleMicroseconds(d)));
  }
  if (d < absl::Microseconds(999'950))
    return absl::StrFormat("%.1f ms", absl::ToDoubleMilliseconds(d));
  if (d < absl::Milliseconds(59'950)) return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(d));
  const auto seconds = int64_t{std::llround(absl::ToDoubleSeconds(d))};
  if (seconds < 3'600) return absl::StrFormat("%d min %d s", seconds / 60, seconds % 60);
  const int64_t minutes = (seconds + 30) / 60;
  if (minutes < 1'440) return absl::StrFormat("%d h %d min", minutes / 60, minutes % 60);
  const int64_t hours = (minutes + 30) / 60;
  if (hours < 240) return absl::StrFormat("%d d %d h", hours / 24, hours % 24);
  return absl::StrFormat("%s d", CountText((hours + 12) / 24));
}

std::string BytesText(int64_t bytes) {
  if (bytes < 1024) return absl::StrFormat("%d B", bytes);
  auto size = static_cast<double>(bytes);
  for (const char* unit : {"kB", "MB", "GB", "TB"}) {
    size /= 1024;
    if (size < 1023.95) return absl::StrFormat("%.1f %s", size, unit);
  }
  return absl::StrFormat("%.1f PB", size / 1024);
}

std::string TimeText(absl::Time time) {
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M", time, absl::UTCTimeZone());
}

}  // namespace clm::terminal
