// LifecycleService on the wire.
#ifndef CLM_SERVICES_LIFECYCLE_LIFECYCLE_SERVICE_H_
#define CLM_SERVICES_LIFECYCLE_LIFECYCLE_SERVICE_H_

#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/rpc/service.h"
#include "services/lifecycle/lifecycle_handlers.h"

namespace clm::lifecycle {

class LifecycleBinding : public rpc::Service {
 public:
  LifecycleBinding(rpc::Host& host, LifecycleHandlers& handlers)
      : Service(host, v1::LifecycleService::service_full_name()) {
    using H = LifecycleHandlers;
    Bind("ListPresets", &handlers, &H::ListPresets);
    Bind("InstallPreset", &handlers, &H::InstallPreset);
    Bind("CompareModels", &handlers, &H::CompareModels);
    Bind("CreateStageModel", &handlers, &H::CreateStageModel);
    Bind("GetStageModel", &handlers, &H::GetStageModel);
    Bind("ListStageModels", &handlers, &H::ListStageModels);
    Bind("PublishStageModel", &handlers, &H::PublishStageModel);
    Bind("CreateRule", &handlers, &H::CreateRule);
    Bind("UpdateRule", &handlers, &H::UpdateRule);
    Bind("ListRules", &handlers, &H::ListRules);
    Bind("DeleteRule", &handlers, &H::DeleteRule);
    Bind("EnableRule", &handlers, &H::EnableRule);
    Bind("DisableRule", &handlers, &H::DisableRule);
    Bind("DryRunRule", &handlers, &H::DryRunRule);
    Bind("MoveCustomer", &handlers, &H::MoveCustomer);
    Bind("ClearStage", &handlers, &H::ClearStage);
    Bind("ReactivateCustomer", &handlers, &H::ReactivateCustomer);
    Bind("GetCustomerStages", &handlers, &H::GetCustomerStages);
    Bind("ListTransitions", &handlers, &H::ListTransitions);
    Bind("GetStageTimes", &handlers, &H::GetStageTimes);
    Bind("ExplainStage", &handlers, &H::ExplainStage);
    Bind("ListCustomersInStage", &handlers, &H::ListCustomersInStage);
    Bind("ListDeadLetters", &handlers, &H::ListDeadLetters);
    Bind("ReplayDeadLetter", &handlers, &H::ReplayDeadLetter);
  }
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_LIFECYCLE_SERVICE_H_
