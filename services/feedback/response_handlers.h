// The RPCs of ResponseService.
#ifndef CLM_SERVICES_FEEDBACK_RESPONSE_HANDLERS_H_
#define CLM_SERVICES_FEEDBACK_RESPONSE_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/feedback/v1/response_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/feedback/invitation_token.h"
#include "services/feedback/module_part.h"
#include "services/feedback/survey_reader.h"

namespace clm::feedback {

// The first four are open to whoever holds a token: it says whose tenant they are about.
// Thread-safe.
class ResponseHandlers {
 public:
  ResponseHandlers(const FeedbackParts* shared, SurveyReader* reader,
                   const InvitationTokens* tokens)
      : shared_(*shared), reader_(*reader), tokens_(*tokens) {}

  void OpenSurvey(const rpc::Call& call, const v1::OpenSurveyRequest& request,
                  rpc::Reply<v1::OpenSurveyResponse> reply);
  void SaveResponse(const rpc::Call& call, const v1::SaveResponseRequest& request,
                    rpc::Reply<v1::SaveResponseResponse> reply);
  void SubmitResponse(const rpc::Call& call, const v1::SubmitResponseRequest& request,
                      rpc::Reply<v1::SubmitResponseResponse> reply);
  void DismissSurvey(const rpc::Call& call, const v1::DismissSurveyRequest& request,
                     rpc::Reply<v1::DismissSurveyResponse> reply);
  absl::StatusOr<v1::Response> GetResponse(const rpc::Call& call,
                                           const v1::GetResponseRequest& request);
  absl::StatusOr<v1::ListResponsesResponse> ListResponses(const rpc::Call& call,
                                                          const v1::ListResponsesRequest& request);

 private:
  // Where blocking is allowed.
  void Submit(const rpc::Call& call, const v1::SubmitResponseRequest& request,
              const InvitationTokens::Content& content,
              rpc::Reply<v1::SubmitResponseResponse> reply);

  const FeedbackParts& shared_;
  SurveyReader& reader_;
  const InvitationTokens& tokens_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_RESPONSE_HANDLERS_H_
