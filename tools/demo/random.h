// Random numbers that are the same on every platform: the generator, the logarithm and every
// distribution are written here with IEEE additions, multiplications, divisions and square roots
// only, because std distributions and libm may differ from one library to the next. Not for
// secrets. Not thread-safe: one Random per thread.
#ifndef CLM_TOOLS_DEMO_RANDOM_H_
#define CLM_TOOLS_DEMO_RANDOM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace clm::demo {

// One step of splitmix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit.
uint64_t Mix(uint64_t x);

// Natural logarithm of a positive finite number, and e^x for |x| < 700; within 1e-15 relative.
double Log(double x);
double Exp(double x);

// xoshiro256++ (Blackman, Vigna 2019).
class Random {
 public:
  // Streams with different `stream` are independent.
  Random(uint64_t seed, uint64_t stream);

  uint64_t Next();
  // Uniform in [0, n), n > 0; no bias.
  uint64_t Below(uint64_t n);
  // Uniform in (0, 1).
  double Uniform();
  // True with probability `p`.
  bool Chance(double p) { return Uniform() < p; }
  // Index i with probability weights[i] / sum. The weights are not negative and not all zero.
  size_t Pick(const std::vector<int>& weights);

  // Exponential with mean 1.
  double Exponential();
  double Normal();
  // Shape and rate; the mean is shape / rate.
  double Gamma(double shape, double rate);
  double Beta(double a, double b);

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace clm::demo

#endif  // CLM_TOOLS_DEMO_RANDOM_H_
