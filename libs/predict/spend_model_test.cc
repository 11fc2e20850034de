// Published values of numbers.md part 4.
#include "libs/predict/spend_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "libs/predict/cdnow.h"
#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

TEST(SpendModelTest, TheCdnowFitIsThePublishedOne) {
  const auto published = cdnow::ReadPublished();
  if (published.sample.empty()) GTEST_SKIP() << "no CDNOW summary in CLM_TEST_DATA";
  const std::vector<Spend> spends = cdnow::Returning(published);
  ASSERT_EQ(spends.size(), 946u);
  const auto fit = FitSpendModel(spends);
  CLM_ASSERT_OK(fit);
  EXPECT_NEAR(fit->report.parameters[0], 6.248803, 6e-6);
  EXPECT_NEAR(fit->report.parameters[1], 3.744588, 4e-6);
  EXPECT_NEAR(fit->report.parameters[2], 15.447744, 15e-6);
  EXPECT_NEAR(fit->report.log_likelihood, -4055.92324, 5e-6);
  EXPECT_NEAR(fit->correlation, 0.11388391, 5e-9);
  EXPECT_LT(fit->report.gradient_norm, 1e-9);
  EXPECT_NEAR(*fit->model.ExpectedSpend(), 35.171003, 35e-6);
  // Customers 1 to 10.
  const double expected[] = {24.6586, 18.9115, 35.1710, 35.1710, 35.1710,
                             71.4629, 18.9115, 35.1710, 27.2824, 35.1710};
  double observed = 0, predicted = 0;
  for (size_t i = 0; i < published.sample.size(); ++i) {
    const int64_t x = published.sample[i].history.frequency;
    const double spend = *fit->model.ExpectedSpend(x, published.mean_spend[i]);
    if (i < 10) {
      EXPECT_NEAR(spend, expected[i], 6e-5) << i;
    }
    if (x > 0) observed += published.mean_spend[i] / 946;
    predicted += spend / 2357;
  }
  EXPECT_NEAR(observed, 35.078551797, 5e-8);
  EXPECT_NEAR(predicted, 35.2529588256, 5e-5);
}

TEST(SpendModelTest, RoundedParametersMoveMoney) {
  const auto rounded = SpendModel::Make({6.25, 3.74, 15.44});
  CLM_ASSERT_OK(rounded);
  EXPECT_NEAR(*rounded->ExpectedSpend(), 35.218978, 5e-7);
}

TEST(SpendModelTest, TheCurrencyChangesVAlone) {
  const auto published = cdnow::ReadPublished();
  if (published.sample.empty()) GTEST_SKIP() << "no CDNOW summary in CLM_TEST_DATA";
  std::vector<Spend> cents = cdnow::Returning(published);
  for (Spend& each : cents) each.mean *= 100;
  const auto fit = FitSpendModel(cents);
  CLM_ASSERT_OK(fit);
  EXPECT_NEAR(fit->report.parameters[0], 6.248803, 6e-6);
  EXPECT_NEAR(fit->report.parameters[1], 3.744588, 4e-6);
  EXPECT_NEAR(fit->report.parameters[2], 1544.7744, 15e-4);
}

TEST(SpendModelTest, NobodyWithoutARepeatOrWithoutSpendIsTaken) {
  const auto faults = [](const std::vector<Spend>& sample) {
    return error::FieldViolations(FitSpendModel(sample).status());
  };
  EXPECT_EQ(faults({{1, 20, 1}, {0, 20, 1}})[0].first, "sample[1].frequency");
  EXPECT_EQ(faults({{1, 0, 1}})[0].first, "sample[0].mean");
  EXPECT_EQ(faults({{1, NAN, 1}})[0].first, "sample[0].mean");
  EXPECT_EQ(faults({})[0].first, "sample");
  const auto model = SpendModel::Make({6.25, 3.74, 15.44});
  EXPECT_EQ(error::FieldViolations(model->ExpectedSpend(1, 0).status())[0].first, "mean");
  EXPECT_EQ(error::FieldViolations(model->ExpectedSpend(-1, 5).status())[0].first, "frequency");
  EXPECT_EQ(error::FieldViolations(SpendModel::Make({6, 0, 1}).status())[0].first, "parameters.q");
}

TEST(SpendModelTest, APopulationWithoutAMeanSaysSo) {
  const auto model = SpendModel::Make({2, 0.9, 10});
  CLM_ASSERT_OK(model);
  EXPECT_THAT(model->ExpectedSpend(), clm::testing::ReasonIs("SPEND_MEAN_INFINITE"));
  EXPECT_NEAR(*model->ExpectedSpend(5, 30), 2 * (10 + 150) / (10 + 0.9 - 1), 1e-12);
}

TEST(SpendModelTest, EqualSpendsHaveNoModel) {
  const std::vector<Spend> equal(600, {2, 30, 1});
  EXPECT_THAT(FitSpendModel(equal), clm::testing::ReasonIs("PREDICTION_NOT_CONVERGED"));
}

}  // namespace
}  // namespace clm::predict
