#include "libs/predict/customer_value.h"

#include <cmath>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::predict {

absl::StatusOr<double> DiscountedValue(const PurchaseModel& model, const History& history,
                                       double expected_spend, const ValueTerms& terms) {
  error::FieldErrors errors;
  CheckHistory("history", history, errors);
  if (!(expected_spend >= 0 && expected_spend <= 1e18)) {
    errors.Add("expected_spend", "must be from 0 to 1e18");
  }
  if (terms.periods < 1 || terms.periods > 1200) {
    errors.Add("terms.periods", "must be from 1 to 1200");
  }
  if (!(terms.discount_rate >= 0 && terms.discount_rate <= 10)) {
    errors.Add("terms.discount_rate", "must be from 0 to 10");
  }
  errors.AddStatus("", CheckSpan("terms.period", terms.period));
  if (errors.empty() && terms.period.In(TimeUnit::kDay) <= 0) {
    errors.Add("terms.period", "must be longer than 0");
  }
  if (errors.empty()) {
    errors.AddStatus("", CheckSpan("terms.period", terms.period.Times(terms.periods)));
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  double value = 0, before = 0;
  for (int k = 1; k <= terms.periods; ++k) {
    CLM_ASSIGN_OR_RETURN(const double until,
                         model.ExpectedPurchases(history, terms.period.Times(k)));
    value += (until - before) / std::pow(1 + terms.discount_rate, k);
    before = until;
  }
  return value * expected_spend;
}

absl::StatusOr<CustomerScorer> CustomerScorer::Make(const PurchaseModel& model, TimeSpan horizon,
                                                    double monthly_discount_rate) {
  error::FieldErrors errors;
  errors.AddStatus("", CheckSpan("horizon", horizon));
  if (errors.empty() && horizon.In(TimeUnit::kYear) > 100) {
    errors.Add("horizon", "must not exceed 100 years");
  }
  if (!(monthly_discount_rate >= 0 && monthly_discount_rate <= 10)) {
    errors.Add("monthly_discount_rate", "must be from 0 to 10");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return CustomerScorer(model, horizon, monthly_discount_rate);
}

absl::StatusOr<CustomerScorer::IfAlive> CustomerScorer::Compute(const History& history) const {
  IfAlive known;
  const double months = horizon_.In(TimeUnit::kMonth);
  for (int k = 1; k - 1 < months; ++k) {
    // The very horizon at the end, which its conversion to months might miss by a rounding.
    const TimeSpan until = k < months ? TimeSpan::Months(k) : horizon_;
    CLM_ASSIGN_OR_RETURN(const double expected,
                         model_.ExpectedPurchasesIfAlive(history.frequency, history.age, until));
    known.discounted += (expected - known.expected) / std::pow(1 + rate_, k);
    known.expected = expected;
  }
  return known;
}

absl::StatusOr<Score> CustomerScorer::Of(const History& history) {
  CLM_ASSIGN_OR_RETURN(const double alive, model_.PAlive(history));
  const auto [it, fresh] =
      known_.try_emplace({history.frequency, history.age.In(TimeUnit::kDay)}, IfAlive());
  if (fresh) {
    auto computed = Compute(history);
    if (!computed.ok()) {
      known_.erase(it);
      return computed.status();
    }
    it->second = *computed;
  }
  return Score{alive, alive * it->second.expected, alive * it->second.discounted};
}

std::optional<double> MarginMultiple(double retention_rate, double discount_rate,
                                     FirstMargin first_margin) {
  const bool converges = retention_rate >= 0 && retention_rate <= 1 && discount_rate >= 0 &&
                         retention_rate < 1 + discount_rate && std::isfinite(discount_rate);
  if (!converges) return std::nullopt;
  const double paid = first_margin == FirstMargin::kAtOnce ? 1 + discount_rate : retention_rate;
  return paid / (1 + discount_rate - retention_rate);
}

std::optional<double> SimpleValue(double margin_per_period, double acquisition_cost,
                                  double retention_rate, double discount_rate,
                                  FirstMargin first_margin) {
  const auto multiple = MarginMultiple(retention_rate, discount_rate, first_margin);
  if (!multiple) return std::nullopt;
  return margin_per_period * *multiple - acquisition_cost;
}

}  // namespace clm::predict
