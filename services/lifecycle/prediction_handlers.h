// What the RPCs of PredictionService do, in which order. What is fitted and said is decided in
// prediction.h and libs/predict.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_HANDLERS_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/lifecycle/v1/prediction_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "services/lifecycle/prediction_store.h"

namespace clm::lifecycle {

// All of it outlives the handlers.
struct PredictionParts {
  PredictionStore* store = nullptr;
  journal::Lanes* lanes = nullptr;  // Whose unit of work is PredictionWork; one executor is enough.
  const PageTokens* tokens = nullptr;
};

// Thread-safe.
class PredictionHandlers {
 public:
  explicit PredictionHandlers(const PredictionParts& parts) : parts_(parts) {}

  // Blocks its worker while it reads and fits; breaks off when the caller does.
  absl::StatusOr<v1::PredictionModel> CreatePredictionModel(
      const rpc::Call& call, const v1::CreatePredictionModelRequest& request);
  absl::StatusOr<v1::PredictionModel> GetPredictionModel(
      const rpc::Call& call, const v1::GetPredictionModelRequest& request);
  absl::StatusOr<v1::ListPredictionModelsResponse> ListPredictionModels(
      const rpc::Call& call, const v1::ListPredictionModelsRequest& request);
  absl::StatusOr<v1::CustomerPrediction> GetCustomerPrediction(
      const rpc::Call& call, const v1::GetCustomerPredictionRequest& request);
  absl::StatusOr<v1::ListCustomerPredictionsResponse> ListCustomerPredictions(
      const rpc::Call& call, const v1::ListCustomerPredictionsRequest& request);

 private:
  const PredictionParts parts_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_HANDLERS_H_
