// What customers are worth: by prediction (A-07 of the insights capabilities), and by the simple
// formula of textbooks.
//
// Pure. Amounts are expectations in minor units, as doubles; whoever shows or stores one rounds it.
#ifndef CLM_LIBS_PREDICT_CUSTOMER_VALUE_H_
#define CLM_LIBS_PREDICT_CUSTOMER_VALUE_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "libs/predict/history.h"
#include "libs/predict/purchase_model.h"
#include "libs/predict/time_span.h"

namespace clm::predict {

struct ValueTerms {
  TimeSpan period = TimeSpan::Months(1);
  int periods = 12;             // 1 to 1200.
  double discount_rate = 0.01;  // Per period, from 0 to 10.
};

// sum over k = 1..periods of spend (E[X(k u)] - E[X((k-1) u)]) / (1+d)^k, u the period: purchases
// of a period are paid for at its end, as in the lifetimes library. The period is converted to the
// model's unit, so that weekly data and a month of 30 days cannot meet as 30 weeks.
// INVALID_ARGUMENT naming "history", "terms.periods" and the like, or "expected_spend" (negative).
absl::StatusOr<double> DiscountedValue(const PurchaseModel& model, const History& history,
                                       double expected_spend, const ValueTerms& terms);

// What a model says of a customer.
struct Score {
  double p_alive = 0;
  double expected_purchases = 0;  // Within the horizon.
  double discounted_purchases =
      0;  // The same, at their value of today: times the spend, the value.
};

// Scores customer after customer over one horizon, which is cut into months; the last may be a part
// of one. Purchases are discounted from the end of their month on. What a customer would buy if
// alive depends on the frequency and the age alone, so it is worked out once for all who share
// them: a further customer costs one P(alive).
//
// Not thread-safe, as it remembers; make one per thread.
class CustomerScorer {
 public:
  // INVALID_ARGUMENT naming "horizon" (100 years at most) or "monthly_discount_rate".
  static absl::StatusOr<CustomerScorer> Make(const PurchaseModel& model, TimeSpan horizon,
                                             double monthly_discount_rate);

  absl::StatusOr<Score> Of(const History& history);

 private:
  struct IfAlive {
    double expected = 0;
    double discounted = 0;
  };
  CustomerScorer(const PurchaseModel& model, TimeSpan horizon, double rate)
      : model_(model), horizon_(horizon), rate_(rate) {}
  absl::StatusOr<IfAlive> Compute(const History& history) const;

  PurchaseModel model_;
  TimeSpan horizon_;
  double rate_;
  absl::flat_hash_map<std::pair<int64_t, double>, IfAlive> known_;  // By frequency, age in days.
};

// When the first margin comes in.
enum class FirstMargin {
  kAfterOnePeriod,  // r / (1 + i - r)
  kAtOnce,          // (1 + i) / (1 + i - r)
};

// What a margin of 1 per period is worth over a customer's life, for a retention rate r and a
// discount rate i per period. None unless 0 <= r <= 1, i >= 0 and the sum converges (r < 1 + i).
std::optional<double> MarginMultiple(double retention_rate, double discount_rate,
                                     FirstMargin first_margin);
// margin times the multiple, less the acquisition cost; none as above.
std::optional<double> SimpleValue(double margin_per_period, double acquisition_cost,
                                  double retention_rate, double discount_rate,
                                  FirstMargin first_margin);

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_CUSTOMER_VALUE_H_
