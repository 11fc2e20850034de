#include "services/feedback/answering.h"

#include "clm/feedback/v1/survey_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/feedback/answer_fact.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/invitation_token.h"
#include "services/feedback/inviting.h"

namespace clm::feedback {
namespace {

absl::Status AlreadyAnswered() {
  return error::Precondition("ALREADY_ANSWERED",
                             "this survey has been answered with this link already");
}

absl::CivilDay DayIn(const Survey& survey, absl::Time at) {
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(survey.time_zone, &zone)) zone = absl::UTCTimeZone();
  return absl::ToCivilDay(at, zone);
}

SurveyKey SurveyOf(const StoredInvitation& invitation) {
  return {invitation.key.tenant, invitation.survey};
}

// Takes what an invitation adds to the counters away again.
void Uncount(SurveyWork& work, const StoredInvitation& before, const Survey& version) {
  if (!before.day) return;
  const Bars bars = before.submit_time ? BarsOfAnswer(version, before.answers, before.skipped)
                                       : BarsOfDismissal(version);
  work.Count(SurveyOf(before), *before.day, before.dims, bars, -1);
}

absl::Status Merge(StoredInvitation& invitation, const Survey& survey, const GivenAnswers& given) {
  CLM_RETURN_IF_ERROR(CheckAnswers(survey, given));
  for (const auto& [question, value] : given) {
    if (value.empty()) {
      invitation.answers.erase(question);
    } else {
      invitation.answers[question] = value;
    }
  }
  return absl::OkStatus();
}

AnswerFact FactOf(const StoredInvitation& invitation, const Survey& survey) {
  AnswerFact fact;
  fact.tenant = invitation.key.tenant;
  fact.survey = invitation.survey;
  fact.relational = invitation.relational;
  fact.invitation = invitation.key.id;
  fact.shard = invitation.shard;
  fact.contact = invitation.contact;
  fact.channel = invitation.about.channel;
  fact.campaign = invitation.about.campaign;
  fact.order = invitation.about.order;
  fact.agent = invitation.about.agent;
  fact.subject = invitation.subject;
  fact.submit_time = *invitation.submit_time;
  fact.corrected = invitation.corrections > 0;
  for (const SurveyQuestion& question : survey.questions) {
    const auto it = invitation.answers.find(question.id);
    if (it == invitation.answers.end() || !it->second.number) continue;
    fact.scores.push_back(
        {.question = question.id,
         .kind = question.kind == QuestionKind::kNps    ? ScoredAnswer::Kind::kNps
                 : question.kind == QuestionKind::kCsat ? ScoredAnswer::Kind::kCsat
                 : question.kind == QuestionKind::kCes  ? ScoredAnswer::Kind::kCes
                                                        : ScoredAnswer::Kind::kRating,
         .min = question.min,
         .max = question.max,
         .satisfied_from = question.satisfied_from,
         .value = *it->second.number});
  }
  return fact;
}

void RecordSubmitted(journal::Recorder& recorder, const StoredInvitation& invitation,
                     const AnswerFact& fact) {
  v1::ResponseSubmitted event;
  event.set_response(EntityName(kResponses, invitation.key));
  event.set_survey(NameOf(SurveyOf(invitation)));
  event.set_survey_version(invitation.survey_version);
  if (fact.contact) event.set_contact(EntityName(kContacts, {fact.tenant, *fact.contact}));
  for (const ScoredAnswer& score : fact.scores) {
    auto* to = event.add_scores();
    to->set_question(score.question);
    to->set_kind(score.kind == ScoredAnswer::Kind::kNps    ? v1::Question::KIND_NPS
                 : score.kind == ScoredAnswer::Kind::kCsat ? v1::Question::KIND_CSAT
                 : score.kind == ScoredAnswer::Kind::kCes  ? v1::Question::KIND_CES
                                                           : v1::Question::KIND_RATING);
    to->set_value(score.value);
    to->set_satisfied(score.kind == ScoredAnswer::Kind::kCsat &&
                      score.value >= score.satisfied_from);
  }
  event.set_channel(fact.channel);
  event.set_campaign(fact.campaign);
  event.set_order(fact.order);
  event.set_agent(fact.agent);
  event.set_subject(fact.subject);
  clm::ToProto(fact.submit_time, event.mutable_submit_time());
  event.set_corrections(invitation.corrections);
  event.set_relational(fact.relational);
  recorder.Record({.shard = invitation.shard,
                   .tenant = invitation.key.tenant,
                   .subject = event.response(),
                   .type = v1::ResponseSubmitted::descriptor()->full_name(),
                   .subject_version = invitation.version,
                   .payload = event.SerializeAsString()});
}

// The survey is over when enough have answered; its shard is locked.
void CompleteWhenFull(FeedbackWork& work, journal::Recorder& recorder, const SurveyKey& key) {
  auto& surveys = work.Part<SurveyWork>();
  const Survey& survey = surveys.FindSurvey(key)->survey();
  if (survey.response_limit == 0 || surveys.AnsweredOf(key) < survey.response_limit) return;
  const auto completed = MoveSurvey(survey, SurveyVerb::kComplete, recorder.now());
  if (!completed.ok()) return;
  v1::SurveyChanged event;
  *event.mutable_survey() = ToProto(*completed);
  recorder.Record({.shard = ShardOfSurvey(key),
                   .tenant = key.tenant,
                   .subject = NameOf(key),
                   .type = v1::SurveyChanged::descriptor()->full_name(),
                   .subject_version = completed->row_version,
                   .payload = event.SerializeAsString()});
  surveys.SaveSurvey(*completed);
}

}  // namespace

absl::StatusOr<OpenInvitation> FindOpen(FeedbackWork& work, const EntityKey& key, absl::Time now) {
  auto& surveys = work.Part<SurveyWork>();
  const StoredInvitation* invitation = surveys.FindInvitation(key);
  if (invitation == nullptr || invitation->state == InvitationState::kDropped) {
    return InvalidInvitation();
  }
  if (invitation->state == InvitationState::kRevoked || !invitation->contact) {
    return error::Precondition("INVITATION_REVOKED", "token: this link is not in use any more");
  }
  if (now >= invitation->expire_time) {
    return error::Precondition("INVITATION_EXPIRED",
                               "token: this link has expired; ask for a new one");
  }
  CLM_RETURN_IF_ERROR(CheckOpen(surveys.FindSurvey(SurveyOf(*invitation))->survey()));
  return OpenInvitation{*invitation, surveys.VersionFor(*invitation)};
}

absl::StatusOr<OpenInvitation> OpenByToken(FeedbackWork& work, journal::Recorder& recorder,
                                           const EntityKey& key) {
  CLM_ASSIGN_OR_RETURN(OpenInvitation open, FindOpen(work, key, recorder.now()));
  if (open.invitation.display_time) return open;
  open.invitation.display_time = recorder.now();
  open.invitation.survey_version = open.survey->survey().version;
  if (open.invitation.state == InvitationState::kInvited) {
    open.invitation.state = InvitationState::kDisplayed;
  }
  KeepInvitation(work, recorder, open.invitation);
  return open;
}

absl::StatusOr<OpenInvitation> SaveByToken(FeedbackWork& work, journal::Recorder& recorder,
                                           const EntityKey& key, const GivenAnswers& given) {
  CLM_ASSIGN_OR_RETURN(OpenInvitation open, FindOpen(work, key, recorder.now()));
  StoredInvitation& invitation = open.invitation;
  if (invitation.submit_time) return AlreadyAnswered();
  const AnswerMap before = invitation.answers;
  CLM_RETURN_IF_ERROR(Merge(invitation, open.survey->survey(), given));
  if (invitation.answers == before) return open;
  invitation.survey_version = open.survey->survey().version;
  if (!invitation.display_time) invitation.display_time = recorder.now();
  if (!invitation.start_time) invitation.start_time = recorder.now();
  if (invitation.state != InvitationState::kDismissed) invitation.state = InvitationState::kStarted;
  KeepInvitation(work, recorder, invitation);
  return open;
}

absl::StatusOr<Submitted> SubmitByToken(FeedbackWork& work, journal::Recorder& recorder,
                                        const EntityKey& key, const GivenAnswers& given,
                                        bool correction, const AnswerMoment& moment) {
  const absl::Time now = recorder.now();
  CLM_ASSIGN_OR_RETURN(const OpenInvitation open, FindOpen(work, key, now));
  const StoredInvitation& before = open.invitation;
  auto& surveys = work.Part<SurveyWork>();
  const Survey& survey = open.survey->survey();
  const Survey& present = surveys.FindSurvey(SurveyOf(before))->survey();
  if (before.submit_time && (!correction || present.fixed_answers)) return AlreadyAnswered();
  StoredInvitation after = before;
  CLM_RETURN_IF_ERROR(Merge(after, survey, given));
  CLM_ASSIGN_OR_RETURN(SettledAnswers settled,
                       Settle(*open.survey, after.answers, after.about, now));
  after.answers = std::move(settled.kept);
  after.skipped = std::move(settled.skipped);
  after.survey_version = survey.version;
  after.state = InvitationState::kSubmitted;
  if (!after.display_time) after.display_time = now;
  if (!after.start_time) after.start_time = now;
  if (before.submit_time) {
    ++after.corrections;
  } else {
    after.submit_time = now;
    after.moment = moment;
    after.dims = DimsOf(after);
    after.day = DayIn(survey, now);
  }
  after.rqi = RqiOfAnswers(survey, after.answers);
  after.update_time = now;
  ++after.version;
  Uncount(surveys, before, survey);
  surveys.Count(SurveyOf(after), *after.day, after.dims,
                BarsOfAnswer(survey, after.answers, after.skipped), 1);
  surveys.SaveInvitation(after);
  const AnswerFact fact = FactOf(after, survey);
  RecordSubmitted(recorder, after, fact);
  for (const auto& part : work.parts()) {
    CLM_RETURN_IF_ERROR(part->OnAnswer(fact, work, recorder));
  }
  if (!before.submit_time) CompleteWhenFull(work, recorder, SurveyOf(after));
  return Submitted{std::move(after), std::move(settled.dropped)};
}

absl::Status DismissByToken(FeedbackWork& work, journal::Recorder& recorder, const EntityKey& key) {
  CLM_ASSIGN_OR_RETURN(OpenInvitation open, FindOpen(work, key, recorder.now()));
  StoredInvitation& invitation = open.invitation;
  if (invitation.submit_time) return AlreadyAnswered();
  if (invitation.state == InvitationState::kDismissed) return absl::OkStatus();
  const Survey& survey = open.survey->survey();
  invitation.state = InvitationState::kDismissed;
  invitation.dismiss_time = recorder.now();
  invitation.survey_version = survey.version;
  if (!invitation.display_time) invitation.display_time = recorder.now();
  invitation.dims = DimsOf(invitation);
  invitation.day = DayIn(survey, recorder.now());
  work.Part<SurveyWork>().Count(SurveyOf(invitation), *invitation.day, invitation.dims,
                                BarsOfDismissal(survey), 1);
  KeepInvitation(work, recorder, invitation);
  return absl::OkStatus();
}

}  // namespace clm::feedback
