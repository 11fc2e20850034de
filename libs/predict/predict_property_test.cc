// What must hold for any parameters and any customer.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "libs/base/error.h"
#include "libs/predict/customer_value.h"
#include "libs/predict/history.h"
#include "libs/predict/purchase_model.h"
#include "libs/predict/spend_model.h"

namespace clm::predict {
namespace {

// 10^[low, high], every decade alike.
double Log10(double low, double high) {
  const double part = *rc::gen::inRange(0, 1'000'001) / 1e6;
  return std::pow(10, low + part * (high - low));
}
PurchaseModelKind AnyKind() {
  return *rc::gen::element(PurchaseModelKind::kBgNbd, PurchaseModelKind::kMbgNbd,
                           PurchaseModelKind::kParetoNbd);
}
TimeUnit AnyUnit() {
  return *rc::gen::element(TimeUnit::kDay, TimeUnit::kWeek, TimeUnit::kMonth, TimeUnit::kYear);
}
// Of the whole range that is valid.
PurchaseModel AnyModel() {
  const PurchaseModelKind kind = AnyKind();
  const TimeUnit unit = AnyUnit();
  const double day = 1 / DaysOf(unit);
  PurchaseModel::Parameters p = {Log10(-5.9, 5.9), Log10(-5.9, 5.9) * day, Log10(-5.9, 5.9),
                                 Log10(-5.9, 5.9)};
  if (kind == PurchaseModelKind::kParetoNbd) p[3] *= day;
  RC_LOG() << PurchaseModelKindName(kind) << " " << p[0] << " " << p[1] << " " << p[2] << " "
           << p[3] << " per " << TimeUnitName(unit);
  return *PurchaseModel::Make(kind, unit, p);
}
// Of the range that fits come from.
PurchaseModel UsualModel() {
  const PurchaseModel::Parameters p = {Log10(-2, 1), Log10(-1, 2), Log10(-1, 1), Log10(-1, 2)};
  return *PurchaseModel::Make(AnyKind(), TimeUnit::kWeek, p);
}
History AnyHistory(int most) {
  const double age = *rc::gen::inRange(0, 4) == 0 ? 0 : Log10(-3, 5);
  const int64_t x = *rc::gen::inRange(0, most);
  const double part = *rc::gen::inRange(0, 1001) / 1e3;
  RC_LOG() << "x " << x << " recency " << age * part << " age " << age << " days\n";
  return {x, TimeSpan::Days(x == 0 ? 0 : age * part), TimeSpan::Days(age)};
}

void AssertFinite(const absl::StatusOr<double>& value) {
  RC_LOG() << (value.ok() ? std::to_string(*value) : value.status().ToString()) << "\n";
  RC_ASSERT(value.ok());
  RC_ASSERT(std::isfinite(*value));
}

RC_GTEST_PROP(PredictPropertyTest, WhateverIsValidIsFiniteAndInItsBounds, ()) {
  const PurchaseModel model = AnyModel();
  const History history = AnyHistory(3000);
  const TimeSpan horizon = TimeSpan::Days(Log10(-6, 5));
  const auto alive = model.PAlive(history);
  AssertFinite(alive);
  RC_ASSERT(*alive >= 0 && *alive <= 1);
  AssertFinite(model.LogLikelihood(history));
  const auto fresh = model.ExpectedPurchases(horizon);
  AssertFinite(fresh);
  RC_ASSERT(*fresh >= 0);
  const auto later = model.ExpectedPurchases(history, horizon);
  AssertFinite(later);
  RC_ASSERT(*later >= 0);
  const auto probability = model.ProbabilityOf(history.frequency, horizon);
  AssertFinite(probability);
  RC_ASSERT(*probability >= 0 && *probability <= 1);
}

RC_GTEST_PROP(PredictPropertyTest, MoreTimeNeverBringsLess, ()) {
  const PurchaseModel model = UsualModel();
  const History history = AnyHistory(60);
  double before = 0, before_fresh = 0;
  for (const double weeks : {0.1, 0.5, 1.0, 3.0, 10.0, 40.0, 41.0, 150.0, 600.0}) {
    const double now = *model.ExpectedPurchases(history, TimeSpan::Weeks(weeks));
    const double fresh = *model.ExpectedPurchases(TimeSpan::Weeks(weeks));
    RC_LOG() << weeks << ": " << now << " " << fresh << "\n";
    RC_ASSERT(now >= before * (1 - 1e-9));
    RC_ASSERT(fresh >= before_fresh * (1 - 1e-9));
    before = now;
    before_fresh = fresh;
  }
}

RC_GTEST_PROP(PredictPropertyTest, ProbabilitiesOfCountsAddUpToOneAndToTheExpectation, ()) {
  // Few purchases, so that the sum has an end.
  const PurchaseModel model = *PurchaseModel::Make(
      AnyKind(), TimeUnit::kWeek, {Log10(-1, 0.5), Log10(0.7, 2), Log10(-0.5, 1), Log10(-0.5, 2)});
  const TimeSpan horizon = TimeSpan::Weeks(Log10(-1, 1));
  double sum = 0, mean = 0;
  for (int64_t n = 0; n < 400; ++n) {
    const double probability = *model.ProbabilityOf(n, horizon);
    sum += probability;
    mean += static_cast<double>(n) * probability;
  }
  const double expected = *model.ExpectedPurchases(horizon);
  RC_LOG() << sum << " " << mean << " " << expected << "\n";
  RC_ASSERT(std::abs(sum - 1) < 1e-8);
  RC_ASSERT(std::abs(mean - expected) < 1e-7 * (1 + expected));
}

RC_GTEST_PROP(PredictPropertyTest, ScalingAllTimesChangesNothingButTheUnit, ()) {
  const PurchaseModel model = UsualModel();
  const double factor = Log10(-2, 2);
  PurchaseModel::Parameters p = model.parameters();
  p[1] *= factor;
  if (model.kind() == PurchaseModelKind::kParetoNbd) p[3] *= factor;
  const PurchaseModel scaled = *PurchaseModel::Make(model.kind(), model.unit(), p);
  const History history = AnyHistory(40);
  const History longer{history.frequency, history.recency.Times(factor), history.age.Times(factor)};
  const TimeSpan horizon = TimeSpan::Weeks(26);
  const auto same = [](double a, double b) {
    return std::abs(a - b) <= 1e-7 * (1e-9 + std::abs(a));
  };
  RC_ASSERT(same(*model.PAlive(history), *scaled.PAlive(longer)));
  RC_ASSERT(same(*model.ExpectedPurchases(history, horizon),
                 *scaled.ExpectedPurchases(longer, horizon.Times(factor))));
  RC_ASSERT(
      same(*model.ProbabilityOf(3, horizon), *scaled.ProbabilityOf(3, horizon.Times(factor))));
}

RC_GTEST_PROP(PredictPropertyTest, NeighboursDoNotDifferMuch, ()) {
  // No jump where one way of computing hands over to another.
  const PurchaseModel model = UsualModel();
  const History history = AnyHistory(200);
  const size_t which = *rc::gen::inRange<size_t>(0, 4);
  PurchaseModel::Parameters p = model.parameters();
  p[which] *= 1 + 1e-9;
  const PurchaseModel neighbour = *PurchaseModel::Make(model.kind(), model.unit(), p);
  const TimeSpan horizon = TimeSpan::Weeks(Log10(-1, 3));
  const double here = *model.ExpectedPurchases(history, horizon);
  const double there = *neighbour.ExpectedPurchases(history, horizon);
  RC_LOG() << here << " " << there << "\n";
  // A parameter's relative change reaches the exponents, some thousands at most.
  RC_ASSERT(std::abs(here - there) <= 1e-5 * here + 1e-300);
}

RC_GTEST_PROP(PredictPropertyTest, GroupsHaveTheLikelihoodOfTheirCustomers, ()) {
  const PurchaseModel model = UsualModel();
  std::vector<Observation> sample;
  const int customers = *rc::gen::inRange(1, 40);
  for (int i = 0; i < customers; ++i) {
    const int64_t x = *rc::gen::inRange(0, 3);
    sample.push_back(
        {{x, TimeSpan::Weeks(x == 0 ? 0 : *rc::gen::inRange(1, 3)), TimeSpan::Weeks(4)},
         1.0 * *rc::gen::inRange(1, 5)});
  }
  double apart = 0;
  for (const Observation& each : sample) {
    apart += each.weight * *model.LogLikelihood(each.history);
  }
  RC_ASSERT(std::abs(*model.LogLikelihood(sample) - apart) <= 1e-10 * (1 + std::abs(apart)));
  RC_ASSERT(std::abs(*model.LogLikelihood(Grouped(sample)) - apart) <=
            1e-10 * (1 + std::abs(apart)));
}

RC_GTEST_PROP(PredictPropertyTest, AnyInputIsAnsweredOrRefusedByName, ()) {
  const auto number = [] {
    return *rc::gen::element(0.0, -1.0, 1.0, 3.5, 1e-300, 1e300, -0.0, double{NAN},
                             double{INFINITY}, -double{INFINITY}, 40.0, 1e9);
  };
  const History history{*rc::gen::element<int64_t>(0, -1, 1, 5, INT64_MAX, INT64_MIN),
                        TimeSpan::Of(number(), AnyUnit()), TimeSpan::Of(number(), AnyUnit())};
  const auto model = PurchaseModel::Make(AnyKind(), AnyUnit(), {number(), number(), number(), 2});
  const auto check = [](const absl::StatusOr<double>& value) {
    if (value.ok()) {
      RC_ASSERT(std::isfinite(*value));
    } else {
      RC_ASSERT(value.status().code() == absl::StatusCode::kInvalidArgument);
      RC_ASSERT(!error::FieldViolations(value.status()).empty());
      RC_ASSERT(!error::FieldViolations(value.status())[0].first.empty());
    }
  };
  if (!model.ok()) {
    RC_ASSERT(!error::FieldViolations(model.status()).empty());
    return;
  }
  const TimeSpan horizon = TimeSpan::Of(number(), AnyUnit());
  check(model->PAlive(history));
  check(model->LogLikelihood(history));
  check(model->ExpectedPurchases(horizon));
  check(model->ExpectedPurchases(history, horizon));
  check(model->ProbabilityOf(history.frequency, horizon));
  check(DiscountedValue(*model, history, number(), {horizon, 3, number()}));
}

RC_GTEST_PROP(PredictPropertyTest, ExpectedSpendLiesBetweenOwnAndCommonMean, ()) {
  const SpendModel model = *SpendModel::Make({Log10(-1, 2), 1 + Log10(-2, 2), Log10(-1, 5)});
  const int64_t x = *rc::gen::inRange(1, 500);
  const double mean = Log10(-1, 6);
  const double common = *model.ExpectedSpend();
  const double spend = *model.ExpectedSpend(x, mean);
  RC_ASSERT(spend >= std::min(common, mean) * (1 - 1e-12));
  RC_ASSERT(spend <= std::max(common, mean) * (1 + 1e-12));
}

}  // namespace
}  // namespace clm::predict
