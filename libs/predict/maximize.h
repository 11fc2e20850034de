// Maximum likelihood for models whose parameters are positive: the search runs on the parameters'
// logarithms, from several starts, by L-BFGS (NLopt), and ends with Newton's method, so that the
// gradient left over is as small as the arithmetic allows. Standard errors come from the
// curvature at the maximum, by the delta method from logarithms to parameters.
//
// Pure: the same problem gives the same fit. Safe to use from any thread.
#ifndef CLM_LIBS_PREDICT_MAXIMIZE_H_
#define CLM_LIBS_PREDICT_MAXIMIZE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace clm::predict {

struct FitOptions {
  // What is maximised is the log-likelihood per customer less this times the sum of the squared
  // parameters, as in the lifetimes library. 0: plain maximum likelihood.
  double l2_penalty = 0;
  // Of evaluations of the likelihood from one start.
  int max_evaluations = 2000;
  // Asked at every evaluation; true breaks the fit off with CANCELLED. May be null.
  std::function<bool()> cancelled;
};

// What is to be maximised.
struct LikelihoodProblem {
  std::vector<std::string> names;  // Of the parameters.
  double weight = 1;               // Customers.
  // Logarithms of the parameters: where to start, and between which bounds to stay.
  std::vector<std::vector<double>> starts;
  std::vector<double> lower;
  std::vector<double> upper;
  // The log-likelihood of the sample at parameters with these logarithms; finite within the bounds.
  // Writes the gradient by the logarithms unless it is null.
  std::function<double(const std::vector<double>& logs, std::vector<double>* gradient)>
      log_likelihood;
};

struct FitReport {
  std::vector<std::string> names;
  std::vector<double> parameters;
  std::vector<double> standard_errors;
  double log_likelihood = 0;  // Of the sample, without the penalty.
  // Euclidean, of what is maximised (a customer's share) by the parameters' logarithms.
  double gradient_norm = 0;
  int iterations = 0;  // Evaluations of the likelihood, from all starts.
  int starts = 0;
  double customers = 0;  // Weight of the sample.
  double l2_penalty = 0;
};

// FAILED_PRECONDITION, reason PREDICTION_NOT_CONVERGED, says why there is no maximum worth
// reporting: a gradient that stays, a parameter at its bound, or a ridge, on which the data do not
// tell the parameters apart. INVALID_ARGUMENT when the penalty is not a number from 0 to 1e6.
absl::StatusOr<FitReport> Maximize(const LikelihoodProblem& problem, const FitOptions& options);

// The gradient by central differences, for a likelihood without a formula for it.
std::vector<double> NumericGradient(
    const std::function<double(const std::vector<double>&)>& function,
    const std::vector<double>& at);

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_MAXIMIZE_H_
