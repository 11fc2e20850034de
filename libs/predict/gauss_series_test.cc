#include "libs/predict/gauss_series.h"

#include <gtest/gtest.h>

#include <cmath>

namespace clm::predict {
namespace {

TEST(GaussFractionTest, KnownFunctions) {
  // 2F1(1, 1; 2; z) = -ln(1-z)/z and 2F1(1, a; a+1...) at a = 1/2: artanh(sqrt z)/sqrt z.
  for (const double z : {0.0, 1e-9, 0.1, 0.5, 0.9, 0.9999}) {
    const double log = z == 0 ? 1 : -std::log1p(-z) / z;
    EXPECT_NEAR(GaussFraction(1, 2, z), log, log * 1e-13) << z;
    const double root = std::sqrt(z);
    const double artanh = z == 0 ? 1 : std::atanh(root) / root;
    EXPECT_NEAR(GaussFraction(0.5, 1.5, z), artanh, artanh * 1e-13) << z;
  }
}

TEST(GaussFractionTest, TheSeriesItself) {
  for (const double a : {0.1, 3.7, 200.0}) {
    for (const double c : {a + 0.3, a + 5}) {
      double term = 1, sum = 0;
      for (int k = 0; k < 4000; ++k) {
        sum += term;
        term *= (a + k) / (c + k) * 0.9;
      }
      EXPECT_NEAR(GaussFraction(a, c, 0.9), sum, sum * 1e-13);
    }
  }
}

TEST(LogRisingTest, DoesNotCancelBesideLargeNumbers) {
  EXPECT_EQ(LogRising(3, 0), 0);
  EXPECT_NEAR(LogRising(1, 5), std::log(120), 1e-14);
  EXPECT_NEAR(LogRising(0.25, 200), std::lgamma(200.25) - std::lgamma(0.25), 1e-11);
  EXPECT_NEAR(LogRising(1e8, 50), 50 * std::log(1e8) + 50 * 49 / 2 / 1e8, 1e-9);
}

// The series against the quadrature, which shares nothing with it but the problem.
TEST(ExpectedBeforeLeavingTest, SeriesAndQuadratureAgree) {
  for (const double rho : {1e-4, .2, 1., 3., 30., 300.}) {
    for (const double a : {1e-4, .3, 1., 1.7, 11., 90.}) {
      for (const double b : {1e-3, .5, 2., 40., 400.}) {
        for (const double tau : {1e-6, .01, .3, 1., 5., 50., 98.}) {
          const double series = ExpectedBeforeLeaving(rho, a, b, tau);
          const double quadrature = ExpectedBeforeLeavingByQuadrature(rho, a, b, tau);
          ASSERT_NEAR(series / quadrature, 1, 1e-9)
              << "rho " << rho << " a " << a << " b " << b << " tau " << tau;
        }
      }
    }
  }
}

TEST(ExpectedBeforeLeavingTest, TheEulerFormOverflowsNowhere) {
  // (1-z)^rho 2F1(rho, b; ...) is 0 times infinity for these, term by term.
  const double expected = ExpectedBeforeLeaving(5000, 0.8, 5002, 40);
  EXPECT_TRUE(std::isfinite(expected));
  EXPECT_GT(expected, 1);
  EXPECT_LT(expected, 5000 * 40);
}

}  // namespace
}  // namespace clm::predict
