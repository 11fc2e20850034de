// Wire <-> domain, for everything the lifecycle service's RPCs and stored bodies speak of. No
// decisions.
#ifndef CLM_SERVICES_LIFECYCLE_LIFECYCLE_PROTO_H_
#define CLM_SERVICES_LIFECYCLE_LIFECYCLE_PROTO_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/contact/v1/contact_event.pb.h"
#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "clm/lifecycle/v1/lifecycle_service.pb.h"
#include "libs/base/resource_name.h"
#include "libs/base/time_proto.h"
#include "services/lifecycle/customer.h"
#include "services/lifecycle/models.h"
#include "services/lifecycle/stage_model.h"

namespace clm::lifecycle {

inline constexpr char kContacts[] = "contacts";

using ::clm::FromProto;
using ::clm::ToProto;

std::string ModelName(absl::string_view tenant, absl::string_view model);
std::string RuleName(absl::string_view tenant, absl::string_view model, absl::string_view rule);

// A model or rule by its name: {tenant, model} and {tenant, model, rule}.
struct ModelKey {
  std::string tenant;
  std::string model;
};
absl::StatusOr<ModelKey> ParseModelName(absl::string_view field, absl::string_view name);
struct RuleKey {
  std::string tenant;
  std::string model;
  std::string rule;
};
absl::StatusOr<RuleKey> ParseRuleName(absl::string_view field, absl::string_view name);

// Name and etag are left to the caller.
v1::StageModel ToProto(const StageModel& model);
StageModel FromProto(const v1::StageModel& model, const std::string& id);
v1::StageModel ToProto(absl::string_view tenant, const ModelDefinition& definition);

v1::TransitionRule ToProto(const Rule& rule);
// The rule's id and model are the caller's to set. INVALID_ARGUMENT for a trigger that is not set.
absl::StatusOr<Rule> FromProto(const v1::TransitionRule& rule);
v1::TransitionRule ToProto(absl::string_view tenant, const RuleRecord& record);

v1::CanonicalStage ToProto(CanonicalStage stage);

v1::CustomerStage ToProto(const EntityKey& contact, const StageModel& model, const Place& place);
// Of all models in which the customer has, or had, a stage.
v1::GetCustomerStagesResponse StagesOf(const Customer& customer, const TenantModels& models,
                                       absl::Time as_of);
v1::Transition ToProto(const EntityKey& contact, absl::string_view model,
                       const RecordedTransition& transition);

// Attribute values in the text form that conditions read.
std::optional<DynamicValue> FromProto(const contact::v1::AttributeValue& value);
FactPtr FromProto(const contact::v1::BehaviorEvent& event);
v1::Fact ToProto(const StoredFact& fact);

// "ACTIVE" ..., as conditions name it.
std::string StatusName(int contact_status);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_LIFECYCLE_PROTO_H_
