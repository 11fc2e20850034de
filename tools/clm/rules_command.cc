#include "tools/clm/rules_command.h"

#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using lifecycle::v1::RuleVerbRequest;
using lifecycle::v1::TransitionRule;
using lifecycle::v1::Trigger;
using Stub = lifecycle::v1::LifecycleService::Stub;

std::string SpanText(const google::protobuf::Duration& span) {
  return terminal::DurationText(absl::Seconds(span.seconds()));
}

std::string TriggerText(const Trigger& trigger) {
  const auto within = [](bool has, const google::protobuf::Duration& window) {
    return has ? absl::StrCat(" within ", SpanText(window)) : std::string();
  };
  switch (trigger.kind_case()) {
    case Trigger::kEvent:
      return absl::StrCat("event ", trigger.event().event_type());
    case Trigger::kEventCount:
      return absl::StrCat(
          trigger.event_count().at_least(), " times ", trigger.event_count().event_type(),
          within(trigger.event_count().has_window(), trigger.event_count().window()));
    case Trigger::kEventSum:
      return absl::StrCat(trigger.event_sum().event_type(), " of ",
                          trigger.event_sum().at_least_minor(), " in all",
                          within(trigger.event_sum().has_window(), trigger.event_sum().window()));
    case Trigger::kAttributeChange:
      return absl::StrCat("change of ", trigger.attribute_change().field());
    case Trigger::kTimeInStage:
      return absl::StrCat(SpanText(trigger.time_in_stage().duration()), " in the stage");
    case Trigger::kTimeSinceEvent:
      return absl::StrCat(SpanText(trigger.time_since_event().duration()), " without ",
                          absl::StrJoin(trigger.time_since_event().event_types(), ", "));
    case Trigger::KIND_NOT_SET:
      break;
  }
  return "";
}

terminal::Table RuleTable(const std::vector<TransitionRule>& rules) {
  terminal::Table table({{"name", "RULE"},
                         {"enabled", "ON"},
                         {"priority"},
                         {"from_stages", "FROM"},
                         {"to_stage", "TO"},
                         {"trigger", "WHEN"},
                         {"condition", "AND"},
                         {"display_name", "", true},
                         {"etag", "", true}});
  table.set_empty_text("no rules");
  for (const TransitionRule& r : rules) {
    table.Add(
        {LastPart(r.name()),
         terminal::Cell(r.enabled(), r.enabled() ? terminal::Tone::kGood : terminal::Tone::kMuted),
         static_cast<int64_t>(r.priority()),
         r.from_stages().empty() ? "any" : absl::StrJoin(r.from_stages(), " "), r.to_stage(),
         TriggerText(r.trigger()), TextCell(r.condition()), TextCell(r.display_name()),
         TextCell(r.etag())});
  }
  return table;
}

struct RuleFlags {
  std::string model, rule, from_file, to, on_event, condition, window, silence, in_stage, attribute,
      display_name;
  std::vector<std::string> from;
  int64_t count = 0, sum = 0;
  int priority = 10;
  bool regress = false, reactivate = false;
};

void SetDuration(absl::Duration span, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::ToInt64Seconds(span));
}

absl::Status FillTrigger(const RuleFlags& flags, Trigger* trigger) {
  if (!flags.silence.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Duration span, ParseSpan("--silence", flags.silence));
    trigger->mutable_time_since_event()->add_event_types(flags.on_event.empty() ? "purchase"
                                                                                : flags.on_event);
    SetDuration(span, trigger->mutable_time_since_event()->mutable_duration());
    return absl::OkStatus();
  }
  if (!flags.in_stage.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Duration span, ParseSpan("--in-stage", flags.in_stage));
    SetDuration(span, trigger->mutable_time_in_stage()->mutable_duration());
    return absl::OkStatus();
  }
  if (!flags.attribute.empty()) {
    trigger->mutable_attribute_change()->set_field(flags.attribute);
    return absl::OkStatus();
  }
  if (flags.on_event.empty()) {
    return error::InvalidField("--on",
                               "give an event type, or --silence, --in-stage or --attribute");
  }
  absl::Duration window = absl::ZeroDuration();
  if (!flags.window.empty()) {
    CLM_ASSIGN_OR_RETURN(window, ParseSpan("--window", flags.window));
  }
  if (flags.count > 0) {
    auto* count = trigger->mutable_event_count();
    count->set_event_type(flags.on_event);
    count->set_at_least(flags.count);
    if (window > absl::ZeroDuration()) SetDuration(window, count->mutable_window());
  } else if (flags.sum > 0) {
    auto* sum = trigger->mutable_event_sum();
    sum->set_event_type(flags.on_event);
    sum->set_at_least_minor(flags.sum);
    if (window > absl::ZeroDuration()) SetDuration(window, sum->mutable_window());
  } else {
    trigger->mutable_event()->set_event_type(flags.on_event);
  }
  return absl::OkStatus();
}

absl::StatusOr<TransitionRule> RuleFrom(const RuleFlags& flags) {
  TransitionRule rule;
  if (!flags.from_file.empty()) {
    CLM_RETURN_IF_ERROR(ReadMessage(flags.from_file, &rule));
    return rule;
  }
  if (flags.to.empty()) return error::InvalidField("--to", "needed: the stage to move to");
  rule.set_to_stage(flags.to);
  for (const std::string& stage : flags.from) rule.add_from_stages(stage);
  rule.set_priority(flags.priority);
  rule.set_condition(flags.condition);
  rule.set_display_name(flags.display_name);
  rule.set_allow_regress(flags.regress);
  rule.set_reactivate(flags.reactivate);
  CLM_RETURN_IF_ERROR(FillTrigger(flags, rule.mutable_trigger()));
  return rule;
}

void AddRuleFlags(Command command, RuleFlags& flags) {
  command.AddOption("--to", flags.to, "stage to move to");
  command.AddOption("--from-stage", flags.from,
                    "stage it applies in, - for none; may be repeated; default: any");
  command.AddOption("--on", flags.on_event,
                    "type of event; loyalty.tier_changed when a member's tier changes");
  command.AddOption("--count", flags.count, "only from so many of them on");
  command.AddOption("--sum", flags.sum, "only from this sum of amounts on, in minor units");
  command.AddOption("--window", flags.window, "of --count and --sum, 90d; default: all time");
  command.AddOption("--silence", flags.silence,
                    "when this time has passed without the event of --on, 90d");
  command.AddOption("--in-stage", flags.in_stage, "when a customer has been there so long, 14d");
  command.AddOption("--attribute", flags.attribute, "when this field or attribute changes");
  command.AddOption("--condition", flags.condition, "and only if, in the expression language");
  command.AddOption("--priority", flags.priority, "the highest wins").ShowDefault();
  command.AddOption("--display-name", flags.display_name, "for people");
  command.AddFlag("--allow-regress", flags.regress, "may move backwards");
  command.AddFlag("--reactivate", flags.reactivate, "leads out of terminal stages");
  command.AddOption("--from", flags.from_file, "take the rule from a JSON file; - for stdin")
      .TypeName("FILE");
}

absl::Status ShowRule(Cli& cli, const absl::StatusOr<TransitionRule>& rule) {
  CLM_RETURN_IF_ERROR(rule.status());
  return cli.Print({&*rule}, false, [&] { return RuleTable({*rule}); });
}

absl::Status DryRun(Cli& cli, const RuleFlags& flags) {
  lifecycle::v1::DryRunRuleRequest request;
  request.set_parent(cli.Name("stageModels", flags.model));
  if (!flags.rule.empty()) {
    request.mutable_rule()->set_name(absl::StrCat(request.parent(), "/rules/", flags.rule));
  } else {
    CLM_ASSIGN_OR_RETURN(*request.mutable_rule(), RuleFrom(flags));
  }
  CLM_ASSIGN_OR_RETURN(const lifecycle::v1::DryRunRuleResponse response,
                       cli.Call(&Stub::DryRunRule, request, absl::Minutes(5)));
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  if (!terminal::IsMessageFormat(format)) {
    cli.Note(absl::StrCat(
        "over the stored history of ", terminal::CountText(response.customer_count()),
        " customers: ", terminal::CountText(response.move_count()), " moves of ",
        terminal::CountText(response.moved_customer_count()), " customers; ",
        terminal::CountText(response.changed_now_count()), " would be in another stage now"));
  }
  return cli.PrintReport(response, [&] {
    terminal::Table table({{"name", "STAGE"}, {"now"}, {"with_rule", "WITH THE RULE"}, {"change"}});
    std::set<std::string> stages;
    for (const auto& [stage, count] : response.stage_counts_now()) stages.insert(stage);
    for (const auto& [stage, count] : response.stage_counts_with_rule()) stages.insert(stage);
    for (const std::string& stage : stages) {
      const auto count = [&](const google::protobuf::Map<std::string, int64_t>& counts) {
        const auto it = counts.find(stage);
        return it == counts.end() ? int64_t{0} : it->second;
      };
      const int64_t now = count(response.stage_counts_now());
      const int64_t with_rule = count(response.stage_counts_with_rule());
      table.Add({stage.empty() ? "(none)" : stage, now, with_rule, with_rule - now});
    }
    return table;
  });
}

}  // namespace

void AddRulesCommands(Cli& cli) {
  Command group = cli.AddGroup("rules", "What moves customers by itself");
  auto flags = std::make_shared<RuleFlags>();
  const auto model_option = [](Command command, RuleFlags& f) {
    command.AddOption("MODEL", f.model, "id of the stage model").Required();
  };

  Command command = cli.AddCommand(
      group, "list", "List a model's rules by priority", {"clm rules list subscription"},
      [&cli, flags]() -> absl::Status {
        lifecycle::v1::ListRulesRequest request;
        request.set_parent(cli.Name("stageModels", flags->model));
        CLM_ASSIGN_OR_RETURN(const std::vector<TransitionRule> rules,
                             cli.List(&Stub::ListRules, request,
                                      &lifecycle::v1::ListRulesResponse::rules, /*limit=*/0));
        return cli.Print(Pointers(rules), true, [&] { return RuleTable(rules); });
      });
  model_option(command, *flags);

  auto create = std::make_shared<RuleFlags>();
  command = cli.AddCommand(
      group, "create", "Make a rule, switched off; dry-run it, then enable it",
      {"clm rules create subscription big-spender --to loyal --from-stage repeat_buyer --on "
       "purchase --sum 50000 --window 365d",
       "clm rules create shop quiet --to at_risk --on purchase --silence 90d",
       "clm rules create subscription gold --to loyal --on loyalty.tier_changed --condition "
       "'properties.to_tier = \"gold\" AND properties.direction = \"up\"'"},
      [&cli, create]() -> absl::Status {
        lifecycle::v1::CreateRuleRequest request;
        request.set_parent(cli.Name("stageModels", create->model));
        request.set_rule_id(create->rule);
        CLM_ASSIGN_OR_RETURN(*request.mutable_rule(), RuleFrom(*create));
        return ShowRule(cli, cli.Call(&Stub::CreateRule, request));
      });
  model_option(command, *create);
  command.AddOption("RULE", create->rule, "its id").Required();
  AddRuleFlags(command, *create);

  auto dry = std::make_shared<RuleFlags>();
  command = cli.AddCommand(group, "dry-run",
                           "Count what a rule would do over the stored history, changing nothing",
                           {"clm rules dry-run subscription big-spender",
                            "clm rules dry-run subscription --to at_risk --from-stage buyer --on "
                            "purchase --silence 45d"},
                           [&cli, dry] { return DryRun(cli, *dry); });
  model_option(command, *dry);
  command.AddOption("RULE", dry->rule, "a stored rule; else describe one");
  AddRuleFlags(command, *dry);

  const auto verb = [&](const char* name, const char* description, const char* example,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const RuleVerbRequest&,
                                                     TransitionRule*)) {
    auto named = std::make_shared<RuleFlags>();
    auto history = std::make_shared<bool>(false);
    Command one =
        cli.AddCommand(group, name, description, {example}, [&cli, named, history, method] {
          RuleVerbRequest request;
          request.set_name(
              absl::StrCat(cli.Name("stageModels", named->model), "/rules/", named->rule));
          request.set_include_history(*history);
          return ShowRule(cli, cli.Call(method, request, absl::Minutes(5)));
        });
    model_option(one, *named);
    one.AddOption("RULE", named->rule, "its id").Required();
    if (method == &Stub::EnableRule) {
      one.AddFlag("--include-history", *history, "judge everything before now as well");
    }
  };
  verb("enable", "Switch a rule on", "clm rules enable subscription big-spender --include-history",
       &Stub::EnableRule);
  verb("disable", "Switch a rule off; moves it made stay",
       "clm rules disable subscription big-spender", &Stub::DisableRule);
  verb("delete", "Delete a rule that is switched off", "clm rules delete subscription big-spender",
       &Stub::DeleteRule);
}

}  // namespace clm::cli
