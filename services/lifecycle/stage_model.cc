#include "services/lifecycle/stage_model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"

namespace clm::lifecycle {
namespace {

constexpr size_t kMaxLabelLength = 200;
constexpr size_t kMaxDescriptionLength = 2000;
constexpr size_t kMaxExpressionLength = 4000;
constexpr size_t kMaxTypes = 20;
constexpr size_t kMaxTypeLength = 100;

void CheckId(absl::string_view field, absl::string_view id, error::FieldErrors& errors) {
  if (!ValidResourceId(id)) {
    errors.Add(field,
               "must be 1 to 63 characters of a-z, 0-9, '-' and '_', beginning with a letter and "
               "ending with a letter or digit");
  }
}

void CheckLength(absl::string_view field, absl::string_view text, size_t max,
                 error::FieldErrors& errors) {
  if (text.size() > max) errors.Add(field, absl::StrCat("is longer than ", max, " bytes"));
}

void CheckDays(absl::string_view field, const std::optional<int>& days,
               error::FieldErrors& errors) {
  if (days.has_value() && (*days < 1 || *days > kMaxDays)) {
    errors.Add(field, absl::StrCat("must be from 1 to ", kMaxDays));
  }
}

void CheckSpan(absl::string_view field, absl::Duration span, error::FieldErrors& errors) {
  // A second at least: timers of shorter spans could drown a customer in transitions.
  if (span < absl::Seconds(1) || span > absl::Hours(24) * kMaxDays) {
    errors.Add(field, absl::StrCat("must be from 1 second to ", kMaxDays, " days"));
  }
}

const Stage* FindStage(const StageModel& model, absl::string_view id) {
  for (const Stage& stage : model.stages) {
    if (stage.id == id) return &stage;
  }
  return nullptr;
}

void CheckStage(const Stage& stage, absl::string_view path, error::FieldErrors& errors) {
  CheckId(absl::StrCat(path, ".id"), stage.id, errors);
  if (stage.label.empty()) errors.Add(absl::StrCat(path, ".label"), "must not be empty");
  CheckLength(absl::StrCat(path, ".label"), stage.label, kMaxLabelLength, errors);
  CheckLength(absl::StrCat(path, ".description"), stage.description, kMaxDescriptionLength, errors);
  CheckLength(absl::StrCat(path, ".entry_gate"), stage.entry_gate, kMaxExpressionLength, errors);
  CheckLength(absl::StrCat(path, ".exit_gate"), stage.exit_gate, kMaxExpressionLength, errors);
  if (stage.position < 0) errors.Add(absl::StrCat(path, ".position"), "must not be negative");
  CheckDays(absl::StrCat(path, ".target_days"), stage.target_days, errors);
  CheckDays(absl::StrCat(path, ".reset_after_days"), stage.reset_after_days, errors);
  if (stage.kind == StageKind::kTerminal) {
    if (!stage.exit_gate.empty()) {
      errors.Add(absl::StrCat(path, ".exit_gate"), "a terminal stage is left by Reactivate only");
    }
    if (stage.reset_after_days.has_value()) {
      errors.Add(absl::StrCat(path, ".reset_after_days"),
                 "a terminal stage is left by Reactivate only");
    }
  }
  if (stage.require_all_earlier && stage.kind != StageKind::kNormal &&
      stage.kind != StageKind::kLoop) {
    errors.Add(absl::StrCat(path, ".require_all_earlier"),
               "a negative or terminal stage may be entered from anywhere");
  }
}

void CheckEdges(const StageModel& model, error::FieldErrors& errors) {
  if (model.edges.size() > kMaxEdges) {
    errors.Add("edges", absl::StrCat("a model has at most ", kMaxEdges));
  }
  if (model.policy != Policy::kGraph && !model.edges.empty()) {
    errors.Add("edges", "only a GRAPH model has edges");
  }
  if (model.policy == Policy::kGraph && model.edges.empty() && model.stages.size() > 1) {
    errors.Add("edges", "a GRAPH model needs at least one edge");
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 0; i < model.edges.size(); ++i) {
    const Edge& edge = model.edges[i];
    const std::string path = absl::StrCat("edges[", i, "]");
    const Stage* from = FindStage(model, edge.from);
    if (from == nullptr) errors.Add(absl::StrCat(path, ".from"), "is not a stage of the model");
    if (FindStage(model, edge.to) == nullptr) {
      errors.Add(absl::StrCat(path, ".to"), "is not a stage of the model");
    }
    if (edge.from == edge.to) errors.Add(path, "leads from a stage to itself");
    if (from != nullptr && from->kind == StageKind::kTerminal) {
      errors.Add(absl::StrCat(path, ".from"), "a terminal stage is left by Reactivate only");
    }
    if (!seen.emplace(edge.from, edge.to).second) errors.Add(path, "is listed twice");
  }
}

void CheckTrigger(const Trigger& trigger, error::FieldErrors& errors) {
  using Kind = Trigger::Kind;
  const bool one_type = trigger.kind == Kind::kEvent || trigger.kind == Kind::kEventCount ||
                        trigger.kind == Kind::kEventSum;
  if (one_type && trigger.types.size() != 1) {
    errors.Add("trigger.types", "must name exactly one event type");
  }
  if (trigger.kind == Kind::kTimeSinceEvent &&
      (trigger.types.empty() || trigger.types.size() > kMaxTypes)) {
    errors.Add("trigger.types", absl::StrCat("must name from 1 to ", kMaxTypes, " event types"));
  }
  for (size_t i = 0; i < trigger.types.size(); ++i) {
    if (trigger.types[i].empty() || trigger.types[i].size() > kMaxTypeLength) {
      errors.Add(absl::StrCat("trigger.types[", i, "]"),
                 absl::StrCat("must be 1 to ", kMaxTypeLength, " bytes"));
    }
  }
  if (trigger.kind == Kind::kEventCount || trigger.kind == Kind::kEventSum) {
    if (trigger.window != absl::InfiniteDuration()) {
      CheckSpan("trigger.window", trigger.window, errors);
    }
    if (trigger.at_least < 1) errors.Add("trigger.at_least", "must be at least 1");
  }
  if (trigger.kind == Kind::kAttributeChange &&
      (trigger.attribute.empty() || trigger.attribute.size() > kMaxTypeLength)) {
    errors.Add("trigger.attribute", absl::StrCat("must be 1 to ", kMaxTypeLength, " bytes"));
  }
  if (trigger.kind == Kind::kTimeInStage || trigger.kind == Kind::kTimeSinceEvent) {
    CheckSpan("trigger.duration", trigger.duration, errors);
  }
}

}  // namespace

absl::Status ValidateModel(const StageModel& model) {
  error::FieldErrors errors;
  CheckId("id", model.id, errors);
  if (model.version < 1) errors.Add("version", "must be at least 1");
  if (model.display_name.empty()) errors.Add("display_name", "must not be empty");
  CheckLength("display_name", model.display_name, kMaxLabelLength, errors);
  CheckLength("description", model.description, kMaxDescriptionLength, errors);
  if (model.stages.empty() || model.stages.size() > kMaxStages) {
    errors.Add("stages", absl::StrCat("must be from 1 to ", kMaxStages));
  }
  std::set<std::string> ids;
  std::set<int> positions;
  bool has_progress = false;
  for (size_t i = 0; i < model.stages.size(); ++i) {
    const Stage& stage = model.stages[i];
    const std::string path = absl::StrCat("stages[", i, "]");
    CheckStage(stage, path, errors);
    if (!ids.insert(stage.id).second) errors.Add(absl::StrCat(path, ".id"), "is not unique");
    if (!positions.insert(stage.position).second) {
      errors.Add(absl::StrCat(path, ".position"), "is not unique");
    }
    has_progress |= stage.kind == StageKind::kNormal || stage.kind == StageKind::kLoop;
  }
  if (!model.stages.empty() && !has_progress) {
    errors.Add("stages", "at least one must be NORMAL or LOOP");
  }
  CheckEdges(model, errors);
  if (!model.initial_stage.empty()) {
    const Stage* initial = FindStage(model, model.initial_stage);
    if (initial == nullptr) {
      errors.Add("initial_stage", "is not a stage of the model");
    } else if (initial->kind != StageKind::kNormal && initial->kind != StageKind::kLoop) {
      errors.Add("initial_stage", "must be a NORMAL or LOOP stage");
    }
  }
  return errors.ToStatus();
}

absl::Status ValidateRule(const Rule& rule, const StageModel& model) {
  error::FieldErrors errors;
  CheckId("id", rule.id, errors);
  if (rule.model_id != model.id) errors.Add("model_id", "is not the model of the rule");
  std::set<std::string> seen;
  for (size_t i = 0; i < rule.from_stages.size(); ++i) {
    const std::string path = absl::StrCat("from_stages[", i, "]");
    const Stage* from = FindStage(model, rule.from_stages[i]);
    if (rule.from_stages[i] == kNoStage) {
      if (rule.reactivate) {
        errors.Add(path, "a rule that reactivates starts from terminal stages only");
      }
    } else if (from == nullptr) {
      errors.Add(path, "is not a stage of the model");
    } else if (rule.reactivate && from->kind != StageKind::kTerminal) {
      errors.Add(path, "a rule that reactivates starts from terminal stages only");
    } else if (!rule.reactivate && from->kind == StageKind::kTerminal) {
      errors.Add(path, "only a rule that reactivates leads out of a terminal stage");
    }
    if (!seen.insert(rule.from_stages[i]).second) errors.Add(path, "is listed twice");
    if (rule.from_stages[i] == rule.to_stage) errors.Add(path, "is also the stage it leads to");
  }
  const Stage* to = FindStage(model, rule.to_stage);
  if (to == nullptr) {
    errors.Add("to_stage", "is not a stage of the model");
  } else if (rule.reactivate && to->kind != StageKind::kNormal && to->kind != StageKind::kLoop) {
    errors.Add("to_stage", "Reactivate leads to a NORMAL or LOOP stage");
  }
  CheckLength("condition", rule.condition, kMaxExpressionLength, errors);
  CheckTrigger(rule.trigger, errors);
  return errors.ToStatus();
}

absl::Status ValidateRules(absl::Span<const Rule> rules, const StageModel& model) {
  error::FieldErrors errors;
  if (rules.size() > kMaxRules) {
    errors.Add("rules", absl::StrCat("a model has at most ", kMaxRules));
  }
  std::set<std::string> ids;
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string path = absl::StrCat("rules[", i, "]");
    errors.AddStatus(path, ValidateRule(rules[i], model));
    if (!ids.insert(rules[i].id).second) errors.Add(absl::StrCat(path, ".id"), "is not unique");
  }
  return errors.ToStatus();
}

absl::StatusOr<MigrationPlan> PlanMigration(const StageModel& before, const StageModel& after,
                                            const std::map<std::string, std::string>& mapping,
                                            const std::map<std::string, int64_t>& counts,
                                            absl::Span<const Referrer> referrers) {
  error::FieldErrors errors;
  errors.AddStatus("model", ValidateModel(after));
  if (after.id != before.id) errors.Add("model.id", "is not the id of the model to replace");
  if (after.version != before.version + 1) {
    errors.Add("model.version", absl::StrCat("must be ", before.version + 1));
  }
  for (const auto& [from, to] : mapping) {
    const std::string path = absl::StrCat("mapping[", from, "]");
    if (FindStage(before, from) == nullptr) errors.Add(path, "is not a stage of the old version");
    if (!to.empty() && FindStage(after, to) == nullptr) {
      errors.Add(path, absl::StrCat("leads to ", to, ", which is not a stage of the new version"));
    }
  }
  if (!errors.empty()) return errors.ToStatus();

  const auto count = [&](const std::string& stage) {
    const auto it = counts.find(stage);
    return it == counts.end() ? int64_t{0} : it->second;
  };
  MigrationPlan plan;
  std::vector<std::string> occupied;
  for (const Stage& stage : before.stages) {
    const auto mapped = mapping.find(stage.id);
    const bool kept = FindStage(after, stage.id) != nullptr;
    if (!kept) plan.removed.push_back(stage.id);
    if (mapped == mapping.end()) {
      if (!kept && count(stage.id) > 0) {
        occupied.push_back(absl::StrCat(stage.id, "=", count(stage.id)));
      }
    } else if (mapped->second != stage.id) {
      plan.moves.push_back({stage.id, mapped->second, count(stage.id)});
      plan.customers += count(stage.id);
    }
  }
  for (const Stage& stage : after.stages) {
    if (FindStage(before, stage.id) == nullptr) plan.added.push_back(stage.id);
  }
  std::vector<std::string> used;
  for (const Referrer& referrer : referrers) {
    if (std::find(plan.removed.begin(), plan.removed.end(), referrer.stage) != plan.removed.end()) {
      used.push_back(absl::StrCat(referrer.kind, " ", referrer.name, " (", referrer.stage, ")"));
    }
  }
  if (!used.empty() || !occupied.empty()) {
    std::string message = "model.stages: a stage in use cannot be removed";
    if (!used.empty()) absl::StrAppend(&message, "; named by ", absl::StrJoin(used, ", "));
    if (!occupied.empty()) {
      absl::StrAppend(&message,
                      "; holding customers and not mapped: ", absl::StrJoin(occupied, ", "));
    }
    return error::Precondition(
        "STAGE_IN_USE", message,
        {{"referrers", absl::StrJoin(used, ", ")}, {"stages", absl::StrJoin(occupied, ", ")}});
  }
  return plan;
}

absl::string_view Name(Policy policy) {
  switch (policy) {
    case Policy::kForwardOnly:
      return "FORWARD_ONLY";
    case Policy::kGraph:
      return "GRAPH";
    case Policy::kFree:
      return "FREE";
  }
  return "";
}

absl::string_view Name(SkipPolicy policy) {
  switch (policy) {
    case SkipPolicy::kAllowed:
      return "ALLOWED";
    case SkipPolicy::kForbidden:
      return "FORBIDDEN";
    case SkipPolicy::kBackfilled:
      return "BACKFILLED";
  }
  return "";
}

absl::string_view Name(StageKind kind) {
  switch (kind) {
    case StageKind::kNormal:
      return "NORMAL";
    case StageKind::kLoop:
      return "LOOP";
    case StageKind::kNegative:
      return "NEGATIVE";
    case StageKind::kTerminal:
      return "TERMINAL";
  }
  return "";
}

absl::string_view Name(Trigger::Kind kind) {
  switch (kind) {
    case Trigger::Kind::kEvent:
      return "EVENT";
    case Trigger::Kind::kEventCount:
      return "EVENT_COUNT";
    case Trigger::Kind::kEventSum:
      return "EVENT_SUM";
    case Trigger::Kind::kAttributeChange:
      return "ATTRIBUTE_CHANGE";
    case Trigger::Kind::kTimeInStage:
      return "TIME_IN_STAGE";
    case Trigger::Kind::kTimeSinceEvent:
      return "TIME_SINCE_EVENT";
  }
  return "";
}

}  // namespace clm::lifecycle
