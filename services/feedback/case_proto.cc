#include "services/feedback/case_proto.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/base/time_text.h"
#include "libs/rpc/field_mask.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

using google::protobuf::Timestamp;

void Put(const std::optional<absl::Time>& time, Timestamp* out) {
  if (time) clm::ToProto(*time, out);
}

template <class Has>
std::optional<absl::Time> Get(Has has, const Timestamp& time) {
  return has ? std::optional(clm::FromProto(time)) : std::nullopt;
}

absl::Time GetOrFuture(bool has, const Timestamp& time) {
  return has ? clm::FromProto(time) : absl::InfiniteFuture();
}

std::string ContactName(const Case& c) {
  return c.contact ? EntityName(kContacts, {c.key.tenant, *c.contact}) : "";
}

v1::CaseStep ToWire(const CaseStep& step) {
  v1::CaseStep wire;
  wire.set_id(step.id);
  wire.set_title(step.title);
  wire.set_required(step.required);
  if (step.done_time) clm::ToProto(*step.done_time, wire.mutable_done_time());
  wire.set_done_by(step.done_by);
  return wire;
}

CaseStep FromWire(const v1::CaseStep& wire) {
  return {wire.id(), wire.title(), wire.required(), Get(wire.has_done_time(), wire.done_time()),
          wire.done_by()};
}

v1::ClockTerms ToWire(const ClockTerms& terms) {
  v1::ClockTerms wire;
  wire.set_kind(static_cast<v1::ClockTerms::Kind>(terms.kind));
  wire.set_unit(static_cast<v1::ClockTerms::Unit>(terms.unit));
  wire.set_limit(terms.limit);
  wire.set_holding_limit(terms.holding_limit);
  for (const int64_t before : terms.warn_before) wire.add_warn_before(before);
  wire.set_pauses_while_awaiting(terms.pauses);
  return wire;
}

ClockTerms FromWire(const v1::ClockTerms& wire) {
  ClockTerms terms;
  terms.kind = static_cast<ClockKind>(wire.kind());
  terms.unit = static_cast<ClockUnit>(wire.unit());
  terms.limit = wire.limit();
  terms.holding_limit = wire.holding_limit();
  terms.warn_before = {wire.warn_before().begin(), wire.warn_before().end()};
  terms.pauses = wire.pauses_while_awaiting();
  return terms;
}

v1::CaseClock ToWire(const CaseClock& clock) {
  v1::CaseClock wire;
  *wire.mutable_terms() = ToWire(clock.terms);
  clm::ToProto(clock.start, wire.mutable_start_time());
  if (clock.stop < absl::InfiniteFuture()) clm::ToProto(clock.stop, wire.mutable_stop_time());
  wire.set_extended(clock.extended);
  for (const int64_t before : clock.warned) wire.add_warned(before);
  if (clock.breach_time) clm::ToProto(*clock.breach_time, wire.mutable_breach_time());
  return wire;
}

CaseClock FromWire(const v1::CaseClock& wire) {
  CaseClock clock;
  clock.terms = FromWire(wire.terms());
  clock.start = clm::FromProto(wire.start_time());
  clock.stop = GetOrFuture(wire.has_stop_time(), wire.stop_time());
  clock.extended = wire.extended();
  clock.warned = {wire.warned().begin(), wire.warned().end()};
  clock.breach_time = Get(wire.has_breach_time(), wire.breach_time());
  return clock;
}

std::string MemberName(const std::string& tenant, const Compensation& compensation) {
  if (!compensation.contact) return "";
  return absl::StrCat("tenants/", tenant, "/programs/", compensation.program, "/members/",
                      compensation.contact->ToString());
}

Compensation FromWire(const v1::CaseCompensation& wire) {
  Compensation compensation;
  const auto program = ParseResourceName("program", "tenants/*/programs/*", wire.program());
  if (program.ok()) compensation.program = (*program)[1];
  compensation.wallet = wire.wallet();
  compensation.points = wire.points();
  compensation.state = static_cast<CompensationState>(wire.state());
  const auto member = ParseResourceName("member", "tenants/*/programs/*/members/*", wire.member());
  if (member.ok()) compensation.contact = Uuid::Parse((*member)[2]);
  compensation.posting = wire.posting();
  compensation.failure = wire.failure_reason();
  compensation.attempts = wire.attempts();
  compensation.next_attempt = GetOrFuture(wire.has_next_attempt_time(), wire.next_attempt_time());
  return compensation;
}

v1::CaseResolution ToWire(const std::string& tenant, const Resolution& resolution) {
  v1::CaseResolution wire;
  wire.set_number(resolution.number);
  wire.set_agent(resolution.agent);
  clm::ToProto(resolution.time, wire.mutable_resolve_time());
  wire.set_solution(resolution.solution);
  wire.set_root_cause(resolution.root_cause);
  if (resolution.remedy) {
    wire.set_remedy(static_cast<v1::CaseResolution::Remedy>(*resolution.remedy));
  }
  if (resolution.outcome) {
    wire.set_outcome(static_cast<v1::CaseResolution::Outcome>(*resolution.outcome));
  }
  if (resolution.compensation) {
    *wire.mutable_compensation() = ToProto(tenant, *resolution.compensation);
  }
  if (resolution.breach_time) clm::ToProto(*resolution.breach_time, wire.mutable_breach_time());
  return wire;
}

Resolution FromWire(const v1::CaseResolution& wire) {
  Resolution resolution;
  resolution.number = wire.number();
  resolution.agent = wire.agent();
  resolution.time = clm::FromProto(wire.resolve_time());
  resolution.solution = wire.solution();
  resolution.root_cause = wire.root_cause();
  if (wire.remedy() != 0) resolution.remedy = static_cast<Remedy>(wire.remedy());
  if (wire.outcome() != 0) resolution.outcome = static_cast<DisputeOutcome>(wire.outcome());
  if (wire.has_compensation()) resolution.compensation = FromWire(wire.compensation());
  resolution.breach_time = Get(wire.has_breach_time(), wire.breach_time());
  return resolution;
}

Severity SeverityFrom(v1::Case::Severity wire) {
  return wire == 0 ? Severity::kMedium : static_cast<Severity>(wire);
}

// All but what the calendar says.
v1::Case ToWire(const Case& c) {
  v1::Case wire;
  wire.set_name(NameOfCase(c.key));
  wire.set_contact(ContactName(c));
  wire.set_type(static_cast<v1::Case::Type>(c.type));
  wire.set_state(static_cast<v1::Case::State>(c.state));
  wire.set_severity(static_cast<v1::Case::Severity>(c.severity));
  wire.set_channel(c.channel);
  wire.set_title(c.title);
  wire.set_problem(c.problem);
  wire.set_expectation(c.expectation);
  wire.set_owner(c.owner);
  wire.set_order(c.order);
  wire.set_amount_minor(c.amount_minor);
  wire.set_currency(c.currency);
  wire.set_source(c.source);
  for (const Evidence& evidence : c.evidence) {
    v1::CaseEvidence* out = wire.add_evidence();
    out->set_kind(evidence.kind);
    out->set_description(evidence.description);
    out->set_url(evidence.url);
    clm::ToProto(evidence.add_time, out->mutable_add_time());
    out->set_added_by(evidence.added_by);
  }
  for (const CaseStep& step : c.steps) *wire.add_steps() = ToWire(step);
  for (const StageThen& stage : c.stages) {
    v1::CaseStage* out = wire.add_stages();
    out->set_model(stage.model);
    out->set_stage(stage.stage);
  }
  for (const CaseClock& clock : c.clocks) *wire.add_clocks() = ToWire(clock);
  for (const CasePause& pause : c.pauses) {
    v1::CasePause* out = wire.add_pauses();
    clm::ToProto(pause.from, out->mutable_start_time());
    if (pause.to < absl::InfiniteFuture()) clm::ToProto(pause.to, out->mutable_end_time());
  }
  for (const Resolution& resolution : c.resolutions) {
    *wire.add_resolutions() = ToWire(c.key.tenant, resolution);
  }
  wire.set_escalations(c.escalations);
  wire.set_escalation_reason(c.escalation_reason);
  wire.set_reopen_reason(c.reopen_reason);
  wire.set_withdraw_reason(c.withdraw_reason);
  wire.set_notes(c.notes);
  clm::ToProto(c.receive_time, wire.mutable_receive_time());
  clm::ToProto(c.create_time, wire.mutable_create_time());
  clm::ToProto(c.update_time, wire.mutable_update_time());
  if (c.acknowledge_time) Put(c.acknowledge_time, wire.mutable_acknowledge_time());
  if (c.response_time) Put(c.response_time, wire.mutable_response_time());
  if (c.holding_time) Put(c.holding_time, wire.mutable_holding_time());
  if (c.end_time) Put(c.end_time, wire.mutable_end_time());
  wire.set_contact_erased(c.erased);
  wire.set_etag(Etag(c.version));
  return wire;
}

Case FromBody(const v1::Case& wire) {
  Case c;
  c.type = static_cast<CaseType>(wire.type());
  c.state = static_cast<CaseState>(wire.state());
  c.severity = SeverityFrom(wire.severity());
  c.channel = wire.channel();
  c.title = wire.title();
  c.problem = wire.problem();
  c.expectation = wire.expectation();
  c.owner = wire.owner();
  c.order = wire.order();
  c.amount_minor = wire.amount_minor();
  c.currency = wire.currency();
  c.source = wire.source();
  for (const v1::CaseEvidence& evidence : wire.evidence()) {
    c.evidence.push_back({evidence.kind(), evidence.description(), evidence.url(),
                          clm::FromProto(evidence.add_time()), evidence.added_by()});
  }
  for (const v1::CaseStep& step : wire.steps()) c.steps.push_back(FromWire(step));
  for (const v1::CaseStage& stage : wire.stages()) {
    c.stages.push_back({stage.model(), stage.stage()});
  }
  for (const v1::CaseClock& clock : wire.clocks()) c.clocks.push_back(FromWire(clock));
  for (const v1::CasePause& pause : wire.pauses()) {
    c.pauses.push_back(
        {clm::FromProto(pause.start_time()), GetOrFuture(pause.has_end_time(), pause.end_time())});
  }
  for (const v1::CaseResolution& resolution : wire.resolutions()) {
    c.resolutions.push_back(FromWire(resolution));
  }
  c.escalations = wire.escalations();
  c.escalation_reason = wire.escalation_reason();
  c.reopen_reason = wire.reopen_reason();
  c.withdraw_reason = wire.withdraw_reason();
  c.notes = wire.notes();
  c.receive_time = clm::FromProto(wire.receive_time());
  c.create_time = clm::FromProto(wire.create_time());
  c.update_time = clm::FromProto(wire.update_time());
  c.acknowledge_time = Get(wire.has_acknowledge_time(), wire.acknowledge_time());
  c.response_time = Get(wire.has_response_time(), wire.response_time());
  c.holding_time = Get(wire.has_holding_time(), wire.holding_time());
  c.end_time = Get(wire.has_end_time(), wire.end_time());
  return c;
}

int MinuteOf(const std::string& text) {
  int hour = 0, minute = 0;
  if (text.size() != 5 || !absl::SimpleAtoi(text.substr(0, 2), &hour) ||
      !absl::SimpleAtoi(text.substr(3), &minute)) {
    return -1;
  }
  return hour * 60 + minute;
}

std::string TextOfMinute(int minute) {
  return absl::StrFormat("%02d:%02d", minute / 60, minute % 60);
}

}  // namespace

std::string NameOfCase(const EntityKey& key) { return EntityName(kCases, key); }

absl::StatusOr<Case> NewCaseFrom(const v1::Case& wire, const EntityKey& key, absl::Time now) {
  error::FieldErrors errors;
  if (!wire.name().empty() && wire.name() != NameOfCase(key)) {
    errors.Add("case.name", absl::StrCat("must be empty, or ", NameOfCase(key)));
  }
  if (wire.contact().empty()) errors.Add("case.contact", "is required");
  if (wire.type() == 0) errors.Add("case.type", "is required");
  Case c;
  c.key = key;
  if (!wire.contact().empty()) {
    const auto contact = ParseEntityName("case.contact", kContacts, wire.contact());
    errors.AddStatus("", contact.status());
    if (contact.ok() && contact->tenant != key.tenant) {
      errors.Add("case.contact", "is another tenant's");
    }
    if (contact.ok()) c.contact = contact->id;
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  c.type = static_cast<CaseType>(wire.type());
  c.severity = SeverityFrom(wire.severity());
  c.channel = wire.channel();
  c.title = wire.title();
  c.problem = wire.problem();
  c.expectation = wire.expectation();
  c.owner = wire.owner();
  c.order = wire.order();
  c.amount_minor = wire.amount_minor();
  c.currency = wire.currency();
  c.receive_time = wire.has_receive_time() ? clm::FromProto(wire.receive_time()) : now;
  return c;
}

absl::StatusOr<CasePatch> CasePatchFrom(const std::vector<std::string>& paths,
                                        const v1::Case& wire) {
  CasePatch patch;
  for (const std::string& path : paths) {
    if (path == "title") {
      patch.title = wire.title();
    } else if (path == "problem") {
      patch.problem = wire.problem();
    } else if (path == "expectation") {
      patch.expectation = wire.expectation();
    } else if (path == "owner") {
      patch.owner = wire.owner();
    } else if (path == "order") {
      patch.order = wire.order();
    } else if (path == "currency") {
      patch.currency = wire.currency();
    } else if (path == "amount_minor") {
      patch.amount_minor = wire.amount_minor();
    } else if (path == "severity") {
      patch.severity = SeverityFrom(wire.severity());
    }
  }
  return patch;
}

v1::CaseCompensation ToProto(const std::string& tenant, const Compensation& compensation) {
  v1::CaseCompensation wire;
  wire.set_program(absl::StrCat("tenants/", tenant, "/programs/", compensation.program));
  wire.set_wallet(compensation.wallet);
  wire.set_points(compensation.points);
  wire.set_state(static_cast<v1::CaseCompensation::State>(compensation.state));
  wire.set_member(MemberName(tenant, compensation));
  wire.set_posting(compensation.posting);
  wire.set_failure_reason(compensation.failure);
  wire.set_attempts(compensation.attempts);
  if (compensation.next_attempt < absl::InfiniteFuture()) {
    clm::ToProto(compensation.next_attempt, wire.mutable_next_attempt_time());
  }
  return wire;
}

v1::Case ToProto(const Case& c, const BusinessCalendar& calendar) {
  v1::Case wire = ToWire(c);
  for (size_t i = 0; i < c.clocks.size(); ++i) {
    const CaseClock& clock = c.clocks[i];
    if (clock.breach_time || clock.stop < absl::InfiniteFuture()) continue;
    const absl::Time limit = LimitOf(calendar, clock, c.pauses);
    if (limit < absl::InfiniteFuture()) {
      clm::ToProto(limit, wire.mutable_clocks(static_cast<int>(i))->mutable_limit_time());
    }
  }
  return wire;
}

std::string BodyOfCase(const Case& c) {
  v1::Case body = ToWire(c);
  // Columns of their own.
  body.clear_name();
  body.clear_contact();
  body.clear_etag();
  return body.SerializeAsString();
}

absl::StatusOr<Case> ReadCase(const pg::Row& row, int column) {
  v1::Case body;
  if (!body.ParseFromString(row.Bytes(column + 5))) {
    return error::Internal("a case cannot be read");
  }
  Case c = FromBody(body);
  c.key = {std::string(row.Text(column)), row.Uuid(column + 1)};
  c.shard = static_cast<int>(row.Int(column + 2));
  c.contact = row.OptUuid(column + 3);
  c.erased = row.Bool(column + 4);
  c.version = row.Int(column + 6);
  return c;
}

v1::BusinessCalendar ToProto(const std::string& tenant, const StoredCalendar& stored) {
  v1::BusinessCalendar wire;
  wire.set_name(absl::StrCat("tenants/", tenant, "/businessCalendar"));
  wire.set_time_zone(stored.calendar.time_zone);
  for (size_t day = 0; day < stored.calendar.hours.size(); ++day) {
    for (const WorkingHours& hours : stored.calendar.hours[day]) {
      v1::BusinessHours* out = wire.add_hours();
      out->set_day(static_cast<v1::BusinessHours::Day>(day + 1));
      out->set_from(TextOfMinute(hours.from));
      out->set_to(TextOfMinute(hours.to));
    }
  }
  for (const absl::CivilDay day : stored.calendar.holidays) wire.add_holidays(FormatDay(day));
  if (stored.version > 1) clm::ToProto(stored.update_time, wire.mutable_update_time());
  wire.set_etag(Etag(stored.version));
  return wire;
}

BusinessCalendar CalendarFrom(absl::string_view prefix, const v1::BusinessCalendar& wire,
                              error::FieldErrors& errors) {
  BusinessCalendar calendar;
  if (!wire.time_zone().empty()) calendar.time_zone = wire.time_zone();
  if (!absl::LoadTimeZone(calendar.time_zone, &calendar.zone)) {
    errors.Add(absl::StrCat(prefix, ".time_zone"), "is no time zone of the IANA database");
  }
  for (const v1::BusinessHours& hours : wire.hours()) {
    if (hours.day() < 1 || hours.day() > 7) continue;
    calendar.hours[hours.day() - 1].push_back({MinuteOf(hours.from()), MinuteOf(hours.to())});
  }
  for (auto& hours : calendar.hours) {
    std::sort(hours.begin(), hours.end(),
              [](const WorkingHours& a, const WorkingHours& b) { return a.from < b.from; });
  }
  for (int i = 0; i < wire.holidays_size(); ++i) {
    const auto day = ParseDay(wire.holidays(i));
    if (day) {
      calendar.holidays.insert(*day);
    } else {
      errors.Add(absl::StrCat(prefix, ".holidays[", i, "]"), "is no day");
    }
  }
  errors.AddStatus(prefix, ValidateCalendar(calendar));
  return calendar;
}

CaseProcedure ProcedureOf(const CasePolicy& policy, CaseType type) {
  for (const CaseProcedure& procedure : policy.procedures) {
    if (procedure.type == type) return procedure;
  }
  return DefaultProcedure(type);
}

v1::CasePolicy ToProto(const std::string& tenant, const StoredCasePolicy& stored) {
  v1::CasePolicy wire;
  wire.set_name(absl::StrCat("tenants/", tenant, "/casePolicy"));
  for (const CaseProcedure& procedure : stored.policy.procedures) {
    v1::CaseProcedure* out = wire.add_procedures();
    out->set_type(static_cast<v1::Case::Type>(procedure.type));
    out->set_owner(procedure.owner);
    for (const ClockTerms& terms : procedure.clocks) *out->add_clocks() = ToWire(terms);
    for (const CaseStep& step : procedure.steps) *out->add_steps() = ToWire(step);
  }
  if (stored.policy.has_triggers) {
    const CaseTriggers& triggers = stored.policy.triggers;
    wire.mutable_triggers()->set_on_detractor(triggers.on_detractor);
    wire.mutable_triggers()->set_on_unsatisfied(triggers.on_unsatisfied);
    wire.mutable_triggers()->set_owner(triggers.owner);
    wire.mutable_triggers()->set_severity(static_cast<v1::Case::Severity>(triggers.severity));
  }
  if (stored.version > 1) clm::ToProto(stored.update_time, wire.mutable_update_time());
  wire.set_etag(Etag(stored.version));
  return wire;
}

CasePolicy CasePolicyFrom(absl::string_view prefix, const v1::CasePolicy& wire,
                          error::FieldErrors& errors) {
  CasePolicy policy;
  std::set<int> types;
  for (int i = 0; i < wire.procedures_size(); ++i) {
    const v1::CaseProcedure& in = wire.procedures(i);
    const std::string field = absl::StrCat(prefix, ".procedures[", i, "]");
    if (!types.insert(in.type()).second) {
      errors.Add(absl::StrCat(field, ".type"), "has a procedure already");
    }
    CaseProcedure procedure;
    procedure.type = static_cast<CaseType>(in.type());
    procedure.owner = in.owner();
    for (const v1::ClockTerms& terms : in.clocks()) procedure.clocks.push_back(FromWire(terms));
    for (const v1::CaseStep& step : in.steps()) {
      procedure.steps.push_back({step.id(), step.title(), step.required(), std::nullopt, ""});
    }
    errors.AddStatus(field, ValidateProcedure(procedure));
    policy.procedures.push_back(std::move(procedure));
  }
  if (wire.has_triggers()) {
    policy.has_triggers = true;
    policy.triggers = {wire.triggers().on_detractor(), wire.triggers().on_unsatisfied(),
                       wire.triggers().owner(), SeverityFrom(wire.triggers().severity())};
  }
  return policy;
}

absl::StatusOr<StoredCalendar> ReadCalendar(const pg::Row& row, int column) {
  StoredCalendar stored;
  if (row.IsNull(column)) return stored;
  v1::BusinessCalendar wire;
  error::FieldErrors errors;
  if (wire.ParseFromString(row.Bytes(column))) {
    stored.calendar = CalendarFrom("business_calendar", wire, errors);
  }
  if (wire.hours().empty() || !errors.empty()) {
    return error::Internal("a business calendar cannot be read");
  }
  stored.version = row.Int(column + 1);
  stored.update_time = row.Time(column + 2);
  return stored;
}

absl::StatusOr<StoredCasePolicy> ReadCasePolicy(const pg::Row& row, int column) {
  StoredCasePolicy stored;
  if (row.IsNull(column)) return stored;
  v1::CasePolicy wire;
  error::FieldErrors errors;
  if (!wire.ParseFromString(row.Bytes(column))) {
    return error::Internal("a case policy cannot be read");
  }
  stored.policy = CasePolicyFrom("case_policy", wire, errors);
  if (!errors.empty()) return error::Internal("a case policy cannot be read");
  stored.version = row.Int(column + 1);
  stored.update_time = row.Time(column + 2);
  return stored;
}

}  // namespace clm::feedback
