#include "libs/filter/decimal.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace clm::filter {
namespace {

constexpr int64_t kBillion = 1'000'000'000;

// Moves the leading digits of `text` into `value`; their count.
int TakeDigits(absl::string_view& text, absl::int128& value) {
  int count = 0;
  for (; !text.empty() && absl::ascii_isdigit(text[0]); text.remove_prefix(1)) {
    if (++count > Decimal::kIntegerDigits) return count;
    value = value * 10 + (text[0] - '0');
  }
  return count;
}

}  // namespace

Decimal Decimal::FromMinorUnits(int64_t minor_units, int scale) {
  Decimal result(minor_units);
  for (int i = 0; i < scale; ++i) result.billionths_ /= 10;
  return result;
}

std::optional<Decimal> Decimal::Parse(absl::string_view text) {
  const bool minus = !text.empty() && text[0] == '-';
  if (minus) text.remove_prefix(1);
  absl::int128 value = 0;
  const int integer_digits = TakeDigits(text, value);
  if (integer_digits < 1 || integer_digits > kIntegerDigits) return std::nullopt;
  value *= kBillion;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    absl::int128 fraction = 0;
    const int fraction_digits = TakeDigits(text, fraction);
    if (fraction_digits < 1 || fraction_digits > kFractionDigits) return std::nullopt;
    for (int i = fraction_digits; i < kFractionDigits; ++i) fraction *= 10;
    value += fraction;
  }
  if (!text.empty()) return std::nullopt;
  Decimal result;
  result.billionths_ = minus ? -value : value;
  return result;
}

std::string Decimal::ToString() const {
  const bool minus = billionths_ < 0;
  const absl::int128 magnitude = minus ? -billionths_ : billionths_;
  std::string text = absl::StrCat(minus ? "-" : "", static_cast<uint64_t>(magnitude / kBillion));
  uint32_t fraction = static_cast<uint32_t>(magnitude % kBillion);
  if (fraction == 0) return text;
  text += '.';
  for (uint32_t unit = kBillion / 10; fraction > 0; unit /= 10) {
    text += static_cast<char>('0' + fraction / unit);
    fraction %= unit;
  }
  return text;
}

std::optional<int64_t> Decimal::ToInt64() const {
  if (billionths_ % kBillion != 0) return std::nullopt;
  const absl::int128 whole = billionths_ / kBillion;
  if (whole < std::numeric_limits<int64_t>::min() || whole > std::numeric_limits<int64_t>::max()) {
    return std::nullopt;
  }
  return static_cast<int64_t>(whole);
}

}  // namespace clm::filter
