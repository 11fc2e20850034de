#include "libs/predict/maximize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

// 100 waiting times of 40 in sum, exponential: the rate is 2.5, its standard error 2.5 / 10.
LikelihoodProblem Exponential() {
  LikelihoodProblem problem;
  problem.names = {"rate"};
  problem.weight = 100;
  problem.starts = {{3}, {-3}};
  problem.lower = {-10};
  problem.upper = {10};
  problem.log_likelihood = [](const std::vector<double>& logs, std::vector<double>* gradient) {
    const double rate = std::exp(logs[0]);
    if (gradient != nullptr) *gradient = {100 - 40 * rate};
    return 100 * logs[0] - 40 * rate;
  };
  return problem;
}

TEST(MaximizeTest, AKnownMaximumAndItsStandardError) {
  const auto report = Maximize(Exponential(), {});
  CLM_ASSERT_OK(report);
  EXPECT_NEAR(report->parameters[0], 2.5, 1e-10);
  EXPECT_NEAR(report->standard_errors[0], 0.25, 1e-6);
  EXPECT_NEAR(report->log_likelihood, 100 * std::log(2.5) - 100, 1e-9);
  EXPECT_LT(report->gradient_norm, 1e-10);
  EXPECT_EQ(report->starts, 2);
  EXPECT_GT(report->iterations, 4);
}

TEST(MaximizeTest, AParameterAtItsBoundIsNamed) {
  LikelihoodProblem problem = Exponential();
  problem.upper = {0.5};
  problem.starts = {{0}};
  const auto report = Maximize(problem, {});
  EXPECT_THAT(report, clm::testing::ReasonIs("PREDICTION_NOT_CONVERGED"));
  EXPECT_THAT(std::string(report.status().message()), ::testing::HasSubstr("rate"));
}

TEST(MaximizeTest, ARidgeIsNoMaximum) {
  LikelihoodProblem problem;
  problem.names = {"a", "b"};
  problem.starts = {{0.5, 0.2}};
  problem.lower = {-10, -10};
  problem.upper = {10, 10};
  problem.log_likelihood = [](const std::vector<double>& logs, std::vector<double>* gradient) {
    const double product = logs[0] + logs[1] - 1;
    if (gradient != nullptr) *gradient = {-2 * product, -2 * product};
    return -product * product;
  };
  const auto report = Maximize(problem, {});
  EXPECT_THAT(report, clm::testing::ReasonIs("PREDICTION_NOT_CONVERGED"));
  EXPECT_THAT(std::string(report.status().message()), ::testing::HasSubstr("ridge"));
}

TEST(MaximizeTest, TooFewEvaluationsAreToldFromAMaximum) {
  // A valley bent like a banana needs more steps than it gets, and Newton's do not bridge the rest.
  LikelihoodProblem problem;
  problem.names = {"a", "b"};
  problem.starts = {{-3, 9}};
  problem.lower = {-30, -30};
  problem.upper = {30, 30};
  problem.log_likelihood = [](const std::vector<double>& x, std::vector<double>* gradient) {
    const double valley = x[1] - std::sin(3 * x[0]), slope = x[0] - 4;
    if (gradient != nullptr) {
      *gradient = {6000 * valley * std::cos(3 * x[0]) - 2 * slope, -2000 * valley};
    }
    return -1000 * valley * valley - slope * slope;
  };
  FitOptions options;
  options.max_evaluations = 2;
  const auto report = Maximize(problem, options);
  EXPECT_THAT(report, clm::testing::ReasonIs("PREDICTION_NOT_CONVERGED"));
}

TEST(MaximizeTest, APenaltyThatIsNoneIsRefused) {
  FitOptions options;
  options.l2_penalty = -1;
  EXPECT_EQ(error::FieldViolations(Maximize(Exponential(), options).status())[0].first,
            "l2_penalty");
  options.l2_penalty = NAN;
  EXPECT_EQ(error::FieldViolations(Maximize(Exponential(), options).status())[0].first,
            "l2_penalty");
}

TEST(NumericGradientTest, IsAsGoodAsTheFormula) {
  const auto gradient = NumericGradient(
      [](const std::vector<double>& x) { return std::exp(x[0]) * std::sin(x[1]); }, {0.3, 1.1});
  EXPECT_NEAR(gradient[0], std::exp(0.3) * std::sin(1.1), 1e-10);
  EXPECT_NEAR(gradient[1], std::exp(0.3) * std::cos(1.1), 1e-10);
}

}  // namespace
}  // namespace clm::predict
