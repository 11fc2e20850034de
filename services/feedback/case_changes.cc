#include "services/feedback/case_changes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/feedback/answer_fact.h"
#include "services/feedback/contact_changes.h"

namespace clm::feedback {
namespace {

constexpr int kLastDetractor = 6;

std::string ContactNameOf(const Case& c) {
  return c.contact ? EntityName(kContacts, {c.key.tenant, *c.contact}) : "";
}

void RecordMark(journal::Recorder& recorder, const Case& c, const ClockMark& mark) {
  v1::CaseClockRaised raised;
  raised.set_case_(NameOfCase(c.key));
  raised.set_contact(ContactNameOf(c));
  raised.set_type(static_cast<v1::Case::Type>(c.type));
  raised.set_owner(c.owner);
  raised.set_clock(static_cast<v1::ClockTerms::Kind>(mark.clock));
  for (const CaseClock& clock : c.clocks) {
    if (clock.terms.kind == mark.clock) {
      raised.set_unit(static_cast<v1::ClockTerms::Unit>(clock.terms.unit));
    }
  }
  raised.set_before(mark.before);
  clm::ToProto(mark.time, raised.mutable_mark_time());
  raised.set_severity(static_cast<v1::Case::Severity>(c.severity));
  recorder.Record({.shard = c.shard,
                   .tenant = c.key.tenant,
                   .subject = raised.case_(),
                   .type = v1::CaseClockRaised::descriptor()->full_name(),
                   .subject_version = c.version,
                   .occur_time = mark.time,
                   .payload = raised.SerializeAsString()});
}

EntityKey CaseOfAnswer(const AnswerFact& answer) {
  return {answer.tenant, Uuid::V5(answer.invitation, "case")};
}

// The worst of what was answered, if it opens a case.
const ScoredAnswer* BadScore(const CaseTriggers& triggers, const AnswerFact& answer) {
  for (const ScoredAnswer& score : answer.scores) {
    if (triggers.on_detractor && score.kind == ScoredAnswer::Kind::kNps &&
        score.value <= kLastDetractor) {
      return &score;
    }
    if (triggers.on_unsatisfied && score.kind == ScoredAnswer::Kind::kCsat &&
        score.value < score.satisfied_from) {
      return &score;
    }
  }
  return nullptr;
}

}  // namespace

void KeepCase(CaseWork& work, journal::Recorder& recorder, v1::CaseChanged::Change change, Case c) {
  ++c.version;
  work.Save(c);
  v1::CaseChanged changed;
  changed.set_case_(NameOfCase(c.key));
  changed.set_contact(ContactNameOf(c));
  changed.set_change(change);
  changed.set_type(static_cast<v1::Case::Type>(c.type));
  changed.set_state(static_cast<v1::Case::State>(c.state));
  changed.set_severity(static_cast<v1::Case::Severity>(c.severity));
  changed.set_owner(c.owner);
  if (!c.resolutions.empty() && (change == v1::CaseChanged::CHANGE_RESOLVED ||
                                 change == v1::CaseChanged::CHANGE_COMPENSATION)) {
    const Resolution& resolution = c.resolutions.back();
    changed.set_resolution_number(resolution.number);
    changed.set_agent(resolution.agent);
    if (resolution.compensation) {
      *changed.mutable_compensation() = ToProto(c.key.tenant, *resolution.compensation);
    }
  }
  if (c.contact) changed.set_open_cases(work.OpenCasesOf({c.key.tenant, *c.contact}));
  recorder.Record({.shard = c.shard,
                   .tenant = c.key.tenant,
                   .subject = changed.case_(),
                   .type = v1::CaseChanged::descriptor()->full_name(),
                   .subject_version = c.version,
                   .payload = changed.SerializeAsString()});
}

Case RaiseDue(CaseWork& work, journal::Recorder& recorder, const Case& before) {
  CaughtUp caught = CatchUp(before, work.CalendarOf(before.key.tenant).calendar, recorder.now());
  if (caught.marks.empty()) return before;
  for (const ClockMark& mark : caught.marks) {
    ++caught.after.version;
    RecordMark(recorder, caught.after, mark);
  }
  work.Save(caught.after);
  return std::move(caught.after);
}

absl::Status OpenNewCase(CaseWork& work, journal::Recorder& recorder, Case fresh) {
  if (work.Find(fresh.key) != nullptr) {
    return error::Make(absl::StatusCode::kAlreadyExists, "CASE_EXISTS",
                       "case_id: there is a case of this id", {{"case", NameOfCase(fresh.key)}});
  }
  const CaseProcedure procedure = ProcedureOf(work.PolicyOf(fresh.key.tenant).policy, fresh.type);
  CLM_ASSIGN_OR_RETURN(Case opened, OpenCase(std::move(fresh), procedure, recorder.now()));
  KeepCase(work, recorder, v1::CaseChanged::CHANGE_OPENED, opened);
  // It may have been received long ago.
  RaiseDue(work, recorder, *work.Find(opened.key));
  return absl::OkStatus();
}

void CaseWork::NeedForAnswer(const EntityKey& contact) {
  NeedTenant(contact.tenant);
  NeedOpenCases(contact);
  answering_.push_back(contact);
}

absl::Status CaseWork::OnAnswer(const AnswerFact& answer, FeedbackWork&,
                                journal::Recorder& recorder) {
  if (!answer.contact) return absl::OkStatus();
  const CaseTriggers& triggers = PolicyOf(answer.tenant).policy.triggers;
  const ScoredAnswer* bad = BadScore(triggers, answer);
  if (bad == nullptr) return absl::OkStatus();
  Case fresh;
  fresh.key = CaseOfAnswer(answer);
  // Once for an answer, however often it is corrected.
  if (Find(fresh.key) != nullptr || of_answers_.contains(fresh.key)) return absl::OkStatus();
  fresh.shard = answer.shard;
  fresh.contact = answer.contact;
  fresh.severity = triggers.severity;
  fresh.channel = "survey";
  fresh.owner = triggers.owner;
  fresh.problem = absl::StrCat("The answer to ", bad->question, " of survey ", answer.survey,
                               " was ", bad->value, " of ", bad->max, ".");
  fresh.source = EntityName("responses", {answer.tenant, answer.invitation});
  fresh.receive_time = answer.submit_time;
  return OpenNewCase(*this, recorder, std::move(fresh));
}

}  // namespace clm::feedback
