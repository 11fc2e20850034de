#include "libs/predict/pareto_nbd.h"

#include <algorithm>
#include <boost/math/quadrature/gauss_kronrod.hpp>
#include <cmath>
#include <limits>

#include "libs/predict/gauss_series.h"

namespace clm::predict::pareto_nbd {
namespace {

// Above it, the continued fraction needs too many steps.
constexpr double kFractionLimit = 0.9999;

double Log1pExp(double v) { return v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); }
double Logistic(double v) {
  return v > 0 ? 1 / (1 + std::exp(-v)) : std::exp(v) / (1 + std::exp(v));
}

// The integral of (alpha+u)^-rho (beta+u)^-(s+1) over u > y is (alpha+y)^-rho (beta+y)^-s / (rho+s)
// times this: A0 of Fader and Hardie 2005, equations 22 and 23, after Euler's transformation.
double Tail(const Parameters& p, double rho, double y) {
  const double c = rho + p.s + 1;
  if (p.alpha >= p.beta) {
    return GaussFraction(rho, c, (p.alpha - p.beta) / (p.alpha + y));
  }
  return (p.alpha + y) / (p.beta + y) *
         GaussFraction(p.s + 1, c, (p.beta - p.alpha) / (p.beta + y));
}

// ln of the odds of having left at some time y in [t_x, T], against being alive at T:
//   (alpha+T)^rho (beta+T)^s  s  integral of (alpha+y)^-rho (beta+y)^-(s+1),  rho = r + x.
// -infinity when t_x = T.
double LogOddsOfLeft(const Parameters& p, double rho, double recency, double age) {
  if (age <= recency) return -std::numeric_limits<double>::infinity();
  const double growth = rho * std::log1p((age - recency) / (p.alpha + recency)) +
                        p.s * std::log1p((age - recency) / (p.beta + recency));
  const double low = std::min(p.alpha, p.beta), high = std::max(p.alpha, p.beta);
  double share = 0;  // The integral times s, in units of (alpha+t_x)^-rho (beta+t_x)^-s.
  if ((high - low) / (high + recency) <= kFractionLimit && growth > 1e-3) {
    share = p.s / (rho + p.s) * (Tail(p, rho, recency) - std::exp(-growth) * Tail(p, rho, age));
  } else {
    // Over v = ln((beta+y)/(beta+t_x)): the integrand falls from 1, at most by e^-growth.
    const auto integrand = [&](double v) {
      const double since = (p.beta + recency) * std::expm1(v);
      return std::exp(-rho * std::log1p(since / (p.alpha + recency)) - p.s * v);
    };
    const double end = std::log1p((age - recency) / (p.beta + recency));
    // Where it has fallen to nothing, whichever factor does it.
    const double rate = rho * (p.beta + recency) / (p.alpha + recency) + p.s;
    double from = 0;
    for (double to = std::min(end, 1 / rate); from < end; to = std::min(end, to * 4)) {
      share += p.s * boost::math::quadrature::gauss_kronrod<double, 31>::integrate(integrand, from,
                                                                                   to, 5, 1e-13);
      from = to;
    }
  }
  return share > 0 ? growth + std::log(share) : -std::numeric_limits<double>::infinity();
}

// ln of the part of the likelihood that is due to being alive at T, less what depends on x alone.
double LogAlive(const Parameters& p, double rho, double age) {
  return -rho * std::log(p.alpha + age) - p.s * std::log1p(age / p.beta);
}

double OfX(const Parameters& p, double x) { return LogRising(p.r, x) + p.r * std::log(p.alpha); }

// (1 - (1 + t)^-e) / e, which is ln(1+t) at e = 0; for any e > -1.
double Saturation(double e, double t) {
  const double log = std::log1p(t);
  return std::abs(e * log) < 1e-9 ? log * (1 - e * log / 2) : -std::expm1(-e * log) / e;
}

}  // namespace

// Schmittlein, Morrison, Colombo 1987, equations A10 to A13, in the form of Fader and Hardie 2005,
// equation 44.
double PAlive(const Parameters& p, double x, double recency, double age) {
  return Logistic(-LogOddsOfLeft(p, p.r + x, recency, age));
}

// Fader and Hardie 2005, equation 27: r beta/(alpha (s-1)) (1 - (beta/(beta+t))^(s-1)).
double Expected(const Parameters& p, double horizon) {
  return p.r * p.beta / p.alpha * Saturation(p.s - 1, horizon / p.beta);
}

// Fader and Hardie 2005, equation 41 without P(alive).
double ExpectedIfAlive(const Parameters& p, double x, double age, double horizon) {
  return (p.r + x) * (p.beta + age) / (p.alpha + age) *
         Saturation(p.s - 1, horizon / (p.beta + age));
}

// Fader, Hardie, Deriving an expression for P(X(t)=x) under the Pareto/NBD model (2006), before the
// integral over the time of leaving is worked out:
//   NB(n; t) S(t) + integral over y in [0, t] of NB(n; y) s beta^s/(beta+y)^(s+1).
double ProbabilityOf(const Parameters& p, int64_t count, double horizon) {
  if (horizon == 0) return count == 0 ? 1 : 0;
  const auto n = static_cast<double>(count);
  const double of_n = LogRising(p.r, n) - std::lgamma(n + 1);
  const auto log_negative_binomial = [&](double time) {
    return of_n - p.r * std::log1p(time / p.alpha) - (n == 0 ? 0 : n * std::log1p(p.alpha / time));
  };
  // Over w = ln of the time, which takes in times of every size: the integrand grows like a power
  // of e^w up to its peak.
  const auto integrand = [&](double w) {
    const double time = std::exp(w);
    return std::exp(log_negative_binomial(time) + std::log(p.s) -
                    (p.s + 1) * std::log1p(time / p.beta) + w - std::log(p.beta));
  };
  const double end = std::log(horizon);
  const double low =
      std::min(end, std::log(std::min(p.alpha, p.beta)) - std::log1p(p.r + p.s)) - 40;
  // The customers who leave before that: all of them without a purchase.
  double sum = count == 0 ? -std::expm1(-p.s * std::log1p(std::exp(low) / p.beta)) : 0;
  // In pieces around the peak of the negative binomial, at time n alpha / r.
  std::vector<double> ends = {low, end};
  const double peak = std::log((n + 1) * p.alpha / p.r);
  const double width = std::sqrt(1 / (n + 1) + 1 / p.r);
  for (const double widths : {0.0, 1.0, 3.0, 8.0, 30.0}) {
    for (const double at : {peak - widths * width, peak + widths * width}) {
      if (at > low && at < end) ends.push_back(at);
    }
  }
  for (const double at : {std::log(p.alpha), std::log(p.beta)}) {
    if (at > low && at < end) ends.push_back(at);
  }
  std::sort(ends.begin(), ends.end());
  for (size_t i = 1; i < ends.size(); ++i) {
    if (ends[i] == ends[i - 1]) continue;
    sum += boost::math::quadrature::gauss_kronrod<double, 31>::integrate(integrand, ends[i - 1],
                                                                         ends[i], 8, 1e-12);
  }
  sum += std::exp(log_negative_binomial(horizon) - p.s * std::log1p(horizon / p.beta));
  return std::min(sum, 1.0);
}

double LogLikelihood(const Parameters& p, const Row& row) {
  return LogLikelihood(p, absl::MakeConstSpan(&row, 1));
}

// Fader and Hardie 2005, equation 21: alive at T, or left between t_x and T.
double LogLikelihood(const Parameters& p, absl::Span<const Row> rows) {
  double total = 0;
  double x = -1, of_x = 0;
  for (const Row& row : rows) {
    if (row.x != x) {
      x = row.x;
      of_x = OfX(p, x);
    }
    const double rho = p.r + x;
    total += row.weight * (of_x + LogAlive(p, rho, row.age) +
                           Log1pExp(LogOddsOfLeft(p, rho, row.recency, row.age)));
  }
  return total;
}

}  // namespace clm::predict::pareto_nbd
