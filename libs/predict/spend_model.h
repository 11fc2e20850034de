// What a purchase of a customer is worth: the Gamma-Gamma model of Fader and Hardie, The
// Gamma-Gamma Model of Monetary Value (2013). A customer's purchases scatter around a mean of
// one's own, and the means over the customers, so that few purchases say little: the expected
// spend is drawn from the customer's own mean towards everybody's.
//
// It takes for granted that spend and frequency do not go together; SpendFit tells the correlation.
// Amounts are in minor units, as doubles: they are expectations and enter no ledger. Immutable,
// pure, safe to use from any thread.
#ifndef CLM_LIBS_PREDICT_SPEND_MODEL_H_
#define CLM_LIBS_PREDICT_SPEND_MODEL_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "libs/predict/history.h"
#include "libs/predict/maximize.h"

namespace clm::predict {

// The repeat purchases of `weight` customers.
struct Spend {
  int64_t frequency = 0;  // At least 1.
  double mean = 0;        // Of these; positive.
  double weight = 1;
};

class SpendModel {
 public:
  // p, q, v; v is an amount.
  using Parameters = std::array<double, 3>;

  // INVALID_ARGUMENT naming "parameters.p" and the like unless each is positive and at most 1e12.
  static absl::StatusOr<SpendModel> Make(const Parameters& parameters);

  const Parameters& parameters() const { return parameters_; }

  // Of a purchase of somebody of whom nothing is known: v p / (q - 1). FAILED_PRECONDITION, reason
  // SPEND_MEAN_INFINITE, when q is 1 or less: such a population has no mean.
  absl::StatusOr<double> ExpectedSpend() const;
  // Of a purchase of somebody with `frequency` repeat purchases of this mean; without one, as above
  // (`mean` says nothing then). INVALID_ARGUMENT naming "frequency" or "mean".
  absl::StatusOr<double> ExpectedSpend(int64_t frequency, double mean) const;
  // INVALID_ARGUMENT as for a sample.
  absl::StatusOr<double> LogLikelihood(absl::Span<const Spend> sample) const;

 private:
  explicit SpendModel(const Parameters& parameters) : parameters_(parameters) {}

  Parameters parameters_;
};

struct SpendFit {
  SpendModel model;
  FitReport report;
  // Pearson's, of frequency and mean spend; 0 when either is the same for all. Far from 0, the
  // model's predictions are biased.
  double correlation = 0;
};

// By maximum likelihood. INVALID_ARGUMENT naming "sample[i].frequency", "sample[i].mean" and the
// like; otherwise as Maximize.
absl::StatusOr<SpendFit> FitSpendModel(absl::Span<const Spend> sample,
                                       const FitOptions& options = {});

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_SPEND_MODEL_H_
