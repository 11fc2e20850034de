// What the RPCs of InsightsService do, in which order. Formulas are in insights_rules.h, SQL is in
// insights_store and kpi_work.
#ifndef CLM_SERVICES_LIFECYCLE_INSIGHTS_HANDLERS_H_
#define CLM_SERVICES_LIFECYCLE_INSIGHTS_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/lifecycle/v1/insights_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/lifecycle/insights_store.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

// All of it outlives the handlers.
struct InsightsParts {
  InsightsStore* store = nullptr;
  LifecycleReader* reader = nullptr;    // For models.
  journal::Lanes* kpi_lanes = nullptr;  // Whose unit of work is KpiWork; one executor is enough.
  const PageTokens* tokens = nullptr;
};

// Thread-safe.
class InsightsHandlers {
 public:
  explicit InsightsHandlers(const InsightsParts& parts) : parts_(parts) {}

  absl::StatusOr<v1::GetStageBoardResponse> GetStageBoard(const rpc::Call& call,
                                                          const v1::GetStageBoardRequest& request);
  absl::StatusOr<v1::GetFunnelResponse> GetFunnel(const rpc::Call& call,
                                                  const v1::GetFunnelRequest& request);
  absl::StatusOr<v1::GetRetentionResponse> GetRetention(const rpc::Call& call,
                                                        const v1::GetRetentionRequest& request);
  absl::StatusOr<v1::GetCohortsResponse> GetCohorts(const rpc::Call& call,
                                                    const v1::GetCohortsRequest& request);
  absl::StatusOr<v1::GetCustomerValueResponse> GetCustomerValue(
      const rpc::Call& call, const v1::GetCustomerValueRequest& request);
  absl::StatusOr<v1::GetVelocityResponse> GetVelocity(const rpc::Call& call,
                                                      const v1::GetVelocityRequest& request);
  void CreateKpi(const rpc::Call& call, const v1::CreateKpiRequest& request,
                 rpc::Reply<v1::Kpi> reply);
  void UpdateKpi(const rpc::Call& call, const v1::UpdateKpiRequest& request,
                 rpc::Reply<v1::Kpi> reply);
  void DeleteKpi(const rpc::Call& call, const v1::DeleteKpiRequest& request,
                 rpc::Reply<v1::Kpi> reply);
  absl::StatusOr<v1::ListKpisResponse> ListKpis(const rpc::Call& call,
                                                const v1::ListKpisRequest& request);
  absl::StatusOr<v1::ListReadyKpisResponse> ListReadyKpis(const rpc::Call& call,
                                                          const v1::ListReadyKpisRequest& request);
  absl::StatusOr<v1::GetScorecardResponse> GetScorecard(const rpc::Call& call,
                                                        const v1::GetScorecardRequest& request);
  absl::StatusOr<v1::RecountTotalsResponse> RecountTotals(const rpc::Call& call,
                                                          const v1::RecountTotalsRequest& request);

 private:
  const InsightsParts parts_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_INSIGHTS_HANDLERS_H_
