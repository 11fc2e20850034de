// PredictionService on the wire.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_SERVICE_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_SERVICE_H_

#include "clm/lifecycle/v1/prediction_service.grpc.pb.h"
#include "libs/rpc/service.h"
#include "services/lifecycle/prediction_handlers.h"

namespace clm::lifecycle {

class PredictionBinding : public rpc::Service {
 public:
  PredictionBinding(rpc::Host& host, PredictionHandlers& handlers)
      : Service(host, v1::PredictionService::service_full_name()) {
    using H = PredictionHandlers;
    Bind("CreatePredictionModel", &handlers, &H::CreatePredictionModel);
    Bind("GetPredictionModel", &handlers, &H::GetPredictionModel);
    Bind("ListPredictionModels", &handlers, &H::ListPredictionModels);
    Bind("GetCustomerPrediction", &handlers, &H::GetCustomerPrediction);
    Bind("ListCustomerPredictions", &handlers, &H::ListCustomerPredictions);
  }
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_SERVICE_H_
