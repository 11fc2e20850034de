// How long customers with a contract stay: the shifted-beta-geometric model of Fader and Hardie,
// How to Project Customer Retention, Journal of Interactive Marketing 21(1), 2007. At each renewal
// a customer leaves with a probability of one's own, beta distributed (alpha, beta) over the
// customers; so those who are still there are ever more of the loyal ones, and the retention rate
// rises with tenure although nobody changes.
//
// Time is counted in renewals, so it has no unit here. Immutable, pure, safe from any thread.
#ifndef CLM_LIBS_PREDICT_CONTRACT_MODEL_H_
#define CLM_LIBS_PREDICT_CONTRACT_MODEL_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "libs/predict/maximize.h"

namespace clm::predict {

class ContractModel {
 public:
  // INVALID_ARGUMENT naming "parameters.alpha" or "parameters.beta" unless from 1e-6 to 1e6.
  static absl::StatusOr<ContractModel> Make(double alpha, double beta);

  double alpha() const { return alpha_; }
  double beta() const { return beta_; }

  // The share that is still there after `renewals`: B(alpha, beta+t) / B(alpha, beta).
  // INVALID_ARGUMENT naming "renewals" unless from 0 to 1000000000; so below.
  absl::StatusOr<double> Survival(int64_t renewals) const;
  // Of those who were there before it, the share that stays at renewal number `renewal`, from 1:
  // (beta+t-1) / (alpha+beta+t-1).
  absl::StatusOr<double> RetentionRate(int64_t renewal) const;
  // S(0), ..., S(renewals), of 100000 at most; r(1), ..., r(renewals).
  absl::StatusOr<std::vector<double>> SurvivalCurve(int64_t renewals) const;
  absl::StatusOr<std::vector<double>> RetentionCurve(int64_t renewals) const;

 private:
  ContractModel(double alpha, double beta) : alpha_(alpha), beta_(beta) {}

  double alpha_, beta_;
};

struct ContractFit {
  ContractModel model;
  FitReport report;
};

// From the customers of one cohort who were there at its start, after one renewal, after two, ....
// INVALID_ARGUMENT naming "survivors[i]" when they grow or are none at the start, or when fewer
// than two renewals are told; otherwise as Maximize.
absl::StatusOr<ContractFit> FitContractModel(absl::Span<const double> survivors,
                                             const FitOptions& options = {});

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_CONTRACT_MODEL_H_
