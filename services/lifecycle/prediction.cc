#include "services/lifecycle/prediction.h"

#include <algorithm>
#include <utility>

#include "libs/base/status_macros.h"
#include "libs/predict/customer_value.h"

namespace clm::lifecycle {
namespace {

using predict::TimeSpan;

std::string WhyNot(const absl::Status& status) { return std::string(status.message()); }

bool WasCancelled(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled;
}

predict::History HistoryBefore(const Buyer& buyer, int64_t held_out) {
  return {buyer.frequency_before, TimeSpan::Days(static_cast<double>(buyer.recency_before_days)),
          TimeSpan::Days(static_cast<double>(buyer.age_days - held_out))};
}

absl::StatusOr<std::vector<TrackingPoint>> Track(const predict::PurchaseModel& model,
                                                 const Purchases& purchases) {
  std::vector<TrackingPoint> points;
  if (purchases.days.empty()) return points;
  const absl::CivilDay first = purchases.days.front().day;
  const int64_t last = purchases.end - first;
  for (int64_t day = std::min<int64_t>(7, last); day <= last && last > 0;
       day = day == last ? last + 1 : std::min(day + 7, last)) {
    TrackingPoint point{.day = day};
    for (const PurchaseDay& each : purchases.days) {
      const int64_t since = day - (each.day - first);
      if (since < 0) break;
      point.actual += each.repeat;
      if (each.first == 0) continue;
      CLM_ASSIGN_OR_RETURN(const double expected,
                           model.ExpectedPurchases(TimeSpan::Days(static_cast<double>(since))));
      point.expected += expected * static_cast<double>(each.first);
    }
    points.push_back(point);
  }
  return points;
}

std::vector<predict::Spend> SpendsOf(const Purchases& purchases) {
  std::vector<predict::Spend> spends;
  for (const Buyer& buyer : purchases.buyers) {
    const double mean = MeanSpend(buyer);
    if (mean > 0) spends.push_back({buyer.frequency, mean, 1});
  }
  return spends;
}

}  // namespace

predict::DataFacts FactsOf(const Purchases& purchases) {
  predict::DataFacts facts;
  facts.customers = static_cast<int64_t>(purchases.buyers.size());
  std::optional<int64_t> latest;
  for (const Buyer& buyer : purchases.buyers) {
    if (buyer.frequency >= 2) ++facts.customers_with_three;
    const int64_t silent = buyer.age_days - buyer.recency_days;
    latest = std::min(latest.value_or(silent), silent);
    facts.history_days = std::max(facts.history_days, buyer.age_days);
  }
  facts.days_since_last = latest.value_or(0);
  return facts;
}

std::optional<absl::CivilDay> CalibrationEnd(absl::CivilDay first, absl::CivilDay end,
                                             int holdout_days) {
  const int64_t history = end - first;
  const int64_t held_out = holdout_days > 0 ? holdout_days : history / 3;
  if (held_out <= 0 || held_out >= history) return std::nullopt;
  return end - held_out;
}

predict::History HistoryOf(const Buyer& buyer) {
  return {buyer.frequency, TimeSpan::Days(static_cast<double>(buyer.recency_days)),
          TimeSpan::Days(static_cast<double>(buyer.age_days))};
}

double MeanSpend(const Buyer& buyer) {
  if (buyer.frequency == 0 || buyer.repeat_spend_minor <= 0) return 0;
  return static_cast<double>(buyer.repeat_spend_minor) / static_cast<double>(buyer.frequency);
}

absl::StatusOr<Comparison> Compare(const predict::PurchaseModel& model,
                                   const Purchases& purchases) {
  const int64_t held_out = purchases.end - purchases.calibration_end.value_or(purchases.end);
  CLM_ASSIGN_OR_RETURN(auto scorer, predict::CustomerScorer::Make(
                                        model, TimeSpan::Days(static_cast<double>(held_out)), 0));
  Comparison comparison;
  comparison.classes.resize(kMostFrequent + 1);
  for (int64_t i = 0; i <= kMostFrequent; ++i) {
    comparison.classes[static_cast<size_t>(i)].frequency = i;
  }
  for (const Buyer& buyer : purchases.buyers) {
    if (buyer.frequency_before < 0) continue;
    CLM_ASSIGN_OR_RETURN(const predict::Score score, scorer.Of(HistoryBefore(buyer, held_out)));
    FrequencyClass& of =
        comparison.classes[static_cast<size_t>(std::min(buyer.frequency_before, kMostFrequent))];
    const int64_t actual = buyer.frequency - buyer.frequency_before;
    ++of.customers;
    of.actual += static_cast<double>(actual);
    of.expected += score.expected_purchases;
    ++comparison.customers;
    comparison.actual += actual;
    comparison.expected += score.expected_purchases;
  }
  for (FrequencyClass& of : comparison.classes) {
    if (of.customers == 0) continue;
    of.actual /= static_cast<double>(of.customers);
    of.expected /= static_cast<double>(of.customers);
  }
  CLM_ASSIGN_OR_RETURN(comparison.points, Track(model, purchases));
  return comparison;
}

absl::StatusOr<FittedPrediction> FitPrediction(predict::PurchaseModelKind kind,
                                               predict::TimeUnit unit, const Purchases& purchases,
                                               const std::function<bool()>& cancelled) {
  CLM_RETURN_IF_ERROR(
      predict::Refuse(predict::UnmetConditions(FactsOf(purchases), /*horizon_days=*/0)));
  predict::FitOptions options;
  options.cancelled = cancelled;
  std::vector<predict::Observation> all, before;
  const int64_t held_out = purchases.end - purchases.calibration_end.value_or(purchases.end);
  for (const Buyer& buyer : purchases.buyers) {
    all.push_back({HistoryOf(buyer), 1});
    if (purchases.calibration_end && buyer.frequency_before >= 0) {
      before.push_back({HistoryBefore(buyer, held_out), 1});
    }
  }
  CLM_ASSIGN_OR_RETURN(auto fit, predict::FitPurchaseModel(kind, unit, all, options));
  FittedPrediction fitted{.purchases = std::move(fit)};
  const std::vector<predict::Spend> spends = SpendsOf(purchases);
  if (spends.empty()) {
    fitted.spend_problem = "nobody spent anything on a repeat purchase in this currency";
  } else {
    auto spend = predict::FitSpendModel(spends, options);
    if (WasCancelled(spend.status())) return spend.status();
    if (spend.ok() && !spend->model.ExpectedSpend().ok()) {
      fitted.spend_problem = WhyNot(spend->model.ExpectedSpend().status());
    } else if (spend.ok()) {
      fitted.spend = *std::move(spend);
    } else {
      fitted.spend_problem = WhyNot(spend.status());
    }
  }
  if (before.empty()) {
    fitted.comparison_problem = "no time before the days that are held out";
    return fitted;
  }
  const auto earlier = predict::FitPurchaseModel(kind, unit, before, options);
  if (WasCancelled(earlier.status())) return earlier.status();
  if (!earlier.ok()) {
    fitted.comparison_problem = WhyNot(earlier.status());
    return fitted;
  }
  CLM_ASSIGN_OR_RETURN(fitted.comparison, Compare(earlier->model, purchases));
  return fitted;
}

}  // namespace clm::lifecycle
