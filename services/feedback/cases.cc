#include "services/feedback/cases.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::feedback {
namespace {

constexpr int64_t kMinutesOfEightHours = 8 * 60;
constexpr absl::Duration kFirstDelay = absl::Seconds(5);
constexpr absl::Duration kLongestDelay = absl::Hours(1);

bool IsComplaint(CaseType type) { return type != CaseType::kInquiry; }

absl::Status CheckNotErased(const Case& c) {
  return c.erased ? error::Precondition("CASE_ERASED", "name: the person of the case was erased")
                  : absl::OkStatus();
}

absl::Status CheckOpen(const Case& c) {
  CLM_RETURN_IF_ERROR(CheckNotErased(c));
  if (IsOpen(c.state)) return absl::OkStatus();
  return error::Precondition(
      "CASE_STATE", absl::StrCat("state: a case that is ", Name(c.state), " does not change"),
      {{"state", std::string(Name(c.state))}, {"allowed", VerbsFrom(c.type, c.state)}});
}

absl::Status Missing(const std::vector<std::string>& fields) {
  if (fields.empty()) return absl::OkStatus();
  const std::string missing = absl::StrJoin(fields, ", ");
  return error::Precondition("CASE_INCOMPLETE",
                             absl::StrCat("case: say these first (UpdateCase): ", missing),
                             {{"missing", missing}});
}

void Stop(Case& c, ClockKind kind, absl::Time now) {
  for (CaseClock& clock : c.clocks) {
    if (clock.terms.kind == kind) clock.stop = std::min(clock.stop, now);
  }
}

void Respond(Case& c, absl::Time now) {
  if (!c.response_time) c.response_time = now;
  Stop(c, ClockKind::kFirstResponse, now);
}

void EndPause(Case& c, absl::Time now) {
  if (!c.pauses.empty()) c.pauses.back().to = std::min(c.pauses.back().to, now);
}

absl::StatusOr<Case> Moved(const Case& before, CaseVerb verb, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckNotErased(before));
  CLM_ASSIGN_OR_RETURN(const CaseState to, MoveCase(before.type, before.state, verb));
  Case after = before;
  after.state = to;
  if (before.state == CaseState::kAwaitingCustomer) EndPause(after, now);
  return after;
}

// What has to be known once somebody works at it.
std::vector<std::string> MissingForWork(const Case& c) {
  std::vector<std::string> missing;
  if (c.owner.empty()) missing.emplace_back("owner");
  if (IsComplaint(c.type) && c.expectation.empty()) missing.emplace_back("expectation");
  return missing;
}

absl::Status CheckAcknowledged(const Case& c) {
  if (c.acknowledge_time) return absl::OkStatus();
  return error::Precondition("CASE_NOT_ACKNOWLEDGED",
                             "state: the customer was not told that the case was received; "
                             "acknowledge it first");
}

absl::Status CheckSteps(const Case& c) {
  std::vector<std::string> open;
  for (const CaseStep& step : c.steps) {
    if (step.required && !step.done_time) open.push_back(step.id);
  }
  if (open.empty()) return absl::OkStatus();
  const std::string steps = absl::StrJoin(open, ", ");
  return error::Precondition("CASE_STEPS_OPEN",
                             absl::StrCat("steps: these have to be done first: ", steps),
                             {{"steps", steps}});
}

absl::Status CheckResolution(const Case& c, const Resolution& resolution) {
  error::FieldErrors errors;
  if (resolution.solution.empty()) errors.Add("solution", "is required");
  if (IsComplaint(c.type)) {
    if (resolution.root_cause.empty()) errors.Add("root_cause", "is required of a complaint");
    if (!resolution.remedy) errors.Add("remedy", "is required of a complaint");
  }
  if (c.type == CaseType::kDispute) {
    if (!resolution.outcome) errors.Add("outcome", "is required of a dispute");
  } else if (resolution.outcome) {
    errors.Add("outcome", "is of disputes only");
  }
  if (resolution.compensation && resolution.compensation->points < 1) {
    errors.Add("compensation.points", "must be at least 1");
  }
  return errors.ToStatus();
}

void StartClocks(Case& c, const std::vector<ClockTerms>& terms, absl::Time start) {
  c.clocks.clear();
  for (const ClockTerms& one : terms) {
    CaseClock clock;
    clock.terms = one;
    clock.start = start;
    c.clocks.push_back(std::move(clock));
  }
}

Resolution* FindPending(Case& c, int number) {
  for (Resolution& resolution : c.resolutions) {
    if (resolution.number == number && resolution.compensation &&
        resolution.compensation->state == CompensationState::kPending) {
      return &resolution;
    }
  }
  return nullptr;
}

}  // namespace

CaseProcedure DefaultProcedure(CaseType type) {
  CaseProcedure procedure;
  procedure.type = type;
  const ClockTerms acknowledge{.kind = ClockKind::kAcknowledgement,
                               .unit = ClockUnit::kBusinessDays,
                               .limit = 5,
                               .warn_before = {1}};
  ClockTerms answer{.unit = ClockUnit::kCalendarDays, .limit = 56, .warn_before = {14, 3}};
  switch (type) {
    case CaseType::kComplaint:
    case CaseType::kDispute:
      break;
    case CaseType::kPaymentComplaint:
      answer = {.unit = ClockUnit::kBusinessDays,
                .limit = 15,
                .holding_limit = 35,
                .warn_before = {5, 1}};
      break;
    case CaseType::kInquiry:
      procedure.clocks = {
          {.kind = ClockKind::kFirstResponse,
           .unit = ClockUnit::kWorkingMinutes,
           .limit = kMinutesOfEightHours,
           .warn_before = {120}},
          {.unit = ClockUnit::kBusinessDays, .limit = 10, .warn_before = {2}, .pauses = true}};
      return procedure;
  }
  procedure.clocks = {acknowledge, answer};
  return procedure;
}

absl::Status ValidateProcedure(const CaseProcedure& procedure) {
  error::FieldErrors errors;
  std::set<ClockKind> kinds;
  for (size_t i = 0; i < procedure.clocks.size(); ++i) {
    const std::string field = absl::StrCat("clocks[", i, "]");
    errors.AddStatus(field, ValidateClockTerms(procedure.clocks[i]));
    if (!kinds.insert(procedure.clocks[i].kind).second) {
      errors.Add(absl::StrCat(field, ".kind"), "has a clock already");
    }
  }
  std::set<std::string> ids;
  if (procedure.steps.size() > kMostSteps) {
    errors.Add("steps", absl::StrCat("must be at most ", kMostSteps));
  }
  for (size_t i = 0; i < procedure.steps.size(); ++i) {
    if (!ids.insert(procedure.steps[i].id).second) {
      errors.Add(absl::StrCat("steps[", i, "].id"), "is that of a step before");
    }
  }
  return errors.ToStatus();
}

absl::StatusOr<Case> OpenCase(Case fresh, const CaseProcedure& procedure, absl::Time now) {
  error::FieldErrors errors;
  if (fresh.problem.empty()) errors.Add("case.problem", "is required");
  if (fresh.type == CaseType::kDispute && fresh.order.empty()) {
    errors.Add("case.order", "is required of a dispute");
  }
  if (fresh.amount_minor != 0 && fresh.currency.empty()) {
    errors.Add("case.currency", "is required with amount_minor");
  }
  if (fresh.receive_time > now) errors.Add("case.receive_time", "must not be in the future");
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (fresh.owner.empty()) fresh.owner = procedure.owner;
  fresh.state = CaseState::kReceived;
  fresh.steps = procedure.steps;
  fresh.create_time = now;
  fresh.update_time = now;
  StartClocks(fresh, procedure.clocks, fresh.receive_time);
  return fresh;
}

absl::StatusOr<Case> UpdateCase(const Case& before, const CasePatch& patch, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckOpen(before));
  Case after = before;
  const auto set = [](const auto& value, auto& out) {
    if (value) out = *value;
  };
  set(patch.title, after.title);
  set(patch.problem, after.problem);
  set(patch.expectation, after.expectation);
  set(patch.owner, after.owner);
  set(patch.order, after.order);
  set(patch.currency, after.currency);
  set(patch.amount_minor, after.amount_minor);
  set(patch.severity, after.severity);
  error::FieldErrors errors;
  if (after.problem.empty()) errors.Add("case.problem", "is required");
  if (after.type == CaseType::kDispute && after.order.empty()) {
    errors.Add("case.order", "is required of a dispute");
  }
  if (after.amount_minor != 0 && after.currency.empty()) {
    errors.Add("case.currency", "is required with amount_minor");
  }
  // What was required to come this far stays.
  const bool worked = before.state != CaseState::kReceived &&
                      before.state != CaseState::kAcknowledged &&
                      before.state != CaseState::kEscalated;
  if (worked) {
    for (const std::string& field : MissingForWork(after)) {
      errors.Add(absl::StrCat("case.", field), "is required of a case that is worked at");
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (after != before) after.update_time = now;
  return after;
}

absl::StatusOr<Case> AcknowledgeCase(const Case& before, const std::string& owner,
                                     const std::string& actor, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kAcknowledge, now));
  if (!owner.empty()) after.owner = owner;
  if (after.owner.empty()) after.owner = actor;
  if (!after.acknowledge_time) after.acknowledge_time = now;
  Stop(after, ClockKind::kAcknowledgement, now);
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> InvestigateCase(const Case& before, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kInvestigate, now));
  CLM_RETURN_IF_ERROR(CheckAcknowledged(before));
  CLM_RETURN_IF_ERROR(Missing(MissingForWork(before)));
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> AwaitCustomer(const Case& before, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kAwaitCustomer, now));
  if (after.pauses.size() >= kMostPauses) {
    return error::Precondition("CASE_FULL", "state: the case has waited as often as it may",
                               {{"limit", absl::StrCat(kMostPauses)}});
  }
  after.pauses.push_back({now});
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> ResumeCase(const Case& before, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kResume, now));
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> HoldCase(const Case& before, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckOpen(before));
  if (before.holding_time) {
    return error::Precondition("CASE_HELD", "state: a holding answer was given already");
  }
  Case after = before;
  after.holding_time = now;
  Respond(after, now);
  for (CaseClock& clock : after.clocks) {
    if (clock.terms.kind == ClockKind::kFinalAnswer) Extend(clock);
  }
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> ResolveCase(const Case& before, Resolution resolution, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kResolve, now));
  CLM_RETURN_IF_ERROR(CheckAcknowledged(before));
  CLM_RETURN_IF_ERROR(Missing(MissingForWork(before)));
  CLM_RETURN_IF_ERROR(CheckSteps(before));
  CLM_RETURN_IF_ERROR(CheckResolution(before, resolution));
  if (before.resolutions.size() >= kMostResolutions) {
    return error::Precondition("CASE_FULL", "state: the case was resolved as often as it may be",
                               {{"limit", absl::StrCat(kMostResolutions)}});
  }
  resolution.number = static_cast<int>(before.resolutions.size()) + 1;
  resolution.agent = before.owner;
  resolution.time = now;
  for (const CaseClock& clock : before.clocks) {
    if (clock.terms.kind == ClockKind::kFinalAnswer) resolution.breach_time = clock.breach_time;
  }
  if (resolution.compensation) {
    Compensation& compensation = *resolution.compensation;
    compensation = {.program = compensation.program,
                    .wallet = compensation.wallet,
                    .points = compensation.points,
                    .contact = before.contact};
    compensation.next_attempt = now;
  }
  after.resolutions.push_back(std::move(resolution));
  Respond(after, now);
  Stop(after, ClockKind::kFinalAnswer, now);
  after.end_time = now;
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> CloseCase(const Case& before, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kClose, now));
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> ReopenCase(const Case& before, const std::string& reason, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kReopen, now));
  std::vector<ClockTerms> terms;
  for (const CaseClock& clock : before.clocks) {
    if (clock.terms.kind != ClockKind::kAcknowledgement) terms.push_back(clock.terms);
  }
  StartClocks(after, terms, now);
  after.pauses.clear();
  after.reopen_reason = reason;
  after.response_time.reset();
  after.holding_time.reset();
  after.end_time.reset();
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> EscalateCase(const Case& before, const std::string& owner,
                                  const std::string& reason, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kEscalate, now));
  if (after.escalations >= kMostEscalations) {
    return error::Precondition("CASE_FULL", "state: the case was escalated as often as it may be",
                               {{"limit", absl::StrCat(kMostEscalations)}});
  }
  ++after.escalations;
  if (!owner.empty()) after.owner = owner;
  after.escalation_reason = reason;
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> WithdrawCase(const Case& before, const std::string& reason, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(Case after, Moved(before, CaseVerb::kWithdraw, now));
  for (CaseClock& clock : after.clocks) clock.stop = std::min(clock.stop, now);
  after.withdraw_reason = reason;
  after.end_time = now;
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> NoteOnCase(const Case& before, bool to_customer, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckNotErased(before));
  Case after = before;
  ++after.notes;
  if (to_customer && IsOpen(before.state)) Respond(after, now);
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> AddEvidence(const Case& before, Evidence evidence, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckOpen(before));
  if (before.evidence.size() >= kMostEvidence) {
    return error::Precondition("CASE_FULL", "evidence: there is as much as a case may have",
                               {{"limit", absl::StrCat(kMostEvidence)}});
  }
  Case after = before;
  evidence.add_time = now;
  after.evidence.push_back(std::move(evidence));
  after.update_time = now;
  return after;
}

absl::StatusOr<Case> CheckStep(const Case& before, const std::string& step,
                               const std::string& actor, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckOpen(before));
  Case after = before;
  for (CaseStep& one : after.steps) {
    if (one.id != step) continue;
    if (one.done_time) return before;
    one.done_time = now;
    one.done_by = actor;
    after.update_time = now;
    return after;
  }
  return error::InvalidField("step", "is none of the case's steps");
}

CaughtUp CatchUp(const Case& before, const BusinessCalendar& calendar, absl::Time now) {
  CaughtUp caught{before, {}};
  caught.marks = RaiseMarks(calendar, caught.after.clocks, caught.after.pauses, now);
  return caught;
}

absl::Time DueTimeOf(const Case& c, const BusinessCalendar& calendar) {
  absl::Time due = NextMarkTime(calendar, c.clocks, c.pauses);
  for (const Resolution& resolution : c.resolutions) {
    if (resolution.compensation && resolution.compensation->state == CompensationState::kPending) {
      due = std::min(due, resolution.compensation->next_attempt);
    }
  }
  return due;
}

const Resolution* PendingCompensation(const Case& c, absl::Time now) {
  for (const Resolution& resolution : c.resolutions) {
    if (resolution.compensation && resolution.compensation->state == CompensationState::kPending &&
        resolution.compensation->next_attempt <= now) {
      return &resolution;
    }
  }
  return nullptr;
}

Uuid CompensationRequestId(const EntityKey& key, int resolution) {
  return Uuid::V5(key.id, absl::StrCat("compensation ", key.tenant, " ", resolution));
}

Case CompensationGranted(const Case& before, int resolution, const std::string& posting) {
  Case after = before;
  if (Resolution* pending = FindPending(after, resolution)) {
    pending->compensation->state = CompensationState::kGranted;
    pending->compensation->posting = posting;
    pending->compensation->next_attempt = absl::InfiniteFuture();
  }
  return after;
}

Case CompensationFailed(const Case& before, int resolution, const std::string& reason) {
  Case after = before;
  if (Resolution* pending = FindPending(after, resolution)) {
    pending->compensation->state = CompensationState::kFailed;
    pending->compensation->failure = reason;
    pending->compensation->next_attempt = absl::InfiniteFuture();
  }
  return after;
}

Case CompensationDelayed(const Case& before, int resolution, absl::Time now) {
  Case after = before;
  if (Resolution* pending = FindPending(after, resolution)) {
    Compensation& compensation = *pending->compensation;
    absl::Duration delay = kFirstDelay;
    for (int i = 0; i < compensation.attempts && delay < kLongestDelay; ++i) delay *= 2;
    ++compensation.attempts;
    compensation.next_attempt = now + std::min(delay, kLongestDelay);
  }
  return after;
}

Case Erased(const Case& before, absl::Time now) {
  Case after = before;
  if (IsOpen(before.state)) {
    after.state = CaseState::kWithdrawn;
    after.end_time = now;
  }
  EndPause(after, now);
  for (CaseClock& clock : after.clocks) clock.stop = std::min(clock.stop, now);
  after.contact.reset();
  after.erased = true;
  for (std::string* text :
       {&after.title, &after.problem, &after.expectation, &after.order, &after.source,
        &after.escalation_reason, &after.reopen_reason, &after.withdraw_reason}) {
    text->clear();
  }
  after.evidence.clear();
  for (Resolution& resolution : after.resolutions) {
    resolution.solution.clear();
    resolution.root_cause.clear();
    if (resolution.compensation) {
      if (resolution.compensation->state == CompensationState::kPending) {
        resolution.compensation->state = CompensationState::kFailed;
        resolution.compensation->failure = "CASE_ERASED";
        resolution.compensation->next_attempt = absl::InfiniteFuture();
      }
      resolution.compensation->posting.clear();
      resolution.compensation->contact.reset();
    }
  }
  after.update_time = now;
  return after;
}

}  // namespace clm::feedback
