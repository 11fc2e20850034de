// Prediction models between the wire and libs/predict.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_PROTO_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_PROTO_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "clm/lifecycle/v1/prediction_service.pb.h"
#include "libs/predict/customer_value.h"
#include "libs/predict/purchase_model.h"
#include "libs/predict/spend_model.h"
#include "services/lifecycle/prediction.h"

namespace clm::lifecycle {

// What a caller asks to fit, after defaults.
struct PredictionRequest {
  predict::PurchaseModelKind kind = predict::PurchaseModelKind::kBgNbd;
  predict::TimeUnit unit = predict::TimeUnit::kWeek;
  absl::CivilDay end;
};

// INVALID_ARGUMENT naming "prediction_model.kind" and the like. `yesterday` is the default end, and
// the last one that there is.
absl::StatusOr<PredictionRequest> RequestFrom(const v1::PredictionModel& model,
                                              absl::CivilDay yesterday);
// INVALID_ARGUMENT naming "end_date"; `otherwise` for an empty text.
absl::StatusOr<absl::CivilDay> EndFrom(const std::string& end_date, absl::CivilDay otherwise,
                                       absl::CivilDay yesterday);

// Writes everything that a fit has found.
void ToProto(const FittedPrediction& fitted, const Purchases& purchases, v1::PredictionModel& out);

// A stored model, to be asked. INTERNAL when it cannot be one.
struct StoredPrediction {
  predict::PurchaseModel purchases;
  std::optional<predict::SpendModel> spend;
  absl::CivilDay end;
};
absl::StatusOr<StoredPrediction> StoredFrom(const v1::PredictionModel& model);

// What the stored model says of a buyer; `scorer` is of its purchases.
struct BuyerScore {
  predict::Score score;
  std::optional<double> spend;  // Of a purchase; with a model of the spend.
  std::optional<double> value() const {
    if (!spend) return std::nullopt;
    return *spend * score.discounted_purchases;
  }
};
absl::StatusOr<BuyerScore> ScoreOf(const StoredPrediction& model, predict::CustomerScorer& scorer,
                                   const Buyer& buyer);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_PROTO_H_
