// Published values of numbers.md part 6.
#include "libs/predict/contract_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

// The "Regular" customers of Fader and Hardie 2007, years 0 to 7.
const std::vector<double>& Regular() {
  static const auto* const kSurvivors =
      new std::vector<double>{1000, 631, 468, 382, 326, 289, 262, 241};
  return *kSurvivors;
}

TEST(ContractModelTest, TheRegularCustomersHaveTheRecomputedMaximum) {
  const auto fit = FitContractModel(Regular());
  CLM_ASSERT_OK(fit);
  EXPECT_NEAR(fit->model.alpha(), 0.704077, 7e-7);
  EXPECT_NEAR(fit->model.beta(), 1.182043, 1.2e-6);
  EXPECT_NEAR(fit->report.log_likelihood, -1680.26519, 5e-6);
  EXPECT_LT(fit->report.gradient_norm, 1e-9);
  const double survival[] = {626.7, 473.8, 388.0, 332.1, 292.3, 262.5,
                             239.0, 220.1, 204.4, 191.2, 179.9, 170.0};
  const auto curve = fit->model.SurvivalCurve(12);
  ASSERT_EQ(curve->size(), 13u);
  for (int t = 1; t <= 12; ++t) {
    EXPECT_NEAR(1000 * *fit->model.Survival(t), survival[t - 1], 0.05) << t;
    EXPECT_NEAR((*curve)[static_cast<size_t>(t)], *fit->model.Survival(t), 1e-14);
  }
  const double retention[] = {0.6267, 0.7560, 0.8188, 0.8559};
  for (int t = 1; t <= 4; ++t) {
    EXPECT_NEAR(*fit->model.RetentionRate(t), retention[t - 1], 5e-5) << t;
  }
  // Held out, years 8 to 12.
  const double later[] = {223, 207, 194, 183, 173};
  for (int t = 8; t <= 12; ++t) EXPECT_NEAR(1000 * *fit->model.Survival(t), later[t - 8], 9) << t;
}

TEST(ContractModelTest, RetentionRisesWithTenure) {
  const auto model = ContractModel::Make(0.7, 1.2);
  const auto curve = model->RetentionCurve(50);
  for (size_t t = 1; t < curve->size(); ++t) EXPECT_GT((*curve)[t], (*curve)[t - 1]);
  EXPECT_DOUBLE_EQ((*curve)[0], *model->RetentionRate(1));
}

TEST(ContractModelTest, TheLongRunMeetsTheProduct) {
  const auto model = ContractModel::Make(0.7, 1.2);
  const double rate = *model->RetentionRate(1001);
  EXPECT_NEAR(*model->Survival(1001), *model->Survival(1000) * rate, 1e-12);
}

TEST(ContractModelTest, FaultsAreNamed) {
  const auto faults = [](const std::vector<double>& survivors) {
    return error::FieldViolations(FitContractModel(survivors).status());
  };
  EXPECT_EQ(faults({100, 50})[0].first, "survivors");
  EXPECT_EQ(faults({0, 0, 0})[0].first, "survivors[0]");
  EXPECT_EQ(faults({100, 50, 51})[0].first, "survivors[2]");
  EXPECT_EQ(faults({100, NAN, 5})[0].first, "survivors[1]");
  const auto model = ContractModel::Make(0.7, 1.2);
  EXPECT_EQ(error::FieldViolations(model->Survival(-1).status())[0].first, "renewals");
  EXPECT_EQ(error::FieldViolations(model->RetentionRate(0).status())[0].first, "renewals");
  EXPECT_EQ(error::FieldViolations(ContractModel::Make(0, 1).status())[0].first,
            "parameters.alpha");
}

TEST(ContractModelTest, WhereAllAreAlikeThereIsNoMaximum) {
  // A retention rate that does not rise: the less the customers differ, the better.
  EXPECT_THAT(FitContractModel({1024, 512, 256, 128, 64, 32}),
              clm::testing::ReasonIs("PREDICTION_NOT_CONVERGED"));
}

}  // namespace
}  // namespace clm::predict
