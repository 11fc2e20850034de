#include "services/feedback/scores.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"

namespace clm::feedback {
namespace {

constexpr double kZ = 1.96;

// The mean of a whole number per answer, `per_answer(i)` for the bar i.
template <class PerAnswer>
std::optional<Score> MeanScore(const Histogram& histogram, PerAnswer per_answer) {
  int64_t n = 0, sum = 0, squares = 0;
  for (int i = 0; i < kMostValues; ++i) {
    const int64_t count = histogram.values[static_cast<size_t>(i)];
    if (count == 0) continue;
    const int64_t each = per_answer(i);
    n += count;
    sum += count * each;
    squares += count * each * each;
  }
  if (n == 0) return std::nullopt;
  // n^2 times the variance is a whole number, so nothing cancels.
  const absl::int128 spread =
      absl::int128(n) * absl::int128(squares) - absl::int128(sum) * absl::int128(sum);
  const double count = static_cast<double>(n);
  return Score{.score = {sum, n},
               .n = n,
               .half_width = kZ * std::sqrt(static_cast<double>(spread) / count) / count};
}

int64_t RoundedQuotient(absl::int128 numerator, absl::int128 denominator) {
  const bool negative = numerator < 0;
  if (negative) numerator = -numerator;
  const absl::int128 rounded = (2 * numerator + denominator) / (2 * denominator);
  return static_cast<int64_t>(negative ? -rounded : rounded);
}

std::string Tenths(int64_t tenths) {
  return absl::StrCat(tenths < 0 ? "-" : "", std::abs(tenths) / 10, ".", std::abs(tenths) % 10);
}

}  // namespace

int64_t Histogram::answered() const {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

Histogram& Histogram::operator+=(const Histogram& other) {
  dismissed += other.dismissed;
  skipped += other.skipped;
  for (size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
  return *this;
}

int64_t RoundHalfAway(const Fraction& fraction) {
  return RoundedQuotient(fraction.numerator, fraction.denominator);
}

std::string OneDecimal(const Fraction& fraction) {
  return Tenths(RoundedQuotient(absl::int128(fraction.numerator) * 10, fraction.denominator));
}

Nps NpsOf(const Histogram& histogram) {
  Nps nps{.dismissed = histogram.dismissed, .skipped = histogram.skipped};
  int64_t sum = 0;
  for (int value = 0; value < kMostValues; ++value) {
    const int64_t count = histogram.values[static_cast<size_t>(value)];
    (value >= 9 ? nps.promoters : value >= 7 ? nps.passives : nps.detractors) += count;
    sum += count * value;
  }
  nps.score = MeanScore(histogram, [](int value) {
    return value >= 9 ? 100 : value >= 7 ? 0 : -100;
  });
  if (nps.score) nps.mean = Fraction{sum, nps.score->n};
  return nps;
}

Csat CsatOf(const Histogram& histogram, int min, int satisfied_from) {
  Csat csat{.dismissed = histogram.dismissed, .skipped = histogram.skipped};
  for (int i = 0; i < kMostValues; ++i) {
    (min + i >= satisfied_from ? csat.satisfied : csat.others) +=
        histogram.values[static_cast<size_t>(i)];
  }
  csat.score = MeanScore(histogram, [&](int i) { return min + i >= satisfied_from ? 100 : 0; });
  return csat;
}

Ces CesOf(const Histogram& histogram, int min, int max) {
  Ces ces{.dismissed = histogram.dismissed, .skipped = histogram.skipped};
  // Twice the distance from the middle: 4 on 1-7, nothing between two values on an even scale.
  const auto side = [&](int i) { return 2 * (min + i) - (min + max); };
  for (int i = 0; i < kMostValues; ++i) {
    (side(i) > 0   ? ces.low_effort
     : side(i) < 0 ? ces.high_effort
                   : ces.neutral) += histogram.values[static_cast<size_t>(i)];
  }
  ces.mean = MeanScore(histogram, [&](int i) { return min + i; });
  ces.share = MeanScore(histogram, [&](int i) { return side(i) > 0 ? 100 : 0; });
  return ces;
}

std::optional<Fraction> RqiOf(absl::Span<const RqiItem> items) {
  int answered = 0;
  int64_t weights = 0;
  int64_t ranges = 1;
  for (const RqiItem& item : items) {
    if (!item.value) continue;
    ++answered;
    weights += item.weight;
    ranges = std::lcm(ranges, int64_t{item.max} - item.min);
  }
  if (answered < 2) return std::nullopt;
  Fraction index{0, weights * ranges};
  for (const RqiItem& item : items) {
    if (!item.value) continue;
    index.numerator +=
        int64_t{100} * item.weight * (*item.value - item.min) * (ranges / (item.max - item.min));
  }
  return index;
}

Rqi CompanyRqi(absl::Span<const Fraction> customers) {
  Rqi rqi;
  if (customers.empty()) return rqi;
  std::map<int64_t, absl::int128> sums, squares;
  for (const Fraction& one : customers) {
    sums[one.denominator] += one.numerator;
    squares[one.denominator] += absl::int128(one.numerator) * one.numerator;
  }
  rqi.customers = static_cast<int64_t>(customers.size());
  const double n = static_cast<double>(rqi.customers);
  double mean_of_squares = 0;
  for (const auto& [denominator, sum] : sums) {
    rqi.mean += static_cast<double>(sum) / static_cast<double>(denominator) / n;
  }
  for (const auto& [denominator, sum] : squares) {
    const double d = static_cast<double>(denominator);
    mean_of_squares += static_cast<double>(sum) / d / d / n;
  }
  rqi.half_width = kZ * std::sqrt(std::max(0.0, mean_of_squares - rqi.mean * rqi.mean) / n);
  // One denominator is the rule, and then exact.
  rqi.shown = sums.size() == 1
                  ? Tenths(RoundedQuotient(sums.begin()->second * 10,
                                           absl::int128(sums.begin()->first) * rqi.customers))
                  : Tenths(std::llround(rqi.mean * 10));
  return rqi;
}

}  // namespace clm::feedback
