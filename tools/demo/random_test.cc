#include "tools/demo/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace clm::demo {
namespace {

TEST(RandomTest, TheGeneratorIsXoshiro256PlusPlus) {
  // The reference implementation, from the state that the constructor makes of (1, 2).
  Random random(1, 2);
  uint64_t word = Mix(1) ^ Mix(2 * 0xd1342543de82ef95 + 1);
  uint64_t s[4];
  for (uint64_t& part : s) part = word = Mix(word);
  const auto rotl = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  for (int i = 0; i < 1000; ++i) {
    const uint64_t result = rotl(s[0] + s[3], 23) + s[0];
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    ASSERT_EQ(random.Next(), result) << i;
  }
}

TEST(RandomTest, SplitmixGivesItsPublishedFirstValue) { EXPECT_EQ(Mix(0), 0xe220a8397b1dcdaf); }

TEST(RandomTest, LogAndExpAgreeWithTheLibraryToTheLastDigits) {
  for (double x = 1e-300; x < 1e300; x *= 3.7) {
    EXPECT_NEAR(Log(x), std::log(x), 4e-16 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
  for (double x = -690; x < 690; x += 0.731) {
    EXPECT_NEAR(Exp(x) / std::exp(x), 1, 3e-15) << x;
  }
}

TEST(RandomTest, StreamsDiffer) {
  Random a(7, 1);
  Random b(7, 2);
  Random c(8, 1);
  const uint64_t first = a.Next();
  EXPECT_NE(first, b.Next());
  EXPECT_NE(first, c.Next());
  EXPECT_EQ(first, Random(7, 1).Next());
}

// Mean and variance of n draws against theory, five standard errors wide.
template <class Draw>
void ExpectMoments(double mean, double variance, Draw draw) {
  constexpr int kDraws = 200'000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = draw();
    sum += x;
    squares += (x - mean) * (x - mean);
  }
  EXPECT_NEAR(sum / kDraws, mean, 5 * std::sqrt(variance / kDraws));
  EXPECT_NEAR(squares / kDraws / variance, 1, 0.05);
}

TEST(RandomTest, DistributionsHaveTheirMoments) {
  Random random(42, 0);
  ExpectMoments(0.5, 1.0 / 12, [&] { return random.Uniform(); });
  ExpectMoments(1, 1, [&] { return random.Exponential(); });
  ExpectMoments(0, 1, [&] { return random.Normal(); });
  ExpectMoments(1.4 / 6, 1.4 / 36, [&] { return random.Gamma(1.4, 6); });
  ExpectMoments(0.3 / 2, 0.3 / 4, [&] { return random.Gamma(0.3, 2); });
  const double a = 1.1;
  const double b = 5.2;
  ExpectMoments(a / (a + b), a * b / ((a + b) * (a + b) * (a + b + 1)),
                [&] { return random.Beta(a, b); });
  ExpectMoments(2, 2.0 / 3 + 4.0 / 3, [&] { return static_cast<double>(random.Below(5)); });
  ExpectMoments(0.7, 0.7 * 0.3 + 0.0, [&] { return random.Chance(0.7) ? 1.0 : 0.0; });
}

TEST(RandomTest, PickFollowsTheWeights) {
  Random random(3, 0);
  int counts[3] = {};
  for (int i = 0; i < 100'000; ++i) ++counts[random.Pick({1, 0, 3})];
  EXPECT_NEAR(counts[0], 25'000, 700);
  EXPECT_EQ(counts[1], 0);
}

}  // namespace
}  // namespace clm::demo
