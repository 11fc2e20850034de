#include "tools/clm/feedback_cases_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clm/feedback/v1/case_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using feedback::v1::Case;
using feedback::v1::CaseClock;
using feedback::v1::CaseNote;
using feedback::v1::CaseResolution;
using Stub = feedback::v1::CaseService::Stub;

struct CaseFlags {
  std::string name, contact, type, severity, channel, title, problem, expectation, owner, order;
  std::string amount, currency, received, reason, text, step, kind, url, filter;
  std::string solution, root_cause, remedy, outcome, program, wallet, from, request_id;
  bool to_customer = false, open = false;
  int64_t points = 0;
  int64_t limit = 100;
};

const std::vector<std::string> kTypes = {"complaint", "payment_complaint", "dispute", "inquiry"};
const std::vector<std::string> kSeverities = {"low", "medium", "high", "critical"};
const std::vector<std::string> kRemedies = {"none",        "explanation", "apology", "correction",
                                            "replacement", "refund",      "credit",  "other"};
const std::vector<std::string> kOutcomes = {"for_customer", "for_company", "split"};

// ---- Answers.

std::string StateOf(const Case& c) { return EnumText("STATE_", Case::State_Name(c.state())); }
std::string TypeOf(const Case& c) { return EnumText("TYPE_", Case::Type_Name(c.type())); }

const CaseClock* Running(const Case& c) {
  const CaseClock* next = nullptr;
  for (const CaseClock& clock : c.clocks()) {
    if (!clock.has_limit_time()) continue;
    if (next == nullptr || ToTime(clock.limit_time()) < ToTime(next->limit_time())) next = &clock;
  }
  return next;
}

std::string KindOf(const CaseClock& clock) {
  return EnumText("KIND_", feedback::v1::ClockTerms::Kind_Name(clock.terms().kind()));
}

bool Breached(const Case& c) {
  for (const CaseClock& clock : c.clocks()) {
    if (clock.has_breach_time()) return true;
  }
  return false;
}

terminal::Table CaseTable(const Cli& cli, const std::vector<Case>& cases) {
  terminal::Table table({{"name", "CASE"},
                         {"type"},
                         {"state"},
                         {"severity"},
                         {"owner"},
                         {"breached"},
                         {"next", "NEXT CLOCK"},
                         {"limit_time", "UNTIL"},
                         {"contact"},
                         {"receive_time", "RECEIVED"},
                         {"title", "", true}});
  table.set_empty_text("no case");
  for (const Case& c : cases) {
    const CaseClock* next = Running(c);
    table.Add({ShownName(cli, c.name()), TypeOf(c), StateOf(c),
               EnumText("SEVERITY_", Case::Severity_Name(c.severity())), TextCell(c.owner()),
               Breached(c) ? terminal::Cell("yes", terminal::Tone::kWarn) : terminal::Cell("no"),
               next == nullptr ? terminal::Cell() : terminal::Cell(KindOf(*next)),
               next == nullptr ? terminal::Cell() : TimeCell(true, next->limit_time()),
               TextCell(LastPart(c.contact())), TimeCell(c.has_receive_time(), c.receive_time()),
               TextCell(c.title())});
  }
  return table;
}

absl::Status ShowCase(const Cli& cli, const absl::StatusOr<Case>& answer) {
  CLM_RETURN_IF_ERROR(answer.status());
  return cli.Print({&*answer}, false, [&] { return CaseTable(cli, {*answer}); });
}

std::string ClockText(const CaseClock& clock) {
  const auto& terms = clock.terms();
  std::string text =
      absl::StrCat(clock.extended() ? terms.holding_limit() : terms.limit(), " ",
                   EnumText("UNIT_", feedback::v1::ClockTerms::Unit_Name(terms.unit())));
  if (clock.has_breach_time()) {
    absl::StrAppend(&text, ", breached");
  } else if (clock.has_stop_time()) {
    absl::StrAppend(&text, ", done in time");
  } else if (!clock.has_limit_time()) {
    absl::StrAppend(&text, ", stands still");
  }
  return text;
}

std::string ResolutionText(const CaseResolution& resolution) {
  std::string text = absl::StrCat("by ", resolution.agent());
  if (resolution.remedy() != 0) {
    absl::StrAppend(&text, ", ",
                    EnumText("REMEDY_", CaseResolution::Remedy_Name(resolution.remedy())));
  }
  if (resolution.outcome() != 0) {
    absl::StrAppend(&text, ", ",
                    EnumText("OUTCOME_", CaseResolution::Outcome_Name(resolution.outcome())));
  }
  if (resolution.has_compensation()) {
    const auto& points = resolution.compensation();
    absl::StrAppend(&text, ", ", points.points(), " points ",
                    EnumText("STATE_", feedback::v1::CaseCompensation::State_Name(points.state())));
    if (!points.failure_reason().empty()) absl::StrAppend(&text, ": ", points.failure_reason());
  }
  if (resolution.has_breach_time()) absl::StrAppend(&text, ", too late");
  return text;
}

absl::Status ShowWhole(const Cli& cli, const Case& c) {
  return cli.PrintReport(c, [&] {
    terminal::Table table({{"field"}, {"value"}});
    const auto add = [&](const std::string& field, const terminal::Cell& value) {
      table.Add({field, value});
    };
    add("name", LastPart(c.name()));
    add("type", TypeOf(c));
    add("state", StateOf(c));
    add("severity", EnumText("SEVERITY_", Case::Severity_Name(c.severity())));
    add("contact", c.contact_erased() ? "erased" : TextCell(LastPart(c.contact())));
    add("owner", TextCell(c.owner()));
    add("title", TextCell(c.title()));
    add("problem", TextCell(c.problem()));
    add("expectation", TextCell(c.expectation()));
    if (!c.order().empty()) add("order", LastPart(c.order()));
    if (c.amount_minor() > 0) {
      add("disputed", terminal::Cell(terminal::Money{c.amount_minor(), c.currency()}));
    }
    for (const auto& stage : c.stages()) add("stage of " + stage.model(), stage.stage());
    for (const CaseClock& clock : c.clocks()) {
      add(KindOf(clock), ClockText(clock));
      if (clock.has_limit_time()) add(KindOf(clock) + " until", TimeCell(true, clock.limit_time()));
    }
    for (const auto& step : c.steps()) {
      add("step " + step.id(),
          absl::StrCat(step.title(), step.required() ? " (required)" : "",
                       step.has_done_time() ? ": done by " + step.done_by() : ": open"));
    }
    for (const auto& evidence : c.evidence()) {
      add("evidence " + evidence.kind(),
          TextCell(absl::StrCat(evidence.description(), " ", evidence.url())));
    }
    for (const auto& resolution : c.resolutions()) {
      add(absl::StrCat("resolution ", resolution.number()), ResolutionText(resolution));
      add(absl::StrCat("solution ", resolution.number()), TextCell(resolution.solution()));
    }
    add("notes", c.notes());
    add("receive_time", TimeCell(c.has_receive_time(), c.receive_time()));
    add("acknowledge_time", TimeCell(c.has_acknowledge_time(), c.acknowledge_time()));
    add("response_time", TimeCell(c.has_response_time(), c.response_time()));
    add("end_time", TimeCell(c.has_end_time(), c.end_time()));
    return table;
  });
}

// ---- What a line means.

// The value of an enum of the API by its name in small letters; 0 for none.
template <class Parse, class Value>
absl::Status ParseEnum(const char* flag, const std::string& prefix, const std::string& text,
                       Parse parse, Value* value) {
  if (text.empty() || parse(prefix + absl::AsciiStrToUpper(text), value)) return absl::OkStatus();
  return error::InvalidField(flag, absl::StrCat("'", text, "' is not known; see --help"));
}

template <class Request>
Request About(Cli& cli, const CaseFlags& flags) {
  Request request;
  request.set_name(cli.Name("cases", flags.name));
  request.set_request_id(flags.request_id);
  return request;
}

// ---- The commands.

absl::Status Open(Cli& cli, const CaseFlags& flags) {
  feedback::v1::CreateCaseRequest request;
  request.set_parent(cli.tenant_name());
  request.set_request_id(flags.request_id);
  Case& c = *request.mutable_case_();
  if (!flags.from.empty()) CLM_RETURN_IF_ERROR(ReadMessage(flags.from, &c));
  CLM_ASSIGN_OR_RETURN(*c.mutable_contact(), cli.ContactName(flags.contact));
  Case::Type type = c.type() == 0 ? Case::TYPE_COMPLAINT : c.type();
  CLM_RETURN_IF_ERROR(ParseEnum("--type", "TYPE_", flags.type, &Case::Type_Parse, &type));
  c.set_type(type);
  Case::Severity severity = c.severity();
  CLM_RETURN_IF_ERROR(
      ParseEnum("--severity", "SEVERITY_", flags.severity, &Case::Severity_Parse, &severity));
  c.set_severity(severity);
  const auto set = [](const std::string& text, std::string* field) {
    if (!text.empty()) *field = text;
  };
  set(flags.channel, c.mutable_channel());
  set(flags.title, c.mutable_title());
  set(flags.problem, c.mutable_problem());
  set(flags.expectation, c.mutable_expectation());
  set(flags.owner, c.mutable_owner());
  if (!flags.order.empty()) {
    if (absl::StartsWith(flags.order, "tenants/")) {
      c.set_order(flags.order);
    } else {
      CLM_ASSIGN_OR_RETURN(const std::string program, ProgramName(cli, flags.program));
      c.set_order(absl::StrCat(program, "/orders/", flags.order));
    }
  }
  if (!flags.amount.empty()) {
    CLM_ASSIGN_OR_RETURN(const int64_t amount,
                         ParseMoney("--amount", flags.amount, flags.currency));
    c.set_amount_minor(amount);
    c.set_currency(flags.currency);
  }
  if (!flags.received.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time received,
                         ParseMoment("--received", flags.received, absl::Now()));
    SetTime(received, c.mutable_receive_time());
  }
  return ShowCase(cli, cli.Call(&Stub::CreateCase, request));
}

absl::Status Show(Cli& cli, const CaseFlags& flags) {
  feedback::v1::GetCaseRequest request;
  request.set_name(cli.Name("cases", flags.name));
  CLM_ASSIGN_OR_RETURN(const Case c, cli.Call(&Stub::GetCase, request));
  return ShowWhole(cli, c);
}

absl::Status List(Cli& cli, const CaseFlags& flags) {
  feedback::v1::ListCasesRequest request;
  request.set_parent(cli.tenant_name());
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  }
  request.set_filter(flags.filter);
  if (flags.open) {
    request.set_filter(flags.filter.empty() ? "open" : absl::StrCat("open (", flags.filter, ")"));
  }
  CLM_ASSIGN_OR_RETURN(
      const std::vector<Case> cases,
      cli.List(&Stub::ListCases, request, &feedback::v1::ListCasesResponse::cases, flags.limit));
  return cli.Print(Pointers(cases), true, [&] { return CaseTable(cli, cases); });
}

absl::Status Update(Cli& cli, const CaseFlags& flags) {
  feedback::v1::UpdateCaseRequest request;
  request.set_request_id(flags.request_id);
  Case& c = *request.mutable_case_();
  c.set_name(cli.Name("cases", flags.name));
  c.set_title(flags.title);
  c.set_problem(flags.problem);
  c.set_expectation(flags.expectation);
  c.set_owner(flags.owner);
  Case::Severity severity = Case::SEVERITY_UNSPECIFIED;
  CLM_RETURN_IF_ERROR(
      ParseEnum("--severity", "SEVERITY_", flags.severity, &Case::Severity_Parse, &severity));
  c.set_severity(severity);
  return ShowCase(cli, cli.Call(&Stub::UpdateCase, request));
}

absl::Status Acknowledge(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::AcknowledgeCaseRequest>(cli, flags);
  request.set_owner(flags.owner);
  return ShowCase(cli, cli.Call(&Stub::AcknowledgeCase, request));
}

absl::Status Investigate(Cli& cli, const CaseFlags& flags) {
  return ShowCase(cli, cli.Call(&Stub::InvestigateCase,
                                About<feedback::v1::InvestigateCaseRequest>(cli, flags)));
}

absl::Status Await(Cli& cli, const CaseFlags& flags) {
  return ShowCase(cli,
                  cli.Call(&Stub::AwaitCase, About<feedback::v1::AwaitCaseRequest>(cli, flags)));
}

absl::Status Resume(Cli& cli, const CaseFlags& flags) {
  return ShowCase(cli,
                  cli.Call(&Stub::ResumeCase, About<feedback::v1::ResumeCaseRequest>(cli, flags)));
}

absl::Status Hold(Cli& cli, const CaseFlags& flags) {
  return ShowCase(cli, cli.Call(&Stub::HoldCase, About<feedback::v1::HoldCaseRequest>(cli, flags)));
}

absl::Status Resolve(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::ResolveCaseRequest>(cli, flags);
  request.set_solution(flags.solution);
  request.set_root_cause(flags.root_cause);
  CaseResolution::Remedy remedy = CaseResolution::REMEDY_UNSPECIFIED;
  CLM_RETURN_IF_ERROR(
      ParseEnum("--remedy", "REMEDY_", flags.remedy, &CaseResolution::Remedy_Parse, &remedy));
  request.set_remedy(remedy);
  CaseResolution::Outcome outcome = CaseResolution::OUTCOME_UNSPECIFIED;
  CLM_RETURN_IF_ERROR(
      ParseEnum("--outcome", "OUTCOME_", flags.outcome, &CaseResolution::Outcome_Parse, &outcome));
  request.set_outcome(outcome);
  if (flags.points > 0) {
    auto& compensation = *request.mutable_compensation();
    CLM_ASSIGN_OR_RETURN(*compensation.mutable_program(), ProgramName(cli, flags.program));
    compensation.set_wallet(flags.wallet);
    compensation.set_points(flags.points);
  }
  return ShowCase(cli, cli.Call(&Stub::ResolveCase, request));
}

absl::Status Close(Cli& cli, const CaseFlags& flags) {
  return ShowCase(cli,
                  cli.Call(&Stub::CloseCase, About<feedback::v1::CloseCaseRequest>(cli, flags)));
}

absl::Status Reopen(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::ReopenCaseRequest>(cli, flags);
  request.set_reason(flags.reason);
  return ShowCase(cli, cli.Call(&Stub::ReopenCase, request));
}

absl::Status Escalate(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::EscalateCaseRequest>(cli, flags);
  request.set_reason(flags.reason);
  request.set_owner(flags.owner);
  return ShowCase(cli, cli.Call(&Stub::EscalateCase, request));
}

absl::Status Withdraw(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::WithdrawCaseRequest>(cli, flags);
  request.set_reason(flags.reason);
  return ShowCase(cli, cli.Call(&Stub::WithdrawCase, request));
}

absl::Status AddEvidence(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::AddCaseEvidenceRequest>(cli, flags);
  request.mutable_evidence()->set_kind(flags.kind);
  request.mutable_evidence()->set_description(flags.text);
  request.mutable_evidence()->set_url(flags.url);
  return ShowCase(cli, cli.Call(&Stub::AddCaseEvidence, request));
}

absl::Status Check(Cli& cli, const CaseFlags& flags) {
  auto request = About<feedback::v1::CompleteCaseStepRequest>(cli, flags);
  request.set_step(flags.step);
  return ShowCase(cli, cli.Call(&Stub::CompleteCaseStep, request));
}

terminal::Table NoteTable(const Cli& cli, const std::vector<CaseNote>& notes) {
  terminal::Table table(
      {{"name", "NOTE", true}, {"create_time", "TIME"}, {"author"}, {"to_customer"}, {"text"}});
  table.set_empty_text("no note");
  for (const CaseNote& note : notes) {
    table.Add({ShownName(cli, note.name()), TimeCell(note.has_create_time(), note.create_time()),
               note.author(), note.to_customer() ? "yes" : "no", note.text()});
  }
  return table;
}

absl::Status Note(Cli& cli, const CaseFlags& flags) {
  feedback::v1::AddCaseNoteRequest request;
  request.set_parent(cli.Name("cases", flags.name));
  request.set_request_id(flags.request_id);
  request.mutable_note()->set_text(flags.text);
  request.mutable_note()->set_to_customer(flags.to_customer);
  CLM_ASSIGN_OR_RETURN(const CaseNote note, cli.Call(&Stub::AddCaseNote, request));
  return cli.Print({&note}, false, [&] { return NoteTable(cli, {note}); });
}

absl::Status Notes(Cli& cli, const CaseFlags& flags) {
  feedback::v1::ListCaseNotesRequest request;
  request.set_parent(cli.Name("cases", flags.name));
  CLM_ASSIGN_OR_RETURN(const std::vector<CaseNote> notes,
                       cli.List(&Stub::ListCaseNotes, request,
                                &feedback::v1::ListCaseNotesResponse::notes, flags.limit));
  return cli.Print(Pointers(notes), true, [&] { return NoteTable(cli, notes); });
}

absl::Status GetCalendar(Cli& cli, const CaseFlags&) {
  feedback::v1::GetBusinessCalendarRequest request;
  request.set_name(cli.tenant_name() + "/businessCalendar");
  CLM_ASSIGN_OR_RETURN(const auto calendar, cli.Call(&Stub::GetBusinessCalendar, request));
  return cli.PrintReport(calendar, [&] {
    terminal::Table table({{"field"}, {"value"}});
    table.Add({"time_zone", calendar.time_zone()});
    for (const auto& hours : calendar.hours()) {
      table.Add({EnumText("DAY_", feedback::v1::BusinessHours::Day_Name(hours.day())),
                 absl::StrCat(hours.from(), " to ", hours.to())});
    }
    for (const std::string& day : calendar.holidays()) table.Add({"holiday", day});
    return table;
  });
}

absl::Status SetCalendar(Cli& cli, const CaseFlags& flags) {
  feedback::v1::UpdateBusinessCalendarRequest request;
  CLM_RETURN_IF_ERROR(ReadMessage(flags.from, request.mutable_business_calendar()));
  request.mutable_business_calendar()->set_name(cli.tenant_name() + "/businessCalendar");
  request.set_request_id(flags.request_id);
  CLM_RETURN_IF_ERROR(cli.Call(&Stub::UpdateBusinessCalendar, request).status());
  return GetCalendar(cli, flags);
}

absl::Status GetPolicy(Cli& cli, const CaseFlags&) {
  feedback::v1::GetCasePolicyRequest request;
  request.set_name(cli.tenant_name() + "/casePolicy");
  CLM_ASSIGN_OR_RETURN(const auto policy, cli.Call(&Stub::GetCasePolicy, request));
  return cli.PrintReport(policy, [&] {
    terminal::Table table({{"type"}, {"owner"}, {"what"}, {"value"}});
    table.set_empty_text("the defaults; -o json shows what can be set");
    for (const auto& procedure : policy.procedures()) {
      const std::string type = EnumText("TYPE_", Case::Type_Name(procedure.type()));
      for (const auto& terms : procedure.clocks()) {
        table.Add(
            {type, TextCell(procedure.owner()),
             EnumText("KIND_", feedback::v1::ClockTerms::Kind_Name(terms.kind())),
             absl::StrCat(terms.limit(), " ",
                          EnumText("UNIT_", feedback::v1::ClockTerms::Unit_Name(terms.unit())))});
      }
      for (const auto& step : procedure.steps()) {
        table.Add({type, TextCell(procedure.owner()), "step " + step.id(),
                   TextCell(absl::StrCat(step.title(), step.required() ? " (required)" : ""))});
      }
    }
    return table;
  });
}

absl::Status SetPolicy(Cli& cli, const CaseFlags& flags) {
  feedback::v1::UpdateCasePolicyRequest request;
  CLM_RETURN_IF_ERROR(ReadMessage(flags.from, request.mutable_case_policy()));
  request.mutable_case_policy()->set_name(cli.tenant_name() + "/casePolicy");
  request.set_request_id(flags.request_id);
  CLM_RETURN_IF_ERROR(cli.Call(&Stub::UpdateCasePolicy, request).status());
  return GetPolicy(cli, flags);
}

// ---- The lines.

struct CaseCommand {
  Command command;
  std::shared_ptr<CaseFlags> flags;

  void Case() const {
    command.AddOption("CASE", flags->name, "the id, or the full name").Required();
  }
  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
  void Owner(const char* help) const { command.AddOption("--owner", flags->owner, help); }
  void Reason() const { command.AddOption("--reason", flags->reason, "why"); }
  void Limit() const {
    command.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();
  }
};

CaseCommand Add(Cli& cli, Command group, const char* name, const char* description,
                const std::vector<std::string>& examples,
                absl::Status (*run)(Cli&, const CaseFlags&)) {
  auto flags = std::make_shared<CaseFlags>();
  flags->currency = "EUR";
  return {cli.AddCommand(group, name, description, examples,
                         [&cli, flags, run] { return run(cli, *flags); }),
          flags};
}

// A verb that takes nothing but the case.
void AddVerb(Cli& cli, Command group, const char* name, const char* description,
             absl::Status (*run)(Cli&, const CaseFlags&)) {
  const CaseCommand made =
      Add(cli, group, name, description, {absl::StrCat("clm feedback cases ", name, " CASE")}, run);
  made.Case();
  made.RequestId();
}

void AddFields(const CaseCommand& made) {
  made.command.AddOption("--severity", made.flags->severity, "how bad it is").OneOf(kSeverities);
  made.command.AddOption("--title", made.flags->title, "what it is about, in a few words");
  made.command.AddOption("--expects", made.flags->expectation, "what the customer expects");
  made.Owner("who looks after it");
  made.RequestId();
}

void AddOpening(Cli& cli, Command group) {
  CaseCommand made =
      Add(cli, group, "open", "Open a case: its clocks begin",
          {"clm feedback cases open ada@example.com 'the mug came broken' --expects 'a new one'",
           "clm feedback cases open ada@example.com 'not mine' --type dispute --order 1042 "
           "--amount 12.50",
           "clm feedback cases open ada@example.com 'is it dishwasher safe?' --type inquiry"},
          &Open);
  made.command.AddOption("CONTACT", made.flags->contact, kContactHelp).Required();
  made.command.AddOption("PROBLEM", made.flags->problem, "what happened").Required();
  made.command.AddOption("--type", made.flags->type, "complaint unless said otherwise")
      .OneOf(kTypes);
  made.command.AddOption("--channel", made.flags->channel, "by what it came: phone, email");
  made.command.AddOption("--order", made.flags->order, "the order that it is about");
  AddProgramOption(made.command, made.flags->program);
  made.command.AddOption("--amount", made.flags->amount, "what is disputed: 12.50");
  made.command.AddOption("--currency", made.flags->currency, "of --amount").ShowDefault();
  made.command.AddOption("--received", made.flags->received,
                         "when it reached the company: 2026-11-21, or 2d ago as 2d");
  made.command.AddOption("--from", made.flags->from, "a file with a Case as JSON, - for stdin")
      .TypeName("FILE");
  AddFields(made);

  made = Add(cli, group, "show", "Show a case, its clocks and what came of it",
             {"clm feedback cases show CASE", "clm feedback cases show CASE -o json"}, &Show);
  made.Case();

  made = Add(cli, group, "list", "List cases, newest first",
             {"clm feedback cases list --open", "clm feedback cases list --filter breached",
              "clm feedback cases list --filter 'type = DISPUTE owner = ada' -o csv"},
             &List);
  made.command.AddOption("--contact", made.flags->contact, kContactHelp).TypeName("CONTACT");
  made.command.AddFlag("--open", made.flags->open, "only those that are open");
  made.command.AddOption("--filter", made.flags->filter,
                         "over type, state, severity, open, breached, owner, channel and times");
  made.Limit();

  made =
      Add(cli, group, "update", "Change a case that is open",
          {"clm feedback cases update CASE --expects 'the money back' --severity high"}, &Update);
  made.Case();
  made.command.AddOption("--problem", made.flags->problem, "what happened");
  AddFields(made);
}

void AddVerbs(Cli& cli, Command group) {
  CaseCommand made = Add(cli, group, "acknowledge", "The customer was told that it was received",
                         {"clm feedback cases acknowledge CASE --owner ada"}, &Acknowledge);
  made.Case();
  made.Owner("who looks after it; otherwise who does already, or else you");
  made.RequestId();
  AddVerb(cli, group, "investigate", "Somebody works at it", &Investigate);
  AddVerb(cli, group, "await", "It waits for the customer: some clocks stand still", &Await);
  AddVerb(cli, group, "resume", "It waits no longer", &Resume);
  AddVerb(cli, group, "hold", "The customer was told why the answer takes longer", &Hold);

  made = Add(cli, group, "resolve", "The customer has the final answer",
             {"clm feedback cases resolve CASE 'sent another one' --root-cause 'thin paper' "
              "--remedy replacement --points 200"},
             &Resolve);
  made.Case();
  made.command.AddOption("SOLUTION", made.flags->solution, "what the answer is").Required();
  made.command.AddOption("--root-cause", made.flags->root_cause, "why it had happened");
  made.command.AddOption("--remedy", made.flags->remedy, "what is done for the customer")
      .OneOf(kRemedies);
  made.command.AddOption("--outcome", made.flags->outcome, "how a dispute ends").OneOf(kOutcomes);
  made.command.AddOption("--points", made.flags->points, "for the trouble").Counts();
  AddProgramOption(made.command, made.flags->program);
  made.command.AddOption("--wallet", made.flags->wallet, "of the points; the first otherwise");
  made.RequestId();

  AddVerb(cli, group, "close", "Nothing more is to come", &Close);
  made = Add(cli, group, "reopen", "What was resolved or closed begins again",
             {"clm feedback cases reopen CASE --reason 'it broke again'"}, &Reopen);
  made.Case();
  made.Reason();
  made.RequestId();
  made = Add(cli, group, "escalate", "Somebody above looks after it",
             {"clm feedback cases escalate CASE --owner bea --reason 'a lawyer wrote'"}, &Escalate);
  made.Case();
  made.Owner("who looks after it from now on");
  made.Reason();
  made.RequestId();
  made = Add(cli, group, "withdraw", "The customer takes it back, for ever",
             {"clm feedback cases withdraw CASE --reason 'found it'"}, &Withdraw);
  made.Case();
  made.Reason();
  made.RequestId();
}

void AddBesides(Cli& cli, Command group) {
  CaseCommand made = Add(cli, group, "note", "Note something about a case",
                         {"clm feedback cases note CASE 'called, nobody there'",
                          "clm feedback cases note CASE 'we look into it' --to-customer"},
                         &Note);
  made.Case();
  made.command.AddOption("TEXT", made.flags->text, "what").Required();
  made.command.AddFlag("--to-customer", made.flags->to_customer,
                       "the customer got it, too: the first one is the first response");
  made.RequestId();
  made = Add(cli, group, "notes", "List the notes of a case", {"clm feedback cases notes CASE"},
             &Notes);
  made.Case();
  made.Limit();
  made =
      Add(cli, group, "evidence", "Add evidence to a case",
          {"clm feedback cases evidence CASE photo --url https://example.com/1.jpg"}, &AddEvidence);
  made.Case();
  made.command.AddOption("KIND", made.flags->kind, "what it is: receipt, photo").Required();
  made.command.AddOption("--description", made.flags->text, "what it shows");
  made.command.AddOption("--url", made.flags->url, "where it is kept");
  made.RequestId();
  made = Add(cli, group, "check", "A step of the procedure was done",
             {"clm feedback cases check CASE receipt"}, &Check);
  made.Case();
  made.command.AddOption("STEP", made.flags->step, "id of the step").Required();
  made.RequestId();
}

void AddSettings(Cli& cli, Command group) {
  Add(cli, group, "calendar", "Show when the company works",
      {"clm feedback cases calendar", "clm feedback cases calendar -o json > calendar.json"},
      &GetCalendar);
  CaseCommand made = Add(cli, group, "set-calendar",
                         "Say when the company works: clocks of open cases go by it at once",
                         {"clm feedback cases set-calendar --from calendar.json"}, &SetCalendar);
  made.command
      .AddOption("--from", made.flags->from, "a file with a BusinessCalendar as JSON, - for stdin")
      .TypeName("FILE")
      .Required();
  made.RequestId();
  Add(cli, group, "policy", "Show how cases are dealt with",
      {"clm feedback cases policy", "clm feedback cases policy -o json > policy.json"}, &GetPolicy);
  made = Add(cli, group, "set-policy",
             "Say how cases are dealt with that are opened from now on: clocks, steps, owners",
             {"clm feedback cases set-policy --from policy.json"}, &SetPolicy);
  made.command
      .AddOption("--from", made.flags->from, "a file with a CasePolicy as JSON, - for stdin")
      .TypeName("FILE")
      .Required();
  made.RequestId();
}

}  // namespace

void AddFeedbackCasesCommands(Cli& cli, Command feedback) {
  const Command group = feedback.AddGroup("cases", "Complaints, disputes and inquiries");
  AddOpening(cli, group);
  AddVerbs(cli, group);
  AddBesides(cli, group);
  AddSettings(cli, group);
}

}  // namespace clm::cli
