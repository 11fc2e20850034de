// Invites somebody within a unit of work: by a call, by something that people did, or by another
// part of the service, such as the resolution of a case.
#ifndef CLM_SERVICES_FEEDBACK_INVITING_H_
#define CLM_SERVICES_FEEDBACK_INVITING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/feedback/feedback_work.h"
#include "services/feedback/survey_rows.h"

namespace clm::feedback {

struct InviteRequest {
  // Of the invitation. The same id again is the same invitation: once per event, per resolution.
  EntityKey key;
  SurveyKey survey;
  Uuid contact;  // Of the same tenant; its shard is locked.
  AskContext about;
  std::string subject;
};

// Before the transaction loads.
void NeedInvite(FeedbackWork& work, const InviteRequest& request);
// The invitation: new, there already, or dropped with its reason. NOT_FOUND without the survey;
// FAILED_PRECONDITION, reason SURVEY_NOT_OPEN; what CheckContact says of the contact.
absl::StatusOr<StoredInvitation> Invite(FeedbackWork& work, journal::Recorder& recorder,
                                        const InviteRequest& request);

// Keeps a changed invitation and tells of it.
void KeepInvitation(FeedbackWork& work, journal::Recorder& recorder, StoredInvitation invitation);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_INVITING_H_
