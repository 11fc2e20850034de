#include "services/lifecycle/lifecycle_handlers.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clm/lifecycle/v1/insights_service.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "libs/journal/dead_letter_calls.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/lifecycle/crosswalk.h"
#include "services/lifecycle/evidence.h"
#include "services/lifecycle/folding.h"
#include "services/lifecycle/lifecycle_proto.h"
#include "services/lifecycle/presets.h"
#include "services/lifecycle/stage_times.h"

namespace clm::lifecycle {
namespace {

// The longest log of one customer in one model that is read at once.
constexpr int kMaxLog = 100'000;
constexpr int kDryRunPage = 500;
constexpr int kMaxSamples = 20;
// How often a change follows a contact that was merged while it was on its way.
constexpr int kMovedTries = 4;

int ModelShard(const ModelKey& key) {
  return ShardOf(key.tenant, absl::string_view(ModelName(key.tenant, key.model)));
}

void RecordModel(journal::Recorder& recorder, const ModelKey& key, const std::string& subject,
                 int64_t version, const google::protobuf::Message& payload) {
  recorder.Record({.shard = ModelShard(key),
                   .tenant = key.tenant,
                   .subject = subject,
                   .type = payload.GetDescriptor()->full_name(),
                   .subject_version = version,
                   .payload = payload.SerializeAsString()});
}

using Apply =
    std::function<absl::StatusOr<std::string>(LifecycleWork& work, journal::Recorder& recorder)>;

// Runs a change of what judges customers: no fold may be under way, so it holds every shard.
template <class Req, class Resp>
void ChangeModels(journal::Lanes& lanes, const rpc::Call& call, const std::string& tenant,
                  const Req& request, Apply apply, rpc::Reply<Resp> reply) {
  journal::MutationInfo info = journal::InfoFor(call, tenant, request);
  info.shards.set();
  journal::Mutate<LifecycleWork>(
      lanes, std::move(info), [tenant](LifecycleWork& work) { work.NeedDefinitions(tenant); },
      std::move(apply), std::move(reply));
}

// Runs a change of a rule that is switched off: its model's shard is enough.
template <class Req, class Resp>
void ChangeRules(journal::Lanes& lanes, const rpc::Call& call, const ModelKey& key,
                 const Req& request, Apply apply, rpc::Reply<Resp> reply) {
  journal::MutationInfo info = journal::InfoFor(call, key.tenant, request);
  info.shards.set(ModelShard(key));
  journal::Mutate<LifecycleWork>(
      lanes, std::move(info),
      [tenant = key.tenant](LifecycleWork& work) { work.NeedDefinitions(tenant); },
      std::move(apply), std::move(reply));
}

absl::StatusOr<ModelDefinition> FindDefinition(const LifecycleWork& work, const ModelKey& key) {
  const auto& definitions = work.Definitions(key.tenant);
  const auto it = definitions.find(key.model);
  if (it == definitions.end()) return error::NotFound(ModelName(key.tenant, key.model));
  return it->second;
}

absl::StatusOr<RuleRecord> FindRule(const ModelDefinition& definition, const RuleKey& key) {
  const auto it = definition.rules.find(key.rule);
  if (it == definition.rules.end()) {
    return error::NotFound(RuleName(key.tenant, key.model, key.rule));
  }
  return it->second;
}

// Stages a model that is new to the tenant and answers with it.
absl::StatusOr<std::string> AddModel(LifecycleWork& work, journal::Recorder& recorder,
                                     const std::string& tenant, ModelDefinition definition) {
  const ModelKey key{tenant, definition.model.id};
  if (work.Definitions(tenant).contains(key.model)) {
    return error::Make(absl::StatusCode::kAlreadyExists, "STAGE_MODEL_EXISTS",
                       absl::StrCat(ModelName(tenant, key.model), " exists already"));
  }
  definition.model.version = 1;
  definition.create_time = definition.update_time = recorder.now();
  Revise(definition, {}, recorder.now(), /*replace=*/false);
  const v1::StageModel answer = ToProto(tenant, definition);
  // The first revision also judges everything before it.
  CLM_RETURN_IF_ERROR(work.SaveModel(tenant, definition, /*refold=*/true, /*anew=*/true));
  for (const auto& [_, record] : definition.rules) work.SaveRule(tenant, record);
  v1::StageModelChanged changed;
  *changed.mutable_stage_model() = answer;
  RecordModel(recorder, key, answer.name(), definition.row_version, changed);
  for (const auto& [_, record] : definition.rules) {
    v1::TransitionRuleChanged rule;
    *rule.mutable_rule() = ToProto(tenant, record);
    RecordModel(recorder, key, rule.rule().name(), record.row_version, rule);
  }
  return answer.SerializeAsString();
}

absl::StatusOr<std::string> AnswerRule(LifecycleWork& work, journal::Recorder& recorder,
                                       const std::string& tenant, const RuleRecord& record,
                                       bool deleted) {
  if (deleted) {
    work.DeleteRule(tenant, record);
  } else {
    work.SaveRule(tenant, record);
  }
  v1::TransitionRuleChanged changed;
  *changed.mutable_rule() = ToProto(tenant, record);
  changed.set_deleted(deleted);
  RecordModel(recorder, {tenant, record.rule.model_id}, changed.rule().name(), record.row_version,
              changed);
  return changed.rule().SerializeAsString();
}

absl::Status RuleIsOn() {
  return error::Precondition("RULE_ENABLED", "name: the rule is switched on; disable it first");
}

absl::StatusOr<std::string> SwitchRule(LifecycleWork& work, journal::Recorder& recorder,
                                       const RuleKey& key, const v1::RuleVerbRequest& request,
                                       bool on) {
  const ModelKey model{key.tenant, key.model};
  CLM_ASSIGN_OR_RETURN(ModelDefinition definition, FindDefinition(work, model));
  CLM_ASSIGN_OR_RETURN(RuleRecord record, FindRule(definition, key));
  CLM_RETURN_IF_ERROR(CheckEtag("etag", request.etag(), record.row_version));
  const bool history = on && request.include_history();
  if (record.rule.enabled == on && !history) {
    return ToProto(key.tenant, record).SerializeAsString();
  }
  record.rule.enabled = on;
  record.enable_time = on ? std::optional<absl::Time>(recorder.now()) : std::nullopt;
  ++record.row_version;
  definition.rules[key.rule] = record;
  CLM_RETURN_IF_ERROR(CheckModel(definition.model, definition.EnabledRules()));
  CLM_ASSIGN_OR_RETURN(const bool judged, work.HasCustomers(key.tenant));
  if (history) {
    ReviseHistory(definition, record.rule);
  } else {
    Revise(definition, {}, recorder.now(), /*replace=*/!judged);
  }
  CLM_RETURN_IF_ERROR(
      work.SaveModel(key.tenant, std::move(definition), /*refold=*/judged, history));
  return AnswerRule(work, recorder, key.tenant, record, /*deleted=*/false);
}

// The contact that `status` says to turn to instead.
std::optional<Uuid> MovedTo(const absl::Status& status) {
  if (error::Reason(status) != "CONTACT_MERGED") return std::nullopt;
  return Uuid::Parse(error::MetadataValue(status, "contact_id"));
}

// A move as one of the three verbs asks for it.
struct HandMove {
  journal::MutationInfo info;
  EntityKey contact;
  std::string model;
  MoveRequest move;
  std::optional<absl::Time> at;
  std::string etag;
  std::string actor;
};

absl::StatusOr<std::string> ApplyHandMove(const HandMove& hand, LifecycleWork& work,
                                          journal::Recorder& recorder) {
  const EntityKey& key = hand.contact;
  const Customer customer = work.CustomerOf(key);
  if (!customer.known) return error::NotFound(EntityName(kContacts, key));
  if (customer.merged_into) {
    return error::Precondition("CONTACT_MERGED", "contact: was merged into another one",
                               {{"contact_id", customer.merged_into->ToString()}});
  }
  const CompiledModel* model = work.Models(key.tenant).Find(hand.model);
  if (model == nullptr) return error::NotFound(ModelName(key.tenant, hand.model));
  const Place before = customer.PlaceIn(hand.model);
  if (hand.etag.empty() && !before.state.stage.empty()) {
    return error::InvalidField("etag", "is required: the customer has a stage; read it first");
  }
  CLM_RETURN_IF_ERROR(CheckEtag("etag", hand.etag, before.version));
  const absl::Time now = recorder.now();
  if (hand.at && *hand.at > now) {
    return error::InvalidField("effective_time", "must not lie in the future");
  }
  StoredFact fact;
  fact.id = Uuid::V7(now);
  fact.fact.at = hand.at.value_or(now);
  fact.fact.kind = Fact::Kind::kMove;
  fact.fact.type = hand.model;
  fact.fact.move = hand.move;
  fact.actor = hand.actor;
  fact.request_id = hand.info.request_id;
  const FactPtr shared = ShareFact(std::move(fact));
  CLM_ASSIGN_OR_RETURN(const FoldDecision decision,
                       DecideFold(work, {.customer = key, .facts = {shared}}, now));
  bool changes = false;
  for (const PlaceChange& change : decision.changes) {
    for (const RefusedMove& refused : change.refused) {
      if (refused.fact_id == shared->fact.id) return refused.status;
    }
    for (const RecordedTransition& line : change.appended) {
      changes |= line.logged.fact_id == shared->fact.id;
    }
  }
  // What changes nothing writes nothing.
  if (changes) CommitFold(work, recorder, decision, hand.info.cause);
  return ToProto(key, model->newest(), work.CustomerOf(key).PlaceIn(hand.model))
      .SerializeAsString();
}

void RunHandMove(journal::Lanes& lanes, HandMove hand, rpc::Reply<v1::CustomerStage> reply,
                 int tries = kMovedTries) {
  auto shared = std::make_shared<HandMove>(std::move(hand));
  journal::MutationInfo info = shared->info;
  info.shards.reset();
  info.shards.set(ShardOf(shared->contact.tenant, shared->contact.id));
  info.aggregate = shared->contact.id;
  lanes.Submit(std::make_unique<journal::MutationOf<LifecycleWork>>(
      std::move(info), [shared](LifecycleWork& work) { work.NeedCustomer(shared->contact); },
      [shared](LifecycleWork& work, journal::Recorder& recorder) {
        return ApplyHandMove(*shared, work, recorder);
      },
      [&lanes, shared, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (const auto to = MovedTo(answer.status()); to && tries > 1) {
          shared->contact.id = *to;
          return RunHandMove(lanes, std::move(*shared), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

// The parts of a hand move that its requests have in common.
template <class Req>
absl::StatusOr<HandMove> HandMoveFrom(const rpc::Call& call, const Req& request) {
  HandMove hand;
  CLM_ASSIGN_OR_RETURN(hand.contact, ParseEntityName("contact", kContacts, request.contact()));
  CLM_ASSIGN_OR_RETURN(const ModelKey model, ParseModelName("model", request.model()));
  if (model.tenant != hand.contact.tenant) {
    return error::InvalidField("model", "is of another tenant than the contact");
  }
  hand.model = model.model;
  hand.info = journal::InfoFor(call, hand.contact.tenant, request);
  hand.move.reason = request.reason();
  hand.move.has_role = call.caller.HasScope(kRegressScope);
  if (request.has_effective_time()) hand.at = FromProto(request.effective_time());
  hand.etag = request.etag();
  hand.actor = call.caller.actor;
  return hand;
}

// The revision that judged at `at`; the first also judges everything before it.
const Revision& RevisionAt(const ModelDefinition& definition, absl::Time at) {
  size_t i = definition.revisions.size() - 1;
  while (i > 0 && definition.revisions[i].from > at) --i;
  return definition.revisions[i];
}

// The rule behind a move, as it was; null when it was none.
const Rule* RuleBehind(const ModelDefinition& definition, const LoggedTransition& logged) {
  if (logged.cause != Cause::kRule) return nullptr;
  for (const Rule& rule : RevisionAt(definition, logged.at).rules) {
    if (rule.id == logged.rule_id) return &rule;
  }
  return nullptr;
}

std::string LabelIn(const StageModel& model, const std::string& stage) {
  if (stage.empty()) return "no stage";
  for (const Stage& s : model.stages) {
    if (s.id == stage) return absl::StrCat("\"", s.label.empty() ? s.id : s.label, "\"");
  }
  return absl::StrCat("\"", stage, "\"");
}

std::string DaysText(absl::Duration duration) {
  const int64_t hours = absl::ToInt64Hours(duration);
  if (hours % 24 != 0) return absl::StrCat(hours, " hours");
  return absl::StrCat(hours / 24, hours == 24 ? " day" : " days");
}

std::string WindowText(absl::Duration window) {
  return window == absl::InfiniteDuration() ? "" : absl::StrCat(" within ", DaysText(window));
}

std::string TriggerText(const Trigger& trigger) {
  switch (trigger.kind) {
    case Trigger::Kind::kEvent:
      return absl::StrCat("an event \"", trigger.types[0], "\"");
    case Trigger::Kind::kEventCount:
      return absl::StrCat("at least ", trigger.at_least, " events \"", trigger.types[0], "\"",
                          WindowText(trigger.window));
    case Trigger::Kind::kEventSum:
      return absl::StrCat("events \"", trigger.types[0], "\" adding up to at least ",
                          trigger.at_least, " ",
                          trigger.property.empty() ? trigger.currency : trigger.property,
                          WindowText(trigger.window));
    case Trigger::Kind::kAttributeChange:
      return absl::StrCat("a change of ", trigger.attribute);
    case Trigger::Kind::kTimeInStage:
      return absl::StrCat(DaysText(trigger.duration), " in the stage");
    case Trigger::Kind::kTimeSinceEvent:
      return absl::StrCat(DaysText(trigger.duration), " without an event ",
                          absl::StrJoin(trigger.types, " or "));
  }
  return "";
}

std::string FactText(const StoredFact& fact) {
  std::string text = absl::StrCat("\"", fact.fact.type, "\" of ", clm::FormatTime(fact.fact.at));
  if (fact.amount_minor) {
    absl::StrAppend(&text, " over ", *fact.amount_minor, " minor units of ", fact.currency);
  }
  return text;
}

std::string EvidenceText(const Rule* rule, const StoredFact* fact, const Evidence& evidence) {
  const bool silence =
      rule != nullptr && rule->trigger.kind == Trigger::Kind::kTimeSinceEvent && fact == nullptr;
  if (evidence.count > 1) {
    return absl::StrCat(", satisfied by ", evidence.count, " events, the last ",
                        FactText(*evidence.items.back().fact));
  }
  if (evidence.count == 1) {
    return absl::StrCat(silence ? ", counted from " : ", satisfied by ",
                        FactText(*evidence.items.back().fact));
  }
  return fact == nullptr ? "" : absl::StrCat(", satisfied by ", FactText(*fact));
}

std::string StepText(const StageModel& model, const RecordedTransition& line, const Rule* rule,
                     const StoredFact* fact, const Evidence& evidence) {
  const LoggedTransition& logged = line.logged;
  std::string text = absl::StrCat(clm::FormatTime(logged.at), ": from ",
                                  LabelIn(model, logged.from), " to ", LabelIn(model, logged.to));
  if (logged.synthetic) {
    return absl::StrCat(text, ", filled in because a later stage was reached directly");
  }
  switch (logged.cause) {
    case Cause::kRule:
      absl::StrAppend(&text, " by the rule ", logged.rule_id);
      if (rule != nullptr) {
        absl::StrAppend(&text, " (on ", TriggerText(rule->trigger));
        if (!rule->condition.empty()) absl::StrAppend(&text, ", if ", rule->condition);
        absl::StrAppend(&text, ")");
      }
      absl::StrAppend(&text, EvidenceText(rule, fact, evidence));
      break;
    case Cause::kMove:
      absl::StrAppend(&text, " by hand, by ", line.actor);
      if (!line.reason.empty()) absl::StrAppend(&text, ": ", line.reason);
      break;
    case Cause::kInitial:
      absl::StrAppend(&text, ", the stage in which the model begins");
      break;
    case Cause::kReset:
      absl::StrAppend(&text, ", because the time limit of the stage had passed");
      break;
    case Cause::kRevision:
      absl::StrAppend(&text, ", because a new version of the model maps the stage");
      break;
  }
  if (!logged.skipped.empty()) {
    absl::StrAppend(&text, "; skipped: ", absl::StrJoin(logged.skipped, ", "));
  }
  return text;
}

// Of a number that is not negative: texts in the order of the numbers.
std::string SortableText(int64_t number) { return absl::StrFormat("%019d", number); }

v1::StageModel PresetProto(const std::string& tenant, const Preset& preset) {
  v1::StageModel model = ToProto(preset.model);
  model.set_name(absl::StrCat("tenants/", tenant, "/stageModels/", preset.model.id));
  model.set_preset(preset.model.id);
  return model;
}

absl::StatusOr<Preset> PresetFrom(const v1::InstallPresetRequest& request) {
  const Preset* found = FindPreset(request.preset());
  if (found == nullptr) {
    return error::Make(absl::StatusCode::kNotFound, "PRESET_NOT_FOUND",
                       absl::StrCat("preset: there is no \"", request.preset(), "\""));
  }
  Preset preset = *found;
  error::FieldErrors errors;
  NonContractualOptions options;
  for (const auto& [name, days] : request.parameters()) {
    const std::string path = absl::StrCat("parameters.", name);
    const bool known =
        preset.model.id == "non-contractual" && (name == "at_risk_days" || name == "lapsed_days");
    if (!known) {
      errors.Add(path, "is not a parameter of this preset");
    } else if (days < 1 || days > kMaxDays) {
      errors.Add(path, absl::StrCat("must be from 1 to ", kMaxDays));
    } else if (name == "at_risk_days") {
      options.at_risk_after_days = static_cast<int>(days);
    } else {
      options.lapsed_after_days = static_cast<int>(days);
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (!request.parameters().empty()) {
    if (options.lapsed_after_days <= options.at_risk_after_days) {
      return error::InvalidField("parameters.lapsed_days", "must be more than at_risk_days");
    }
    CLM_ASSIGN_OR_RETURN(preset.rules, NonContractualRules(options));
  }
  if (!request.stage_model_id().empty()) {
    preset = RenameModel(std::move(preset), request.stage_model_id());
  }
  return preset;
}

// The KPIs that measure a stage of the model. No KPI changes while the caller holds all shards.
absl::Status AddKpiReferrers(LifecycleWork& work, const ModelKey& key,
                             std::vector<Referrer>& referrers) {
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> bodies, work.Kpis(key.tenant));
  for (const std::string& body : bodies) {
    v1::Kpi kpi;
    if (!kpi.ParseFromString(body)) return error::Internal("a stored KPI does not parse");
    if (kpi.model() != ModelName(key.tenant, key.model)) continue;
    referrers.push_back({"kpi", kpi.name(), kpi.stage()});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelDefinition> LifecycleHandlers::FindModel(const ModelKey& key,
                                                             absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(auto definitions, parts_.reader->Definitions(key.tenant, deadline));
  const auto it = definitions.find(key.model);
  if (it == definitions.end()) return error::NotFound(ModelName(key.tenant, key.model));
  return std::move(it->second);
}

absl::StatusOr<std::vector<TransitionLine>> LifecycleHandlers::WholeLog(const EntityKey& key,
                                                                        const std::string& model,
                                                                        absl::Time deadline) {
  return parts_.reader->Transitions(key, model, /*show_superseded=*/false, {}, kMaxLog, deadline);
}

absl::StatusOr<v1::ListPresetsResponse> LifecycleHandlers::ListPresets(
    const rpc::Call&, const v1::ListPresetsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  v1::ListPresetsResponse response;
  const std::vector<Preset>& presets = Presets();
  CLM_ASSIGN_OR_RETURN(
      *response.mutable_next_page_token(),
      AddPage(
          PageOf{
              *parts_.tokens, {"ListPresets", tenant}, request.page_size(), request.page_token()},
          presets,
          [&](const Preset& preset) { return std::vector{SortableText(&preset - presets.data())}; },
          [&](const Preset& preset) { *response.add_presets() = PresetProto(tenant, preset); }));
  return response;
}

void LifecycleHandlers::InstallPreset(const rpc::Call& call,
                                      const v1::InstallPresetRequest& request,
                                      rpc::Reply<v1::StageModel> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  auto preset = PresetFrom(request);
  if (!preset.ok()) return reply(preset.status());
  auto shared = std::make_shared<const Preset>(*std::move(preset));
  ChangeModels(
      *parts_.lanes, call, *tenant, request,
      [shared, tenant = *tenant, id = request.preset(), enable = request.enable_rules()](
          LifecycleWork& work, journal::Recorder& recorder) {
        ModelDefinition definition;
        definition.model = shared->model;
        definition.preset = id;
        for (const Rule& rule : shared->rules) {
          RuleRecord record{.rule = rule, .create_time = recorder.now()};
          record.rule.enabled = enable;
          if (enable) record.enable_time = recorder.now();
          definition.rules[rule.id] = std::move(record);
        }
        return AddModel(work, recorder, tenant, std::move(definition));
      },
      std::move(reply));
}

absl::StatusOr<v1::CompareModelsResponse> LifecycleHandlers::CompareModels(
    const rpc::Call& call, const v1::CompareModelsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const auto definitions, parts_.reader->Definitions(tenant, call.deadline));
  std::vector<const StageModel*> models;
  for (int i = 0; i < request.models_size(); ++i) {
    const std::string& id = request.models(i);
    const auto own = definitions.find(id);
    const Preset* preset = FindPreset(id);
    if (own == definitions.end() && preset == nullptr) {
      return error::InvalidField(absl::StrCat("models[", i, "]"),
                                 "is neither a model of the tenant nor a preset");
    }
    models.push_back(own != definitions.end() ? &own->second.model : &preset->model);
  }
  v1::CompareModelsResponse response;
  for (const CrosswalkRow& row : lifecycle::CompareModels(models)) {
    auto* out = response.add_rows();
    out->set_canonical_stage(ToProto(row.canonical));
    for (size_t i = 0; i < models.size(); ++i) {
      if (row.stages[i].empty()) continue;
      auto* cell = out->add_cells();
      cell->set_model(request.models(static_cast<int>(i)));
      for (const std::string& id : row.stages[i]) {
        cell->add_stages(id);
        for (const Stage& stage : models[i]->stages) {
          if (stage.id == id) cell->add_labels(stage.label);
        }
      }
    }
  }
  return response;
}

void LifecycleHandlers::CreateStageModel(const rpc::Call& call,
                                         const v1::CreateStageModelRequest& request,
                                         rpc::Reply<v1::StageModel> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  StageModel model = FromProto(request.stage_model(), request.stage_model_id());
  model.version = 1;
  error::FieldErrors errors;
  errors.AddStatus("stage_model", CheckModel(model, {}));
  if (!errors.empty()) return reply(errors.ToStatus());
  ChangeModels(
      *parts_.lanes, call, *tenant, request,
      [model, tenant = *tenant](LifecycleWork& work, journal::Recorder& recorder) {
        return AddModel(work, recorder, tenant, {.model = model});
      },
      std::move(reply));
}

absl::StatusOr<v1::StageModel> LifecycleHandlers::GetStageModel(
    const rpc::Call& call, const v1::GetStageModelRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(ModelDefinition definition, FindModel(key, call.deadline));
  if (request.version() != 0 && request.version() != definition.model.version) {
    const auto old =
        std::find_if(definition.revisions.begin(), definition.revisions.end(),
                     [&](const Revision& r) { return r.model.version == request.version(); });
    if (old == definition.revisions.end()) {
      return error::NotFound(absl::StrCat(request.name(), " version ", request.version()));
    }
    definition.model = old->model;
    definition.update_time = old->from;
  }
  return ToProto(key.tenant, definition);
}

absl::StatusOr<v1::ListStageModelsResponse> LifecycleHandlers::ListStageModels(
    const rpc::Call& call, const v1::ListStageModelsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const auto definitions, parts_.reader->Definitions(tenant, call.deadline));
  v1::ListStageModelsResponse response;
  CLM_ASSIGN_OR_RETURN(*response.mutable_next_page_token(),
                       AddPage(
                           PageOf{*parts_.tokens,
                                  {"ListStageModels", tenant},
                                  request.page_size(),
                                  request.page_token()},
                           definitions, [](const auto& entry) { return std::vector{entry.first}; },
                           [&](const auto& entry) {
                             *response.add_stage_models() = ToProto(tenant, entry.second);
                           }));
  return response;
}

void LifecycleHandlers::PublishStageModel(const rpc::Call& call,
                                          const v1::PublishStageModelRequest& request,
                                          rpc::Reply<v1::PublishStageModelResponse> reply) {
  const auto key = ParseModelName("stage_model.name", request.stage_model().name());
  if (!key.ok()) return reply(key.status());
  StageModel next = FromProto(request.stage_model(), key->model);
  next.version = 1;  // Until it is known which one it is.
  error::FieldErrors errors;
  errors.AddStatus("stage_model", CheckModel(next, {}));
  if (!errors.empty()) return reply(errors.ToStatus());
  const std::map<std::string, std::string> mapping(request.mapping().begin(),
                                                   request.mapping().end());
  const auto apply = [key = *key, next, mapping, etag = request.stage_model().etag(),
                      validate_only = request.validate_only()](
                         LifecycleWork& work,
                         journal::Recorder& recorder) -> absl::StatusOr<std::string> {
    CLM_ASSIGN_OR_RETURN(ModelDefinition definition, FindDefinition(work, key));
    CLM_RETURN_IF_ERROR(CheckEtag("stage_model.etag", etag, definition.row_version));
    StageModel model = next;
    model.version = definition.model.version + 1;
    std::vector<Referrer> referrers;
    for (const auto& [id, record] : definition.rules) {
      const std::string name = RuleName(key.tenant, key.model, id);
      referrers.push_back({"rule", name, record.rule.to_stage});
      for (const std::string& from : record.rule.from_stages) {
        if (from != kNoStage) referrers.push_back({"rule", name, from});
      }
    }
    CLM_RETURN_IF_ERROR(AddKpiReferrers(work, key, referrers));
    CLM_ASSIGN_OR_RETURN(const auto counts, work.CountByStage(key.tenant, key.model));
    CLM_ASSIGN_OR_RETURN(const MigrationPlan plan,
                         PlanMigration(definition.model, model, mapping, counts, referrers));
    definition.model = std::move(model);
    definition.update_time = recorder.now();
    ++definition.row_version;
    CLM_RETURN_IF_ERROR(CheckModel(definition.model, definition.EnabledRules()));
    CLM_ASSIGN_OR_RETURN(const bool judged, work.HasCustomers(key.tenant));
    Revise(definition, mapping, recorder.now(), /*replace=*/false);
    v1::PublishStageModelResponse response;
    *response.mutable_stage_model() = ToProto(key.tenant, definition);
    for (const StageMove& move : plan.moves) {
      (*response.mutable_moved_counts())[move.from] = move.customers;
    }
    if (validate_only) return response.SerializeAsString();
    v1::StageModelChanged changed;
    *changed.mutable_stage_model() = response.stage_model();
    changed.mutable_mapping()->insert(mapping.begin(), mapping.end());
    const int64_t version = definition.row_version;
    CLM_RETURN_IF_ERROR(
        work.SaveModel(key.tenant, std::move(definition), /*refold=*/judged, /*anew=*/false));
    RecordModel(recorder, key, response.stage_model().name(), version, changed);
    return response.SerializeAsString();
  };
  ChangeModels(*parts_.lanes, call, key->tenant, request, apply, std::move(reply));
}

void LifecycleHandlers::CreateRule(const rpc::Call& call, const v1::CreateRuleRequest& request,
                                   rpc::Reply<v1::TransitionRule> reply) {
  const auto key = ParseModelName("parent", request.parent());
  if (!key.ok()) return reply(key.status());
  auto rule = FromProto(request.rule());
  if (!rule.ok()) {
    error::FieldErrors errors;
    errors.AddStatus("rule", rule.status());
    return reply(errors.ToStatus());
  }
  RuleRecord record{.rule = *std::move(rule), .display_name = request.rule().display_name()};
  record.rule.id = request.rule_id();
  record.rule.model_id = key->model;
  record.rule.enabled = false;
  ChangeRules(
      *parts_.lanes, call, *key, request,
      [key = *key, record](LifecycleWork& work,
                           journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindDefinition(work, key));
        if (definition.rules.contains(record.rule.id)) {
          return error::Make(
              absl::StatusCode::kAlreadyExists, "RULE_EXISTS",
              absl::StrCat(RuleName(key.tenant, key.model, record.rule.id), " exists already"));
        }
        if (definition.rules.size() >= kMaxRules) {
          return error::Precondition("TOO_MANY_RULES",
                                     absl::StrCat("parent: a model has at most ", kMaxRules));
        }
        error::FieldErrors errors;
        errors.AddStatus("rule", CheckRule(record.rule, definition.model));
        CLM_RETURN_IF_ERROR(errors.ToStatus());
        RuleRecord made = record;
        made.create_time = recorder.now();
        return AnswerRule(work, recorder, key.tenant, made, /*deleted=*/false);
      },
      std::move(reply));
}

void LifecycleHandlers::UpdateRule(const rpc::Call& call, const v1::UpdateRuleRequest& request,
                                   rpc::Reply<v1::TransitionRule> reply) {
  const auto key = ParseRuleName("rule.name", request.rule().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.rule());
  if (!paths.ok()) return reply(paths.status());
  const ModelKey model{key->tenant, key->model};
  ChangeRules(
      *parts_.lanes, call, model, request,
      [key = *key, model, paths = *std::move(paths), patch = request.rule()](
          LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindDefinition(work, model));
        CLM_ASSIGN_OR_RETURN(RuleRecord record, FindRule(definition, key));
        CLM_RETURN_IF_ERROR(CheckEtag("rule.etag", patch.etag(), record.row_version));
        if (record.rule.enabled) return RuleIsOn();
        v1::TransitionRule wire = ToProto(key.tenant, record);
        rpc::ApplyMask(paths, patch, wire);
        error::FieldErrors errors;
        auto rule = FromProto(wire);
        errors.AddStatus("rule", rule.status());
        CLM_RETURN_IF_ERROR(errors.ToStatus());
        rule->id = key.rule;
        rule->model_id = key.model;
        rule->enabled = false;
        errors.AddStatus("rule", CheckRule(*rule, definition.model));
        CLM_RETURN_IF_ERROR(errors.ToStatus());
        if (*rule == record.rule && wire.display_name() == record.display_name) {
          return ToProto(key.tenant, record).SerializeAsString();
        }
        record.rule = *std::move(rule);
        record.display_name = wire.display_name();
        ++record.row_version;
        return AnswerRule(work, recorder, key.tenant, record, /*deleted=*/false);
      },
      std::move(reply));
}

absl::StatusOr<v1::ListRulesResponse> LifecycleHandlers::ListRules(
    const rpc::Call& call, const v1::ListRulesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindModel(key, call.deadline));
  std::vector<const RuleRecord*> records;
  for (const auto& [_, record] : definition.rules) records.push_back(&record);
  std::stable_sort(records.begin(), records.end(), [](const RuleRecord* a, const RuleRecord* b) {
    return a->rule.priority > b->rule.priority;
  });
  v1::ListRulesResponse response;
  CLM_ASSIGN_OR_RETURN(
      *response.mutable_next_page_token(),
      AddPage(
          PageOf{*parts_.tokens,
                 {"ListRules", request.parent()},
                 request.page_size(),
                 request.page_token()},
          records,
          [](const RuleRecord* record) {
            const int64_t below = int64_t{INT32_MAX} - record->rule.priority;
            return std::vector{SortableText(below), record->rule.id};
          },
          [&](const RuleRecord* record) { *response.add_rules() = ToProto(key.tenant, *record); }));
  return response;
}

void LifecycleHandlers::DeleteRule(const rpc::Call& call, const v1::RuleVerbRequest& request,
                                   rpc::Reply<v1::TransitionRule> reply) {
  const auto key = ParseRuleName("name", request.name());
  if (!key.ok()) return reply(key.status());
  const ModelKey model{key->tenant, key->model};
  ChangeRules(
      *parts_.lanes, call, model, request,
      [key = *key, model, etag = request.etag()](
          LifecycleWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindDefinition(work, model));
        CLM_ASSIGN_OR_RETURN(const RuleRecord record, FindRule(definition, key));
        CLM_RETURN_IF_ERROR(CheckEtag("etag", etag, record.row_version));
        if (record.rule.enabled) return RuleIsOn();
        return AnswerRule(work, recorder, key.tenant, record, /*deleted=*/true);
      },
      std::move(reply));
}

void LifecycleHandlers::EnableRule(const rpc::Call& call, const v1::RuleVerbRequest& request,
                                   rpc::Reply<v1::TransitionRule> reply) {
  const auto key = ParseRuleName("name", request.name());
  if (!key.ok()) return reply(key.status());
  ChangeModels(
      *parts_.lanes, call, key->tenant, request,
      [key = *key, request](LifecycleWork& work, journal::Recorder& recorder) {
        return SwitchRule(work, recorder, key, request, /*on=*/true);
      },
      std::move(reply));
}

void LifecycleHandlers::DisableRule(const rpc::Call& call, const v1::RuleVerbRequest& request,
                                    rpc::Reply<v1::TransitionRule> reply) {
  const auto key = ParseRuleName("name", request.name());
  if (!key.ok()) return reply(key.status());
  ChangeModels(
      *parts_.lanes, call, key->tenant, request,
      [key = *key, request](LifecycleWork& work, journal::Recorder& recorder) {
        return SwitchRule(work, recorder, key, request, /*on=*/false);
      },
      std::move(reply));
}

absl::StatusOr<v1::DryRunRuleResponse> LifecycleHandlers::DryRunRule(
    const rpc::Call& call, const v1::DryRunRuleRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(ModelDefinition definition, FindModel(key, call.deadline));
  std::string id = "draft";
  if (!request.rule().name().empty()) {
    CLM_ASSIGN_OR_RETURN(const RuleKey named, ParseRuleName("rule.name", request.rule().name()));
    if (named.tenant != key.tenant || named.model != key.model) {
      return error::InvalidField("rule.name", "is of another model than the parent");
    }
    id = named.rule;
  }
  Rule rule;
  const bool only_named = !request.rule().has_trigger() && request.rule().to_stage().empty();
  if (only_named) {
    CLM_ASSIGN_OR_RETURN(const RuleRecord record,
                         FindRule(definition, {key.tenant, key.model, id}));
    rule = record.rule;
  } else {
    error::FieldErrors errors;
    auto draft = FromProto(request.rule());
    errors.AddStatus("rule", draft.status());
    CLM_RETURN_IF_ERROR(errors.ToStatus());
    rule = *std::move(draft);
    rule.id = id;
    rule.model_id = key.model;
    errors.AddStatus("rule", CheckRule(rule, definition.model));
    CLM_RETURN_IF_ERROR(errors.ToStatus());
  }
  rule.enabled = true;
  ReviseHistory(definition, rule);
  CLM_ASSIGN_OR_RETURN(const auto model, Compile(definition.revisions));

  v1::DryRunRuleResponse response;
  Uuid after;
  for (;;) {
    if (absl::Now() > call.deadline || call.IsCancelled()) {
      return error::Make(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                         "the dry run takes longer than the deadline; allow more time");
    }
    CLM_ASSIGN_OR_RETURN(const auto page,
                         parts_.reader->Histories(key.tenant, after, kDryRunPage, call.deadline));
    for (const auto& [customer, stored] : page) {
      std::vector<FactPtr> facts = stored;
      const FactPtr created = customer.CreatedFact();
      facts.insert(std::upper_bound(facts.begin(), facts.end(), created, Precedes), created);
      const CustomerHistory history(&customer, &facts);
      CLM_ASSIGN_OR_RETURN(const PlaceChange folded,
                           Advance(model->plan, {}, facts, history, call.now, call.now));
      const std::string& before = customer.PlaceIn(key.model).state.stage;
      const std::string& then = folded.after.state.stage;
      int64_t moves = 0;
      for (const RecordedTransition& line : folded.appended) {
        if (line.logged.rule_id == rule.id && !line.logged.synthetic) ++moves;
      }
      response.set_customer_count(response.customer_count() + 1);
      response.set_move_count(response.move_count() + moves);
      if (moves > 0) response.set_moved_customer_count(response.moved_customer_count() + 1);
      if (!before.empty()) ++(*response.mutable_stage_counts_now())[before];
      if (!then.empty()) ++(*response.mutable_stage_counts_with_rule())[then];
      if (before != then) {
        response.set_changed_now_count(response.changed_now_count() + 1);
        if (response.sample_contacts_size() < kMaxSamples) {
          response.add_sample_contacts(EntityName(kContacts, customer.key));
        }
      }
    }
    if (static_cast<int>(page.size()) < kDryRunPage) return response;
    after = page.back().first.key.id;
  }
}

void LifecycleHandlers::MoveCustomer(const rpc::Call& call, const v1::MoveCustomerRequest& request,
                                     rpc::Reply<v1::CustomerStage> reply) {
  auto hand = HandMoveFrom(call, request);
  if (!hand.ok()) return reply(hand.status());
  hand->move.to = request.to_stage();
  hand->move.allow_regress = request.allow_regress();
  RunHandMove(*parts_.lanes, *std::move(hand), std::move(reply));
}

void LifecycleHandlers::ClearStage(const rpc::Call& call, const v1::ClearStageRequest& request,
                                   rpc::Reply<v1::CustomerStage> reply) {
  auto hand = HandMoveFrom(call, request);
  if (!hand.ok()) return reply(hand.status());
  hand->move.verb = Verb::kClear;
  RunHandMove(*parts_.lanes, *std::move(hand), std::move(reply));
}

void LifecycleHandlers::ReactivateCustomer(const rpc::Call& call,
                                           const v1::MoveCustomerRequest& request,
                                           rpc::Reply<v1::CustomerStage> reply) {
  auto hand = HandMoveFrom(call, request);
  if (!hand.ok()) return reply(hand.status());
  hand->move.verb = Verb::kReactivate;
  hand->move.to = request.to_stage();
  RunHandMove(*parts_.lanes, *std::move(hand), std::move(reply));
}

absl::StatusOr<v1::GetCustomerStagesResponse> LifecycleHandlers::GetCustomerStages(
    const rpc::Call& call, const v1::GetCustomerStagesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key,
                       ParseEntityName("contact", kContacts, request.contact()));
  auto customer = parts_.reader->FindCustomer(key, call.deadline);
  if (customer.status().code() == absl::StatusCode::kNotFound) {
    // A contact that was made a moment ago has no stages yet.
    customer = Customer{.key = key};
  }
  CLM_RETURN_IF_ERROR(customer.status());
  CLM_ASSIGN_OR_RETURN(const auto models, parts_.reader->Models(key.tenant, call.deadline));
  return StagesOf(*customer, *models, call.now);
}

absl::StatusOr<v1::ListTransitionsResponse> LifecycleHandlers::ListTransitions(
    const rpc::Call& call, const v1::ListTransitionsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("parent", kContacts, request.parent()));
  std::string model;
  if (!request.model().empty()) {
    CLM_ASSIGN_OR_RETURN(const ModelKey named, ParseModelName("model", request.model()));
    if (named.tenant != key.tenant) {
      return error::InvalidField("model", "is of another tenant than the contact");
    }
    model = named.model;
  }
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListTransitions", request.parent(), model,
                                         request.show_superseded() ? "all" : "live"};
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> token,
                       parts_.tokens->Decode(list, request.page_token()));
  TransitionPosition after;
  if (token.size() == 3) {
    after.at = ParseTime(token[0]).value_or(absl::InfinitePast());
    after.model = token[1];
    if (!absl::SimpleAtoi(token[2], &after.sequence)) after.sequence = 0;
  }
  CLM_ASSIGN_OR_RETURN(const Customer customer, parts_.reader->FindCustomer(key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const auto lines,
                       parts_.reader->Transitions(customer.key, model, request.show_superseded(),
                                                  after, size + 1, call.deadline));
  v1::ListTransitionsResponse response;
  for (size_t i = 0; i < lines.size() && i < static_cast<size_t>(size); ++i) {
    *response.add_transitions() = ToProto(customer.key, lines[i].model, lines[i].transition);
  }
  if (lines.size() > static_cast<size_t>(size)) {
    const TransitionLine& last = lines[size - 1];
    response.set_next_page_token(
        parts_.tokens->Encode(list, {clm::FormatTime(last.transition.logged.at), last.model,
                                     absl::StrCat(last.transition.logged.sequence)}));
  }
  return response;
}

absl::StatusOr<v1::GetStageTimesResponse> LifecycleHandlers::GetStageTimes(
    const rpc::Call& call, const v1::GetStageTimesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key,
                       ParseEntityName("contact", kContacts, request.contact()));
  CLM_ASSIGN_OR_RETURN(const ModelKey model, ParseModelName("model", request.model()));
  if (model.tenant != key.tenant) {
    return error::InvalidField("model", "is of another tenant than the contact");
  }
  CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindModel(model, call.deadline));
  CLM_ASSIGN_OR_RETURN(const Customer customer, parts_.reader->FindCustomer(key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const auto lines, WholeLog(customer.key, model.model, call.deadline));
  std::vector<LoggedTransition> log;
  for (const TransitionLine& line : lines) log.push_back(line.transition.logged);
  std::map<std::string, int> positions;
  for (const Stage& stage : definition.model.stages) positions[stage.id] = stage.position;
  std::vector<StageTimes> times = ComputeStageTimes(std::move(log), call.now);
  // Stages of earlier versions come last.
  std::stable_sort(times.begin(), times.end(), [&](const StageTimes& a, const StageTimes& b) {
    const auto position = [&](const std::string& id) {
      const auto it = positions.find(id);
      return it == positions.end() ? kMaxStages + 1 : it->second;
    };
    return position(a.stage) < position(b.stage);
  });
  v1::GetStageTimesResponse response;
  for (const StageTimes& t : times) {
    v1::StageTimes* out = response.add_stages();
    out->set_stage(t.stage);
    ToProto(t.first_entered, out->mutable_first_enter_time());
    ToProto(t.last_entered, out->mutable_last_enter_time());
    if (t.last_exited) ToProto(*t.last_exited, out->mutable_last_exit_time());
    out->set_visits(static_cast<int32_t>(t.visits));
    out->set_cumulative_seconds(absl::ToInt64Seconds(t.cumulative));
  }
  return response;
}

absl::StatusOr<v1::ExplainStageResponse> LifecycleHandlers::ExplainStage(
    const rpc::Call& call, const v1::ExplainStageRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key,
                       ParseEntityName("contact", kContacts, request.contact()));
  CLM_ASSIGN_OR_RETURN(const ModelKey model, ParseModelName("model", request.model()));
  if (model.tenant != key.tenant) {
    return error::InvalidField("model", "is of another tenant than the contact");
  }
  CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindModel(model, call.deadline));
  CLM_ASSIGN_OR_RETURN(const Customer customer, parts_.reader->FindCustomer(key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const auto lines, WholeLog(customer.key, model.model, call.deadline));
  std::vector<Uuid> ids;
  Needs needs;
  absl::Time since = absl::InfiniteFuture();
  for (const TransitionLine& line : lines) {
    const LoggedTransition& logged = line.transition.logged;
    if (const auto id = Uuid::Parse(logged.fact_id)) ids.push_back(*id);
    const Rule* rule = RuleBehind(definition, logged);
    if (rule == nullptr || logged.synthetic) continue;
    CLM_ASSIGN_OR_RETURN(const Needs more, EvidenceNeeds(*rule));
    if (more.event_types.empty() && more.fields.empty()) continue;
    needs.event_types.insert(more.event_types.begin(), more.event_types.end());
    needs.fields.insert(more.fields.begin(), more.fields.end());
    since = std::min(since, logged.at - more.reach);
  }
  CLM_ASSIGN_OR_RETURN(std::vector<FactPtr> facts,
                       parts_.reader->Facts(customer.key, ids, call.deadline));
  facts.push_back(customer.CreatedFact());
  std::vector<FactPtr> seen;
  if (since != absl::InfiniteFuture()) {
    CLM_ASSIGN_OR_RETURN(seen, parts_.reader->FactsSince(customer.key, since, needs.event_types,
                                                         needs.fields, call.deadline));
  }
  const FactPtr& created = facts.back();
  seen.insert(std::upper_bound(seen.begin(), seen.end(), created, Precedes), created);
  EvidenceFinder finder(&customer, &seen);

  v1::ExplainStageResponse response;
  *response.mutable_customer_stage() =
      ToProto(customer.key, definition.model, customer.PlaceIn(model.model));
  LoggedTransition before{.at = absl::InfinitePast()};
  for (const TransitionLine& line : lines) {
    const LoggedTransition& logged = line.transition.logged;
    const Rule* rule = RuleBehind(definition, logged);
    const auto fact = logged.cause == Cause::kMove
                          ? facts.end()
                          : std::find_if(facts.begin(), facts.end(), [&](const FactPtr& f) {
                              return f->fact.id == logged.fact_id;
                            });
    auto* step = response.add_steps();
    *step->mutable_transition() = ToProto(customer.key, model.model, line.transition);
    Evidence evidence;
    if (rule != nullptr) {
      *step->mutable_rule() = ToProto(*rule);
      step->mutable_rule()->set_name(RuleName(key.tenant, model.model, rule->id));
      if (!logged.synthetic) {
        const Fact* cause = fact == facts.end() ? nullptr : &(*fact)->fact;
        CLM_ASSIGN_OR_RETURN(
            evidence,
            finder.Find(*rule, {.at = logged.at,
                                .fact = cause,
                                .stage = logged.from,
                                .entered_at = before.at,
                                .episode = before.episode,
                                .moment = {logged.at, cause == nullptr ? nullptr : &cause->id}}));
      }
    }
    if (fact != facts.end()) *step->mutable_fact() = ToProto(**fact);
    for (const Evidence::Item& item : evidence.items) {
      auto* event = step->add_evidence();
      *event = ToProto(*item.fact);
      if (item.added) event->set_added(*item.added);
    }
    step->set_evidence_count(evidence.count);
    step->set_text(StepText(RevisionAt(definition, logged.at).model, line.transition, rule,
                            fact == facts.end() ? nullptr : fact->get(), evidence));
    before = logged;
  }
  return response;
}

absl::StatusOr<v1::ListCustomersInStageResponse> LifecycleHandlers::ListCustomersInStage(
    const rpc::Call& call, const v1::ListCustomersInStageRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ModelKey key, ParseModelName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  CLM_ASSIGN_OR_RETURN(const ModelDefinition definition, FindModel(key, call.deadline));
  const bool exists = std::any_of(definition.model.stages.begin(), definition.model.stages.end(),
                                  [&](const Stage& stage) { return stage.id == request.stage(); });
  if (!exists) return error::InvalidField("stage", "is not a stage of the model");
  const std::vector<std::string> list = {"ListCustomersInStage", request.parent(), request.stage()};
  CLM_ASSIGN_OR_RETURN(const std::vector<std::string> token,
                       parts_.tokens->Decode(list, request.page_token()));
  absl::Time after_time = absl::InfinitePast();
  Uuid after;
  if (token.size() == 2) {
    after_time = ParseTime(token[0]).value_or(absl::InfinitePast());
    after = Uuid::Parse(token[1]).value_or(Uuid());
  }
  CLM_ASSIGN_OR_RETURN(const auto customers,
                       parts_.reader->CustomersInStage(key.tenant, key.model, request.stage(),
                                                       after_time, after, size + 1, call.deadline));
  v1::ListCustomersInStageResponse response;
  for (size_t i = 0; i < customers.size() && i < static_cast<size_t>(size); ++i) {
    *response.add_customers() = ToProto(customers[i].contact, definition.model, customers[i].place);
  }
  if (customers.size() > static_cast<size_t>(size)) {
    const auto& last = customers[size - 1];
    response.set_next_page_token(parts_.tokens->Encode(
        list, {clm::FormatTime(last.place.state.entered_at), last.contact.id.ToString()}));
  }
  return response;
}

absl::StatusOr<v1::ListDeadLettersResponse> LifecycleHandlers::ListDeadLetters(
    const rpc::Call& call, const v1::ListDeadLettersRequest& request) {
  return journal::ListDeadLetters<v1::ListDeadLettersResponse>(*parts_.pool, *parts_.tokens, call,
                                                               request);
}

absl::StatusOr<v1::ReplayDeadLetterResponse> LifecycleHandlers::ReplayDeadLetter(
    const rpc::Call& call, const v1::ReplayDeadLetterRequest& request) {
  return journal::ReplayDeadLetter<v1::EventGivenUp, v1::ReplayDeadLetterResponse>(
      *parts_.pool, *parts_.lanes,
      {{kContactSource, parts_.contact_feed}, {kLoyaltySource, parts_.loyalty_feed}}, call,
      request);
}

}  // namespace clm::lifecycle
