#include "libs/predict/rfm.h"

#include <algorithm>

namespace clm::predict {

int QuintileOf(int64_t worse, int64_t customers) {
  if (customers <= 0) return 1;
  return static_cast<int>(1 + std::min<int64_t>(4, 5 * worse / customers));
}

std::vector<RfmScores> ScoreRfm(absl::Span<const RfmValues> customers) {
  std::vector<RfmScores> scores(customers.size());
  const auto n = static_cast<int64_t>(customers.size());
  // `value`: the larger, the better.
  const auto score = [&](auto value, int RfmScores::*member) {
    std::vector<int64_t> sorted;
    for (const RfmValues& each : customers) sorted.push_back(value(each));
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < customers.size(); ++i) {
      const auto first = std::lower_bound(sorted.begin(), sorted.end(), value(customers[i]));
      scores[i].*member = QuintileOf(first - sorted.begin(), n);
    }
  };
  score([](const RfmValues& v) { return -v.days_since_last; }, &RfmScores::recency);
  score([](const RfmValues& v) { return v.purchases; }, &RfmScores::frequency);
  score([](const RfmValues& v) { return v.spend_minor; }, &RfmScores::monetary);
  return scores;
}

}  // namespace clm::predict
