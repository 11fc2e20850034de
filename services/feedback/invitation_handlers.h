// The RPCs of InvitationService.
#ifndef CLM_SERVICES_FEEDBACK_INVITATION_HANDLERS_H_
#define CLM_SERVICES_FEEDBACK_INVITATION_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/feedback/v1/invitation_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/feedback/invitation_token.h"
#include "services/feedback/module_part.h"
#include "services/feedback/survey_reader.h"

namespace clm::feedback {

// Thread-safe.
class InvitationHandlers {
 public:
  InvitationHandlers(const FeedbackParts* shared, SurveyReader* reader,
                     const InvitationTokens* tokens)
      : shared_(*shared), reader_(*reader), tokens_(*tokens) {}

  absl::StatusOr<v1::CreateInvitationResponse> CreateInvitation(
      const rpc::Call& call, const v1::CreateInvitationRequest& request);
  absl::StatusOr<v1::Invitation> GetInvitation(const rpc::Call& call,
                                               const v1::GetInvitationRequest& request);
  absl::StatusOr<v1::ListInvitationsResponse> ListInvitations(
      const rpc::Call& call, const v1::ListInvitationsRequest& request);
  absl::StatusOr<v1::GetInvitationTokenResponse> GetInvitationToken(
      const rpc::Call& call, const v1::GetInvitationTokenRequest& request);
  absl::StatusOr<v1::Invitation> RevokeInvitation(const rpc::Call& call,
                                                  const v1::RevokeInvitationRequest& request);

 private:
  const FeedbackParts& shared_;
  SurveyReader& reader_;
  const InvitationTokens& tokens_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_INVITATION_HANDLERS_H_
