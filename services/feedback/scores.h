// Scores of answers on a scale, each by one pure function that every surface of the suite calls.
//
// What is counted is a histogram: how often each value of the scale was answered. A score is the
// mean of a whole number per answer, so it is an exact fraction; it is rounded for show only. The
// interval is the normal approximation, 95 %: half a width of 1.96 x sqrt(variance / n), with the
// variance of the per-answer numbers over n (for NPS, in hundredths: p + d - (p - d)^2). Who did
// not answer is never in the denominator, and where nobody answered there is no score.
//
// Sources: NPS, promoters 9-10, passives 7-8, detractors 0-6, 100 x (P - D) / n. CSAT, the share of
// answers from `satisfied_from` on. CES, on seven points 1-3 high effort, 4 neutral, 5-7 low: mean
// and share of low effort; other scales in the same proportion around their middle. Relationship
// quality index, version 1: items on satisfaction, trust and commitment, each rescaled to 0-100 by
// (x - min) / (max - min) x 100, weighted mean, missing items re-weighted, undefined below two
// items; of a company the mean over customers.
//
// Stateless, thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_SCORES_H_
#define CLM_SERVICES_FEEDBACK_SCORES_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace clm::feedback {

// Scales have at most so many values: 0 to 10.
inline constexpr int kMostValues = 11;

// What became of one question, in answers that were given (values, skipped) and in invitations that
// were dismissed.
struct Histogram {
  int64_t dismissed = 0;
  int64_t skipped = 0;  // Asked, and left unanswered in an answer that was given.
  std::array<int64_t, kMostValues> values{};  // By value - min.

  int64_t answered() const;
  Histogram& operator+=(const Histogram& other);
  friend bool operator==(const Histogram&, const Histogram&) = default;
};

// An exact fraction; the denominator is positive. Not reduced.
struct Fraction {
  int64_t numerator = 0;
  int64_t denominator = 1;
  double value() const { return static_cast<double>(numerator) / static_cast<double>(denominator); }
  friend bool operator==(const Fraction&, const Fraction&) = default;
};

// Rounded half away from zero: 9.5 and -9.5 become 10 and -10.
int64_t RoundHalfAway(const Fraction& fraction);
// One decimal, half away from zero: "9.5", "-45.5", "0.0".
std::string OneDecimal(const Fraction& fraction);

struct Score {
  Fraction score;
  int64_t n = 0;          // Who answered.
  double half_width = 0;  // Of the 95 % interval, in the score's unit.
  friend bool operator==(const Score&, const Score&) = default;
};

struct Nps {
  int64_t promoters = 0, passives = 0, detractors = 0;
  int64_t dismissed = 0, skipped = 0;
  std::optional<Score> score;    // -100 to 100.
  std::optional<Fraction> mean;  // Of the raw values, 0 to 10.
};
// Of a histogram of 0 to 10.
Nps NpsOf(const Histogram& histogram);

struct Csat {
  int64_t satisfied = 0, others = 0;
  int64_t dismissed = 0, skipped = 0;
  std::optional<Score> score;  // Per cent.
};
// `min` is the value of the first bar.
Csat CsatOf(const Histogram& histogram, int min, int satisfied_from);

struct Ces {
  int64_t high_effort = 0, neutral = 0, low_effort = 0;
  int64_t dismissed = 0, skipped = 0;
  std::optional<Score> mean;   // In points of the scale; higher is easier.
  std::optional<Score> share;  // Per cent of low effort.
};
Ces CesOf(const Histogram& histogram, int min, int max);

// One item of a relationship quality index; no value: not answered.
struct RqiItem {
  int min = 1, max = 7;
  int weight = 1;
  std::optional<int> value;
};
// Of one customer, 0 to 100; nothing below two answered items.
std::optional<Fraction> RqiOf(absl::Span<const RqiItem> items);

struct Rqi {
  int64_t customers = 0;
  // Not an exact fraction: the weights of customers who left out items differ.
  double mean = 0;
  std::string shown;  // One decimal, half away from zero; empty without customers.
  double half_width = 0;
};
// Of customers' own indices, for each denominator exact.
Rqi CompanyRqi(absl::Span<const Fraction> customers);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SCORES_H_
