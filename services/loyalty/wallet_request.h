// What the requests that move points of one wallet have in common: whose it is, the caller's own
// id, rehearsals, and the way into the lanes.
#ifndef CLM_SERVICES_LOYALTY_WALLET_REQUEST_H_
#define CLM_SERVICES_LOYALTY_WALLET_REQUEST_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/ledger_service.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/lanes.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/call.h"
#include "libs/rpc/fingerprint.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/velocity_use.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

// What every change of one member needs.
void DeclareMember(LoyaltyWork& work, const MemberKey& member);
// Without an id: the programme's first.
WalletKey WalletOf(const MemberKey& member, const std::string& wallet);

// The caller's own id of what is asked for.
struct External {
  std::optional<ExternalKey> key;
  std::string fingerprint;
};

// INVALID_ARGUMENT for a source without an id.
template <class Req>
absl::StatusOr<External> ExternalOf(const rpc::Call& call, const MemberKey& member,
                                    PostingKind kind, const Req& request) {
  if (request.external_id().empty()) {
    if (request.source().empty()) return External();
    return error::InvalidField("source", "is for external_id only");
  }
  return External{
      ExternalKey{member.tenant, member.program, request.source(), request.external_id(), kind},
      rpc::Fingerprint(request, call.method)};
}

// The stored answer of the same request; nullptr when the id is new. ALREADY_EXISTS, reason
// EXTERNAL_ID_REUSED, when it stands for another one; FAILED_PRECONDITION when an erasure took the
// answer away.
absl::StatusOr<const std::string*> FindAnswer(const LoyaltyWork& work, const External& external);

// What a request has come to, and the posting that the caller's own id stands for from now on.
template <class Resp>
struct Made {
  Resp response;
  PostingKey posting;
};

// The answer of `decide`, or the one that the same external id got before.
template <class Resp>
absl::StatusOr<Resp> Once(LoyaltyWork& work, const External& external,
                          absl::FunctionRef<absl::StatusOr<Made<Resp>>()> decide) {
  CLM_ASSIGN_OR_RETURN(const std::string* answer, FindAnswer(work, external));
  if (answer != nullptr) {
    Resp response;
    if (response.ParseFromString(*answer)) return response;
    return error::Internal("the stored answer cannot be read");
  }
  CLM_ASSIGN_OR_RETURN(Made<Resp> made, decide());
  if (external.key) {
    work.SaveExternal(*external.key, {made.posting.member, made.posting.wallet, made.posting.number,
                                      external.fingerprint, made.response.SerializeAsString()});
  }
  return std::move(made.response);
}

// What a caller says about a posting, without and with an own id.
template <class Req>
PostingNote NoteOf(const rpc::Call& call, const Req& request, int64_t amount) {
  PostingNote note;
  note.amount = amount;
  note.reason = request.reason();
  note.actor = call.caller.actor;
  return note;
}
template <class Req>
PostingNote ExternalNoteOf(const rpc::Call& call, const Req& request, int64_t amount) {
  PostingNote note = NoteOf(call, request, amount);
  note.source = request.source();
  note.external_id = request.external_id();
  return note;
}

// A posting with what the member has after it.
Made<v1::PostingResponse> AnswerOf(const StoredPosting& posting, const WalletSession& session);

// Whether a request only asks what would happen, and when.
struct Rehearsal {
  bool dry_run = false;
  std::optional<absl::Time> now;  // Absent: at the instant of the transaction.
};
// INVALID_ARGUMENT on `now` when it lies in the past, or is given without dry_run.
template <class Req>
absl::StatusOr<Rehearsal> RehearsalOf(const rpc::Call& call, const Req& request) {
  Rehearsal rehearsal{.dry_run = request.dry_run()};
  if (!request.has_now()) return rehearsal;
  if (!request.dry_run()) return error::InvalidField("now", "is for dry_run only");
  rehearsal.now = clm::FromProto(request.now());
  if (*rehearsal.now < call.now) return error::InvalidField("now", "lies in the past");
  return rehearsal;
}

// Moves points of a member's wallet.
template <class Resp>
struct WalletRequest {
  journal::MutationInfo info;
  MemberKey member;
  std::string wallet;  // Empty: the programme's first.
  int64_t spend = 0;   // As for LoyaltyWork::NeedWallet.
  WalletSession::Admit admit = WalletSession::Admit::kMembers;
  External external;
  Rehearsal rehearsal;
  std::optional<VelocityUse> velocity;
  // Decides and posts.
  std::function<absl::StatusOr<Made<Resp>>(LoyaltyWork&, WalletSession&)> apply;
};

template <class Resp>
void RunOnWallet(journal::Lanes& lanes, WalletRequest<Resp> request, rpc::Reply<Resp> reply) {
  MemberMutation<Resp> mutation;
  mutation.info = std::move(request.info);
  mutation.member = request.member;
  mutation.rehearsal = request.rehearsal.dry_run;
  if (request.velocity) AddShards(request.member, *request.velocity, mutation.info.shards);
  mutation.declare = [request](LoyaltyWork& work, const MemberKey& member) {
    DeclareMember(work, member);
    work.NeedWallet(WalletOf(member, request.wallet), request.spend);
    if (request.rehearsal.now) work.NeedDueBy(*request.rehearsal.now);
    if (request.external.key) work.NeedExternal(*request.external.key);
    if (request.velocity) NeedVelocity(work, member, *request.velocity);
  };
  mutation.apply = [request](LoyaltyWork& work, journal::Recorder& recorder,
                             const MemberKey& member) -> absl::StatusOr<Resp> {
    return Once<Resp>(work, request.external, [&]() -> absl::StatusOr<Made<Resp>> {
      CLM_ASSIGN_OR_RETURN(WalletSession session,
                           WalletSession::Open(work, recorder, member, request.wallet,
                                               request.admit, request.rehearsal.now));
      if (request.velocity) {
        CLM_RETURN_IF_ERROR(
            CountVelocity(work, session.program(), member, *request.velocity, session.now()));
      }
      CLM_ASSIGN_OR_RETURN(Made<Resp> made, request.apply(work, session));
      CLM_RETURN_IF_ERROR(session.Record());
      return made;
    });
  };
  RunOnMember(lanes, std::move(mutation), std::move(reply));
}

// Moves points that an earlier posting moved.
template <class Resp>
struct PostingRequest {
  journal::MutationInfo info;
  PostingKey posting;
  bool take_back = false;  // As for LoyaltyWork::NeedPosting.
  std::vector<PostingKind> kinds;
  std::string only;  // What is said of a posting of another kind.
  External external;
  // Decides and posts. `earlier` is the posting asked about.
  std::function<absl::StatusOr<Made<Resp>>(LoyaltyWork&, WalletSession&,
                                           const StoredPosting& earlier)>
      apply;
};

// NOT_FOUND when there is no such posting; FAILED_PRECONDITION, reason POSTING_KIND, when it is of
// none of the kinds.
absl::StatusOr<StoredPosting> RequirePosting(const LoyaltyWork& work, const PostingKey& key,
                                             const std::vector<PostingKind>& kinds,
                                             absl::string_view only);

template <class Resp>
void RunOnPosting(journal::Lanes& lanes, PostingRequest<Resp> request, rpc::Reply<Resp> reply) {
  MemberMutation<Resp> mutation;
  mutation.info = std::move(request.info);
  mutation.member = request.posting.member;
  mutation.declare = [request](LoyaltyWork& work, const MemberKey& member) {
    DeclareMember(work, member);
    work.NeedPosting(request.posting, WalletOf(member, request.posting.wallet), request.take_back);
    if (request.external.key) work.NeedExternal(*request.external.key);
  };
  mutation.apply = [request](LoyaltyWork& work, journal::Recorder& recorder,
                             const MemberKey& member) -> absl::StatusOr<Resp> {
    return Once<Resp>(work, request.external, [&]() -> absl::StatusOr<Made<Resp>> {
      CLM_ASSIGN_OR_RETURN(WalletSession session,
                           WalletSession::Open(work, recorder, member, request.posting.wallet,
                                               WalletSession::Admit::kMembers));
      CLM_ASSIGN_OR_RETURN(const StoredPosting earlier,
                           RequirePosting(work, request.posting, request.kinds, request.only));
      CLM_ASSIGN_OR_RETURN(Made<Resp> made, request.apply(work, session, earlier));
      CLM_RETURN_IF_ERROR(session.Record());
      return made;
    });
  };
  RunOnMember(lanes, std::move(mutation), std::move(reply));
}

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_WALLET_REQUEST_H_
