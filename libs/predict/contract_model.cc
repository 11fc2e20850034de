#include "libs/predict/contract_model.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::predict {
namespace {

constexpr int64_t kMostRenewals = 1'000'000'000;
constexpr int64_t kMostCurve = 100'000;

absl::Status CheckRenewals(absl::string_view field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return error::InvalidField(field, absl::StrCat("must be from ", least, " to ", most));
}

// Equations 5 to 7: those lost at renewal t with ln P(t), those left over with ln S(last), where
// P(t) = alpha/(alpha+beta+t-1) S(t-1) and S(t) = r(t) S(t-1). The gradient is by the logarithms.
double LogLikelihoodOf(double alpha, double beta, absl::Span<const double> survivors,
                       std::vector<double>* gradient) {
  double log_survival = 0, by_alpha = 0, by_beta = 0;  // Of S(t-1), and its derivatives.
  double total = 0, total_alpha = 0, total_beta = 0;
  for (size_t t = 1; t < survivors.size(); ++t) {
    const double stays = beta + static_cast<double>(t) - 1;
    const double all = alpha + stays;
    const double lost = survivors[t - 1] - survivors[t];
    total += lost * (log_survival + std::log(alpha / all));
    total_alpha += lost * (by_alpha + 1 / alpha - 1 / all);
    total_beta += lost * (by_beta - 1 / all);
    log_survival += std::log(stays / all);
    by_alpha -= 1 / all;
    by_beta += 1 / stays - 1 / all;
  }
  total += survivors.back() * log_survival;
  if (gradient != nullptr) {
    *gradient = {(total_alpha + survivors.back() * by_alpha) * alpha,
                 (total_beta + survivors.back() * by_beta) * beta};
  }
  return total;
}

}  // namespace

absl::StatusOr<ContractModel> ContractModel::Make(double alpha, double beta) {
  error::FieldErrors errors;
  if (!(alpha >= 1e-6 && alpha <= 1e6)) errors.Add("parameters.alpha", "must be from 1e-6 to 1e6");
  if (!(beta >= 1e-6 && beta <= 1e6)) errors.Add("parameters.beta", "must be from 1e-6 to 1e6");
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return ContractModel(alpha, beta);
}

absl::StatusOr<double> ContractModel::Survival(int64_t renewals) const {
  CLM_RETURN_IF_ERROR(CheckRenewals("renewals", renewals, 0, kMostRenewals));
  const auto t = static_cast<double>(renewals);
  // B(alpha, beta+t)/B(alpha, beta), a product of rates while it is short.
  if (renewals <= 1000) {
    double survival = 1;
    for (double k = 0; k < t; ++k) survival *= (beta_ + k) / (alpha_ + beta_ + k);
    return survival;
  }
  const double log = std::lgamma(beta_ + t) - std::lgamma(beta_) + std::lgamma(alpha_ + beta_) -
                     std::lgamma(alpha_ + beta_ + t);
  return std::exp(std::min(log, 0.0));
}

absl::StatusOr<double> ContractModel::RetentionRate(int64_t renewal) const {
  CLM_RETURN_IF_ERROR(CheckRenewals("renewals", renewal, 1, kMostRenewals));
  const double stays = beta_ + static_cast<double>(renewal) - 1;
  return stays / (alpha_ + stays);
}

absl::StatusOr<std::vector<double>> ContractModel::SurvivalCurve(int64_t renewals) const {
  CLM_RETURN_IF_ERROR(CheckRenewals("renewals", renewals, 0, kMostCurve));
  std::vector<double> curve = {1};
  for (double t = 0; t < static_cast<double>(renewals); ++t) {
    curve.push_back(curve.back() * (beta_ + t) / (alpha_ + beta_ + t));
  }
  return curve;
}

absl::StatusOr<std::vector<double>> ContractModel::RetentionCurve(int64_t renewals) const {
  CLM_RETURN_IF_ERROR(CheckRenewals("renewals", renewals, 0, kMostCurve));
  std::vector<double> curve;
  for (double t = 0; t < static_cast<double>(renewals); ++t) {
    curve.push_back((beta_ + t) / (alpha_ + beta_ + t));
  }
  return curve;
}

absl::StatusOr<ContractFit> FitContractModel(absl::Span<const double> survivors,
                                             const FitOptions& options) {
  error::FieldErrors errors;
  if (survivors.size() < 3 || survivors.size() > kMostCurve) {
    errors.Add("survivors", "must tell the start and 2 to 100000 renewals");
  }
  for (size_t i = 0; i < survivors.size() && !errors.Full(); ++i) {
    const std::string path = absl::StrCat("survivors[", i, "]");
    if (!(survivors[i] >= 0 && survivors[i] <= 1e12)) {
      errors.Add(path, "must be from 0 to 1e12");
    } else if (i == 0 && survivors[0] == 0) {
      errors.Add(path, "must not be 0");
    } else if (i > 0 && survivors[i] > survivors[i - 1]) {
      errors.Add(path, "must not be more than before");
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  LikelihoodProblem problem;
  problem.names = {"alpha", "beta"};
  problem.weight = survivors[0];
  problem.starts = {{0, 0}, {-1, 0.5}, {1.5, 3}};
  problem.lower = {-10, -10};
  problem.upper = {10, 10};
  problem.log_likelihood = [&](const std::vector<double>& logs, std::vector<double>* gradient) {
    return LogLikelihoodOf(std::exp(logs[0]), std::exp(logs[1]), survivors, gradient);
  };
  CLM_ASSIGN_OR_RETURN(FitReport report, Maximize(problem, options));
  CLM_ASSIGN_OR_RETURN(ContractModel model,
                       ContractModel::Make(report.parameters[0], report.parameters[1]));
  return ContractFit{std::move(model), std::move(report)};
}

}  // namespace clm::predict
