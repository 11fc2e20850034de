// The RPCs of LedgerService by which points come, and by which they are taken back.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/status.h"
#include "services/loyalty/earn_terms.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/ledger_handlers.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/wallet_request.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using Admit = WalletSession::Admit;

absl::StatusOr<Made<v1::PostingResponse>> EarnIn(WalletSession& session, const rpc::Call& call,
                                                 const v1::EarnPointsRequest& request,
                                                 const EarnTerms& terms) {
  const absl::Time now = session.now();
  CLM_ASSIGN_OR_RETURN(
      const Posting posting,
      Earn(session.wallet(), LotOf(session, request.amount(), terms, now), Uuid::V7(now), now));
  PostingNote note = ExternalNoteOf(call, request, request.amount());
  note.earn_time = now;
  return AnswerOf(session.Post(posting, std::move(note)), session);
}

// The lot that an earn made.
absl::StatusOr<Uuid> LotOf(const StoredPosting& posting) {
  for (const Entry& entry : posting.posting.entries) {
    if (entry.lot) return *entry.lot;
  }
  return error::Internal("a posting that earned points names no lot");
}

}  // namespace

void LedgerHandlers::EarnPoints(const rpc::Call& call, const v1::EarnPointsRequest& request,
                                rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto terms = ParseEarnTerms("", request.pending(), request.expiry());
  if (!terms.ok()) return reply(terms.status());
  const auto external = ExternalOf(call, *member, PostingKind::kEarn, request);
  if (!external.ok()) return reply(external.status());
  const auto velocity = VelocityUseOf(parts_.secret, *member, VelocityOperation::kEarn, request);
  if (!velocity.ok()) return reply(velocity.status());
  const auto rehearsal = RehearsalOf(call, request);
  if (!rehearsal.ok()) return reply(rehearsal.status());
  WalletRequest<v1::PostingResponse> earn;
  earn.info = journal::InfoFor(call, member->tenant, request);
  earn.member = *member;
  earn.wallet = request.wallet();
  earn.admit = Admit::kNewcomers;
  earn.external = *external;
  earn.velocity = *velocity;
  earn.rehearsal = *rehearsal;
  earn.apply = [call, request, terms = *terms](LoyaltyWork&, WalletSession& session) {
    return EarnIn(session, call, request, terms);
  };
  RunOnWallet(*parts_.lanes, std::move(earn), std::move(reply));
}

void LedgerHandlers::ActivatePoints(const rpc::Call& call, const v1::ActivatePointsRequest& request,
                                    rpc::Reply<v1::PostingResponse> reply) {
  const auto key = ParsePostingName("posting", request.posting());
  if (!key.ok()) return reply(key.status());
  PostingRequest<v1::PostingResponse> activate;
  activate.info = journal::InfoFor(call, key->member.tenant, request);
  activate.posting = *key;
  activate.kinds = {PostingKind::kEarn};
  activate.only = "earned points can be made active";
  activate.apply = [call, request, key = *key](
                       LoyaltyWork&, WalletSession& session,
                       const StoredPosting& earned) -> absl::StatusOr<Made<v1::PostingResponse>> {
    CLM_ASSIGN_OR_RETURN(const Uuid lot, LotOf(earned));
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         Activate(session.wallet(), lot, Uuid::V7(session.now()), session.now()));
    PostingNote note = NoteOf(call, request, earned.amount);
    note.refers_to = key;
    return AnswerOf(session.Post(posting, std::move(note)), session);
  };
  RunOnPosting(*parts_.lanes, std::move(activate), std::move(reply));
}

void LedgerHandlers::ReturnPoints(const rpc::Call& call, const v1::ReturnPointsRequest& request,
                                  rpc::Reply<v1::ReturnPointsResponse> reply) {
  const auto key = ParsePostingName("posting", request.posting());
  if (!key.ok()) return reply(key.status());
  const auto external = ExternalOf(call, key->member, PostingKind::kReturn, request);
  if (!external.ok()) return reply(external.status());
  PostingRequest<v1::ReturnPointsResponse> take;
  take.info = journal::InfoFor(call, key->member.tenant, request);
  take.posting = *key;
  take.take_back = true;
  take.kinds = {PostingKind::kEarn};
  take.only = "earned points can be taken back";
  take.external = *external;
  take.apply = [call, request, key = *key](
                   LoyaltyWork&, WalletSession& session,
                   const StoredPosting& earned) -> absl::StatusOr<Made<v1::ReturnPointsResponse>> {
    CLM_ASSIGN_OR_RETURN(const Uuid lot, LotOf(earned));
    const auto kept = session.wallet().lots.find(lot);
    if (kept == session.wallet().lots.end()) return error::Internal("a lot is not stored");
    int64_t amount = request.amount();
    if (amount == 0) {
      amount = kept->second.earned - kept->second.returned;
    }
    if (amount == 0) {
      return error::Precondition("RETURN_EXCEEDED",
                                 "posting: all of its points were taken back already",
                                 {{"available", "0"}});
    }
    const absl::Time earn_time = kept->second.earn_time;
    CLM_ASSIGN_OR_RETURN(const Return taken,
                         ReturnEarned(session.wallet(), lot, amount, session.terms().return_policy,
                                      Uuid::V7(session.now()), session.now()));
    Made<v1::ReturnPointsResponse> made{{}, key};
    made.response.set_not_taken(taken.not_taken);
    if (!taken.posting.entries.empty()) {
      PostingNote note = ExternalNoteOf(call, request, amount - taken.not_taken);
      note.refers_to = key;
      note.earn_time = earn_time;
      const StoredPosting posted = session.Post(taken.posting, std::move(note));
      *made.response.mutable_posting() = ToProto(posted);
      made.posting = posted.key;
    }
    *made.response.mutable_balance() = session.balance();
    return made;
  };
  RunOnPosting(*parts_.lanes, std::move(take), std::move(reply));
}

namespace {

// One of a batch on its way.
struct EarnItem {
  absl::Status status;
  v1::EarnPointsRequest request;
  MemberKey member;
  EarnTerms terms;
  External external;
  VelocityUse velocity;
};

EarnItem ItemOf(const rpc::Call& call, const std::string& secret, const ProgramKey& program,
                const v1::EarnPointsRequest& wire, const std::string& prefix) {
  EarnItem item{.request = wire};
  error::FieldErrors errors;
  if (!wire.request_id().empty()) errors.Add(prefix + "request_id", "is for EarnPoints only");
  if (wire.dry_run()) errors.Add(prefix + "dry_run", "is for EarnPoints only");
  if (wire.has_now()) errors.Add(prefix + "now", "is for EarnPoints only");
  const auto member = ParseMemberName(prefix + "member", wire.member());
  errors.AddStatus("", member.status());
  if (member.ok()) item.member = *member;
  if (member.ok() && ProgramKey{member->tenant, member->program} != program) {
    errors.Add(prefix + "member", "is of another programme than the parent");
  }
  const auto terms = ParseEarnTerms(prefix, wire.pending(), wire.expiry());
  errors.AddStatus("", terms.status());
  if (terms.ok()) item.terms = *terms;
  const auto external = ExternalOf(call, item.member, PostingKind::kEarn, wire);
  errors.AddStatus(prefix, external.status());
  if (external.ok()) item.external = *external;
  const auto velocity = VelocityUseOf(secret, item.member, VelocityOperation::kEarn, wire);
  errors.AddStatus(prefix.substr(0, prefix.size() - 1), velocity.status());
  if (velocity.ok()) item.velocity = *velocity;
  item.status = errors.ToStatus();
  return item;
}

absl::StatusOr<v1::PostingResponse> EarnItemNow(const rpc::Call& call, const EarnItem& item,
                                                LoyaltyWork& work, journal::Recorder& recorder) {
  using Earned = absl::StatusOr<Made<v1::PostingResponse>>;
  return Once<v1::PostingResponse>(work, item.external, [&]() -> Earned {
    if (const auto into = MergedInto(work, item.member))
      return MemberMerged("member", item.member, *into);
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, item.member, item.request.wallet(), Admit::kNewcomers));
    CLM_RETURN_IF_ERROR(
        CheckVelocity(work, session.program(), item.member, item.velocity, session.now()));
    Earned earned = EarnIn(session, call, item.request, item.terms);
    // One that fails does not undo the others, and must not count.
    if (earned.ok()) {
      CLM_RETURN_IF_ERROR(
          CountVelocity(work, session.program(), item.member, item.velocity, session.now()));
    }
    // What was due has happened, whatever became of the item.
    CLM_RETURN_IF_ERROR(session.Record());
    return earned;
  });
}

// A large batch is carried out in parts that share no members' shards, so that two of them run at
// the same time; a small one gains nothing by it.
constexpr int kParts = 2;
constexpr size_t kLeastToSplit = 16;

int PartOf(const EarnItem& item) {
  return ShardOf(item.member.tenant, item.member.contact) * kParts / kShards;
}

using EarnItems = std::vector<const EarnItem*>;

// One mutation for those items, which `all` keeps; the answer has their results alone.
std::unique_ptr<journal::Mutation> MutationFor(
    const rpc::Call& call, std::shared_ptr<const std::vector<EarnItem>> all, EarnItems items,
    journal::MutationInfo info, absl::AnyInvocable<void(absl::StatusOr<journal::Answer>)> done) {
  info.weight = std::max(1, static_cast<int>(items.size()));
  for (const EarnItem* item : items) {
    if (!item->status.ok()) continue;
    info.shards.set(ShardOf(item->member.tenant, item->member.contact));
    AddShards(item->member, item->velocity, info.shards);
  }
  auto shared = std::make_shared<const EarnItems>(std::move(items));
  return std::make_unique<journal::MutationOf<LoyaltyWork>>(
      std::move(info),
      [shared](LoyaltyWork& work) {
        for (const EarnItem* item : *shared) {
          if (!item->status.ok()) continue;
          DeclareMember(work, item->member);
          work.NeedWallet(WalletOf(item->member, item->request.wallet()));
          if (item->external.key) work.NeedExternal(*item->external.key);
          NeedVelocity(work, item->member, item->velocity);
        }
      },
      [call, all = std::move(all), shared](
          LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        v1::BatchEarnPointsResponse response;
        for (const EarnItem* item : *shared) {
          v1::BatchEarnPointsResponse::Result* result = response.add_results();
          if (!item->status.ok()) {
            *result->mutable_status() = rpc::ToRpcStatus(item->status);
            continue;
          }
          const auto earned = EarnItemNow(call, *item, work, recorder);
          *result->mutable_status() = rpc::ToRpcStatus(earned.status());
          if (earned.ok()) result->set_posting(earned->posting().name());
        }
        return response.SerializeAsString();
      },
      std::move(done));
}

// The parts of a batch on their way to one answer.
class EarnParts {
 public:
  EarnParts(int parts, int results, bool replayed, rpc::Reply<v1::BatchEarnPointsResponse> reply)
      : left_(parts), replayed_(replayed), reply_(std::move(reply)) {
    for (int i = 0; i < results; ++i) response_.add_results();
  }

  v1::BatchEarnPointsResponse::Result* result(int i) { return response_.mutable_results(i); }

  // What became of the items in those places. The last part answers the call.
  void Done(const std::vector<int>& places, absl::StatusOr<journal::Answer> answer) {
    absl::MutexLock lock(&mu_);
    v1::BatchEarnPointsResponse part;
    if (!answer.ok()) {
      status_.Update(answer.status());
    } else if (!part.ParseFromString(answer->response) ||
               part.results_size() != static_cast<int>(places.size())) {
      status_.Update(error::Internal("the stored answer cannot be read"));
    } else {
      replayed_ &= answer->replayed;
      for (size_t i = 0; i < places.size(); ++i) {
        result(places[i])->Swap(part.mutable_results(static_cast<int>(i)));
      }
    }
    if (--left_ > 0) return;
    if (!status_.ok()) return reply_(status_);
    if (replayed_) reply_.MarkReplay();
    reply_(std::move(response_));
  }

 private:
  absl::Mutex mu_;
  int left_;
  bool replayed_;
  absl::Status status_;
  v1::BatchEarnPointsResponse response_;
  rpc::Reply<v1::BatchEarnPointsResponse> reply_;
};

void RunParts(journal::Lanes& lanes, const rpc::Call& call,
              const std::shared_ptr<const std::vector<EarnItem>>& items,
              const journal::MutationInfo& info, bool replayed,
              rpc::Reply<v1::BatchEarnPointsResponse> reply) {
  std::map<int, std::vector<int>> places;
  for (size_t i = 0; i < items->size(); ++i) {
    const EarnItem& item = (*items)[i];
    if (item.status.ok()) places[PartOf(item)].push_back(static_cast<int>(i));
  }
  auto parts = std::make_shared<EarnParts>(
      static_cast<int>(places.size()), static_cast<int>(items->size()), replayed, std::move(reply));
  for (size_t i = 0; i < items->size(); ++i) {
    if ((*items)[i].status.ok()) continue;
    *parts->result(static_cast<int>(i))->mutable_status() = rpc::ToRpcStatus((*items)[i].status);
  }
  std::vector<std::unique_ptr<journal::Mutation>> mutations;
  for (auto& [part, own] : places) {
    journal::MutationInfo its = info;
    its.shards.reset();
    // A part is repeated by itself: the others may have taken effect.
    if (const auto id = Uuid::Parse(info.request_id)) {
      its.request_id = Uuid::V5(*id, absl::StrCat("part ", part)).ToString();
    }
    EarnItems chosen;
    for (const int place : own) chosen.push_back(&(*items)[place]);
    mutations.push_back(
        MutationFor(call, items, std::move(chosen), std::move(its),
                    [parts, own = std::move(own)](absl::StatusOr<journal::Answer> answer) {
                      parts->Done(own, std::move(answer));
                    }));
  }
  lanes.Submit(std::move(mutations));
}

}  // namespace

void LedgerHandlers::BatchEarnPoints(const rpc::Call& call,
                                     const v1::BatchEarnPointsRequest& request,
                                     rpc::Reply<v1::BatchEarnPointsResponse> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  auto items = std::make_shared<std::vector<EarnItem>>();
  items->reserve(request.requests_size());
  size_t valid = 0;
  for (int i = 0; i < request.requests_size(); ++i) {
    const EarnItem& item = items->emplace_back(ItemOf(
        call, parts_.secret, *program, request.requests(i), absl::StrCat("requests[", i, "].")));
    valid += item.status.ok() ? 1 : 0;
  }
  journal::MutationInfo info = journal::InfoFor(call, program->tenant, request);
  journal::Lanes& lanes = *parts_.lanes;
  // Where a part or the claim of the whole has no shard by its members.
  const int shard = ShardOf(program->tenant, NameOf(*program));
  if (valid < kLeastToSplit) {
    if (valid == 0) info.shards.set(shard);
    EarnItems all;
    for (const EarnItem& item : *items) all.push_back(&item);
    lanes.Submit(
        MutationFor(call, items, std::move(all), std::move(info),
                    [reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
                      if (!answer.ok()) return reply(answer.status());
                      if (answer->replayed) reply.MarkReplay();
                      reply.Bytes(std::move(answer->response));
                    }));
    return;
  }
  if (info.request_id.empty()) return RunParts(lanes, call, items, info, false, std::move(reply));
  // First of all the request is claimed as a whole, so that another body is refused before any part
  // of it takes effect.
  journal::MutationInfo claim = info;
  claim.shards.set(shard);
  lanes.Submit(std::make_unique<journal::MutationOf<LoyaltyWork>>(
      std::move(claim), [](LoyaltyWork&) {},
      [](LoyaltyWork&, journal::Recorder&) -> absl::StatusOr<std::string> { return std::string(); },
      [&lanes, call, items, info,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (!answer.ok()) return reply(answer.status());
        RunParts(lanes, call, items, info, answer->replayed, std::move(reply));
      }));
}

}  // namespace clm::loyalty
