// InsightsService on the wire.
#ifndef CLM_SERVICES_LIFECYCLE_INSIGHTS_SERVICE_H_
#define CLM_SERVICES_LIFECYCLE_INSIGHTS_SERVICE_H_

#include "clm/lifecycle/v1/insights_service.grpc.pb.h"
#include "libs/rpc/service.h"
#include "services/lifecycle/insights_handlers.h"

namespace clm::lifecycle {

class InsightsBinding : public rpc::Service {
 public:
  InsightsBinding(rpc::Host& host, InsightsHandlers& handlers)
      : Service(host, v1::InsightsService::service_full_name()) {
    using H = InsightsHandlers;
    Bind("GetStageBoard", &handlers, &H::GetStageBoard);
    Bind("GetFunnel", &handlers, &H::GetFunnel);
    Bind("GetRetention", &handlers, &H::GetRetention);
    Bind("GetCohorts", &handlers, &H::GetCohorts);
    Bind("GetCustomerValue", &handlers, &H::GetCustomerValue);
    Bind("GetVelocity", &handlers, &H::GetVelocity);
    Bind("CreateKpi", &handlers, &H::CreateKpi);
    Bind("UpdateKpi", &handlers, &H::UpdateKpi);
    Bind("DeleteKpi", &handlers, &H::DeleteKpi);
    Bind("ListKpis", &handlers, &H::ListKpis);
    Bind("ListReadyKpis", &handlers, &H::ListReadyKpis);
    Bind("GetScorecard", &handlers, &H::GetScorecard);
    Bind("RecountTotals", &handlers, &H::RecountTotals);
  }
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_INSIGHTS_SERVICE_H_
