#include "services/lifecycle/models.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

// What a fold by this revision looks back at, its expressions aside.
void AddTriggerNeeds(const Revision& revision, Needs& needs, bool& looks_back) {
  for (const Rule& rule : revision.rules) {
    if (!rule.enabled) continue;
    const Trigger& trigger = rule.trigger;
    switch (trigger.kind) {
      case Trigger::Kind::kEventCount:
      case Trigger::Kind::kEventSum:
        looks_back = true;
        needs.reach = std::max(needs.reach, trigger.window);
        needs.event_types.insert(trigger.types.begin(), trigger.types.end());
        break;
      case Trigger::Kind::kTimeSinceEvent:
        needs.event_types.insert(trigger.types.begin(), trigger.types.end());
        break;
      default:
        break;
    }
  }
}

}  // namespace

std::vector<Rule> ModelDefinition::EnabledRules() const {
  std::vector<Rule> enabled;
  for (const auto& [_, record] : rules) {
    if (record.rule.enabled) enabled.push_back(record.rule);
  }
  return enabled;
}

void Revise(ModelDefinition& definition, std::map<std::string, std::string> mapping, absl::Time now,
            bool replace) {
  Revision revision{.number = 1,
                    .from = now,
                    .model = definition.model,
                    .rules = definition.EnabledRules(),
                    .mapping = std::move(mapping)};
  if (!definition.revisions.empty()) {
    const Revision& latest = definition.revisions.back();
    revision.number = latest.number + 1;
    revision.from = std::max(now, latest.from + absl::Microseconds(1));
    if (replace) {
      // Nobody is in a stage that would have to be mapped.
      revision.number = latest.number;
      revision.from = latest.from;
      revision.mapping = latest.mapping;
      definition.revisions.pop_back();
    }
  }
  definition.revisions.push_back(std::move(revision));
}

void ReviseHistory(ModelDefinition& definition, const Rule& rule) {
  for (Revision& revision : definition.revisions) {
    revision.rules.erase(std::remove_if(revision.rules.begin(), revision.rules.end(),
                                        [&](const Rule& other) { return other.id == rule.id; }),
                         revision.rules.end());
    if (ValidateRule(rule, revision.model).ok()) revision.rules.push_back(rule);
  }
}

bool CompiledModel::Outdated(const ModelState& state) const {
  if (state.revision == 0) return false;
  for (const auto& [number, from] : revisions) {
    if (number > state.revision) return !(state.applied < Horizon{.at = from});
  }
  return false;
}

const CompiledModel* TenantModels::Find(absl::string_view id) const {
  for (const auto& model : models) {
    if (model->id == id) return model.get();
  }
  return nullptr;
}

bool TenantModels::MayConcern(const Fact& fact) const {
  return std::any_of(models.begin(), models.end(),
                     [&](const auto& model) { return model->plan.MayConcern(fact); });
}

absl::StatusOr<std::shared_ptr<const CompiledModel>> Compile(
    const std::vector<Revision>& revisions) {
  Needs needs;
  bool looks_back = false;
  CLM_ASSIGN_OR_RETURN(Plan plan, Plan::Compile(revisions, [&](absl::string_view expression) {
                         looks_back = true;
                         return CompileCondition("condition", expression, needs);
                       }));
  for (const Revision& revision : revisions) AddTriggerNeeds(revision, needs, looks_back);
  std::string id = plan.model_id();
  auto compiled = std::make_shared<CompiledModel>(CompiledModel{
      .id = std::move(id), .plan = std::move(plan), .needs = needs, .looks_back = looks_back});
  for (const Revision& revision : revisions) {
    compiled->revisions.emplace_back(revision.number, revision.from);
  }
  return std::shared_ptr<const CompiledModel>(std::move(compiled));
}

absl::StatusOr<std::shared_ptr<const TenantModels>> Compile(
    int64_t epoch, const std::map<std::string, ModelDefinition>& definitions) {
  auto models = std::make_shared<TenantModels>();
  models->epoch = epoch;
  for (const auto& [_, definition] : definitions) {
    CLM_ASSIGN_OR_RETURN(std::shared_ptr<const CompiledModel> model, Compile(definition.revisions));
    models->models.push_back(std::move(model));
  }
  return std::shared_ptr<const TenantModels>(std::move(models));
}

absl::Status CheckModel(const StageModel& model, const std::vector<Rule>& rules) {
  error::FieldErrors errors;
  errors.AddStatus("", ValidateModel(model));
  Needs needs;
  for (size_t i = 0; i < model.stages.size(); ++i) {
    const Stage& stage = model.stages[i];
    const std::string path = absl::StrCat("stages[", i, "]");
    for (const auto& [field, text] :
         {std::pair<const char*, const std::string&>{".entry_condition", stage.entry_gate},
          std::pair<const char*, const std::string&>{".exit_condition", stage.exit_gate}}) {
      if (text.empty()) continue;
      errors.AddStatus("", CompileCondition(path + field, text, needs).status());
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  for (const Rule& rule : rules) CLM_RETURN_IF_ERROR(CheckRule(rule, model));
  return ValidateRules(rules, model);
}

absl::Status CheckRule(const Rule& rule, const StageModel& model) {
  error::FieldErrors errors;
  errors.AddStatus("", ValidateRule(rule, model));
  Needs needs;
  if (!rule.condition.empty()) {
    errors.AddStatus("", CompileCondition("condition", rule.condition, needs).status());
  }
  return errors.ToStatus();
}

std::shared_ptr<const TenantModels> ModelCache::Get(const std::string& tenant,
                                                    int64_t epoch) const {
  absl::ReaderMutexLock lock(&mu_);
  const auto it = models_.find(tenant);
  return it != models_.end() && it->second->epoch == epoch ? it->second : nullptr;
}

void ModelCache::Put(const std::string& tenant, std::shared_ptr<const TenantModels> models) {
  absl::MutexLock lock(&mu_);
  auto& held = models_[tenant];
  if (held == nullptr || held->epoch < models->epoch) held = std::move(models);
}

}  // namespace clm::lifecycle
