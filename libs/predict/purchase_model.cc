#include "libs/predict/purchase_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/predict/beta_geometric.h"
#include "libs/predict/pareto_nbd.h"

namespace clm::predict {
namespace {

constexpr double kLeast = 1e-6;
constexpr double kMost = 1e6;

beta_geometric::Parameters BetaGeometric(PurchaseModelKind kind,
                                         const PurchaseModel::Parameters& p) {
  return {p[0], p[1], p[2], p[3], kind == PurchaseModelKind::kMbgNbd ? 1 : 0};
}
pareto_nbd::Parameters ParetoNbd(const PurchaseModel::Parameters& p) {
  return {p[0], p[1], p[2], p[3]};
}

// The recency never beyond the age, which two units may bring about by a rounding.
beta_geometric::Row RowOf(const History& history, TimeUnit unit, double weight) {
  const double age = history.age.In(unit);
  return {static_cast<double>(history.frequency), std::min(history.recency.In(unit), age), age,
          weight};
}

std::vector<beta_geometric::Row> RowsOf(absl::Span<const Observation> sample, TimeUnit unit) {
  std::vector<beta_geometric::Row> rows;
  rows.reserve(sample.size());
  for (const Observation& each : Grouped(sample)) {
    rows.push_back(RowOf(each.history, unit, each.weight));
  }
  return rows;
}

bool IsTime(PurchaseModelKind kind, size_t i) {
  return i == 1 || (kind == PurchaseModelKind::kParetoNbd && i == 3);
}

}  // namespace

const char* PurchaseModelKindName(PurchaseModelKind kind) {
  switch (kind) {
    case PurchaseModelKind::kMbgNbd:
      return "mbg_nbd";
    case PurchaseModelKind::kParetoNbd:
      return "pareto_nbd";
    case PurchaseModelKind::kBgNbd:
      break;
  }
  return "bg_nbd";
}

std::vector<std::string> PurchaseModel::ParameterNames(PurchaseModelKind kind) {
  if (kind == PurchaseModelKind::kParetoNbd) return {"r", "alpha", "s", "beta"};
  return {"r", "alpha", "a", "b"};
}

absl::StatusOr<PurchaseModel> PurchaseModel::Make(PurchaseModelKind kind, TimeUnit unit,
                                                  const Parameters& parameters) {
  error::FieldErrors errors;
  const std::vector<std::string> names = ParameterNames(kind);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double value = parameters[i] * (IsTime(kind, i) ? DaysOf(unit) : 1);
    if (!(value >= kLeast && value <= kMost)) {
      errors.Add(absl::StrCat("parameters.", names[i]),
                 IsTime(kind, i) ? "must be from 1e-6 to 1e6 days" : "must be from 1e-6 to 1e6");
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return PurchaseModel(kind, unit, parameters);
}

absl::StatusOr<double> PurchaseModel::PAlive(const History& history) const {
  CLM_RETURN_IF_ERROR(CheckHistory(history));
  const beta_geometric::Row row = RowOf(history, unit_, 1);
  if (kind_ == PurchaseModelKind::kParetoNbd) {
    return pareto_nbd::PAlive(ParetoNbd(parameters_), row.x, row.recency, row.age);
  }
  return beta_geometric::PAlive(BetaGeometric(kind_, parameters_), row.x, row.recency, row.age);
}

absl::StatusOr<double> PurchaseModel::ExpectedPurchases(TimeSpan horizon) const {
  CLM_RETURN_IF_ERROR(CheckSpan("horizon", horizon));
  const double t = horizon.In(unit_);
  if (kind_ == PurchaseModelKind::kParetoNbd) {
    return pareto_nbd::Expected(ParetoNbd(parameters_), t);
  }
  return beta_geometric::Expected(BetaGeometric(kind_, parameters_), t);
}

absl::StatusOr<double> PurchaseModel::ExpectedPurchases(const History& history,
                                                        TimeSpan horizon) const {
  CLM_ASSIGN_OR_RETURN(const double alive, PAlive(history));
  CLM_ASSIGN_OR_RETURN(const double expected,
                       ExpectedPurchasesIfAlive(history.frequency, history.age, horizon));
  return alive * expected;
}

absl::StatusOr<double> PurchaseModel::ExpectedPurchasesIfAlive(int64_t frequency, TimeSpan age,
                                                               TimeSpan horizon) const {
  CLM_RETURN_IF_ERROR(CheckHistory({frequency, TimeSpan(), age}));
  CLM_RETURN_IF_ERROR(CheckSpan("horizon", horizon));
  const auto x = static_cast<double>(frequency);
  const double t = horizon.In(unit_);
  if (kind_ == PurchaseModelKind::kParetoNbd) {
    return pareto_nbd::ExpectedIfAlive(ParetoNbd(parameters_), x, age.In(unit_), t);
  }
  return beta_geometric::ExpectedIfAlive(BetaGeometric(kind_, parameters_), x, age.In(unit_), t);
}

absl::StatusOr<double> PurchaseModel::ProbabilityOf(int64_t count, TimeSpan horizon) const {
  error::FieldErrors errors;
  if (count < 0 || count > kMostPurchases) errors.Add("count", "must be from 0 to 1000000000");
  errors.AddStatus("", CheckSpan("horizon", horizon));
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  const double t = horizon.In(unit_);
  if (kind_ == PurchaseModelKind::kParetoNbd) {
    return pareto_nbd::ProbabilityOf(ParetoNbd(parameters_), count, t);
  }
  return beta_geometric::ProbabilityOf(BetaGeometric(kind_, parameters_), count, t);
}

absl::StatusOr<double> PurchaseModel::LogLikelihood(const History& history) const {
  CLM_RETURN_IF_ERROR(CheckHistory(history));
  const beta_geometric::Row row = RowOf(history, unit_, 1);
  if (kind_ == PurchaseModelKind::kParetoNbd) {
    return pareto_nbd::LogLikelihood(ParetoNbd(parameters_), row);
  }
  return beta_geometric::LogLikelihood(BetaGeometric(kind_, parameters_), row);
}

absl::StatusOr<double> PurchaseModel::LogLikelihood(absl::Span<const Observation> sample) const {
  CLM_RETURN_IF_ERROR(CheckSample(sample));
  const std::vector<beta_geometric::Row> rows = RowsOf(sample, unit_);
  if (kind_ == PurchaseModelKind::kParetoNbd) {
    return pareto_nbd::LogLikelihood(ParetoNbd(parameters_), rows);
  }
  return beta_geometric::LogLikelihood(BetaGeometric(kind_, parameters_), rows, nullptr);
}

absl::StatusOr<PurchaseFit> FitPurchaseModel(PurchaseModelKind kind, TimeUnit unit,
                                             absl::Span<const Observation> sample,
                                             const FitOptions& options) {
  CLM_RETURN_IF_ERROR(CheckSample(sample));
  const std::vector<beta_geometric::Row> rows = RowsOf(sample, unit);
  LikelihoodProblem problem;
  problem.names = PurchaseModel::ParameterNames(kind);
  problem.weight = 0;
  double age = 0;
  for (const beta_geometric::Row& row : rows) {
    problem.weight += row.weight;
    age += row.weight * row.age;
  }
  age /= problem.weight;
  if (age <= 0) {
    return error::InvalidField("sample",
                               "nobody was observed for any time after the first purchase");
  }
  // The scale of time is the sample's own, so that the unit changes nothing but alpha and beta.
  const double scale = std::log(age);
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const double shift = IsTime(kind, i) ? scale : 0;
    // Within what Make takes, whatever the unit.
    const double day = IsTime(kind, i) ? std::log(DaysOf(unit)) : 0;
    problem.lower.push_back(std::max(shift - 10, std::log(kLeast) - day));
    problem.upper.push_back(std::min(shift + 10, std::log(kMost) - day));
  }
  // Few and many purchases per customer, early and late leaving.
  for (const PurchaseModel::Parameters& start : {PurchaseModel::Parameters{0.5, 0.2, 0.7, 2.0},
                                                 PurchaseModel::Parameters{1.0, 1.0, 1.0, 1.0},
                                                 PurchaseModel::Parameters{2.0, 0.3, 0.3, 3.0}}) {
    std::vector<double> logs;
    for (size_t i = 0; i < start.size(); ++i) {
      logs.push_back(std::clamp(std::log(start[i]) + (IsTime(kind, i) ? scale : 0),
                                problem.lower[i], problem.upper[i]));
    }
    problem.starts.push_back(std::move(logs));
  }
  const auto at = [](const std::vector<double>& logs) {
    return PurchaseModel::Parameters{std::exp(logs[0]), std::exp(logs[1]), std::exp(logs[2]),
                                     std::exp(logs[3])};
  };
  if (kind == PurchaseModelKind::kParetoNbd) {
    problem.log_likelihood = [&](const std::vector<double>& logs, std::vector<double>* gradient) {
      const auto value = [&](const std::vector<double>& x) {
        return pareto_nbd::LogLikelihood(ParetoNbd(at(x)), rows);
      };
      if (gradient != nullptr) *gradient = NumericGradient(value, logs);
      return value(logs);
    };
  } else {
    problem.log_likelihood = [&](const std::vector<double>& logs, std::vector<double>* gradient) {
      return beta_geometric::LogLikelihood(BetaGeometric(kind, at(logs)), rows, gradient);
    };
  }
  CLM_ASSIGN_OR_RETURN(FitReport report, Maximize(problem, options));
  PurchaseModel::Parameters parameters{};
  std::copy(report.parameters.begin(), report.parameters.end(), parameters.begin());
  CLM_ASSIGN_OR_RETURN(PurchaseModel model, PurchaseModel::Make(kind, unit, parameters));
  return PurchaseFit{model, std::move(report)};
}

}  // namespace clm::predict
