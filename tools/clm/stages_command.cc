#include "tools/clm/stages_command.h"

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/lifecycle/v1/lifecycle_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using lifecycle::v1::CustomerStage;
using lifecycle::v1::MoveCustomerRequest;
using lifecycle::v1::Transition;
using Stub = lifecycle::v1::LifecycleService::Stub;

terminal::Table StagesTable(const std::vector<CustomerStage>& stages) {
  terminal::Table table({{"name", "CONTACT"},
                         {"model"},
                         {"stage"},
                         {"label"},
                         {"enter_time", "SINCE"},
                         {"episode"},
                         {"overdue"},
                         {"etag", "", true}});
  table.set_empty_text("no stage in any model");
  for (const CustomerStage& s : stages) {
    table.Add(
        {LastPart(s.contact()), LastPart(s.model()), TextCell(s.stage()), TextCell(s.label()),
         TimeCell(s.has_enter_time(), s.enter_time()), static_cast<int64_t>(s.episode()),
         terminal::Cell(s.overdue(), s.overdue() ? terminal::Tone::kWarn : terminal::Tone::kPlain),
         TextCell(s.etag())});
  }
  return table;
}

absl::Status ShowStage(Cli& cli, const absl::StatusOr<CustomerStage>& stage) {
  CLM_RETURN_IF_ERROR(stage.status());
  return cli.Print({&*stage}, false, [&] { return StagesTable({*stage}); });
}

absl::StatusOr<std::vector<CustomerStage>> StagesOf(Cli& cli, const std::string& contact) {
  lifecycle::v1::GetCustomerStagesRequest request;
  request.set_contact(contact);
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::GetCustomerStages, request));
  return std::vector<CustomerStage>(response.stages().begin(), response.stages().end());
}

// The model that is meant: the one given, else the only one the customer has a stage in.
absl::StatusOr<std::string> ModelOf(Cli& cli, const std::string& contact,
                                    const std::string& model) {
  if (!model.empty()) return cli.Name("stageModels", model);
  CLM_ASSIGN_OR_RETURN(const std::vector<CustomerStage> stages, StagesOf(cli, contact));
  if (stages.size() == 1) return stages.front().model();
  if (stages.empty()) {
    return error::NotFound(absl::StrCat(contact, ": has no stage in any model"));
  }
  std::vector<std::string> models;
  for (const CustomerStage& s : stages) models.push_back(LastPart(s.model()));
  return error::InvalidField("--model",
                             absl::StrCat("say which of: ", absl::StrJoin(models, ", ")));
}

std::string CauseText(const Transition& t) {
  switch (t.cause()) {
    case Transition::CAUSE_MANUAL:
      return absl::StrCat("by hand: ", t.actor(), t.reason().empty() ? "" : ", ", t.reason());
    case Transition::CAUSE_RULE:
      return absl::StrCat("rule ", t.rule(), " upon ", t.event_type());
    case Transition::CAUSE_TIMER:
      return absl::StrCat("rule ", t.rule(), " upon time passing");
    case Transition::CAUSE_MODEL:
      return "change of the model";
    case Transition::CAUSE_SYNTHETIC:
      return "filled in";
    default:
      return "";
  }
}

terminal::Table TransitionTable(const std::vector<Transition>& transitions) {
  terminal::Table table({{"effective_time", "TIME"},
                         {"model"},
                         {"from_stage", "FROM"},
                         {"to_stage", "TO"},
                         {"cause", "BECAUSE"},
                         {"supersede_time", "UNTRUE SINCE"},
                         {"record_time", "", true},
                         {"event_id", "", true},
                         {"request_id", "", true},
                         {"episode", "", true},
                         {"model_version", "", true}});
  table.set_empty_text("never moved");
  for (const Transition& t : transitions) {
    const terminal::Tone tone =
        t.has_supersede_time() ? terminal::Tone::kMuted : terminal::Tone::kPlain;
    table.Add({TimeCell(t.has_effective_time(), t.effective_time()), LastPart(t.model()),
               TextCell(t.from_stage()),
               t.to_stage().empty() ? terminal::Cell() : terminal::Cell(t.to_stage(), tone),
               TextCell(CauseText(t)), TimeCell(t.has_supersede_time(), t.supersede_time()),
               TimeCell(t.has_record_time(), t.record_time()), TextCell(t.event_id()),
               TextCell(t.request_id()), static_cast<int64_t>(t.episode()),
               static_cast<int64_t>(t.model_version())});
  }
  return table;
}

struct StageFlags {
  std::string contact, model, stage, at, reason;
  bool regress = false, superseded = false;
  int64_t limit = 100;
};

// Changes by hand are conditional on what was there a moment ago: two people do not undo each
// other's moves without a word.
absl::StatusOr<std::string> EtagOf(Cli& cli, const std::string& contact, const std::string& model) {
  CLM_ASSIGN_OR_RETURN(const std::vector<CustomerStage> stages, StagesOf(cli, contact));
  for (const CustomerStage& s : stages) {
    if (s.model() == model) return s.etag();
  }
  return std::string();
}

absl::StatusOr<MoveCustomerRequest> MoveRequest(Cli& cli, const StageFlags& flags) {
  MoveCustomerRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  CLM_ASSIGN_OR_RETURN(*request.mutable_model(), ModelOf(cli, request.contact(), flags.model));
  CLM_ASSIGN_OR_RETURN(*request.mutable_etag(), EtagOf(cli, request.contact(), request.model()));
  request.set_to_stage(flags.stage);
  request.set_allow_regress(flags.regress);
  request.set_reason(flags.reason);
  if (!flags.at.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at, ParseMoment("--at", flags.at, absl::Now()));
    SetTime(at, request.mutable_effective_time());
  }
  return request;
}

absl::Status Clear(Cli& cli, const StageFlags& flags) {
  lifecycle::v1::ClearStageRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  CLM_ASSIGN_OR_RETURN(*request.mutable_model(), ModelOf(cli, request.contact(), flags.model));
  CLM_ASSIGN_OR_RETURN(*request.mutable_etag(), EtagOf(cli, request.contact(), request.model()));
  request.set_reason(flags.reason);
  return ShowStage(cli, cli.Call(&Stub::ClearStage, request));
}

absl::Status History(Cli& cli, const StageFlags& flags) {
  lifecycle::v1::ListTransitionsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), cli.ContactName(flags.contact));
  if (!flags.model.empty()) request.set_model(cli.Name("stageModels", flags.model));
  request.set_show_superseded(flags.superseded);
  CLM_ASSIGN_OR_RETURN(const std::vector<Transition> transitions,
                       cli.List(&Stub::ListTransitions, request,
                                &lifecycle::v1::ListTransitionsResponse::transitions, flags.limit));
  return cli.Print(Pointers(transitions), true, [&] { return TransitionTable(transitions); });
}

absl::Status Times(Cli& cli, const StageFlags& flags) {
  lifecycle::v1::GetStageTimesRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  CLM_ASSIGN_OR_RETURN(*request.mutable_model(), ModelOf(cli, request.contact(), flags.model));
  CLM_ASSIGN_OR_RETURN(const auto response, cli.Call(&Stub::GetStageTimes, request));
  const std::vector<lifecycle::v1::StageTimes> stages(response.stages().begin(),
                                                      response.stages().end());
  return cli.Print(Pointers(stages), true, [&] {
    terminal::Table table({{"name", "STAGE"},
                           {"first_enter_time", "FIRST ENTERED"},
                           {"last_enter_time", "LAST ENTERED"},
                           {"last_exit_time", "LEFT"},
                           {"visits"},
                           {"time", "IN ALL"}});
    table.set_empty_text("never in a stage");
    for (const auto& s : stages) {
      table.Add({s.stage(), TimeCell(s.has_first_enter_time(), s.first_enter_time()),
                 TimeCell(s.has_last_enter_time(), s.last_enter_time()),
                 TimeCell(s.has_last_exit_time(), s.last_exit_time()),
                 static_cast<int64_t>(s.visits()), absl::Seconds(s.cumulative_seconds())});
    }
    return table;
  });
}

std::string EvidenceText(const lifecycle::v1::Fact& fact) {
  std::string text = absl::StrCat("  ", fact.type());
  if (fact.has_amount_minor()) {
    absl::StrAppend(&text, ", ", terminal::MoneyText(fact.amount_minor(), fact.currency()));
  }
  // A sum of amounts adds what is there to be read already.
  if (fact.has_added() && (!fact.has_amount_minor() || fact.added() != fact.amount_minor())) {
    absl::StrAppend(&text, ", adds ", fact.added());
  }
  return text;
}

absl::Status Explain(Cli& cli, const StageFlags& flags) {
  lifecycle::v1::ExplainStageRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  CLM_ASSIGN_OR_RETURN(*request.mutable_model(), ModelOf(cli, request.contact(), flags.model));
  CLM_ASSIGN_OR_RETURN(const lifecycle::v1::ExplainStageResponse response,
                       cli.Call(&Stub::ExplainStage, request));
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  if (format == terminal::Format::kTable || format == terminal::Format::kWide) {
    const CustomerStage& now = response.customer_stage();
    std::cout << terminal::Paint(
                     cli.screen(), terminal::Tone::kStrong,
                     terminal::Printable(absl::StrCat(
                         LastPart(now.contact()), " is ",
                         now.stage().empty() ? "in no stage" : absl::StrCat("in ", now.stage()),
                         " of ", LastPart(request.model()),
                         now.has_enter_time()
                             ? absl::StrCat(" since ", terminal::TimeText(ToTime(now.enter_time())))
                             : "")))
              << "\n\n";
  }
  const bool people = format == terminal::Format::kTable || format == terminal::Format::kWide;
  return cli.PrintReport(response, [&] {
    terminal::Table table({{"time"},
                           {"from_stage", "FROM"},
                           {"to_stage", "TO"},
                           {"text", "WHY"},
                           {"evidence_count", "EVENTS", true}});
    table.set_empty_text("nothing has moved this customer");
    for (const auto& step : response.steps()) {
      const Transition& t = step.transition();
      table.Add({TimeCell(t.has_effective_time(), t.effective_time()), TextCell(t.from_stage()),
                 TextCell(t.to_stage()), TextCell(step.text()), step.evidence_count()});
      // A single event is named in the sentence.
      if (!people || step.evidence_count() < 2) continue;
      if (const int64_t more = step.evidence_count() - step.evidence_size(); more > 0) {
        table.Add({terminal::Cell(), terminal::Cell(), terminal::Cell(),
                   absl::StrCat("  ", more, " earlier ones"), terminal::Cell()});
      }
      for (const lifecycle::v1::Fact& fact : step.evidence()) {
        table.Add({TimeCell(fact.has_occur_time(), fact.occur_time()), terminal::Cell(),
                   terminal::Cell(), EvidenceText(fact), terminal::Cell()});
      }
    }
    return table;
  });
}

absl::Status ListIn(Cli& cli, const StageFlags& flags) {
  lifecycle::v1::ListCustomersInStageRequest request;
  request.set_parent(cli.Name("stageModels", flags.model));
  request.set_stage(flags.stage);
  CLM_ASSIGN_OR_RETURN(
      const std::vector<CustomerStage> customers,
      cli.List(&Stub::ListCustomersInStage, request,
               &lifecycle::v1::ListCustomersInStageResponse::customers, flags.limit));
  return cli.Print(Pointers(customers), true, [&] { return StagesTable(customers); });
}

}  // namespace

void AddStagesCommands(Cli& cli) {
  Command group = cli.AddGroup("stages", "Where customers are, and were");
  const auto about_one = [&cli](Command parent, const char* name, const char* description,
                                const std::vector<std::string>& examples,
                                absl::Status (*run)(Cli&, const StageFlags&),
                                std::shared_ptr<StageFlags> flags) {
    Command command = cli.AddCommand(parent, name, description, examples,
                                     [&cli, flags, run] { return run(cli, *flags); });
    command.AddOption("CONTACT", flags->contact, "id, name, e-mail address, +phone, or TYPE:VALUE")
        .Required();
    return command;
  };
  const auto add_model = [](Command command, StageFlags& flags) {
    command.AddOption("--model", flags.model, "needed when the customer has several stages");
  };

  auto get = std::make_shared<StageFlags>();
  about_one(
      group, "get", "Show a customer's stage in every model",
      {"clm stages get ada@example.com", "clm stages get cdnow:00004 -o json"},
      [](Cli& c, const StageFlags& flags) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const std::string contact, c.ContactName(flags.contact));
        CLM_ASSIGN_OR_RETURN(const std::vector<CustomerStage> stages, StagesOf(c, contact));
        return c.Print(Pointers(stages), true, [&] { return StagesTable(stages); });
      },
      get);

  auto move = std::make_shared<StageFlags>();
  Command command = about_one(
      group, "move", "Move a customer by hand",
      {"clm stages move ada@example.com lead --model hubspot-eight --reason 'met at the fair'"},
      [](Cli& c, const StageFlags& flags) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const MoveCustomerRequest request, MoveRequest(c, flags));
        return ShowStage(c, c.Call(&Stub::MoveCustomer, request));
      },
      move);
  command.AddOption("STAGE", move->stage, "where to").Required();
  add_model(command, *move);
  command.AddOption("--at", move->at, "when it happened; default: now");
  command.AddOption("--reason", move->reason, "why");
  command.AddFlag("--allow-regress", move->regress, "backwards on purpose; needs a reason");

  auto back = std::make_shared<StageFlags>();
  command = about_one(
      group, "reactivate", "Lead a customer out of a terminal stage into a new episode",
      {"clm stages reactivate ada@example.com returned --model subscription"},
      [](Cli& c, const StageFlags& flags) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const MoveCustomerRequest request, MoveRequest(c, flags));
        return ShowStage(c, c.Call(&Stub::ReactivateCustomer, request));
      },
      back);
  command.AddOption("STAGE", back->stage, "where to").Required();
  add_model(command, *back);
  command.AddOption("--at", back->at, "when it happened; default: now");
  command.AddOption("--reason", back->reason, "why");

  auto clear = std::make_shared<StageFlags>();
  command = about_one(group, "clear", "Put a customer into no stage; the history stays",
                      {"clm stages clear ada@example.com --reason 'test account'"}, &Clear, clear);
  add_model(command, *clear);
  command.AddOption("--reason", clear->reason, "why");

  auto history = std::make_shared<StageFlags>();
  command = about_one(group, "history", "Show a customer's moves, oldest first",
                      {"clm stages history ada@example.com --superseded"}, &History, history);
  add_model(command, *history);
  command.AddFlag("--superseded", history->superseded, "moves that a late fact made untrue too");
  command.AddOption("--limit", history->limit, "most to show; 0: all").Counts().ShowDefault();

  auto times = std::make_shared<StageFlags>();
  command = about_one(group, "times", "Show how long and how often a customer was in each stage",
                      {"clm stages times ada@example.com"}, &Times, times);
  add_model(command, *times);

  auto in = std::make_shared<StageFlags>();
  command = cli.AddCommand(group, "list", "List the customers in a stage, longest first",
                           {"clm stages list subscription at_risk --limit 20"},
                           [&cli, in] { return ListIn(cli, *in); });
  command.AddOption("MODEL", in->model, "id of the stage model").Required();
  command.AddOption("STAGE", in->stage, "id of the stage").Required();
  command.AddOption("--limit", in->limit, "most to show; 0: all").Counts().ShowDefault();

  Command explain = cli.AddGroup("explain", "Why things are as they are");
  auto why = std::make_shared<StageFlags>();
  command = about_one(explain, "stage", "Show the chain of causes that led a customer to a stage",
                      {"clm explain stage ada@example.com", "clm explain stage cdnow:00004"},
                      &Explain, why);
  add_model(command, *why);
}

}  // namespace clm::cli
