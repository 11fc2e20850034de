// Changing what one member has, who may turn out to be another by the time the shard is locked:
// their contact was merged meanwhile.
#ifndef CLM_SERVICES_LOYALTY_MEMBER_MUTATION_H_
#define CLM_SERVICES_LOYALTY_MEMBER_MUTATION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

inline constexpr int kMovedTries = 4;

// `W`: the unit of work.
template <class Resp, class W = LoyaltyWork>
struct MemberMutation {
  journal::MutationInfo info;  // Shards and aggregate are those of `member`.
  MemberKey member;
  std::optional<MemberKey> also;  // Another one, whose shard is locked besides.
  bool rehearsal = false;         // Answer, and change nothing.
  // `member` as it is by then.
  std::function<void(W&, const MemberKey& member)> declare;
  std::function<absl::StatusOr<Resp>(W&, journal::Recorder&, const MemberKey& member)> apply;
};

namespace internal {

// What a rehearsal ends with, so that nothing of it stays.
inline absl::Status Rehearsed() { return absl::CancelledError("rehearsed"); }

}  // namespace internal

// Runs the mutation under the shard of its member, and again under that of another one when `apply`
// answers Moved.
template <class Resp, class W>
void RunOnMember(journal::Lanes& lanes, MemberMutation<Resp, W> mutation, rpc::Reply<Resp> reply,
                 int tries = kMovedTries) {
  auto shared = std::make_shared<MemberMutation<Resp, W>>(std::move(mutation));
  auto rehearsed = std::make_shared<std::optional<Resp>>();
  journal::MutationInfo info = shared->info;
  info.shards.set(ShardOf(shared->member.tenant, shared->member.contact));
  if (shared->also) info.shards.set(ShardOf(shared->also->tenant, shared->also->contact));
  info.aggregate = shared->member.contact;
  if (shared->rehearsal) info.request_id.clear();
  lanes.Submit(std::make_unique<journal::MutationOf<W>>(
      std::move(info), [shared](W& work) { shared->declare(work, shared->member); },
      [shared, rehearsed](W& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(Resp response, shared->apply(work, recorder, shared->member));
        if (!shared->rehearsal) return response.SerializeAsString();
        *rehearsed = std::move(response);
        return internal::Rehearsed();
      },
      [&lanes, shared, rehearsed, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (const auto to = MovedTo(answer.status()); to && tries > 1) {
          shared->member.contact = *to;
          return RunOnMember(lanes, std::move(*shared), std::move(reply), tries - 1);
        }
        if (*rehearsed && absl::IsCancelled(answer.status())) return reply(**rehearsed);
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MEMBER_MUTATION_H_
