#include "services/feedback/response_handlers.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libs/base/error.h"
#include "libs/base/page_token.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "services/feedback/answering.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/invitation_pages.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {
namespace {

// The token, unless it is another tenant's than the caller's own, if the caller has one.
absl::StatusOr<InvitationTokens::Content> ReadToken(const InvitationTokens& tokens,
                                                    const rpc::Call& call,
                                                    const std::string& token) {
  CLM_ASSIGN_OR_RETURN(InvitationTokens::Content content, tokens.Decode(token));
  if (!call.caller.tenant.empty() && call.caller.tenant != content.invitation.tenant) {
    return InvalidInvitation();
  }
  return content;
}

template <class Answers>
GivenAnswers GivenFrom(const Answers& answers) {
  GivenAnswers given;
  for (const auto& answer : answers) given.push_back(AnswerFromProto(answer));
  return given;
}

template <class Req>
journal::MutationInfo InfoFor(const rpc::Call& call, const InvitationTokens::Content& content,
                              const Req& request) {
  journal::MutationInfo info = journal::InfoFor(call, content.invitation.tenant, request);
  info.shards.set(content.shard);
  return info;
}

}  // namespace

void ResponseHandlers::OpenSurvey(const rpc::Call& call, const v1::OpenSurveyRequest& request,
                                  rpc::Reply<v1::OpenSurveyResponse> reply) {
  auto content = ReadToken(tokens_, call, request.token());
  if (!content.ok()) return reply(content.status());
  const EntityKey key = content->invitation;
  // What was answered so far is in the response, so it is not kept for repeats: a repeat opens
  // again.
  journal::MutationInfo info = InfoFor(call, *content, request);
  info.request_id.clear();
  info.fingerprint.clear();
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [key](FeedbackWork& work) { work.Part<SurveyWork>().NeedInvitation(key); },
      [key, asked = request.language()](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const OpenInvitation open, OpenByToken(work, recorder, key));
        const Survey& survey = open.survey->survey();
        const StoredInvitation& invitation = open.invitation;
        const std::string language = asked.empty() ? invitation.about.language : asked;
        v1::OpenSurveyResponse response;
        response.set_display_name(survey.display_name);
        response.set_language(language);
        for (const SurveyQuestion& question : survey.questions) {
          *response.add_questions() = QuestionIn(question, language, survey.default_language);
          const auto it = invitation.answers.find(question.id);
          if (it != invitation.answers.end()) {
            *response.add_answers() = ToProto(it->first, it->second);
          }
        }
        for (const std::string& id :
             open.survey->Shown(invitation.answers, invitation.about, recorder.now())) {
          response.add_shown(id);
        }
        response.set_submitted(invitation.submit_time.has_value());
        response.set_correctable(!survey.fixed_answers);
        clm::ToProto(invitation.expire_time, response.mutable_expire_time());
        return response.SerializeAsString();
      },
      std::move(reply));
}

void ResponseHandlers::SaveResponse(const rpc::Call& call, const v1::SaveResponseRequest& request,
                                    rpc::Reply<v1::SaveResponseResponse> reply) {
  auto content = ReadToken(tokens_, call, request.token());
  if (!content.ok()) return reply(content.status());
  const EntityKey key = content->invitation;
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, InfoFor(call, *content, request),
      [key](FeedbackWork& work) { work.Part<SurveyWork>().NeedInvitation(key); },
      [key, given = GivenFrom(request.answers())](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const OpenInvitation open, SaveByToken(work, recorder, key, given));
        v1::SaveResponseResponse response;
        for (const std::string& id :
             open.survey->Shown(open.invitation.answers, open.invitation.about, recorder.now())) {
          response.add_shown(id);
        }
        return response.SerializeAsString();
      },
      std::move(reply));
}

void ResponseHandlers::SubmitResponse(const rpc::Call& call,
                                      const v1::SubmitResponseRequest& request,
                                      rpc::Reply<v1::SubmitResponseResponse> reply) {
  const auto content = ReadToken(tokens_, call, request.token());
  if (!content.ok()) return reply(content.status());
  // Reading and asking block; waiting for the lanes does not.
  const auto held = std::make_shared<rpc::Reply<v1::SubmitResponseResponse>>(std::move(reply));
  const auto submit = [this, &call, &request, content = *content, held] {
    Submit(call, request, content, std::move(*held));
  };
  if (shared_.workers == nullptr) return submit();
  if (!shared_.workers->Post(submit)) {
    (*held)(error::Unavailable("QUEUE_FULL", "the server is busy; repeat the call later",
                               absl::Milliseconds(100)));
  }
}

void ResponseHandlers::Submit(const rpc::Call& call, const v1::SubmitResponseRequest& request,
                              const InvitationTokens::Content& content,
                              rpc::Reply<v1::SubmitResponseResponse> reply) {
  const EntityKey& key = content.invitation;
  const auto known = reader_.GetInvitation(key, call.deadline);
  if (absl::IsNotFound(known.status())) return reply(InvalidInvitation());
  if (!known.ok()) return reply(known.status());
  const SurveyKey survey_key{key.tenant, known->survey};
  const auto survey = reader_.GetSurvey(survey_key, call.deadline);
  if (!survey.ok()) return reply(survey.status());
  AnswerMoment moment;
  // A correction keeps the moment of the first time.
  if (shared_.context_of && known->contact && !known->submit_time) {
    moment = MomentOf(
        shared_.context_of(EntityName(kContacts, {key.tenant, *known->contact}), call.deadline),
        *survey);
  }
  journal::MutationInfo info = InfoFor(call, content, request);
  // Which answer completes the survey is decided under its lock.
  const bool limited = survey->response_limit > 0;
  if (limited) info.shards.set(ShardOfSurvey(survey_key));
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, std::move(info),
      [key, contact = known->contact](FeedbackWork& work) {
        work.Part<SurveyWork>().NeedInvitation(key);
        if (!contact) return;
        for (const auto& part : work.parts()) part->NeedForAnswer({key.tenant, *contact});
      },
      [key, survey_key, limited, moment = std::move(moment), given = GivenFrom(request.answers()),
       correction = request.correction()](
          FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const auto compiled = work.Part<SurveyWork>().FindSurvey(survey_key);
        if (compiled != nullptr && compiled->survey().response_limit > 0 && !limited) {
          return error::Unavailable("SURVEY_CHANGED", "the survey has just changed; try again",
                                    absl::Milliseconds(100));
        }
        CLM_ASSIGN_OR_RETURN(const Submitted submitted,
                             SubmitByToken(work, recorder, key, given, correction, moment));
        v1::SubmitResponseResponse response;
        clm::ToProto(*submitted.invitation.submit_time, response.mutable_submit_time());
        for (const std::string& id : submitted.dropped) response.add_dropped(id);
        return response.SerializeAsString();
      },
      std::move(reply));
}

void ResponseHandlers::DismissSurvey(const rpc::Call& call, const v1::DismissSurveyRequest& request,
                                     rpc::Reply<v1::DismissSurveyResponse> reply) {
  auto content = ReadToken(tokens_, call, request.token());
  if (!content.ok()) return reply(content.status());
  const EntityKey key = content->invitation;
  journal::Mutate<FeedbackWork>(
      *shared_.lanes, InfoFor(call, *content, request),
      [key](FeedbackWork& work) { work.Part<SurveyWork>().NeedInvitation(key); },
      [key](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(DismissByToken(work, recorder, key));
        return v1::DismissSurveyResponse().SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::Response> ResponseHandlers::GetResponse(const rpc::Call& call,
                                                           const v1::GetResponseRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kResponses, request.name()));
  const auto found = reader_.GetInvitation(key, call.deadline);
  if (absl::IsNotFound(found.status()) ||
      (found.ok() && !found->start_time && found->state != InvitationState::kDismissed)) {
    return error::NotFound(request.name());
  }
  CLM_RETURN_IF_ERROR(found.status());
  CLM_ASSIGN_OR_RETURN(
      const Survey survey,
      reader_.GetVersion({key.tenant, found->survey}, found->survey_version, call.deadline));
  return ResponseToProto(*found, survey);
}

absl::StatusOr<v1::ListResponsesResponse> ResponseHandlers::ListResponses(
    const rpc::Call& call, const v1::ListResponsesRequest& request) {
  SurveyReader::Query query;
  query.finished = true;
  CLM_ASSIGN_OR_RETURN(query.tenant, ParseTenantName("parent", request.parent()));
  if (!request.survey().empty()) {
    CLM_ASSIGN_OR_RETURN(const SurveyKey survey, ParseSurveyName("survey", request.survey()));
    query.survey = survey.id;
  }
  if (!request.contact().empty()) {
    CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                         ParseEntityName("contact", kContacts, request.contact()));
    query.contact = contact.id;
  }
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListResponses", request.parent(), request.survey(),
                                         request.contact()};
  CLM_ASSIGN_OR_RETURN(query.before, BeforeOf(*shared_.tokens, list, request.page_token()));
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(std::vector<StoredInvitation> found,
                       reader_.ListInvitations(query, call.deadline));
  v1::ListResponsesResponse response;
  response.set_next_page_token(CutPage(*shared_.tokens, list, size, found));
  std::map<std::pair<std::string, int>, Survey> versions;
  for (const StoredInvitation& one : found) {
    const auto [it, is_new] = versions.try_emplace({one.survey, one.survey_version});
    if (is_new) {
      CLM_ASSIGN_OR_RETURN(it->second, reader_.GetVersion({query.tenant, one.survey},
                                                          one.survey_version, call.deadline));
    }
    *response.add_responses() = ResponseToProto(one, it->second);
  }
  return response;
}

}  // namespace clm::feedback
