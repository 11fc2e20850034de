// RFM: recency, frequency and monetary value, each in fifths of the customers.
//
// The tie rule: a customer's score is 1 + floor(5 w / n), where w of the n customers are strictly
// worse. So equal customers have equal scores, whatever their order; the best of a value that many
// share is not above it; and where everybody is equal, everybody has 1. In SQL, w is rank() - 1.
// Worse means: bought longer ago, less often, for less.
//
// Pure.
#ifndef CLM_LIBS_PREDICT_RFM_H_
#define CLM_LIBS_PREDICT_RFM_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace clm::predict {

struct RfmValues {
  int64_t days_since_last = 0;
  int64_t purchases = 0;
  int64_t spend_minor = 0;
  bool operator==(const RfmValues&) const = default;
};

struct RfmScores {
  int recency = 1;
  int frequency = 1;
  int monetary = 1;
  bool operator==(const RfmScores&) const = default;
};

// 1 (worst) to 5, from how many of `customers` are strictly worse.
int QuintileOf(int64_t worse, int64_t customers);

// In the order of the customers.
std::vector<RfmScores> ScoreRfm(absl::Span<const RfmValues> customers);

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_RFM_H_
