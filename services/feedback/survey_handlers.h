// The RPCs of SurveyService.
#ifndef CLM_SERVICES_FEEDBACK_SURVEY_HANDLERS_H_
#define CLM_SERVICES_FEEDBACK_SURVEY_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/feedback/v1/survey_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/feedback/module_part.h"
#include "services/feedback/survey_reader.h"

namespace clm::feedback {

// Thread-safe.
class SurveyHandlers {
 public:
  SurveyHandlers(const FeedbackParts* shared, SurveyReader* reader)
      : shared_(*shared), reader_(*reader) {}

  void CreateSurvey(const rpc::Call& call, const v1::CreateSurveyRequest& request,
                    rpc::Reply<v1::Survey> reply);
  absl::StatusOr<v1::Survey> GetSurvey(const rpc::Call& call, const v1::GetSurveyRequest& request);
  absl::StatusOr<v1::ListSurveysResponse> ListSurveys(const rpc::Call& call,
                                                      const v1::ListSurveysRequest& request);
  void UpdateSurvey(const rpc::Call& call, const v1::UpdateSurveyRequest& request,
                    rpc::Reply<v1::Survey> reply);
  void StartSurvey(const rpc::Call& call, const v1::StartSurveyRequest& request,
                   rpc::Reply<v1::Survey> reply);
  void PauseSurvey(const rpc::Call& call, const v1::PauseSurveyRequest& request,
                   rpc::Reply<v1::Survey> reply);
  void CompleteSurvey(const rpc::Call& call, const v1::CompleteSurveyRequest& request,
                      rpc::Reply<v1::Survey> reply);
  absl::StatusOr<v1::FeedbackSettings> GetFeedbackSettings(
      const rpc::Call& call, const v1::GetFeedbackSettingsRequest& request);
  void UpdateFeedbackSettings(const rpc::Call& call,
                              const v1::UpdateFeedbackSettingsRequest& request,
                              rpc::Reply<v1::FeedbackSettings> reply);

 private:
  template <class Req>
  void Move(const rpc::Call& call, const Req& request, SurveyVerb verb,
            rpc::Reply<v1::Survey> reply);

  const FeedbackParts& shared_;
  SurveyReader& reader_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_SURVEY_HANDLERS_H_
