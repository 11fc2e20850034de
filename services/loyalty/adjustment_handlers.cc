#include "services/loyalty/adjustment_handlers.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/adjustment_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/adjusting.h"
#include "services/loyalty/adjustment_proto.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/rule_earning.h"
#include "services/loyalty/wallet_request.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

absl::Status AdjustedErased() {
  return error::Precondition("MEMBER_ERASED", "name: the person whose balance it is was erased");
}

// Whom it is about. Nothing of it has to wait for the points of who was merged.
Uuid AboutWhom(const Adjustment& adjustment) {
  return adjustment.merged_into.value_or(*adjustment.contact);
}

v1::Adjustment KeepAdjustment(LoyaltyWork& work, journal::Recorder& recorder,
                              Adjustment adjustment) {
  ++adjustment.version;
  work.adjustments().Save(adjustment);
  v1::Adjustment answer = ToProto(adjustment, recorder.now());
  v1::AdjustmentChanged changed;
  *changed.mutable_adjustment() = answer;
  // Free text may name a person, and the journal is kept.
  changed.mutable_adjustment()->clear_reason();
  changed.mutable_adjustment()->clear_reject_reason();
  recorder.Record({.shard = ShardOf(adjustment.key.tenant, *adjustment.contact),
                   .tenant = adjustment.key.tenant,
                   .subject = NameOf(adjustment.key),
                   .type = v1::AdjustmentChanged::descriptor()->full_name(),
                   .subject_version = adjustment.version,
                   .payload = changed.SerializeAsString()});
  return answer;
}

// Whether points of the member can move. The programme; Moved, NOT_FOUND and MEMBER_ERASED as
// WalletSession::Open says.
absl::StatusOr<const Program*> CheckAdjusted(const LoyaltyWork& work, const MemberKey& member,
                                             int64_t amount) {
  const ProgramKey key{member.tenant, member.program};
  const Program* program = work.FindProgram(key);
  if (program == nullptr) return error::NotFound(NameOf(key));
  if (const auto into = MergedInto(work, member)) return Moved(*into);
  const Member* known = work.FindMember(member);
  if (known != nullptr && known->erased) {
    return error::Precondition("MEMBER_ERASED", "member: the person was erased");
  }
  const bool admitted = amount > 0 ? Admits(work, *program, member) : known != nullptr;
  if (!admitted) return error::NotFound(NameOf(member));
  return program;
}

// A decision about a proposal that there is.
struct AdjustmentDecision {
  journal::MutationInfo info;
  AdjustmentKey key;
  bool posts = false;
  std::function<absl::StatusOr<v1::Adjustment>(LoyaltyWork&, journal::Recorder&, const MemberKey&,
                                               Adjustment)>
      apply;
};

void RunOnAdjustment(const AdjustmentHandlers::Parts& parts, const rpc::Call& call,
                     AdjustmentDecision decision, rpc::Reply<v1::Adjustment> reply) {
  // Whose shard it is under; if that is another one by then, the mutation begins again.
  const auto known = parts.reader->Get(decision.key, call.deadline);
  if (!known.ok()) return reply(known.status());
  if (!known->contact) return reply(AdjustedErased());
  MemberMutation<v1::Adjustment> mutation;
  mutation.info = std::move(decision.info);
  mutation.info.shards.set(ShardOf(decision.key.tenant, absl::string_view(NameOf(decision.key))));
  mutation.member = {decision.key.tenant, decision.key.program, AboutWhom(*known)};
  mutation.declare = [key = decision.key, posts = decision.posts, wallet = known->wallet,
                      amount = known->amount](LoyaltyWork& work, const MemberKey& member) {
    DeclareMember(work, member);
    work.adjustments().Need(key);
    if (posts) work.NeedWallet(WalletOf(member, wallet), SpendOf(amount));
  };
  mutation.apply = [decision = std::move(decision)](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& member) -> absl::StatusOr<v1::Adjustment> {
    const Adjustment* stored = work.adjustments().Find(decision.key);
    if (stored == nullptr) return error::NotFound(NameOf(decision.key));
    if (!stored->contact) return AdjustedErased();
    if (AboutWhom(*stored) != member.contact) return Moved(AboutWhom(*stored));
    if (const auto into = MergedInto(work, member)) return Moved(*into);
    Adjustment now = *stored;
    now.contact = member.contact;
    return decision.apply(work, recorder, member, std::move(now));
  };
  RunOnMember(*parts.lanes, std::move(mutation), std::move(reply));
}

}  // namespace

void AdjustmentHandlers::ProposeAdjustment(const rpc::Call& call,
                                           const v1::ProposeAdjustmentRequest& request,
                                           rpc::Reply<v1::Adjustment> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  if (request.amount() == 0) return reply(error::InvalidField("amount", "must not be 0"));
  const auto terms = ParseAdjustTerms(request.expiry());
  if (!terms.ok()) return reply(terms.status());
  Adjustment adjustment;
  adjustment.key = {member->tenant, member->program, Uuid::V7(call.now)};
  adjustment.amount = request.amount();
  adjustment.expiry = request.expiry();
  adjustment.reason = request.reason();
  adjustment.proposed_by = call.caller.actor;
  MemberMutation<v1::Adjustment> propose;
  propose.info = journal::InfoFor(call, member->tenant, request);
  propose.member = *member;
  propose.declare = &DeclareMember;
  propose.apply = [adjustment = std::move(adjustment), wallet = request.wallet()](
                      LoyaltyWork& work, journal::Recorder& recorder,
                      const MemberKey& m) -> absl::StatusOr<v1::Adjustment> {
    CLM_ASSIGN_OR_RETURN(const Program* program, CheckAdjusted(work, m, adjustment.amount));
    CLM_ASSIGN_OR_RETURN(const WalletTerms* of, FindWallet(*program, wallet));
    Adjustment made = adjustment;
    made.contact = m.contact;
    made.wallet = of->id;
    made.propose_time = recorder.now();
    made.lapse_time = recorder.now() + kAdjustmentWaits;
    return KeepAdjustment(work, recorder, std::move(made));
  };
  RunOnMember(*parts_.lanes, std::move(propose), std::move(reply));
}

absl::StatusOr<v1::Adjustment> AdjustmentHandlers::GetAdjustment(
    const rpc::Call& call, const v1::GetAdjustmentRequest& request) {
  CLM_ASSIGN_OR_RETURN(const AdjustmentKey key, ParseAdjustmentName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const Adjustment adjustment, parts_.reader->Get(key, call.deadline));
  return ToProto(adjustment, call.now);
}

absl::StatusOr<v1::ListAdjustmentsResponse> AdjustmentHandlers::ListAdjustments(
    const rpc::Call& call, const v1::ListAdjustmentsRequest& request) {
  AdjustmentReader::Query query;
  CLM_ASSIGN_OR_RETURN(query.program, ParseProgramName("parent", request.parent()));
  if (!request.member().empty()) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("member", request.member()));
    if (member.tenant != query.program.tenant || member.program != query.program.program) {
      return error::InvalidField("member", "is of another programme than the parent");
    }
    query.member = member.contact;
  }
  if (request.state() != v1::Adjustment::STATE_UNSPECIFIED) {
    query.state = static_cast<AdjustmentState>(request.state());
  }
  query.now = call.now;
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListAdjustments", request.parent(), request.member(),
                                         absl::StrCat(static_cast<int>(request.state()))};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  if (!last.empty()) query.before = Uuid::FromBytes(last[0]);
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(auto adjustments, parts_.reader->List(query, call.deadline));
  v1::ListAdjustmentsResponse response;
  const bool more = static_cast<int>(adjustments.size()) > size;
  if (more) adjustments.resize(size);
  for (const Adjustment& adjustment : adjustments) {
    *response.add_adjustments() = ToProto(adjustment, call.now);
  }
  if (more) {
    response.set_next_page_token(
        parts_.tokens->Encode(list, {adjustments.back().key.id.ToBytes()}));
  }
  return response;
}

void AdjustmentHandlers::ApproveAdjustment(const rpc::Call& call,
                                           const v1::ApproveAdjustmentRequest& request,
                                           rpc::Reply<v1::Adjustment> reply) {
  const auto key = ParseAdjustmentName("name", request.name());
  if (!key.ok()) return reply(key.status());
  AdjustmentDecision approve;
  approve.info = journal::InfoFor(call, key->tenant, request);
  approve.key = *key;
  approve.posts = true;
  approve.apply = [actor = call.caller.actor](
                      LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& member,
                      const Adjustment& before) -> absl::StatusOr<v1::Adjustment> {
    CLM_ASSIGN_OR_RETURN(Adjustment approved, Approve(before, actor, recorder.now()));
    CLM_ASSIGN_OR_RETURN(const EarnTerms terms, ParseAdjustTerms(before.expiry));
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, member, before.wallet, AdmitFor(before.amount)));
    CLM_ASSIGN_OR_RETURN(
        const StoredPosting posting,
        Adjust(session, before.amount, terms, {.reason = before.reason, .actor = actor}));
    CLM_RETURN_IF_ERROR(session.Record());
    approved.posted_for = member.contact;
    approved.posting = posting.key.number;
    return KeepAdjustment(work, recorder, std::move(approved));
  };
  RunOnAdjustment(parts_, call, std::move(approve), std::move(reply));
}

void AdjustmentHandlers::RejectAdjustment(const rpc::Call& call,
                                          const v1::RejectAdjustmentRequest& request,
                                          rpc::Reply<v1::Adjustment> reply) {
  const auto key = ParseAdjustmentName("name", request.name());
  if (!key.ok()) return reply(key.status());
  AdjustmentDecision reject;
  reject.info = journal::InfoFor(call, key->tenant, request);
  reject.key = *key;
  reject.apply = [actor = call.caller.actor, reason = request.reason()](
                     LoyaltyWork& work, journal::Recorder& recorder, const MemberKey&,
                     const Adjustment& before) -> absl::StatusOr<v1::Adjustment> {
    CLM_ASSIGN_OR_RETURN(Adjustment rejected, Reject(before, actor, reason, recorder.now()));
    return KeepAdjustment(work, recorder, std::move(rejected));
  };
  RunOnAdjustment(parts_, call, std::move(reject), std::move(reply));
}

}  // namespace clm::loyalty
