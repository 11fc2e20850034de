// Predictions over the purchases of a tenant: what a model is fitted to, how it is compared with
// purchases that it had not seen, and what it says of a customer. The models are those of
// libs/predict; here is what the service asks of them.
//
// Pure. Days are of the calendar in UTC, amounts are in minor units.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "libs/base/uuid.h"
#include "libs/predict/purchase_model.h"
#include "libs/predict/readiness.h"
#include "libs/predict/spend_model.h"

namespace clm::lifecycle {

// A customer's purchases, prepared as libs/predict/history.h says.
struct Buyer {
  Uuid contact;
  int64_t frequency = 0;  // Repeat days up to the end.
  int64_t recency_days = 0;
  int64_t age_days = 0;
  int64_t repeat_spend_minor = 0;  // Of all repeat days, in the currency of the model.
  int64_t frequency_before = -1;   // Repeat days up to the end of calibration; -1: not there yet.
  int64_t recency_before_days = 0;
};

// How many customers bought first, and how many again, on a day.
struct PurchaseDay {
  absl::CivilDay day;
  int64_t first = 0;
  int64_t repeat = 0;
};

// What there is to fit.
struct Purchases {
  absl::CivilDay end;
  std::optional<absl::CivilDay> calibration_end;  // None: nothing is held out.
  std::vector<Buyer> buyers;
  std::vector<PurchaseDay> days;  // In order.
};

// All zero when nobody bought anything.
predict::DataFacts FactsOf(const Purchases& purchases);

// Where calibration ends when `holdout_days` at the end are held out, 0 for a third of the history
// from its first day on; none when less than a day would be left.
std::optional<absl::CivilDay> CalibrationEnd(absl::CivilDay first, absl::CivilDay end,
                                             int holdout_days);

// As predict::History, up to the end.
predict::History HistoryOf(const Buyer& buyer);
// Of the repeat purchases; 0 where the model of the spend has nothing to learn.
double MeanSpend(const Buyer& buyer);

struct FrequencyClass {
  int64_t frequency = 0;
  int64_t customers = 0;
  double actual = 0;    // Per customer.
  double expected = 0;  // Per customer.
};
struct TrackingPoint {
  int64_t day = 0;  // Since the first purchase of all.
  int64_t actual = 0;
  double expected = 0;
};
// A model that was fitted up to calibration_end against what came after.
struct Comparison {
  int64_t customers = 0;
  int64_t actual = 0;
  double expected = 0;
  std::vector<FrequencyClass> classes;
  std::vector<TrackingPoint> points;
};

// Whoever bought kMostFrequent times or more is one class.
inline constexpr int64_t kMostFrequent = 7;
absl::StatusOr<Comparison> Compare(const predict::PurchaseModel& model, const Purchases& purchases);

struct FittedPrediction {
  predict::PurchaseFit purchases;
  std::optional<predict::SpendFit> spend;
  std::string spend_problem;
  std::optional<Comparison> comparison;
  std::string comparison_problem;
};

// Refuses as predict::Refuse and predict::FitPurchaseModel do. A spend or a comparison that cannot
// be had is no refusal, but a problem that is told. `cancelled` may be null.
absl::StatusOr<FittedPrediction> FitPrediction(predict::PurchaseModelKind kind,
                                               predict::TimeUnit unit, const Purchases& purchases,
                                               const std::function<bool()>& cancelled);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_H_
