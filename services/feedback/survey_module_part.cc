#include "services/feedback/survey_module_part.h"

#include "clm/feedback/v1/invitation_service.grpc.pb.h"
#include "clm/feedback/v1/response_service.grpc.pb.h"
#include "clm/feedback/v1/score_service.grpc.pb.h"
#include "clm/feedback/v1/survey_service.grpc.pb.h"
#include "libs/base/status_macros.h"
#include "libs/rpc/service.h"

namespace clm::feedback {
namespace {

class SurveyBinding : public rpc::Service {
 public:
  SurveyBinding(rpc::Host& host, SurveyHandlers& handlers)
      : Service(host, v1::SurveyService::service_full_name()) {
    Bind("CreateSurvey", &handlers, &SurveyHandlers::CreateSurvey);
    Bind("GetSurvey", &handlers, &SurveyHandlers::GetSurvey);
    Bind("ListSurveys", &handlers, &SurveyHandlers::ListSurveys);
    Bind("UpdateSurvey", &handlers, &SurveyHandlers::UpdateSurvey);
    Bind("StartSurvey", &handlers, &SurveyHandlers::StartSurvey);
    Bind("PauseSurvey", &handlers, &SurveyHandlers::PauseSurvey);
    Bind("CompleteSurvey", &handlers, &SurveyHandlers::CompleteSurvey);
    Bind("GetFeedbackSettings", &handlers, &SurveyHandlers::GetFeedbackSettings);
    Bind("UpdateFeedbackSettings", &handlers, &SurveyHandlers::UpdateFeedbackSettings);
  }
};

class InvitationBinding : public rpc::Service {
 public:
  InvitationBinding(rpc::Host& host, InvitationHandlers& handlers)
      : Service(host, v1::InvitationService::service_full_name()) {
    Bind("CreateInvitation", &handlers, &InvitationHandlers::CreateInvitation);
    Bind("GetInvitation", &handlers, &InvitationHandlers::GetInvitation);
    Bind("ListInvitations", &handlers, &InvitationHandlers::ListInvitations);
    Bind("GetInvitationToken", &handlers, &InvitationHandlers::GetInvitationToken);
    Bind("RevokeInvitation", &handlers, &InvitationHandlers::RevokeInvitation);
  }
};

class ResponseBinding : public rpc::Service {
 public:
  ResponseBinding(rpc::Host& host, ResponseHandlers& handlers)
      : Service(host, v1::ResponseService::service_full_name()) {
    Bind("OpenSurvey", &handlers, &ResponseHandlers::OpenSurvey);
    Bind("SaveResponse", &handlers, &ResponseHandlers::SaveResponse);
    Bind("SubmitResponse", &handlers, &ResponseHandlers::SubmitResponse);
    Bind("DismissSurvey", &handlers, &ResponseHandlers::DismissSurvey);
    Bind("GetResponse", &handlers, &ResponseHandlers::GetResponse);
    Bind("ListResponses", &handlers, &ResponseHandlers::ListResponses);
  }
};

class ScoreBinding : public rpc::Service {
 public:
  ScoreBinding(rpc::Host& host, ScoreHandlers& handlers)
      : Service(host, v1::ScoreService::service_full_name()) {
    Bind("GetNps", &handlers, &ScoreHandlers::GetNps);
    Bind("GetCsat", &handlers, &ScoreHandlers::GetCsat);
    Bind("GetCes", &handlers, &ScoreHandlers::GetCes);
    Bind("GetRqi", &handlers, &ScoreHandlers::GetRqi);
    Bind("GetSurveyFunnel", &handlers, &ScoreHandlers::GetSurveyFunnel);
    Bind("RecountScores", &handlers, &ScoreHandlers::RecountScores);
  }
};

}  // namespace

SurveyModulePart::SurveyModulePart(const FeedbackParts& shared)
    : shared_(shared),
      tokens_(shared.secret),
      reader_(shared.pool),
      surveys_(&shared_, &reader_),
      invitations_(&shared_, &reader_, &tokens_),
      responses_(&shared_, &reader_, &tokens_),
      scores_(&reader_) {}

absl::Status SurveyModulePart::Register(app::Runtime& runtime) {
  rpc::Host& host = runtime.host();
  CLM_RETURN_IF_ERROR(runtime.Register(std::make_unique<SurveyBinding>(host, surveys_)));
  CLM_RETURN_IF_ERROR(runtime.Register(std::make_unique<InvitationBinding>(host, invitations_)));
  CLM_RETURN_IF_ERROR(runtime.Register(std::make_unique<ResponseBinding>(host, responses_)));
  return runtime.Register(std::make_unique<ScoreBinding>(host, scores_));
}

std::vector<const pg::Statement*> SurveyModulePart::Statements() const {
  std::vector<const pg::Statement*> statements = SurveyWorkStatements();
  for (const pg::Statement* statement : SurveyReaderStatements()) statements.push_back(statement);
  return statements;
}

}  // namespace clm::feedback
