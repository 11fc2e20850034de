#include "services/lifecycle/lifecycle_proto.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"

namespace clm::lifecycle {
namespace {

void ToProto(absl::Duration duration, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

v1::Stage::Kind ToProto(StageKind kind) {
  return static_cast<v1::Stage::Kind>(static_cast<int>(kind) + 1);
}

StageKind FromProto(v1::Stage::Kind kind) {
  return kind == v1::Stage::KIND_UNSPECIFIED ? StageKind::kNormal
                                             : static_cast<StageKind>(static_cast<int>(kind) - 1);
}

void ToProto(const Trigger& trigger, v1::Trigger* out) {
  using Kind = Trigger::Kind;
  switch (trigger.kind) {
    case Kind::kEvent:
      out->mutable_event()->set_event_type(trigger.types[0]);
      break;
    case Kind::kEventCount: {
      auto* count = out->mutable_event_count();
      count->set_event_type(trigger.types[0]);
      count->set_at_least(trigger.at_least);
      if (trigger.window != absl::InfiniteDuration()) {
        ToProto(trigger.window, count->mutable_window());
      }
      break;
    }
    case Kind::kEventSum: {
      auto* sum = out->mutable_event_sum();
      sum->set_event_type(trigger.types[0]);
      sum->set_at_least_minor(trigger.at_least);
      sum->set_currency(trigger.currency);
      sum->set_property(trigger.property);
      if (trigger.window != absl::InfiniteDuration()) {
        ToProto(trigger.window, sum->mutable_window());
      }
      break;
    }
    case Kind::kAttributeChange:
      out->mutable_attribute_change()->set_field(trigger.attribute);
      break;
    case Kind::kTimeInStage:
      ToProto(trigger.duration, out->mutable_time_in_stage()->mutable_duration());
      break;
    case Kind::kTimeSinceEvent: {
      auto* silence = out->mutable_time_since_event();
      for (const std::string& type : trigger.types) silence->add_event_types(type);
      ToProto(trigger.duration, silence->mutable_duration());
      break;
    }
  }
}

absl::StatusOr<Trigger> FromProto(const v1::Trigger& trigger) {
  Trigger result;
  switch (trigger.kind_case()) {
    case v1::Trigger::kEvent:
      result.kind = Trigger::Kind::kEvent;
      result.types = {trigger.event().event_type()};
      return result;
    case v1::Trigger::kEventCount:
      result.kind = Trigger::Kind::kEventCount;
      result.types = {trigger.event_count().event_type()};
      result.at_least = trigger.event_count().at_least();
      if (trigger.event_count().has_window()) {
        result.window = FromProto(trigger.event_count().window());
      }
      return result;
    case v1::Trigger::kEventSum:
      result.kind = Trigger::Kind::kEventSum;
      result.types = {trigger.event_sum().event_type()};
      result.at_least = trigger.event_sum().at_least_minor();
      result.currency = trigger.event_sum().currency();
      result.property = trigger.event_sum().property();
      if (trigger.event_sum().has_window()) {
        result.window = FromProto(trigger.event_sum().window());
      }
      return result;
    case v1::Trigger::kAttributeChange:
      result.kind = Trigger::Kind::kAttributeChange;
      result.attribute = trigger.attribute_change().field();
      return result;
    case v1::Trigger::kTimeInStage:
      result.kind = Trigger::Kind::kTimeInStage;
      result.duration = FromProto(trigger.time_in_stage().duration());
      return result;
    case v1::Trigger::kTimeSinceEvent:
      result.kind = Trigger::Kind::kTimeSinceEvent;
      result.types = {trigger.time_since_event().event_types().begin(),
                      trigger.time_since_event().event_types().end()};
      result.duration = FromProto(trigger.time_since_event().duration());
      return result;
    case v1::Trigger::KIND_NOT_SET:
      break;
  }
  return error::InvalidField("trigger", "must be one of the kinds of trigger");
}

v1::Transition::Cause CauseOf(const LoggedTransition& logged) {
  if (logged.synthetic) return v1::Transition::CAUSE_SYNTHETIC;
  switch (logged.cause) {
    case Cause::kRule:
      return logged.fact_id.empty() ? v1::Transition::CAUSE_TIMER : v1::Transition::CAUSE_RULE;
    case Cause::kMove:
      return v1::Transition::CAUSE_MANUAL;
    case Cause::kReset:
      return v1::Transition::CAUSE_TIMER;
    case Cause::kInitial:
    case Cause::kRevision:
      return v1::Transition::CAUSE_MODEL;
  }
  return v1::Transition::CAUSE_UNSPECIFIED;
}

}  // namespace

std::string ModelName(absl::string_view tenant, absl::string_view model) {
  return absl::StrCat("tenants/", tenant, "/stageModels/", model);
}

std::string RuleName(absl::string_view tenant, absl::string_view model, absl::string_view rule) {
  return absl::StrCat(ModelName(tenant, model), "/rules/", rule);
}

absl::StatusOr<ModelKey> ParseModelName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(std::vector<std::string> parts,
                       ParseResourceName(field, "tenants/*/stageModels/*", name));
  return ModelKey{std::move(parts[0]), std::move(parts[1])};
}

absl::StatusOr<RuleKey> ParseRuleName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(std::vector<std::string> parts,
                       ParseResourceName(field, "tenants/*/stageModels/*/rules/*", name));
  return RuleKey{std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
}

v1::CanonicalStage ToProto(CanonicalStage stage) {
  return static_cast<v1::CanonicalStage>(static_cast<int>(stage));
}

v1::StageModel ToProto(const StageModel& model) {
  v1::StageModel out;
  out.set_version(model.version);
  out.set_display_name(model.display_name);
  out.set_description(model.description);
  out.set_policy(static_cast<v1::StageModel::Policy>(static_cast<int>(model.policy) + 1));
  out.set_skip_policy(
      static_cast<v1::StageModel::SkipPolicy>(static_cast<int>(model.skip_policy) + 1));
  std::vector<const Stage*> ordered;
  for (const Stage& stage : model.stages) ordered.push_back(&stage);
  std::sort(ordered.begin(), ordered.end(),
            [](const Stage* a, const Stage* b) { return a->position < b->position; });
  for (const Stage* stage : ordered) {
    v1::Stage* s = out.add_stages();
    s->set_id(stage->id);
    s->set_label(stage->label);
    s->set_description(stage->description);
    s->set_kind(ToProto(stage->kind));
    s->set_canonical_stage(ToProto(stage->canonical));
    s->set_entry_condition(stage->entry_gate);
    s->set_exit_condition(stage->exit_gate);
    s->set_require_all_earlier(stage->require_all_earlier);
    s->set_target_days(stage->target_days.value_or(0));
    s->set_reset_after_days(stage->reset_after_days.value_or(0));
  }
  for (const Edge& edge : model.edges) {
    v1::StageEdge* e = out.add_edges();
    e->set_from(edge.from);
    e->set_to(edge.to);
  }
  out.set_initial_stage(model.initial_stage);
  return out;
}

StageModel FromProto(const v1::StageModel& model, const std::string& id) {
  StageModel out;
  out.id = id;
  out.version = model.version();
  out.display_name = model.display_name();
  out.description = model.description();
  if (model.policy() != v1::StageModel::POLICY_UNSPECIFIED) {
    out.policy = static_cast<Policy>(static_cast<int>(model.policy()) - 1);
  }
  if (model.skip_policy() != v1::StageModel::SKIP_POLICY_UNSPECIFIED) {
    out.skip_policy = static_cast<SkipPolicy>(static_cast<int>(model.skip_policy()) - 1);
  }
  for (const v1::Stage& s : model.stages()) {
    Stage stage;
    stage.id = s.id();
    stage.label = s.label();
    stage.description = s.description();
    stage.position = static_cast<int>(out.stages.size()) + 1;
    stage.kind = FromProto(s.kind());
    stage.canonical = static_cast<CanonicalStage>(static_cast<int>(s.canonical_stage()));
    stage.entry_gate = s.entry_condition();
    stage.exit_gate = s.exit_condition();
    stage.require_all_earlier = s.require_all_earlier();
    if (s.target_days() != 0) stage.target_days = s.target_days();
    if (s.reset_after_days() != 0) stage.reset_after_days = s.reset_after_days();
    out.stages.push_back(std::move(stage));
  }
  for (const v1::StageEdge& e : model.edges()) out.edges.push_back({e.from(), e.to()});
  out.initial_stage = model.initial_stage();
  return out;
}

v1::StageModel ToProto(absl::string_view tenant, const ModelDefinition& definition) {
  v1::StageModel out = ToProto(definition.model);
  out.set_name(ModelName(tenant, definition.model.id));
  out.set_preset(definition.preset);
  ToProto(definition.create_time, out.mutable_create_time());
  ToProto(definition.update_time, out.mutable_update_time());
  out.set_etag(Etag(definition.row_version));
  return out;
}

v1::TransitionRule ToProto(const Rule& rule) {
  v1::TransitionRule out;
  out.set_name(rule.id);
  out.set_priority(rule.priority);
  for (const std::string& from : rule.from_stages) out.add_from_stages(from);
  out.set_to_stage(rule.to_stage);
  ToProto(rule.trigger, out.mutable_trigger());
  out.set_condition(rule.condition);
  out.set_allow_regress(rule.allow_regress);
  out.set_enabled(rule.enabled);
  out.set_reactivate(rule.reactivate);
  return out;
}

absl::StatusOr<Rule> FromProto(const v1::TransitionRule& rule) {
  Rule out;
  out.priority = rule.priority();
  out.from_stages = {rule.from_stages().begin(), rule.from_stages().end()};
  out.to_stage = rule.to_stage();
  CLM_ASSIGN_OR_RETURN(out.trigger, FromProto(rule.trigger()));
  out.condition = rule.condition();
  out.allow_regress = rule.allow_regress();
  out.enabled = rule.enabled();
  out.reactivate = rule.reactivate();
  return out;
}

v1::TransitionRule ToProto(absl::string_view tenant, const RuleRecord& record) {
  v1::TransitionRule out = ToProto(record.rule);
  out.set_name(RuleName(tenant, record.rule.model_id, record.rule.id));
  out.set_display_name(record.display_name);
  if (record.enable_time) ToProto(*record.enable_time, out.mutable_enable_time());
  ToProto(record.create_time, out.mutable_create_time());
  out.set_etag(Etag(record.row_version));
  return out;
}

v1::CustomerStage ToProto(const EntityKey& contact, const StageModel& model, const Place& place) {
  v1::CustomerStage out;
  out.set_contact(EntityName(kContacts, contact));
  out.set_model(ModelName(contact.tenant, model.id));
  out.set_stage(place.state.stage);
  for (const Stage& stage : model.stages) {
    if (stage.id == place.state.stage) out.set_label(stage.label);
  }
  if (place.state.visits > 0) ToProto(place.state.entered_at, out.mutable_enter_time());
  out.set_episode(place.state.episode);
  out.set_overdue(place.state.overdue);
  out.set_etag(Etag(place.version));
  return out;
}

v1::GetCustomerStagesResponse StagesOf(const Customer& customer, const TenantModels& models,
                                       absl::Time as_of) {
  v1::GetCustomerStagesResponse out;
  for (const auto& model : models.models) {
    const Place& place = customer.PlaceIn(model->id);
    if (place.state.visits == 0) continue;
    *out.add_stages() = ToProto(customer.key, model->newest(), place);
  }
  out.set_version(customer.version);
  ToProto(as_of, out.mutable_as_of_time());
  return out;
}

v1::Transition ToProto(const EntityKey& contact, absl::string_view model,
                       const RecordedTransition& transition) {
  const LoggedTransition& logged = transition.logged;
  v1::Transition out;
  out.set_contact(EntityName(kContacts, contact));
  out.set_model(ModelName(contact.tenant, model));
  out.set_from_stage(logged.from);
  out.set_to_stage(logged.to);
  ToProto(logged.at, out.mutable_effective_time());
  ToProto(transition.record_time, out.mutable_record_time());
  out.set_sequence(logged.sequence);
  out.set_cause(CauseOf(logged));
  out.set_rule(logged.rule_id);
  out.set_event_id(logged.fact_id);
  if (logged.cause != Cause::kMove) out.set_event_type(transition.fact_type);
  out.set_actor(transition.actor);
  out.set_reason(transition.reason);
  out.set_request_id(transition.request_id);
  for (const std::string& skipped : logged.skipped) out.add_skipped_stages(skipped);
  out.set_model_version(logged.model_version);
  out.set_episode(logged.episode);
  if (transition.supersede_time) {
    ToProto(*transition.supersede_time, out.mutable_supersede_time());
  }
  return out;
}

std::optional<DynamicValue> FromProto(const contact::v1::AttributeValue& value) {
  using Value = contact::v1::AttributeValue;
  switch (value.kind_case()) {
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return std::string(value.bool_value() ? "true" : "false");
    case Value::kInt64Value:
      return absl::StrCat(value.int64_value());
    case Value::kDecimalValue:
      return value.decimal_value();
    case Value::kDateValue:
      return value.date_value();
    case Value::kTimestampValue:
      return clm::FormatTime(FromProto(value.timestamp_value()));
    case Value::kStringSetValue:
      return std::vector<std::string>(value.string_set_value().values().begin(),
                                      value.string_set_value().values().end());
    case Value::KIND_NOT_SET:
      break;
  }
  return std::nullopt;
}

FactPtr FromProto(const contact::v1::BehaviorEvent& event) {
  StoredFact fact;
  fact.id = Uuid::Parse(event.event_id()).value_or(Uuid());
  fact.fact.at = FromProto(event.occur_time());
  fact.fact.type = event.type();
  if (event.has_amount_minor()) fact.amount_minor = event.amount_minor();
  fact.currency = event.currency();
  if (event.has_quantity()) fact.quantity = event.quantity();
  fact.channel = event.channel();
  for (const auto& [key, value] : event.properties()) {
    if (auto dynamic = FromProto(value)) fact.properties[key] = *std::move(dynamic);
  }
  return ShareFact(std::move(fact));
}

v1::Fact ToProto(const StoredFact& fact) {
  v1::Fact out;
  out.set_event_id(fact.fact.id);
  out.set_type(fact.fact.type);
  ToProto(fact.fact.at, out.mutable_occur_time());
  if (fact.amount_minor) out.set_amount_minor(*fact.amount_minor);
  out.set_currency(fact.currency);
  return out;
}

std::string StatusName(int contact_status) {
  switch (contact_status) {
    case contact::v1::Contact::STATUS_BLOCKED:
      return "BLOCKED";
    case contact::v1::Contact::STATUS_DEACTIVATED:
      return "DEACTIVATED";
    case contact::v1::Contact::STATUS_ERASED:
      return "ERASED";
    default:
      return "ACTIVE";
  }
}

}  // namespace clm::lifecycle
