#include "tools/demo/random.h"

#include <cmath>
#include <numeric>

namespace clm::demo {
namespace {

uint64_t RotateLeft(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

constexpr double kLn2High = 0.693147180369123816490;    // The upper 32 bits of ln 2,
constexpr double kLn2Low = 1.90821492927058770002e-10;  // and the rest.

}  // namespace

uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// ln(m 2^e) = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), with m in [0.7, 1.42) so that |s| < 0.18.
double Log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * kLn2High + (2 * s * sum + exponent * kLn2Low);
}

double Exp(double x) {
  const auto power = static_cast<int>(x / 0.6931471805599453 + (x < 0 ? -0.5 : 0.5));
  const double rest = (x - power * kLn2High) - power * kLn2Low;
  double sum = 1;
  for (int k = 18; k >= 1; --k) sum = 1 + sum * rest / k;
  return std::ldexp(sum, power);
}

Random::Random(uint64_t seed, uint64_t stream) {
  uint64_t word = Mix(seed) ^ Mix(stream * 0xd1342543de82ef95 + 1);
  for (uint64_t& part : state_) {
    word = Mix(word);
    part = word;
  }
}

uint64_t Random::Next() {
  const uint64_t result = RotateLeft(state_[0] + state_[3], 23) + state_[0];
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

uint64_t Random::Below(uint64_t n) {
  // The first 2^64 mod n values would come up once too often.
  const uint64_t surplus = (0 - n) % n;
  uint64_t value = Next();
  while (value < surplus) value = Next();
  return value % n;
}

double Random::Uniform() { return (static_cast<double>(Next() >> 12) + 0.5) * 0x1p-52; }

size_t Random::Pick(const std::vector<int>& weights) {
  auto left = Below(std::accumulate(weights.begin(), weights.end(), uint64_t{0}));
  size_t i = 0;
  while (left >= static_cast<uint64_t>(weights[i])) left -= weights[i++];
  return i;
}

double Random::Exponential() { return -Log(Uniform()); }

// The polar method of Marsaglia, without keeping the second value.
double Random::Normal() {
  while (true) {
    const double x = 2 * Uniform() - 1;
    const double y = 2 * Uniform() - 1;
    const double square = x * x + y * y;
    if (square < 1 && square > 0) return x * std::sqrt(-2 * Log(square) / square);
  }
}

// Marsaglia and Tsang (2000); a shape below 1 is reached from shape + 1 by a power of a uniform.
double Random::Gamma(double shape, double rate) {
  if (shape < 1) {
    const double larger = Gamma(shape + 1, rate);
    return larger * Exp(Log(Uniform()) / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = Normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (Log(Uniform()) < 0.5 * x * x + d - d * v + d * Log(v)) return d * v / rate;
  }
}

double Random::Beta(double a, double b) {
  const double x = Gamma(a, 1);
  return x / (x + Gamma(b, 1));
}

}  // namespace clm::demo
