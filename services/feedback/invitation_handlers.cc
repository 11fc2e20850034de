#include "services/feedback/invitation_handlers.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/page_token.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/feedback/contact_changes.h"
#include "services/feedback/invitation_pages.h"
#include "services/feedback/inviting.h"
#include "services/feedback/survey_work.h"

namespace clm::feedback {
namespace {

// How often a contact is followed who turns out to be somebody else.
constexpr int kTries = 4;

}  // namespace

absl::StatusOr<v1::CreateInvitationResponse> InvitationHandlers::CreateInvitation(
    const rpc::Call& call, const v1::CreateInvitationRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  const v1::Invitation& wanted = request.invitation();
  InviteRequest invite;
  CLM_ASSIGN_OR_RETURN(invite.survey, ParseSurveyName("invitation.survey", wanted.survey()));
  CLM_ASSIGN_OR_RETURN(const EntityKey contact,
                       ParseEntityName("invitation.contact", kContacts, wanted.contact()));
  if (!wanted.name().empty()) {
    return error::InvalidField("invitation.name", "must be empty: it is given");
  }
  invite.key = {tenant, Uuid::V7(call.now)};
  invite.contact = contact.id;
  invite.about = {wanted.channel(), wanted.campaign(), wanted.order(), wanted.agent(),
                  wanted.language()};
  invite.subject = wanted.subject();
  // Somebody who is not there is not invited; a silent contact service stops nobody.
  if (shared_.context_of) {
    const auto context = shared_.context_of(wanted.contact(), call.deadline);
    if (absl::IsNotFound(context.status())) return error::NotFound(wanted.contact());
    if (context.ok() && invite.about.language.empty()) {
      invite.about.language = context->contact().locale();
    }
  }
  journal::MutationInfo info = journal::InfoFor(call, tenant, request);
  for (int tries = 1;; ++tries) {
    journal::MutationInfo mine = info;
    mine.shards.set(ShardOf(tenant, invite.contact));
    mine.aggregate = invite.contact;
    auto answer = shared_.lanes->Run<FeedbackWork>(
        std::move(mine), [&](FeedbackWork& work) { NeedInvite(work, invite); },
        [&](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_ASSIGN_OR_RETURN(const StoredInvitation made, Invite(work, recorder, invite));
          v1::CreateInvitationResponse response;
          *response.mutable_invitation() = ToProto(made);
          return response.SerializeAsString();
        });
    if (const auto moved = MovedTo(answer.status()); moved && tries < kTries) {
      invite.contact = *moved;
      continue;
    }
    CLM_RETURN_IF_ERROR(answer.status());
    v1::CreateInvitationResponse response;
    if (!response.ParseFromString(answer->response)) return error::Internal("internal error");
    // Not part of the recorded answer: it would stand in the database.
    if (response.invitation().state() != v1::Invitation::STATE_DROPPED) {
      CLM_ASSIGN_OR_RETURN(const EntityKey key,
                           ParseEntityName("name", kInvitations, response.invitation().name()));
      CLM_ASSIGN_OR_RETURN(const EntityKey person,
                           ParseEntityName("contact", kContacts, response.invitation().contact()));
      response.set_token(tokens_.Encode({key, ShardOf(tenant, person.id)}));
    }
    return response;
  }
}

absl::StatusOr<v1::Invitation> InvitationHandlers::GetInvitation(
    const rpc::Call& call, const v1::GetInvitationRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kInvitations, request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredInvitation found, reader_.GetInvitation(key, call.deadline));
  return ToProto(found);
}

absl::StatusOr<v1::ListInvitationsResponse> InvitationHandlers::ListInvitations(
    const rpc::Call& call, const v1::ListInvitationsRequest& request) {
  SurveyReader::Query query;
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
  const std::vector<std::string> list = {"ListInvitations", request.parent(), request.survey(),
                                         request.contact()};
  CLM_ASSIGN_OR_RETURN(query.before, BeforeOf(*shared_.tokens, list, request.page_token()));
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(std::vector<StoredInvitation> found,
                       reader_.ListInvitations(query, call.deadline));
  v1::ListInvitationsResponse response;
  response.set_next_page_token(CutPage(*shared_.tokens, list, size, found));
  for (const StoredInvitation& one : found) *response.add_invitations() = ToProto(one);
  return response;
}

absl::StatusOr<v1::GetInvitationTokenResponse> InvitationHandlers::GetInvitationToken(
    const rpc::Call& call, const v1::GetInvitationTokenRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kInvitations, request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredInvitation found, reader_.GetInvitation(key, call.deadline));
  if (found.state == InvitationState::kDropped) {
    return error::Precondition("INVITATION_DROPPED",
                               "name: the person was not invited, being asked too often");
  }
  v1::GetInvitationTokenResponse response;
  response.set_token(tokens_.Encode({key, found.shard}));
  return response;
}

absl::StatusOr<v1::Invitation> InvitationHandlers::RevokeInvitation(
    const rpc::Call& call, const v1::RevokeInvitationRequest& request) {
  CLM_ASSIGN_OR_RETURN(const EntityKey key, ParseEntityName("name", kInvitations, request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredInvitation known, reader_.GetInvitation(key, call.deadline));
  journal::MutationInfo info = journal::InfoFor(call, key.tenant, request);
  info.shards.set(known.shard);
  info.aggregate = known.contact;
  CLM_ASSIGN_OR_RETURN(
      const journal::Answer answer,
      shared_.lanes->Run<FeedbackWork>(
          std::move(info), [&](FeedbackWork& work) { work.Part<SurveyWork>().NeedInvitation(key); },
          [&](FeedbackWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
            StoredInvitation one = *work.Part<SurveyWork>().FindInvitation(key);
            if (one.state == InvitationState::kDropped) {
              return error::Precondition("INVITATION_DROPPED",
                                         "name: the person was not invited, being asked too often");
            }
            if (one.state == InvitationState::kRevoked) return ToProto(one).SerializeAsString();
            one.state = InvitationState::kRevoked;
            KeepInvitation(work, recorder, one);
            return ToProto(one).SerializeAsString();
          }));
  v1::Invitation response;
  if (!response.ParseFromString(answer.response)) return error::Internal("internal error");
  return response;
}

}  // namespace clm::feedback
