// Exact decimal numbers with nine fractional digits: what a filter compares where binary floating
// point would lie. The range is that of PostgreSQL's numeric(28,9).
#ifndef CLM_LIBS_FILTER_DECIMAL_H_
#define CLM_LIBS_FILTER_DECIMAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/numeric/int128.h"
#include "absl/strings/string_view.h"

namespace clm::filter {

// A value type; comparisons are exact.
class Decimal {
 public:
  static constexpr int kFractionDigits = 9;
  static constexpr int kIntegerDigits = 19;

  Decimal() = default;
  explicit Decimal(int64_t value) : billionths_(absl::int128(value) * 1'000'000'000) {}

  // `minor_units` / 10^`scale`, as money is kept; 0 <= scale <= 9.
  static Decimal FromMinorUnits(int64_t minor_units, int scale);

  // "-12.50": an optional minus, 1 to 19 digits, and after a point 1 to 9 digits. nullopt for
  // everything else, exponents too.
  static std::optional<Decimal> Parse(absl::string_view text);

  // The shortest text that Parse reads back: "12.5", "-3", "0".
  std::string ToString() const;

  // The value as an integer; nullopt when it has a fraction or does not fit.
  std::optional<int64_t> ToInt64() const;

  friend bool operator==(const Decimal& a, const Decimal& b) {
    return a.billionths_ == b.billionths_;
  }
  friend bool operator<(const Decimal& a, const Decimal& b) {
    return a.billionths_ < b.billionths_;
  }

 private:
  absl::int128 billionths_ = 0;
};

}  // namespace clm::filter

#endif  // CLM_LIBS_FILTER_DECIMAL_H_
