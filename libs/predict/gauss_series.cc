#include "libs/predict/gauss_series.h"

#include <algorithm>
#include <boost/math/quadrature/gauss_kronrod.hpp>
#include <cmath>
#include <limits>
#include <vector>

namespace clm::predict {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// The series needs some 36 / -ln(z) terms.
constexpr double kSeriesLimit = 0.99;
// For a large a, the terms grow before they fall.
constexpr double kMostShape = 12;
// Below it the terms change signs often enough to lose more than three digits.
constexpr double kMostNegative = -8;

double LogBeta(double a, double b) { return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b); }

// E = rho * integral over s in [0, tau] of
// E[(1 + p s)^-(rho+1)], where the mean over p is 2F1(rho+1, a; a+b; -s), by Pfaff
// (1-w)^a 2F1(a, a+b-rho-1; a+b; w) with w = s/(1+s). So
//   E = rho * sum over k of (a)_k (d)_k / ((a+b)_k k!) J_k,  d = a+b-rho-1,
//   J_k = integral of w^k (1-w)^(a-2) over [0, z],  z = tau/(1+tau),
// with k J_{k-1} = (a-1+k) J_k + z^k (1-z)^(a-1) by parts: stable downwards, all terms positive.
double BySeries(double rho, double a, double b, double tau) {
  const double z = tau / (1 + tau);
  const double c = a + b;
  const double d = c - rho - 1;
  // Beyond `terms`, what is left out is below the last digit of the sum.
  const int terms =
      8 + static_cast<int>(
              std::ceil((std::log(kEpsilon) - std::log1p(tau) * std::max(1.0, a)) / std::log(z)));
  thread_local std::vector<double> integrals;
  integrals.assign(static_cast<size_t>(terms) + 1, 0.0);
  const double edge = std::exp(-(a - 1) * std::log1p(tau));  // (1-z)^(a-1)
  double power = std::pow(z, terms + 1) * edge;
  double integral = power / (terms + 1);
  for (int k = terms; k >= 0; --k) {
    integrals[static_cast<size_t>(k)] = integral;
    power = k == terms ? std::pow(z, k) * edge : power / z;
    if (k > 0) integral = ((a - 1 + k) * integral + power) / k;
  }
  double coefficient = 1;
  double sum = 0;
  for (int k = 0; k <= terms; ++k) {
    sum += coefficient * integrals[static_cast<size_t>(k)];
    coefficient *= (a + k) * (d + k) / ((c + k) * (k + 1));
    if (coefficient == 0) break;
  }
  return rho * sum;
}

}  // namespace

double GaussFraction(double a, double c, double z) {
  // 1/(1 - k1 z/(1 - k2 z/(1 - ...))), k_{2n+1} = (a+n)(c-1+n) / ((c-1+2n)(c+2n)),
  // k_{2n} = n (c-1-a+n) / ((c-2+2n)(c-1+2n)); modified Lentz.
  constexpr double kTiny = 1e-300;
  constexpr int kMostSteps = 1'000'000;
  double f = kTiny, cc = kTiny, dd = 0;
  double numerator = 1;
  for (int step = 0; step < kMostSteps; ++step) {
    dd = 1 + numerator * dd;
    if (dd == 0) dd = kTiny;
    dd = 1 / dd;
    cc = 1 + numerator / cc;
    if (cc == 0) cc = kTiny;
    const double factor = cc * dd;
    f *= factor;
    if (step > 0 && std::abs(factor - 1) < kEpsilon) break;
    const double n = step / 2;  // NOLINT(bugprone-integer-division): the fraction's own index.
    if (step % 2 == 0) {
      // k1 for n = 0: a (c-1) / ((c-1) c) = a/c.
      numerator =
          n == 0 ? -a / c * z : -(a + n) * (c - 1 + n) / ((c - 1 + 2 * n) * (c + 2 * n)) * z;
    } else {
      const double m = n + 1;
      numerator = -m * (c - 1 - a + m) / ((c - 2 + 2 * m) * (c - 1 + 2 * m)) * z;
    }
  }
  return f;
}

double LogRising(double a, double n) {
  if (n == 0) return 0;
  // Small n beside a large a: the difference of two log-gammas would cancel.
  if (n <= 32 && n == std::floor(n)) {
    double sum = 0;
    for (double k = 0; k < n; ++k) sum += std::log(a + k);
    return sum;
  }
  if (a > 1e4) {
    // The difference of two Stirling series, of which the first terms are cancelled by hand.
    return n * std::log(a) + (a + n - 0.5) * std::log1p(n / a) - n + (1 / (a + n) - 1 / a) / 12;
  }
  return std::lgamma(a + n) - std::lgamma(a);
}

double ExpectedBeforeLeaving(double rho, double a, double b, double tau) {
  if (tau == 0) return 0;
  if (tau < 1e-14) return rho * tau;
  if (tau / (1 + tau) <= kSeriesLimit && a + b - rho - 1 >= kMostNegative && a <= kMostShape) {
    return BySeries(rho, a, b, tau);
  }
  return ExpectedBeforeLeavingByQuadrature(rho, a, b, tau);
}

double ExpectedBeforeLeavingByQuadrature(double rho, double a, double b, double tau) {
  if (tau == 0) return 0;
  // Over y = ln(p/(1-p)), where the density of p is smooth whatever a and b are.
  const double log_beta = LogBeta(a, b);
  const auto value = [&](double log_p) {
    // (1 - (1 + p tau)^-rho) / p.
    const double p = std::exp(log_p);
    const double grown = -std::expm1(-rho * std::log1p(p * tau));
    return p < 1e-280 ? rho * tau : grown / p;
  };
  const auto integrand = [&](double y) {
    const double log_p = y < 0 ? y - std::log1p(std::exp(y)) : -std::log1p(std::exp(-y));
    const double log_q = y < 0 ? -std::log1p(std::exp(y)) : -y - std::log1p(std::exp(-y));
    return std::exp(a * log_p + b * log_q - log_beta) * value(log_p);
  };
  // Beyond these ends the integrand is a power of p, or of 1-p, times a constant.
  const double low = -40 - std::log1p(b) - std::log1p(tau) - std::log1p(rho);
  const double high = 40 + std::log1p(a) + std::log1p(tau) + std::log1p(rho);
  double sum = std::exp(a * low - log_beta - std::log(a)) * rho * tau +
               std::exp(-b * high - log_beta - std::log(b)) * value(0);
  // In pieces around the peak of the density, which may be very narrow.
  const double peak = std::clamp(std::log(a / b), low, high);
  const double width = std::sqrt(1 / a + 1 / b);
  std::vector<double> ends = {low, high};
  for (const double widths : {0.0, 1.5, 4.0, 9.0, 30.0, 200.0}) {
    for (const double end : {peak - widths * width, peak + widths * width}) {
      if (end > low && end < high) ends.push_back(end);
    }
  }
  std::sort(ends.begin(), ends.end());
  // No better than the logarithms of the density are: asking for more would never end.
  const double tolerance = 1e-10 + 1e-15 * (a + b + std::abs(log_beta));
  for (size_t i = 1; i < ends.size(); ++i) {
    if (ends[i] == ends[i - 1]) continue;
    sum += boost::math::quadrature::gauss_kronrod<double, 31>::integrate(integrand, ends[i - 1],
                                                                         ends[i], 6, tolerance);
  }
  return sum;
}

}  // namespace clm::predict
