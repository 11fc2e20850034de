#include "libs/predict/beta_geometric.h"

#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <cmath>

#include "libs/predict/gauss_series.h"

namespace clm::predict::beta_geometric {
namespace {

using boost::math::digamma;

// psi(a + n) - psi(a).
double DigammaRise(double a, double n) {
  if (n == 0) return 0;
  if (n <= 8) {
    double sum = 0;
    for (double k = 0; k < n; ++k) sum += 1 / (a + k);
    return sum;
  }
  return digamma(a + n) - digamma(a);
}

// Whether the likelihood of x purchases has the part of those who have left, and the odds that it
// begins with: they stayed after n = x - 1 + first purchases and left at the next.
bool MayHaveLeft(const Parameters& p, double x) { return x > 0 || p.first == 1; }
double Stays(const Parameters& p, double x) { return x + p.first; }

// ln of the odds of having left: a/(b+n-1) ((alpha+T)/(alpha+t_x))^(r+x), n = Stays(x).
double LogOddsOfLeft(const Parameters& p, double x, double recency, double age) {
  return std::log(p.a) - std::log(p.b + Stays(p, x) - 1) +
         (p.r + x) * std::log1p((age - recency) / (p.alpha + recency));
}

double Log1pExp(double v) { return v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); }
double Logistic(double v) {
  return v > 0 ? 1 / (1 + std::exp(-v)) : std::exp(v) / (1 + std::exp(v));
}

// ln(B(a, b+n)/B(a, b)): stayed after each of n purchases.
double LogStayed(const Parameters& p, double n) {
  return LogRising(p.b, n) - LogRising(p.a + p.b, n);
}

}  // namespace

// FHL 2005 as in Fader, Hardie, Lee, "Computing P(alive) using the BG/NBD model" (2008); Batislam
// et al. 2007 for the sister.
double PAlive(const Parameters& p, double x, double recency, double age) {
  if (!MayHaveLeft(p, x)) return 1;
  return Logistic(-LogOddsOfLeft(p, x, recency, age));
}

// FHL 2005 equation 9: E[X(t)] = (a+b-1)/(a-1) (1 - (alpha/(alpha+t))^r 2F1(r, b; a+b-1;
// t/(alpha+t))). The sister: those who stayed after the first purchase, b/(a+b) of all.
double Expected(const Parameters& p, double horizon) {
  const double tau = horizon / p.alpha;
  if (p.first == 0) return ExpectedBeforeLeaving(p.r, p.a, p.b, tau);
  return p.b / (p.a + p.b) * ExpectedBeforeLeaving(p.r, p.a, p.b + 1, tau);
}

// FHL 2005 equation 10 without its denominator, which is P(alive): given x, t_x, T and being alive,
// lambda ~ Gamma(r+x, alpha+T) and p ~ Beta(a, b+n), so it is the formula above again.
double ExpectedIfAlive(const Parameters& p, double x, double age, double horizon) {
  return ExpectedBeforeLeaving(p.r + x, p.a, p.b + Stays(p, x), horizon / (p.alpha + age));
}

// FHL 2005 equation 8. With n purchases, either still alive, or left after the last of them:
// B(a, b+n)/B(a, b) NB(n) + B(a+1, b+n-1)/B(a, b) (1 - sum of NB(j) for j < n). The last sum is an
// incomplete beta function.
double ProbabilityOf(const Parameters& p, int64_t count, double horizon) {
  const auto n = static_cast<double>(count);
  if (horizon == 0) return count == 0 ? 1 : 0;
  const double stays = Stays(p, n);
  const double log_alive = LogStayed(p, stays) + LogRising(p.r, n) - std::lgamma(n + 1) -
                           p.r * std::log1p(horizon / p.alpha) + n * -std::log1p(p.alpha / horizon);
  double sum = std::exp(log_alive);
  if (MayHaveLeft(p, n)) {
    const double log_left =
        LogStayed(p, stays - 1) + std::log(p.a) - std::log(p.a + p.b + stays - 1);
    const double at_least =
        count == 0 ? 1 : boost::math::ibeta(n, p.r, horizon / (p.alpha + horizon));
    sum += std::exp(log_left) * at_least;
  }
  return std::min(sum, 1.0);
}

// FHL 2005 equation 6 in the form of Fader and Hardie's note 027 on its computation: everything by
// log-gammas, and the sum of the two cases by their maximum.
double LogLikelihood(const Parameters& p, const Row& row) {
  return LogLikelihood(p, absl::MakeConstSpan(&row, 1), nullptr);
}

double LogLikelihood(const Parameters& p, absl::Span<const Row> rows,
                     std::vector<double>* gradient) {
  const double log_alpha = std::log(p.alpha);
  double total = 0;
  double by_r = 0, by_alpha = 0, by_a = 0, by_b = 0;
  double x = -1;
  double constant = 0, r_constant = 0, a_constant = 0, b_constant = 0, log_left = 0;
  for (const Row& row : rows) {
    if (row.x != x) {
      x = row.x;
      const double stays = Stays(p, x);
      constant = LogRising(p.r, x) + p.r * log_alpha + LogStayed(p, stays);
      log_left = std::log(p.a) - std::log(p.b + stays - 1);
      if (gradient != nullptr) {
        r_constant = DigammaRise(p.r, x) + log_alpha;
        a_constant = -DigammaRise(p.a + p.b, stays);
        b_constant = DigammaRise(p.b, stays) + a_constant;
      }
    }
    const double scale = p.r + x;
    const double log_age = std::log(p.alpha + row.age);
    double value = constant - scale * log_age;
    const bool left = MayHaveLeft(p, x);
    double log_odds = 0, since = 0;
    if (left) {
      since = std::log1p((row.age - row.recency) / (p.alpha + row.recency));
      log_odds = log_left + scale * since;
      value += Log1pExp(log_odds);
    }
    total += row.weight * value;
    if (gradient == nullptr) continue;
    double r = r_constant - log_age;
    double alpha = p.r / p.alpha - scale / (p.alpha + row.age);
    double a = a_constant;
    double b = b_constant;
    if (left) {
      const double share = Logistic(log_odds);
      r += share * since;
      alpha += share * scale * (1 / (p.alpha + row.age) - 1 / (p.alpha + row.recency));
      a += share / p.a;
      b -= share / (p.b + Stays(p, x) - 1);
    }
    by_r += row.weight * r;
    by_alpha += row.weight * alpha;
    by_a += row.weight * a;
    by_b += row.weight * b;
  }
  if (gradient != nullptr) *gradient = {by_r * p.r, by_alpha * p.alpha, by_a * p.a, by_b * p.b};
  return total;
}

}  // namespace clm::predict::beta_geometric
