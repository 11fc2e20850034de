#include "services/lifecycle/prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/testing/status_matchers.h"
#include "services/lifecycle/prediction_proto.h"

namespace clm::lifecycle {
namespace {

const absl::CivilDay kEnd(2026, 6, 30);

predict::PurchaseModel Model() {
  return *predict::PurchaseModel::Make(predict::PurchaseModelKind::kBgNbd, predict::TimeUnit::kWeek,
                                       {0.243, 4.414, 0.793, 2.426});
}

TEST(FactsOfTest, CountsWhatAPredictionAsksFor) {
  Purchases purchases{.end = kEnd};
  EXPECT_EQ(FactsOf(purchases).customers, 0);
  purchases.buyers = {{.frequency = 0, .age_days = 300},
                      {.frequency = 1, .recency_days = 20, .age_days = 60},
                      {.frequency = 2, .recency_days = 5, .age_days = 100}};
  const predict::DataFacts facts = FactsOf(purchases);
  EXPECT_EQ(facts.customers, 3);
  EXPECT_EQ(facts.customers_with_three, 1);
  EXPECT_EQ(facts.history_days, 300);
  EXPECT_EQ(facts.days_since_last, 40);
}

TEST(CalibrationEndTest, AThirdOfTheHistoryIsHeldOut) {
  EXPECT_EQ(CalibrationEnd(kEnd - 300, kEnd, 0), kEnd - 100);
  EXPECT_EQ(CalibrationEnd(kEnd - 300, kEnd, 30), kEnd - 30);
  EXPECT_EQ(CalibrationEnd(kEnd - 300, kEnd, 300), std::nullopt);
  EXPECT_EQ(CalibrationEnd(kEnd - 2, kEnd, 0), std::nullopt);
  EXPECT_EQ(CalibrationEnd(kEnd, kEnd, 0), std::nullopt);
}

TEST(MeanSpendTest, WhoSpentNothingHasNone) {
  EXPECT_EQ(MeanSpend({.frequency = 0, .repeat_spend_minor = 0}), 0);
  EXPECT_EQ(MeanSpend({.frequency = 3, .repeat_spend_minor = -5}), 0);
  EXPECT_EQ(MeanSpend({.frequency = 4, .repeat_spend_minor = 10}), 2.5);
}

TEST(CompareTest, EachClassHasItsCustomersAndWhatWasExpectedOfThem) {
  Purchases purchases{.end = kEnd, .calibration_end = kEnd - 91};
  purchases.buyers = {{.frequency = 3,
                       .recency_days = 190,
                       .age_days = 200,
                       .frequency_before = 1,
                       .recency_before_days = 50},
                      {.frequency = 1,
                       .recency_days = 60,
                       .age_days = 200,
                       .frequency_before = 1,
                       .recency_before_days = 60},
                      {.frequency = 9,
                       .recency_days = 100,
                       .age_days = 200,
                       .frequency_before = 9,
                       .recency_before_days = 100},
                      // Came after: nobody to compare.
                      {.frequency = 5, .recency_days = 20, .age_days = 40}};
  purchases.days = {{kEnd - 200, 3, 0}, {kEnd - 100, 0, 2}, {kEnd - 40, 1, 0}};
  const auto comparison = Compare(Model(), purchases);
  CLM_ASSERT_OK(comparison);
  EXPECT_EQ(comparison->customers, 3);
  EXPECT_EQ(comparison->actual, 2);
  ASSERT_EQ(comparison->classes.size(), 8u);
  EXPECT_EQ(comparison->classes[1].customers, 2);
  EXPECT_EQ(comparison->classes[1].actual, 1);
  EXPECT_EQ(comparison->classes[7].customers, 1);
  EXPECT_EQ(comparison->classes[7].actual, 0);
  const auto days = [](double count) { return predict::TimeSpan::Days(count); };
  const double first =
      *Model().ExpectedPurchases(predict::History{1, days(50), days(109)}, days(91));
  const double second =
      *Model().ExpectedPurchases(predict::History{1, days(60), days(109)}, days(91));
  EXPECT_NEAR(comparison->classes[1].expected, (first + second) / 2, 1e-12);
  EXPECT_GT(comparison->expected, first + second);

  // Week by week, the last a part of one; days of the future of a point do not count for it.
  ASSERT_EQ(comparison->points.size(), 29u);
  EXPECT_EQ(comparison->points[0].day, 7);
  EXPECT_EQ(comparison->points[13].day, 98);
  EXPECT_EQ(comparison->points[13].actual, 0);
  EXPECT_EQ(comparison->points[14].actual, 2);
  EXPECT_EQ(comparison->points.back().day, 200);
  EXPECT_NEAR(comparison->points.back().expected,
              3 * *Model().ExpectedPurchases(days(200)) + *Model().ExpectedPurchases(days(40)),
              1e-12);
}

TEST(FitPredictionTest, EveryConditionThatIsNotMetIsNamed) {
  Purchases purchases{.end = kEnd};
  purchases.buyers = {{.frequency = 1, .recency_days = 20, .age_days = 60}};
  const auto fitted = FitPrediction(predict::PurchaseModelKind::kBgNbd, predict::TimeUnit::kWeek,
                                    purchases, nullptr);
  EXPECT_THAT(fitted, clm::testing::ReasonIs("PREDICTION_DATA_INSUFFICIENT"));
  EXPECT_EQ(error::MetadataValue(fitted.status(), "customers"), "1/500");
  EXPECT_EQ(error::MetadataValue(fitted.status(), "customers_with_three"), "0/1");
  EXPECT_EQ(error::MetadataValue(fitted.status(), "history_days"), "60/180");
  EXPECT_EQ(error::MetadataValue(fitted.status(), "days_since_last"), "40/30");
}

TEST(RequestFromTest, FaultsAreNamed) {
  v1::PredictionModel model;
  model.set_kind(static_cast<v1::PredictionModel::Kind>(9));
  model.set_time_unit(static_cast<v1::PredictionModel::TimeUnit>(9));
  model.set_end_date("2026-13-01");
  model.set_product("x");
  const auto violations = error::FieldViolations(RequestFrom(model, kEnd).status());
  ASSERT_EQ(violations.size(), 4u);
  EXPECT_EQ(violations[0].first, "prediction_model.kind");
  EXPECT_EQ(violations[1].first, "prediction_model.time_unit");
  EXPECT_EQ(violations[2].first, "prediction_model.end_date");
  EXPECT_EQ(violations[3].first, "prediction_model.product_property");
  const auto defaults = RequestFrom({}, kEnd);
  CLM_ASSERT_OK(defaults);
  EXPECT_EQ(defaults->end, kEnd);
  EXPECT_EQ(defaults->unit, predict::TimeUnit::kWeek);
  model.Clear();
  model.set_end_date("2026-07-01");
  EXPECT_EQ(error::FieldViolations(RequestFrom(model, kEnd).status())[0].first,
            "prediction_model.end_date");
}

TEST(StoredFromTest, WhatIsNoModelIsRefused) {
  EXPECT_THAT(StoredFrom({}), clm::testing::StatusIs(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace clm::lifecycle
