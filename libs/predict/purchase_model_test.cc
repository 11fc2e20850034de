// Published values of numbers.md parts 2, 3 and 11; "recomputed" ones to a relative 1e-6.
#include "libs/predict/purchase_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "libs/predict/cdnow.h"
#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

using ::clm::testing::ReasonIs;
using ::testing::DoubleNear;

// To a relative 1e-6, or to half of the last printed digit.
::testing::Matcher<double> Recomputed(double value, double printed_to = 0) {
  return DoubleNear(value, std::max(std::abs(value) * 1e-6, printed_to));
}

PurchaseModel Weekly(PurchaseModelKind kind, const PurchaseModel::Parameters& parameters) {
  return *PurchaseModel::Make(kind, TimeUnit::kWeek, parameters);
}
History Weeks(int64_t x, double recency, double age) {
  return {x, TimeSpan::Weeks(recency), TimeSpan::Weeks(age)};
}

class CdnowFitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Published().sample.empty()) GTEST_SKIP() << "no CDNOW summary in CLM_TEST_DATA";
  }
  static const cdnow::Published& Published() {
    static const auto* const kPublished = new cdnow::Published(cdnow::ReadPublished());
    return *kPublished;
  }
  // Each fit once.
  static const PurchaseFit& Fit(PurchaseModelKind kind) {
    static auto* const kFits = new std::map<PurchaseModelKind, PurchaseFit>();
    const auto it = kFits->find(kind);
    if (it != kFits->end()) return it->second;
    auto fit = FitPurchaseModel(kind, TimeUnit::kWeek, Published().sample);
    EXPECT_THAT(fit, clm::testing::IsOk());
    return kFits->emplace(kind, *std::move(fit)).first->second;
  }
};

TEST_F(CdnowFitTest, BgNbdIsThePublishedOne) {
  const PurchaseFit& fit = Fit(PurchaseModelKind::kBgNbd);
  EXPECT_THAT(fit.report.parameters,
              ::testing::ElementsAre(Recomputed(0.2425929), Recomputed(4.4135316),
                                     Recomputed(0.7928859), Recomputed(2.4257534)));
  // To the digits printed.
  EXPECT_THAT(fit.report.standard_errors,
              ::testing::ElementsAre(DoubleNear(0.012557, 1.5e-6), DoubleNear(0.378221, 1.5e-6),
                                     DoubleNear(0.185719, 1.5e-6), DoubleNear(0.705345, 1.5e-6)));
  EXPECT_THAT(fit.report.log_likelihood, Recomputed(-9582.42556));
  EXPECT_LT(fit.report.gradient_norm, 1e-9);
  EXPECT_GT(fit.report.iterations, 10);
  EXPECT_EQ(fit.report.starts, 3);
  EXPECT_EQ(fit.report.customers, 2357);

  const double times[] = {0.1429, 1, 3, 31.8571, 32, 78};
  const double recomputed[] = {0.007816, 0.053185, 0.150632, 1.040494, 1.043737, 1.857972};
  for (int i = 0; i < 6; ++i) {
    EXPECT_THAT(*fit.model.ExpectedPurchases(TimeSpan::Weeks(times[i])),
                Recomputed(recomputed[i], 5e-7));
  }
  EXPECT_THAT(*fit.model.ExpectedPurchases(Weeks(2, 30.43, 38.86), TimeSpan::Weeks(39)),
              Recomputed(1.225911));
  const History busy = Weeks(26, 30.86, 31);
  EXPECT_THAT(*fit.model.ExpectedPurchases(busy, TimeSpan::Weeks(1)), Recomputed(0.710623));
  EXPECT_THAT(*fit.model.ExpectedPurchases(busy, TimeSpan::Weeks(39)), Recomputed(20.750571));
  EXPECT_THAT(*fit.model.ExpectedPurchases(busy, TimeSpan::Weeks(52)), Recomputed(25.759476));
  EXPECT_THAT(*fit.model.PAlive(busy), Recomputed(0.968920));
  EXPECT_EQ(*fit.model.PAlive(Weeks(0, 0, 38.86)), 1);
}

TEST_F(CdnowFitTest, BgNbdAtTheRoundedParameters) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kBgNbd, {0.243, 4.414, 0.793, 2.426});
  EXPECT_THAT(*model.LogLikelihood(Published().sample), Recomputed(-9582.42683));
  EXPECT_THAT(*model.ExpectedPurchases(Weeks(2, 30.43, 38.86), TimeSpan::Weeks(39)),
              Recomputed(1.226028));
}

TEST(BgNbdTest, ProbabilitiesOfCountsAreThePublishedOnes) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kBgNbd, {0.243, 4.414, 0.793, 2.426});
  EXPECT_THAT(*model.ProbabilityOf(10, TimeSpan::Weeks(2)), Recomputed(1.0786896e-07));
  EXPECT_THAT(*model.ProbabilityOf(0, TimeSpan::Weeks(39)), Recomputed(0.5737863521));
  const double published[] = {.0019995214, .0015170236, .0011633150, .0009003148, .0007023638,
                              .0005517902, .0004361913, .0003467171, .0002769613, .0002222260};
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(*model.ProbabilityOf(11 + i, TimeSpan::Weeks(30)), DoubleNear(published[i], 1e-10));
  }
}

TEST(BgNbdTest, TheLikelihoodDoesNotOverflowForWhoeverBuysMuch) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kBgNbd, {0.25, 4, 0.8, 2.5});
  EXPECT_THAT(*model.LogLikelihood(Weeks(0, 0, 40)), Recomputed(-0.5994738182));
  EXPECT_THAT(*model.LogLikelihood(Weeks(200, 38, 40)), Recomputed(100.7956930911));
}

TEST(BgNbdTest, NothingHappensAtAEqualOne) {
  // (a+b+x-1)/(a-1) of the formula is no singularity of the expectation.
  for (const History& history : {Weeks(2, 30, 39), Weeks(0, 0, 39), Weeks(40, 38, 39)}) {
    const auto at = [&](double a) {
      return *Weekly(PurchaseModelKind::kBgNbd, {0.243, 4.414, a, 2.426})
                  .ExpectedPurchases(history, TimeSpan::Weeks(39));
    };
    const double middle = at(1);
    EXPECT_TRUE(std::isfinite(middle));
    EXPECT_NEAR(at(0.999999), middle, middle * 3e-6);
    EXPECT_NEAR(at(1.000001), middle, middle * 3e-6);
    EXPECT_NEAR((at(0.999999) + at(1.000001)) / 2, middle, middle * 1e-10);
  }
  const auto fresh = [](double a, double b) {
    return *Weekly(PurchaseModelKind::kBgNbd, {0.243, 4.414, a, b})
                .ExpectedPurchases(TimeSpan::Weeks(39));
  };
  EXPECT_NEAR((fresh(0.999999, 2) + fresh(1.000001, 2)) / 2, fresh(1, 2), 1e-10);
  // a + b = 1 is another one, of 2F1 alone.
  EXPECT_NEAR((fresh(0.399999, 0.6) + fresh(0.400001, 0.6)) / 2, fresh(0.4, 0.6), 1e-10);
}

TEST_F(CdnowFitTest, MbgNbdHasAMaximumOfItsOwn) {
  const PurchaseFit& fit = Fit(PurchaseModelKind::kMbgNbd);
  EXPECT_LT(fit.report.gradient_norm, 1e-9);
  // Who never came back may have left: no better likelihood next to the maximum, in any direction.
  for (size_t i = 0; i < 4; ++i) {
    for (const double factor : {0.99, 1.01}) {
      PurchaseModel::Parameters beside = fit.model.parameters();
      beside[i] *= factor;
      EXPECT_LT(*Weekly(PurchaseModelKind::kMbgNbd, beside).LogLikelihood(Published().sample),
                fit.report.log_likelihood);
    }
  }
  EXPECT_LT(*fit.model.PAlive(Weeks(0, 0, 38.86)), 1);
}

// The formulas of Batislam et al. as the papers write them, worked out where they are harmless.
TEST(MbgNbdTest, TheLikelihoodIsThePapers) {
  const double r = 0.5, alpha = 6, a = 0.9, b = 1.6, x = 3, recency = 20, age = 30;
  const double stayed =
      std::lgamma(a + b) + std::lgamma(b + x + 1) - std::lgamma(b) - std::lgamma(a + b + x + 1);
  const double expected =
      std::lgamma(r + x) - std::lgamma(r) + r * std::log(alpha) + stayed -
      (r + x) * std::log(alpha + age) +
      std::log(1 + a / (b + x) * std::pow((alpha + age) / (alpha + recency), r + x));
  const PurchaseModel model = Weekly(PurchaseModelKind::kMbgNbd, {r, alpha, a, b});
  EXPECT_NEAR(*model.LogLikelihood(Weeks(3, recency, age)), expected, 1e-12);
  EXPECT_NEAR(*model.PAlive(Weeks(3, recency, age)),
              1 / (1 + a / (b + x) * std::pow((alpha + age) / (alpha + recency), r + x)), 1e-14);
}

TEST_F(CdnowFitTest, ParetoNbdHasThePublishedLikelihood) {
  const PurchaseFit& fit = Fit(PurchaseModelKind::kParetoNbd);
  // The top is flat: the published estimates differ in the parameters, not in the likelihood.
  const auto likelihood = [&](const PurchaseModel::Parameters& p) {
    return *Weekly(PurchaseModelKind::kParetoNbd, p).LogLikelihood(Published().sample);
  };
  EXPECT_THAT(likelihood({0.553, 10.578, 0.606, 11.669}), DoubleNear(-9594.97401, 6e-6));
  EXPECT_THAT(likelihood({0.5534, 10.5802, 0.6061, 11.6562}), DoubleNear(-9594.97396, 6e-6));
  EXPECT_GE(fit.report.log_likelihood, -9594.97396);
  EXPECT_LT(fit.report.log_likelihood, -9594.9739);
  const double rounded[] = {0.553, 10.578, 0.606, 11.669};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(fit.report.parameters[i] / rounded[i], 1, 1e-3);
  EXPECT_LT(fit.report.gradient_norm, 1e-9);
  const History busy = Weeks(26, 30.86, 31);
  EXPECT_NEAR(*fit.model.ExpectedPurchases(busy, TimeSpan::Weeks(52)), 25.46, 0.005);
  EXPECT_NEAR(*fit.model.PAlive(busy), 0.9979, 5e-5);
}

// The printed figures come out at these rounded parameters; the specification names none for them.
TEST(ParetoNbdTest, ExpectedPurchasesAreThePublishedOnes) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kParetoNbd, {0.55, 10.56, 0.61, 11.64});
  const double published[] = {0,         .05077821, .09916088, .14542507, .18979930,
                              .23247466, .27361274, .31335159, .35181024, .38909211};
  for (int t = 0; t < 10; ++t) {
    EXPECT_NEAR(*model.ExpectedPurchases(TimeSpan::Weeks(t)), published[t], 5.1e-9) << t;
  }
}

TEST(ParetoNbdTest, NothingJumpsWhereFactorialsWouldUnderflow) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kParetoNbd, {0.55, 10.58, 0.61, 11.67});
  EXPECT_NEAR(*model.ExpectedPurchases(Weeks(132, 200, 200), TimeSpan::Weeks(10)), 6.20605179,
              5e-9);
  EXPECT_NEAR(*model.ExpectedPurchases(Weeks(133, 200, 200), TimeSpan::Weeks(10)), 6.25287225,
              5e-9);
}

TEST(ParetoNbdTest, NothingHappensAtSEqualOneOrAlphaEqualBeta) {
  const auto expected = [](double s, double alpha) {
    return *Weekly(PurchaseModelKind::kParetoNbd, {0.55, alpha, s, 11.67})
                .ExpectedPurchases(Weeks(3, 20, 39), TimeSpan::Weeks(39));
  };
  EXPECT_NEAR((expected(0.999999, 10) + expected(1.000001, 10)) / 2, expected(1, 10), 1e-10);
  EXPECT_NEAR((expected(0.6, 11.669999) + expected(0.6, 11.670001)) / 2, expected(0.6, 11.67),
              1e-10);
}

// numbers.md part 3: what the sample was to buy in the weeks 20 to 25, and in each of them.
TEST_F(CdnowFitTest, ParetoNbdTracksTheCumulativePurchases) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kParetoNbd, {0.553, 10.578, 0.606, 11.669});
  double first = 0;
  for (const Observation& each : Published().sample) {
    first = std::max(first, each.history.age.In(TimeUnit::kWeek));
  }
  const auto cumulative = [&](double week) {
    double sum = 0;
    for (const Observation& each : Published().sample) {
      const double born = first - each.history.age.In(TimeUnit::kWeek);
      if (born < week) sum += *model.ExpectedPurchases(TimeSpan::Weeks(week - born));
    }
    return sum;
  };
  const double published[] = {1309, 1385, 1460, 1533, 1604, 1674};
  const double weekly[] = {78.31, 76.42, 74.65, 72.98, 71.41, 69.93};
  for (int i = 0; i < 6; ++i) {
    EXPECT_NEAR(cumulative(20 + i), published[i], 1) << i;
    EXPECT_NEAR(cumulative(20 + i) - cumulative(19 + i), weekly[i], 0.1) << i;
  }
}

TEST(PurchaseModelTest, TimeZeroIsExactlyNothing) {
  for (const auto kind :
       {PurchaseModelKind::kBgNbd, PurchaseModelKind::kMbgNbd, PurchaseModelKind::kParetoNbd}) {
    const PurchaseModel model = Weekly(kind, {0.3, 5, 0.8, 2.5});
    EXPECT_EQ(*model.ExpectedPurchases(TimeSpan()), 0);
    EXPECT_EQ(*model.ExpectedPurchases(Weeks(2, 5, 9), TimeSpan()), 0);
    EXPECT_EQ(*model.ProbabilityOf(0, TimeSpan()), 1);
    EXPECT_EQ(*model.ProbabilityOf(3, TimeSpan()), 0);
  }
}

TEST(PurchaseModelTest, ALastPurchaseAtTheEndIsAllowed) {
  for (const auto kind :
       {PurchaseModelKind::kBgNbd, PurchaseModelKind::kMbgNbd, PurchaseModelKind::kParetoNbd}) {
    const PurchaseModel model = Weekly(kind, {0.3, 5, 0.8, 2.5});
    EXPECT_TRUE(std::isfinite(*model.LogLikelihood(Weeks(4, 9, 9))));
    if (kind == PurchaseModelKind::kParetoNbd) {
      EXPECT_EQ(*model.PAlive(Weeks(4, 9, 9)), 1);
    }
  }
}

TEST(PurchaseModelTest, AHistoryThatIsNoneIsRefusedByName) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kBgNbd, {0.3, 5, 0.8, 2.5});
  EXPECT_EQ(error::FieldViolations(model.PAlive(Weeks(0, 3, 9)).status())[0].first,
            "history.recency");
  EXPECT_EQ(error::FieldViolations(
                model.ExpectedPurchases(Weeks(1, 3, 9), TimeSpan::Weeks(-1)).status())[0]
                .first,
            "horizon");
  EXPECT_EQ(error::FieldViolations(model.ProbabilityOf(-1, TimeSpan::Weeks(1)).status())[0].first,
            "count");
  EXPECT_EQ(error::FieldViolations(
                PurchaseModel::Make(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, {0.3, 0, NAN, 1})
                    .status())
                .size(),
            2u);
}

TEST(PurchaseModelTest, AHorizonInAnotherUnitIsConverted) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kBgNbd, {0.243, 4.414, 0.793, 2.426});
  const History weeks = Weeks(2, 30, 39);
  const History days{2, TimeSpan::Days(210), TimeSpan::Days(273)};
  const double expected = *model.ExpectedPurchases(weeks, TimeSpan::Weeks(13));
  EXPECT_DOUBLE_EQ(*model.ExpectedPurchases(weeks, TimeSpan::Days(91)), expected);
  EXPECT_DOUBLE_EQ(*model.ExpectedPurchases(days, TimeSpan::Days(91)), expected);
  EXPECT_DOUBLE_EQ(*model.LogLikelihood(days), *model.LogLikelihood(weeks));
}

TEST_F(CdnowFitTest, ScalingTimeScalesAlphaAlone) {
  std::vector<Observation> slower = Published().sample;
  for (Observation& each : slower) {
    each.history.recency = each.history.recency.Times(10);
    each.history.age = each.history.age.Times(10);
  }
  const auto fit = FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, slower);
  CLM_ASSERT_OK(fit);
  const PurchaseFit& before = Fit(PurchaseModelKind::kBgNbd);
  const double factor[] = {1, 10, 1, 1};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_THAT(fit->report.parameters[i], Recomputed(before.report.parameters[i] * factor[i]));
  }
  EXPECT_THAT(*fit->model.PAlive(Weeks(3, 200, 390)),
              Recomputed(*before.model.PAlive(Weeks(3, 20, 39))));
}

TEST_F(CdnowFitTest, TheUnitOfAFitChangesTheTimesAlone) {
  const auto days = FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kDay, Published().sample);
  CLM_ASSERT_OK(days);
  const PurchaseFit& weeks = Fit(PurchaseModelKind::kBgNbd);
  EXPECT_THAT(days->report.parameters[1], Recomputed(7 * weeks.report.parameters[1]));
  EXPECT_THAT(days->report.parameters[0], Recomputed(weeks.report.parameters[0]));
  EXPECT_THAT(*days->model.ExpectedPurchases(Weeks(2, 30, 39), TimeSpan::Months(3)),
              Recomputed(*weeks.model.ExpectedPurchases(Weeks(2, 30, 39), TimeSpan::Months(3))));
}

TEST_F(CdnowFitTest, GroupsAndCustomersHaveOneLikelihood) {
  const PurchaseModel model = Weekly(PurchaseModelKind::kBgNbd, {0.3, 5, 0.8, 2.5});
  double each_alone = 0;
  for (const Observation& each : Published().sample) {
    each_alone += *model.LogLikelihood(each.history);
  }
  EXPECT_NEAR(*model.LogLikelihood(Published().sample), each_alone, 1e-8);
  const auto groups = Grouped(Published().sample);
  EXPECT_LT(groups.size(), Published().sample.size());
  EXPECT_NEAR(*model.LogLikelihood(groups), each_alone, 1e-8);
  const auto fit = FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, groups);
  CLM_ASSERT_OK(fit);
  EXPECT_EQ(fit->report.customers, 2357);
  EXPECT_THAT(fit->report.standard_errors[2],
              Recomputed(Fit(PurchaseModelKind::kBgNbd).report.standard_errors[2]));
}

TEST_F(CdnowFitTest, APenaltyShrinksTheParameters) {
  double before = INFINITY;
  for (const double penalty : {0.0, 0.001, 0.01, 0.1}) {
    FitOptions options;
    options.l2_penalty = penalty;
    const auto fit =
        FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, Published().sample, options);
    CLM_ASSERT_OK(fit);
    double square = 0;
    for (const double p : fit->report.parameters) square += p * p;
    EXPECT_LT(square, before) << penalty;
    before = square;
  }
}

TEST(FitPurchaseModelTest, DataWithoutAnAnswerAreRefusedWithTheReason) {
  // Nobody ever came back: any rate close to nothing will do.
  const std::vector<Observation> silent(600, {Weeks(0, 0, 39), 1});
  const auto fit = FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, silent);
  EXPECT_THAT(fit, ReasonIs("PREDICTION_NOT_CONVERGED"));
  const std::vector<Observation> unseen(600, {Weeks(0, 0, 0), 1});
  EXPECT_EQ(error::FieldViolations(
                FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, unseen).status())[0]
                .first,
            "sample");
}

// Customers who do what each of the models says.
std::vector<Observation> Simulated(PurchaseModelKind kind, const PurchaseModel::Parameters& p) {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> uniform(0, 1);
  const auto gamma = [&](double shape) {
    return std::gamma_distribution<double>(shape, 1)(random);
  };
  const auto waiting = [&](double rate) { return -std::log1p(-uniform(random)) / rate; };
  std::vector<Observation> sample;
  // The Pareto/NBD has no formula for its gradient, and no two of these are alike.
  const int customers = kind == PurchaseModelKind::kParetoNbd ? 2000 : 8000;
  for (int i = 0; i < customers; ++i) {
    const double rate = gamma(p[0]) / p[1];
    const double age = 40 + 12 * uniform(random);
    double leaves = INFINITY, share = 0;
    if (kind == PurchaseModelKind::kParetoNbd) {
      leaves = waiting(gamma(p[2]) / p[3]);
    } else {
      const double a = gamma(p[2]);
      share = a / (a + gamma(p[3]));
    }
    int64_t x = 0;
    double last = 0;
    bool gone = kind == PurchaseModelKind::kMbgNbd && uniform(random) < share;
    while (!gone) {
      const double next = last + waiting(rate);
      if (next > std::min(age, leaves)) break;
      last = next;
      ++x;
      gone = uniform(random) < share;
    }
    sample.push_back({Weeks(x, last, age), 1});
  }
  return sample;
}

TEST(FitPurchaseModelTest, TheGeneratorOfTheDataIsRecovered) {
  for (const auto kind :
       {PurchaseModelKind::kBgNbd, PurchaseModelKind::kMbgNbd, PurchaseModelKind::kParetoNbd}) {
    PurchaseModel::Parameters truth = {0.9, 6, 0.8, 2.5};
    if (kind == PurchaseModelKind::kParetoNbd) truth = {0.9, 6, 1.2, 20};
    const auto fit = FitPurchaseModel(kind, TimeUnit::kWeek, Simulated(kind, truth));
    CLM_ASSERT_OK(fit);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(fit->report.parameters[i], truth[i], 3 * fit->report.standard_errors[i])
          << PurchaseModelKindName(kind) << " " << fit->report.names[i];
      // Else everything would be near.
      EXPECT_LT(fit->report.standard_errors[i], truth[i]);
    }
  }
}

TEST_F(CdnowFitTest, AFitCanBeBrokenOff) {
  FitOptions options;
  int asked = 0;
  options.cancelled = [&] { return ++asked > 5; };
  EXPECT_THAT(
      FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, Published().sample, options),
      clm::testing::StatusIs(absl::StatusCode::kCancelled));
  EXPECT_LT(asked, 20);
}

}  // namespace
}  // namespace clm::predict
