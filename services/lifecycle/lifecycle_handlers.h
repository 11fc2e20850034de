// What the RPCs of LifecycleService do, in which order. Decisions are in the pure rules (fold.h,
// stage_model.h, models.h), SQL is in pg_lifecycle_store.
#ifndef CLM_SERVICES_LIFECYCLE_LIFECYCLE_HANDLERS_H_
#define CLM_SERVICES_LIFECYCLE_LIFECYCLE_HANDLERS_H_

#include <string>

#include "absl/status/statusor.h"
#include "clm/lifecycle/v1/lifecycle_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/consumer.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

// The scope that permits a move backwards by hand.
inline constexpr char kRegressScope[] = "lifecycle.regress";
// The journals that the service consumes.
inline constexpr char kContactSource[] = "contact";
inline constexpr char kLoyaltySource[] = "loyalty";

// Everything handlers share; all of it outlives them.
struct LifecycleParts {
  pg::Pool* pool = nullptr;
  journal::Lanes* lanes = nullptr;
  LifecycleReader* reader = nullptr;
  journal::EventHandler* contact_feed = nullptr;
  journal::EventHandler* loyalty_feed = nullptr;
  const PageTokens* tokens = nullptr;
};

// Thread-safe. A change of models or of what judges customers holds every shard, so that no fold is
// under way; its customers are then folded again in the background (due_timers.h).
class LifecycleHandlers {
 public:
  explicit LifecycleHandlers(const LifecycleParts& parts) : parts_(parts) {}

  absl::StatusOr<v1::ListPresetsResponse> ListPresets(const rpc::Call& call,
                                                      const v1::ListPresetsRequest& request);
  void InstallPreset(const rpc::Call& call, const v1::InstallPresetRequest& request,
                     rpc::Reply<v1::StageModel> reply);
  absl::StatusOr<v1::CompareModelsResponse> CompareModels(const rpc::Call& call,
                                                          const v1::CompareModelsRequest& request);
  void CreateStageModel(const rpc::Call& call, const v1::CreateStageModelRequest& request,
                        rpc::Reply<v1::StageModel> reply);
  absl::StatusOr<v1::StageModel> GetStageModel(const rpc::Call& call,
                                               const v1::GetStageModelRequest& request);
  absl::StatusOr<v1::ListStageModelsResponse> ListStageModels(
      const rpc::Call& call, const v1::ListStageModelsRequest& request);
  void PublishStageModel(const rpc::Call& call, const v1::PublishStageModelRequest& request,
                         rpc::Reply<v1::PublishStageModelResponse> reply);
  void CreateRule(const rpc::Call& call, const v1::CreateRuleRequest& request,
                  rpc::Reply<v1::TransitionRule> reply);
  void UpdateRule(const rpc::Call& call, const v1::UpdateRuleRequest& request,
                  rpc::Reply<v1::TransitionRule> reply);
  absl::StatusOr<v1::ListRulesResponse> ListRules(const rpc::Call& call,
                                                  const v1::ListRulesRequest& request);
  void DeleteRule(const rpc::Call& call, const v1::RuleVerbRequest& request,
                  rpc::Reply<v1::TransitionRule> reply);
  void EnableRule(const rpc::Call& call, const v1::RuleVerbRequest& request,
                  rpc::Reply<v1::TransitionRule> reply);
  void DisableRule(const rpc::Call& call, const v1::RuleVerbRequest& request,
                   rpc::Reply<v1::TransitionRule> reply);
  absl::StatusOr<v1::DryRunRuleResponse> DryRunRule(const rpc::Call& call,
                                                    const v1::DryRunRuleRequest& request);
  void MoveCustomer(const rpc::Call& call, const v1::MoveCustomerRequest& request,
                    rpc::Reply<v1::CustomerStage> reply);
  void ClearStage(const rpc::Call& call, const v1::ClearStageRequest& request,
                  rpc::Reply<v1::CustomerStage> reply);
  void ReactivateCustomer(const rpc::Call& call, const v1::MoveCustomerRequest& request,
                          rpc::Reply<v1::CustomerStage> reply);
  absl::StatusOr<v1::GetCustomerStagesResponse> GetCustomerStages(
      const rpc::Call& call, const v1::GetCustomerStagesRequest& request);
  absl::StatusOr<v1::ListTransitionsResponse> ListTransitions(
      const rpc::Call& call, const v1::ListTransitionsRequest& request);
  absl::StatusOr<v1::GetStageTimesResponse> GetStageTimes(const rpc::Call& call,
                                                          const v1::GetStageTimesRequest& request);
  absl::StatusOr<v1::ExplainStageResponse> ExplainStage(const rpc::Call& call,
                                                        const v1::ExplainStageRequest& request);
  absl::StatusOr<v1::ListCustomersInStageResponse> ListCustomersInStage(
      const rpc::Call& call, const v1::ListCustomersInStageRequest& request);
  absl::StatusOr<v1::ListDeadLettersResponse> ListDeadLetters(
      const rpc::Call& call, const v1::ListDeadLettersRequest& request);
  absl::StatusOr<v1::ReplayDeadLetterResponse> ReplayDeadLetter(
      const rpc::Call& call, const v1::ReplayDeadLetterRequest& request);

 private:
  // NOT_FOUND unless the tenant has it.
  absl::StatusOr<ModelDefinition> FindModel(const ModelKey& key, absl::Time deadline);
  // All live moves of a customer in a model.
  absl::StatusOr<std::vector<TransitionLine>> WholeLog(const EntityKey& key,
                                                       const std::string& model,
                                                       absl::Time deadline);

  const LifecycleParts parts_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_LIFECYCLE_HANDLERS_H_
