// The RPCs of LedgerService that set points aside.
#include <optional>
#include <string>
#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/ledger_handlers.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/wallet_request.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

void LedgerHandlers::HoldPoints(const rpc::Call& call, const v1::HoldPointsRequest& request,
                                rpc::Reply<v1::HoldResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto external = ExternalOf(call, *member, PostingKind::kHold, request);
  if (!external.ok()) return reply(external.status());
  const auto velocity = VelocityUseOf(parts_.secret, *member, VelocityOperation::kSpend, request);
  if (!velocity.ok()) return reply(velocity.status());
  std::optional<DurationSpec> duration;
  if (!request.duration().empty()) {
    const auto parsed = ParseDurationSpec("duration", request.duration());
    if (!parsed.ok()) return reply(parsed.status());
    duration = *parsed;
  }
  WalletRequest<v1::HoldResponse> place;
  place.info = journal::InfoFor(call, member->tenant, request);
  place.member = *member;
  place.wallet = request.wallet();
  place.spend = request.amount();
  place.external = *external;
  place.velocity = *velocity;
  place.apply = [call, request, duration](
                    LoyaltyWork& work,
                    WalletSession& session) -> absl::StatusOr<Made<v1::HoldResponse>> {
    const absl::Time now = session.now();
    const PendingRule lasts{PendingRule::Kind::kAfter, duration.value_or(session.program().hold)};
    NewHold hold{.id = Uuid::V7(now), .amount = request.amount()};
    hold.expire_time = *ActiveFrom(lasts, now, ZoneOf(session.program()));
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         PlaceHold(session.wallet(), hold, Uuid::V7(now), now));
    const StoredPosting posted =
        session.Post(posting, ExternalNoteOf(call, request, request.amount()));
    const MemberKey& m = session.member();
    work.SaveHold(m, hold.id, {.wallet = session.key(), .create_time = now});
    Made<v1::HoldResponse> made{{}, posted.key};
    *made.response.mutable_hold() =
        ToProto(m, session.wallet().holds.at(hold.id), *work.FindHold(m, hold.id));
    *made.response.mutable_balance() = session.balance();
    return made;
  };
  RunOnWallet(*parts_.lanes, std::move(place), std::move(reply));
}

namespace {

// Ends a hold by `end`, which answers with the posting and how many points were spent.
template <class Req, class End>
void EndHold(journal::Lanes& lanes, const rpc::Call& call, const Req& request, End end,
             rpc::Reply<v1::HoldResponse> reply) {
  const auto name = ParseHoldName("hold", request.hold());
  if (!name.ok()) return reply(name.status());
  MemberMutation<v1::HoldResponse> mutation;
  mutation.info = journal::InfoFor(call, name->member.tenant, request);
  mutation.member = name->member;
  mutation.declare = [id = name->hold](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedHold(m, id);
  };
  mutation.apply = [call, request, end, id = name->hold](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::HoldResponse> {
    if (const auto into = MergedInto(work, m)) return Moved(*into);
    if (work.FindHold(m, id) == nullptr) return error::NotFound(NameOf(HoldName{m, id}));
    LoyaltyWork::HoldPlace place = *work.FindHold(m, id);
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, m, place.wallet.wallet,
                                             WalletSession::Admit::kMembers));
    int64_t held = 0;
    for (const Allocation& part : session.wallet().holds.at(id).allocations) held += part.amount;
    CLM_ASSIGN_OR_RETURN(const auto ended, end(session, id));
    const auto& [posting, captured] = ended;
    const int64_t amount = posting.kind == PostingKind::kCapture ? captured : held;
    const StoredPosting posted = session.Post(posting, NoteOf(call, request, amount));
    place.captured = captured;
    place.end_posting = posted.key.number;
    work.SaveHold(m, id, place);
    v1::HoldResponse response;
    *response.mutable_hold() = ToProto(m, session.wallet().holds.at(id), place);
    *response.mutable_balance() = session.balance();
    CLM_RETURN_IF_ERROR(session.Record());
    return response;
  };
  RunOnMember(lanes, std::move(mutation), std::move(reply));
}

}  // namespace

void LedgerHandlers::CaptureHold(const rpc::Call& call, const v1::CaptureHoldRequest& request,
                                 rpc::Reply<v1::HoldResponse> reply) {
  const auto capture = [amount = request.amount()](
                           WalletSession& session,
                           const Uuid& id) -> absl::StatusOr<std::pair<Posting, int64_t>> {
    int64_t points = amount;
    if (points == 0) {
      for (const Allocation& part : session.wallet().holds.at(id).allocations)
        points += part.amount;
    }
    CLM_ASSIGN_OR_RETURN(
        const Redemption redemption,
        loyalty::CaptureHold(session.wallet(), id, points, Uuid::V7(session.now()), session.now()));
    return std::pair(redemption.posting, points);
  };
  EndHold(*parts_.lanes, call, request, capture, std::move(reply));
}

void LedgerHandlers::ReleaseHold(const rpc::Call& call, const v1::ReleaseHoldRequest& request,
                                 rpc::Reply<v1::HoldResponse> reply) {
  const auto release = [](WalletSession& session,
                          const Uuid& id) -> absl::StatusOr<std::pair<Posting, int64_t>> {
    CLM_ASSIGN_OR_RETURN(
        const Posting posting,
        loyalty::ReleaseHold(session.wallet(), id, Uuid::V7(session.now()), session.now()));
    return std::pair(posting, int64_t{0});
  };
  EndHold(*parts_.lanes, call, request, release, std::move(reply));
}

}  // namespace clm::loyalty
