#include "libs/predict/maximize.h"

#include <nlopt.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"

namespace clm::predict {
namespace {

constexpr char kNotConverged[] = "PREDICTION_NOT_CONVERGED";
// Of the gradient per customer. Newton's steps end far below it.
constexpr double kGradientTolerance = 1e-6;
constexpr double kBoundTolerance = 1e-6;
// Ratio of the flattest to the steepest direction, below which the flattest is a ridge.
constexpr double kRidge = 1e-11;
constexpr int kNewtonSteps = 30;

// The cost that is minimised: minus the log-likelihood per customer, plus the penalty.
class Cost {
 public:
  Cost(const LikelihoodProblem& problem, const FitOptions& options)
      : problem_(problem), options_(options) {}

  double operator()(const std::vector<double>& logs, std::vector<double>* gradient) {
    ++evaluations_;
    if (options_.cancelled && options_.cancelled()) cancelled_ = true;
    double cost = -problem_.log_likelihood(logs, gradient) / problem_.weight;
    if (gradient != nullptr) {
      for (double& g : *gradient) g = -g / problem_.weight;
    }
    if (options_.l2_penalty == 0) return cost;
    for (size_t i = 0; i < logs.size(); ++i) {
      const double square = std::exp(2 * logs[i]);
      cost += options_.l2_penalty * square;
      if (gradient != nullptr) (*gradient)[i] += 2 * options_.l2_penalty * square;
    }
    return cost;
  }
  bool cancelled() const { return cancelled_; }
  int evaluations() const { return evaluations_; }

 private:
  const LikelihoodProblem& problem_;
  const FitOptions& options_;
  int evaluations_ = 0;
  bool cancelled_ = false;
};

struct Search {
  Cost* cost = nullptr;
  nlopt_opt opt = nullptr;
};

double CostForNlopt(unsigned n, const double* x, double* gradient, void* data) {
  auto* const search = static_cast<Search*>(data);
  const std::vector<double> logs(x, x + n);
  std::vector<double> slope(n);
  const double cost = (*search->cost)(logs, gradient == nullptr ? nullptr : &slope);
  if (search->cost->cancelled()) nlopt_force_stop(search->opt);
  if (gradient != nullptr) std::copy(slope.begin(), slope.end(), gradient);
  return cost;
}

struct Point {
  std::vector<double> logs;
  double cost = std::numeric_limits<double>::infinity();
};

Point MinimizeFrom(const LikelihoodProblem& problem, const FitOptions& options, Cost& cost,
                   std::vector<double> logs) {
  const std::unique_ptr<nlopt_opt_s, decltype(&nlopt_destroy)> opt(
      nlopt_create(NLOPT_LD_LBFGS, static_cast<unsigned>(logs.size())), nlopt_destroy);
  Search search{&cost, opt.get()};
  nlopt_set_min_objective(opt.get(), CostForNlopt, &search);
  nlopt_set_lower_bounds(opt.get(), problem.lower.data());
  nlopt_set_upper_bounds(opt.get(), problem.upper.data());
  nlopt_set_maxeval(opt.get(), options.max_evaluations);
  nlopt_set_ftol_rel(opt.get(), 1e-11);
  nlopt_set_xtol_rel(opt.get(), 1e-9);
  // Its codes tell how it ended. What counts is where: the checks at the end judge that.
  Point point;
  (void)nlopt_optimize(opt.get(), logs.data(), &point.cost);
  for (size_t i = 0; i < logs.size(); ++i) {
    logs[i] = std::clamp(logs[i], problem.lower[i], problem.upper[i]);
  }
  point.logs = std::move(logs);
  return point;
}

double Norm(const std::vector<double>& vector) {
  return Eigen::Map<const Eigen::VectorXd>(vector.data(), static_cast<int>(vector.size())).norm();
}

// Second derivatives of the cost, from differences of its gradient.
Eigen::MatrixXd Curvature(Cost& cost, const std::vector<double>& at) {
  constexpr double kStep = 1e-4;
  const int n = static_cast<int>(at.size());
  Eigen::MatrixXd curvature(n, n);
  std::vector<double> logs = at, above(at.size()), below(at.size());
  for (int i = 0; i < n; ++i) {
    logs[i] = at[i] + kStep;
    cost(logs, &above);
    logs[i] = at[i] - kStep;
    cost(logs, &below);
    logs[i] = at[i];
    for (int j = 0; j < n; ++j) curvature(i, j) = (above[j] - below[j]) / (2 * kStep);
  }
  return (curvature + curvature.transpose()) / 2;
}

bool Inside(const LikelihoodProblem& problem, const std::vector<double>& logs) {
  for (size_t i = 0; i < logs.size(); ++i) {
    if (logs[i] < problem.lower[i] || logs[i] > problem.upper[i]) return false;
  }
  return true;
}

// Newton's steps as long as they make the gradient smaller. L-BFGS stops where the cost does not
// change in its last digits; there the gradient, which is computed as a sum of its own, still does.
void Polish(const LikelihoodProblem& problem, Cost& cost, Point& point) {
  std::vector<double> gradient(point.logs.size());
  cost(point.logs, &gradient);
  for (int step = 0; step < kNewtonSteps && Norm(gradient) > 1e-12 && !cost.cancelled(); ++step) {
    const Eigen::MatrixXd curvature = Curvature(cost, point.logs);
    const Eigen::LLT<Eigen::MatrixXd> factors(curvature);
    if (factors.info() != Eigen::Success) return;
    const Eigen::VectorXd move = factors.solve(
        Eigen::Map<const Eigen::VectorXd>(gradient.data(), static_cast<int>(gradient.size())));
    // A whole step where the cost is a parabola; parts of it where it is not yet.
    bool moved = false;
    for (double part = 1; part > 1e-3 && !moved; part /= 2) {
      std::vector<double> next = point.logs, slope(gradient.size());
      for (size_t i = 0; i < next.size(); ++i) next[i] -= part * move[static_cast<int>(i)];
      if (!Inside(problem, next)) continue;
      const double there = cost(next, &slope);
      if (!(there <= point.cost + 1e-9 * std::abs(point.cost)) || Norm(slope) >= Norm(gradient)) {
        continue;
      }
      point = {std::move(next), there};
      gradient = std::move(slope);
      moved = true;
    }
    if (!moved) return;
  }
}

absl::Status NotConverged(const std::string& why) {
  return error::Precondition(kNotConverged, absl::StrCat("the fit did not converge: ", why));
}

}  // namespace

absl::StatusOr<FitReport> Maximize(const LikelihoodProblem& problem, const FitOptions& options) {
  if (!(options.l2_penalty >= 0 && options.l2_penalty <= 1e6)) {
    return error::InvalidField("l2_penalty", "must be from 0 to 1e6");
  }
  Cost cost(problem, options);
  Point best;
  for (const std::vector<double>& start : problem.starts) {
    Point point = MinimizeFrom(problem, options, cost, start);
    if (cost.cancelled()) break;
    if (point.cost < best.cost) best = std::move(point);
  }
  if (!cost.cancelled() && !best.logs.empty()) Polish(problem, cost, best);
  if (cost.cancelled()) {
    return error::Make(absl::StatusCode::kCancelled, "CANCELLED", "the fit was cancelled");
  }
  if (best.logs.empty()) return NotConverged("the likelihood is not a number at any start");

  std::vector<std::string> at_bound;
  for (size_t i = 0; i < best.logs.size(); ++i) {
    if (best.logs[i] - problem.lower[i] < kBoundTolerance ||
        problem.upper[i] - best.logs[i] < kBoundTolerance) {
      at_bound.push_back(problem.names[i]);
    }
  }
  if (!at_bound.empty()) {
    return NotConverged(absl::StrCat("the likelihood still grows where ",
                                     absl::StrJoin(at_bound, ", "),
                                     " ends its range; the data do not suffice for this model"));
  }
  std::vector<double> gradient(best.logs.size());
  cost(best.logs, &gradient);
  const double norm = Norm(gradient);
  if (!(norm <= kGradientTolerance)) {
    return NotConverged(absl::StrCat("a gradient of ", norm, " per customer is left after ",
                                     cost.evaluations(), " evaluations"));
  }
  const Eigen::MatrixXd curvature = Curvature(cost, best.logs);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> axes(curvature);
  const double flattest = axes.eigenvalues().minCoeff();
  if (axes.info() != Eigen::Success || !(flattest > kRidge * axes.eigenvalues().maxCoeff())) {
    return NotConverged(
        "the likelihood has a ridge; the data do not tell the parameters of this model apart");
  }

  FitReport report;
  report.names = problem.names;
  report.log_likelihood = problem.log_likelihood(best.logs, nullptr);
  report.gradient_norm = norm;
  report.iterations = cost.evaluations();
  report.starts = static_cast<int>(problem.starts.size());
  report.customers = problem.weight;
  report.l2_penalty = options.l2_penalty;
  const Eigen::MatrixXd covariance = (curvature * problem.weight).inverse();
  for (size_t i = 0; i < best.logs.size(); ++i) {
    const double parameter = std::exp(best.logs[i]);
    const auto row = static_cast<Eigen::Index>(i);
    report.parameters.push_back(parameter);
    report.standard_errors.push_back(parameter * std::sqrt(covariance(row, row)));
  }
  return report;
}

std::vector<double> NumericGradient(
    const std::function<double(const std::vector<double>&)>& function,
    const std::vector<double>& at) {
  // Differences of fourth order: the error of the formula and that of the arithmetic are then both
  // some 1e-12 of the function.
  constexpr double kStep = 2e-3;
  std::vector<double> gradient(at.size()), x = at;
  for (size_t i = 0; i < at.size(); ++i) {
    const auto value = [&](double steps) {
      x[i] = at[i] + steps * kStep;
      return function(x);
    };
    const double near = value(1) - value(-1);
    const double far = value(2) - value(-2);
    gradient[i] = (8 * near - far) / (12 * kStep);
    x[i] = at[i];
  }
  return gradient;
}

}  // namespace clm::predict
