#include "libs/predict/spend_model.h"

#include <algorithm>
#include <boost/math/special_functions/digamma.hpp>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::predict {
namespace {

using boost::math::digamma;

constexpr double kMostParameter = 1e12;
constexpr double kMostAmount = 1e15;
constexpr const char* kNames[] = {"p", "q", "v"};

bool IsAmount(double value) { return value > 0 && value <= kMostAmount; }

absl::Status CheckSpends(absl::Span<const Spend> sample) {
  error::FieldErrors errors;
  if (sample.empty()) errors.Add("sample", "must not be empty");
  for (size_t i = 0; i < sample.size() && !errors.Full(); ++i) {
    const std::string path = absl::StrCat("sample[", i, "].");
    const Spend& each = sample[i];
    if (each.frequency < 1 || each.frequency > kMostPurchases) {
      errors.Add(absl::StrCat(path, "frequency"),
                 "must be at least 1: who never came back says nothing about repeat purchases");
    }
    if (!IsAmount(each.mean)) {
      errors.Add(absl::StrCat(path, "mean"),
                 "must be positive and at most 1e15: leave out who spent nothing");
    }
    if (!(each.weight > 0 && each.weight <= 1e12)) {
      errors.Add(absl::StrCat(path, "weight"), "must be positive and at most 1e12");
    }
  }
  return errors.ToStatus();
}

// Fader and Hardie 2013, equation 1a, for m the mean of x purchases:
//   lnG(px+q) - lnG(px) - lnG(q) + q ln v + (px-1) ln m + px ln x - (px+q) ln(xm+v).
// The gradient is by ln p, ln q, ln v.
double LogLikelihoodOf(const SpendModel::Parameters& parameters, absl::Span<const Spend> sample,
                       std::vector<double>* gradient) {
  const auto [p, q, v] = parameters;
  const double log_v = std::log(v), lgamma_q = std::lgamma(q);
  const double digamma_q = gradient == nullptr ? 0 : digamma(q);
  double total = 0, by_p = 0, by_q = 0, by_v = 0;
  double x = 0, of_x = 0, of_px = 0, digamma_both = 0, digamma_px = 0;
  for (const Spend& each : sample) {
    if (static_cast<double>(each.frequency) != x) {
      x = static_cast<double>(each.frequency);
      const double px = p * x;
      // Beside a large px the log-gammas cancel, as in LogRising.
      of_x = (px > 1e6 ? q * std::log(px) : std::lgamma(px + q) - std::lgamma(px)) - lgamma_q +
             q * log_v + px * std::log(x);
      of_px = px;
      if (gradient != nullptr) {
        digamma_both = digamma(px + q);
        digamma_px = digamma(px);
      }
    }
    const double log_m = std::log(each.mean);
    const double sum = x * each.mean + v;
    const double log_sum = std::log(sum);
    total += each.weight * (of_x + (of_px - 1) * log_m - (of_px + q) * log_sum);
    if (gradient == nullptr) continue;
    by_p += each.weight * x * (digamma_both - digamma_px + log_m + std::log(x) - log_sum);
    by_q += each.weight * (digamma_both - digamma_q + log_v - log_sum);
    by_v += each.weight * (q / v - (of_px + q) / sum);
  }
  if (gradient != nullptr) *gradient = {by_p * p, by_q * q, by_v * v};
  return total;
}

double Correlation(absl::Span<const Spend> sample) {
  double weight = 0, x = 0, m = 0;
  for (const Spend& each : sample) {
    weight += each.weight;
    x += each.weight * static_cast<double>(each.frequency);
    m += each.weight * each.mean;
  }
  x /= weight;
  m /= weight;
  double xx = 0, xm = 0, mm = 0;
  for (const Spend& each : sample) {
    const double dx = static_cast<double>(each.frequency) - x, dm = each.mean - m;
    xx += each.weight * dx * dx;
    xm += each.weight * dx * dm;
    mm += each.weight * dm * dm;
  }
  return xx > 0 && mm > 0 ? xm / std::sqrt(xx * mm) : 0;
}

}  // namespace

absl::StatusOr<SpendModel> SpendModel::Make(const Parameters& parameters) {
  error::FieldErrors errors;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!(parameters[i] > 0 && parameters[i] <= kMostParameter)) {
      errors.Add(absl::StrCat("parameters.", kNames[i]), "must be positive and at most 1e12");
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return SpendModel(parameters);
}

absl::StatusOr<double> SpendModel::ExpectedSpend() const {
  const auto [p, q, v] = parameters_;
  if (q <= 1) {
    return error::Precondition("SPEND_MEAN_INFINITE",
                               "the spend of this population has no mean (q is 1 or less); look "
                               "for outliers among the amounts");
  }
  return v * p / (q - 1);
}

// Equation 5: ((q-1)/(px+q-1)) (v p/(q-1)) + (px/(px+q-1)) m.
absl::StatusOr<double> SpendModel::ExpectedSpend(int64_t frequency, double mean) const {
  error::FieldErrors errors;
  if (frequency < 0 || frequency > kMostPurchases) {
    errors.Add("frequency", "must be from 0 to 1000000000");
  }
  if (frequency > 0 && !IsAmount(mean)) errors.Add("mean", "must be positive and at most 1e15");
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (frequency == 0) return ExpectedSpend();
  const auto [p, q, v] = parameters_;
  const double px = p * static_cast<double>(frequency);
  if (px + q <= 1) return ExpectedSpend();
  return p * (v + static_cast<double>(frequency) * mean) / (px + q - 1);
}

absl::StatusOr<double> SpendModel::LogLikelihood(absl::Span<const Spend> sample) const {
  CLM_RETURN_IF_ERROR(CheckSpends(sample));
  return LogLikelihoodOf(parameters_, sample, nullptr);
}

absl::StatusOr<SpendFit> FitSpendModel(absl::Span<const Spend> sample, const FitOptions& options) {
  CLM_RETURN_IF_ERROR(CheckSpends(sample));
  std::vector<Spend> rows(sample.begin(), sample.end());
  std::sort(rows.begin(), rows.end(), [](const Spend& a, const Spend& b) {
    return std::make_pair(a.frequency, a.mean) < std::make_pair(b.frequency, b.mean);
  });
  LikelihoodProblem problem;
  problem.weight = 0;
  double mean = 0;
  for (const Spend& each : rows) {
    problem.weight += each.weight;
    mean += each.weight * each.mean;
  }
  // The scale of amounts is the sample's own, so that the currency changes nothing but v.
  const double scale = std::log(mean / problem.weight);
  problem.names.assign(std::begin(kNames), std::end(kNames));
  problem.lower = {-10, -10, scale - 12};
  problem.upper = {10, 10, scale + 12};
  for (const SpendModel::Parameters& start :
       {SpendModel::Parameters{5, 4, 0.5}, SpendModel::Parameters{1, 2, 1},
        SpendModel::Parameters{20, 10, 1}}) {
    problem.starts.push_back({std::log(start[0]), std::log(start[1]), std::log(start[2]) + scale});
  }
  const auto at = [](const std::vector<double>& logs) {
    return SpendModel::Parameters{std::exp(logs[0]), std::exp(logs[1]), std::exp(logs[2])};
  };
  problem.log_likelihood = [&](const std::vector<double>& logs, std::vector<double>* gradient) {
    return LogLikelihoodOf(at(logs), rows, gradient);
  };
  CLM_ASSIGN_OR_RETURN(FitReport report, Maximize(problem, options));
  CLM_ASSIGN_OR_RETURN(
      SpendModel model,
      SpendModel::Make({report.parameters[0], report.parameters[1], report.parameters[2]}));
  return SpendFit{std::move(model), std::move(report), Correlation(rows)};
}

}  // namespace clm::predict
