// Published values of numbers.md parts 5 and 9.
#include "libs/predict/customer_value.h"

#include <gtest/gtest.h>

#include <cmath>

#include "libs/predict/cdnow.h"
#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

TEST(DiscountedValueTest, ThirtyWeeksPerMonthIsTheKnownFigureAndNotTheRightOne) {
  const auto published = cdnow::ReadPublished();
  if (published.sample.empty()) GTEST_SKIP() << "no CDNOW summary in CLM_TEST_DATA";
  const auto fit = FitPurchaseModel(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, published.sample);
  const auto spend = FitSpendModel(cdnow::Returning(published));
  CLM_ASSERT_OK(fit);
  CLM_ASSERT_OK(spend);
  const History& first = published.sample[0].history;
  const double expected_spend = *spend->model.ExpectedSpend(2, 22.35);
  const auto value = [&](TimeSpan period) {
    return *DiscountedValue(fit->model, first, expected_spend, {period, 12, 0.01});
  };
  EXPECT_NEAR(value(TimeSpan::Weeks(30)), 140.096211, 140e-6);
  EXPECT_NEAR(value(TimeSpan::Weeks(4.345)), 36.2785, 5e-5);
  // Who says months, or days, gets months.
  EXPECT_NEAR(value(TimeSpan::Months(1)), 36.2785, 0.003);
  EXPECT_NEAR(value(TimeSpan::Days(4.345 * 7)), value(TimeSpan::Weeks(4.345)), 1e-9);
}

TEST(DiscountedValueTest, WithoutDiscountItIsTheExpectedPurchases) {
  const auto model =
      PurchaseModel::Make(PurchaseModelKind::kParetoNbd, TimeUnit::kWeek, {0.5, 10, 0.6, 11});
  const History history{3, TimeSpan::Weeks(20), TimeSpan::Weeks(39)};
  EXPECT_NEAR(*DiscountedValue(*model, history, 100, {TimeSpan::Weeks(13), 4, 0}),
              100 * *model->ExpectedPurchases(history, TimeSpan::Weeks(52)), 1e-9);
}

TEST(DiscountedValueTest, FaultsAreNamed) {
  const auto model =
      PurchaseModel::Make(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, {0.5, 10, 0.6, 11});
  const History history{3, TimeSpan::Weeks(20), TimeSpan::Weeks(39)};
  const auto fault = [&](const History& h, double spend, const ValueTerms& terms) {
    return error::FieldViolations(DiscountedValue(*model, h, spend, terms).status())[0].first;
  };
  EXPECT_EQ(fault({0, TimeSpan::Weeks(1), TimeSpan::Weeks(2)}, 1, {}), "history.recency");
  EXPECT_EQ(fault(history, NAN, {}), "expected_spend");
  EXPECT_EQ(fault(history, 1, {TimeSpan::Months(1), 0, 0}), "terms.periods");
  EXPECT_EQ(fault(history, 1, {TimeSpan::Months(1), 12, -0.1}), "terms.discount_rate");
  EXPECT_EQ(fault(history, 1, {TimeSpan(), 12, 0.1}), "terms.period");
  EXPECT_EQ(fault(history, 1, {TimeSpan::Years(9e5), 12, 0.1}), "terms.period");
}

TEST(CustomerScorerTest, IsTheDiscountedValueOfMonths) {
  const auto model =
      PurchaseModel::Make(PurchaseModelKind::kBgNbd, TimeUnit::kWeek, {0.243, 4.414, 0.793, 2.426});
  auto scorer = CustomerScorer::Make(*model, TimeSpan::Days(365), 0.01);
  CLM_ASSERT_OK(scorer);
  // The second and the third have frequency and age in common.
  for (const History& history :
       {History{0, {}, TimeSpan::Weeks(39)}, History{3, TimeSpan::Weeks(20), TimeSpan::Weeks(39)},
        History{3, TimeSpan::Weeks(38), TimeSpan::Weeks(39)}}) {
    const auto score = scorer->Of(history);
    CLM_ASSERT_OK(score);
    EXPECT_DOUBLE_EQ(score->p_alive, *model->PAlive(history));
    EXPECT_NEAR(score->expected_purchases, *model->ExpectedPurchases(history, TimeSpan::Years(1)),
                1e-12);
    EXPECT_NEAR(score->discounted_purchases, *DiscountedValue(*model, history, 1, {}), 1e-12);
  }
  EXPECT_EQ(error::FieldViolations(scorer->Of({0, TimeSpan::Days(1), {}}).status())[0].first,
            "history.recency");
}

TEST(CustomerScorerTest, TheLastMonthMayBeAPart) {
  const auto model =
      PurchaseModel::Make(PurchaseModelKind::kParetoNbd, TimeUnit::kDay, {0.5, 70, 0.6, 80});
  const History history{3, TimeSpan::Weeks(20), TimeSpan::Weeks(39)};
  auto scorer = CustomerScorer::Make(*model, TimeSpan::Days(45), 0.1);
  const double month = *model->ExpectedPurchases(history, TimeSpan::Months(1));
  const double all = *model->ExpectedPurchases(history, TimeSpan::Days(45));
  EXPECT_NEAR(scorer->Of(history)->expected_purchases, all, 1e-12);
  EXPECT_NEAR(scorer->Of(history)->discounted_purchases, month / 1.1 + (all - month) / 1.21, 1e-12);
  EXPECT_EQ(CustomerScorer::Make(*model, TimeSpan(), 0)->Of(history)->expected_purchases, 0);
  EXPECT_EQ(error::FieldViolations(CustomerScorer::Make(*model, TimeSpan::Years(101), -1).status())
                .size(),
            2u);
}

TEST(MarginMultipleTest, TextbookValues) {
  const auto later = FirstMargin::kAfterOnePeriod;
  EXPECT_NEAR(*MarginMultiple(.8, .1, later), 2.6667, 5e-5);
  EXPECT_NEAR(*MarginMultiple(.9, .1, later), 4.5, 1e-12);
  EXPECT_NEAR(*MarginMultiple(.6, .1, later), 1.2, 1e-12);
  EXPECT_NEAR(*MarginMultiple(.9, .12, later), 4.0909, 5e-5);
  // With a margin at once there is one more of them.
  EXPECT_NEAR(*MarginMultiple(.8, .1, FirstMargin::kAtOnce), 1 + *MarginMultiple(.8, .1, later),
              1e-12);
  EXPECT_NEAR(*SimpleValue(100, 40, .8, .1, later), 100 * 8.0 / 3 - 40, 1e-9);
}

TEST(MarginMultipleTest, NoneWhereTheSumIsEndless) {
  EXPECT_FALSE(MarginMultiple(1, 0, FirstMargin::kAtOnce).has_value());
  EXPECT_TRUE(MarginMultiple(1, 0.1, FirstMargin::kAtOnce).has_value());
  EXPECT_FALSE(MarginMultiple(1.01, 0.1, FirstMargin::kAtOnce).has_value());
  EXPECT_FALSE(MarginMultiple(-.1, 0.1, FirstMargin::kAtOnce).has_value());
  EXPECT_FALSE(MarginMultiple(.5, NAN, FirstMargin::kAtOnce).has_value());
  EXPECT_FALSE(SimpleValue(1, 0, NAN, 0.1, FirstMargin::kAtOnce).has_value());
}

}  // namespace
}  // namespace clm::predict
