#include "services/feedback/inviting.h"

#include "clm/feedback/v1/survey_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {

void NeedInvite(FeedbackWork& work, const InviteRequest& request) {
  const EntityKey contact{request.key.tenant, request.contact};
  work.Part<ContactsWork>().NeedContact(contact);
  auto& surveys = work.Part<SurveyWork>();
  surveys.NeedSurvey(request.survey);
  surveys.NeedSettings(request.key.tenant);
  surveys.NeedInvitation(request.key);
  surveys.NeedHistory(contact);
}

void KeepInvitation(FeedbackWork& work, journal::Recorder& recorder, StoredInvitation invitation) {
  ++invitation.version;
  invitation.update_time = recorder.now();
  v1::InvitationChanged event;
  *event.mutable_invitation() = ToProto(invitation);
  recorder.Record({.shard = invitation.shard,
                   .tenant = invitation.key.tenant,
                   .subject = event.invitation().name(),
                   .type = v1::InvitationChanged::descriptor()->full_name(),
                   .subject_version = invitation.version,
                   .payload = event.SerializeAsString()});
  work.Part<SurveyWork>().SaveInvitation(invitation);
}

absl::StatusOr<StoredInvitation> Invite(FeedbackWork& work, journal::Recorder& recorder,
                                        const InviteRequest& request) {
  auto& surveys = work.Part<SurveyWork>();
  if (const StoredInvitation* there = surveys.FindInvitation(request.key)) return *there;
  const EntityKey contact{request.key.tenant, request.contact};
  CLM_RETURN_IF_ERROR(CheckContact(work.Part<ContactsWork>(), contact));
  const SurveyWork::Compiled compiled = surveys.FindSurvey(request.survey);
  if (compiled == nullptr) return error::NotFound(NameOf(request.survey));
  const Survey& survey = compiled->survey();
  CLM_RETURN_IF_ERROR(CheckOpen(survey));
  const PauseSettings& settings = surveys.SettingsOf(request.key.tenant);
  StoredInvitation invitation;
  invitation.key = request.key;
  invitation.shard = ShardOf(contact.tenant, contact.id);
  invitation.survey = survey.id;
  invitation.contact = contact.id;
  invitation.relational = survey.relational;
  invitation.about = request.about;
  if (invitation.about.language.empty()) invitation.about.language = survey.default_language;
  invitation.subject = request.subject;
  invitation.create_time = recorder.now();
  invitation.expire_time = recorder.now() + survey.invitation_days * absl::Hours(24);
  invitation.drop_reason =
      MayAsk(survey, survey.relational ? settings.relational_days : settings.transactional_days,
             surveys.AskedOf(contact, survey.id, survey.relational), recorder.now());
  if (invitation.drop_reason != DropReason::kNone) invitation.state = InvitationState::kDropped;
  KeepInvitation(work, recorder, invitation);
  return *surveys.FindInvitation(request.key);
}

}  // namespace clm::feedback
