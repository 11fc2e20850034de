// The RPCs of LedgerService by which points go, and by which they are given back or on.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/give_back.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/ledger_handlers.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/wallet_request.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using Admit = WalletSession::Admit;

int64_t MetadataNumber(const absl::Status& status, absl::string_view key) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(error::MetadataValue(status, key), &number)) return 0;
  return number;
}

}  // namespace

void LedgerHandlers::RedeemPoints(const rpc::Call& call, const v1::RedeemPointsRequest& request,
                                  rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto external = ExternalOf(call, *member, PostingKind::kRedeem, request);
  if (!external.ok()) return reply(external.status());
  const auto velocity = VelocityUseOf(parts_.secret, *member, VelocityOperation::kSpend, request);
  if (!velocity.ok()) return reply(velocity.status());
  const auto rehearsal = RehearsalOf(call, request);
  if (!rehearsal.ok()) return reply(rehearsal.status());
  WalletRequest<v1::PostingResponse> redeem;
  redeem.info = journal::InfoFor(call, member->tenant, request);
  redeem.member = *member;
  redeem.wallet = request.wallet();
  redeem.spend = request.amount();
  redeem.external = *external;
  redeem.velocity = *velocity;
  redeem.rehearsal = *rehearsal;
  redeem.apply = [call, request](
                     LoyaltyWork&,
                     WalletSession& session) -> absl::StatusOr<Made<v1::PostingResponse>> {
    const auto redemption =
        Redeem(session.wallet(), request.amount(), Uuid::V7(session.now()), session.now());
    if (request.dry_run() && error::Reason(redemption.status()) == "POINTS_SHORT") {
      Made<v1::PostingResponse> made;
      *made.response.mutable_balance() = session.balance();
      made.response.set_shortfall(MetadataNumber(redemption.status(), "shortfall"));
      return made;
    }
    CLM_RETURN_IF_ERROR(redemption.status());
    return AnswerOf(
        session.Post(redemption->posting, ExternalNoteOf(call, request, request.amount())),
        session);
  };
  RunOnWallet(*parts_.lanes, std::move(redeem), std::move(reply));
}

void LedgerHandlers::CancelRedemption(const rpc::Call& call,
                                      const v1::CancelRedemptionRequest& request,
                                      rpc::Reply<v1::PostingResponse> reply) {
  const auto key = ParsePostingName("posting", request.posting());
  if (!key.ok()) return reply(key.status());
  PostingRequest<v1::PostingResponse> cancel;
  cancel.info = journal::InfoFor(call, key->member.tenant, request);
  cancel.posting = *key;
  cancel.kinds = {PostingKind::kRedeem, PostingKind::kCapture};
  cancel.only = "a redemption can be cancelled, or the capture of a hold";
  cancel.apply = [call, request](
                     LoyaltyWork& work, WalletSession& session,
                     const StoredPosting& redeemed) -> absl::StatusOr<Made<v1::PostingResponse>> {
    std::optional<int64_t> amount;
    if (request.amount() > 0) amount = request.amount();
    CLM_ASSIGN_OR_RETURN(const StoredPosting posted,
                         GivePointsBack(work, session, redeemed, amount, NoteOf(call, request, 0)));
    return AnswerOf(posted, session);
  };
  RunOnPosting(*parts_.lanes, std::move(cancel), std::move(reply));
}

void LedgerHandlers::TransferPoints(const rpc::Call& call, const v1::TransferPointsRequest& request,
                                    rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto to = ParseMemberName("to_member", request.to_member());
  if (!to.ok()) return reply(to.status());
  if (to->tenant != member->tenant || to->program != member->program) {
    return reply(error::InvalidField("to_member", "is not of the same programme as member"));
  }
  if (*to == *member) return reply(error::InvalidField("to_member", "is the same member"));
  const auto external = ExternalOf(call, *member, PostingKind::kTransfer, request);
  if (!external.ok()) return reply(external.status());
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.also = *to;
  mutation.declare = [request, to = *to, external = *external](LoyaltyWork& work,
                                                               const MemberKey& m) {
    DeclareMember(work, m);
    DeclareMember(work, to);
    work.NeedWallet(WalletOf(m, request.wallet()), request.amount());
    work.NeedWallet(WalletOf(to, request.wallet()));
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.apply = [call, request, to = *to, external = *external](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    using Transferred = absl::StatusOr<Made<v1::PostingResponse>>;
    return Once<v1::PostingResponse>(work, external, [&]() -> Transferred {
      // Whoever the receiver has become would be on a shard that is not locked.
      if (const auto into = MergedInto(work, to)) return MemberMerged("to_member", to, *into);
      CLM_ASSIGN_OR_RETURN(
          WalletSession giver,
          WalletSession::Open(work, recorder, m, request.wallet(), Admit::kMembers));
      CLM_ASSIGN_OR_RETURN(
          WalletSession receiver,
          WalletSession::Open(work, recorder, to, request.wallet(), Admit::kMembers));
      CLM_ASSIGN_OR_RETURN(
          const Posting posting,
          loyalty::TransferPoints(giver.wallet(), receiver.wallet(), request.amount(),
                                  Uuid::V7(giver.now()), giver.now()));
      PostingNote note = ExternalNoteOf(call, request, request.amount());
      note.peer = to.contact;
      const StoredPosting posted = giver.Post(posting, std::move(note));
      PostingNote received = NoteOf(call, request, request.amount());
      received.peer = m.contact;
      receiver.Post(posting, std::move(received));
      CLM_RETURN_IF_ERROR(giver.Record());
      CLM_RETURN_IF_ERROR(receiver.Record());
      return AnswerOf(posted, giver);
    });
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

}  // namespace clm::loyalty
