// The way from a call to the lanes and back, for handlers that change something.
#ifndef CLM_LIBS_JOURNAL_MUTATE_H_
#define CLM_LIBS_JOURNAL_MUTATE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "libs/journal/lanes.h"
#include "libs/journal/mutation.h"
#include "libs/rpc/call.h"
#include "libs/rpc/fingerprint.h"
#include "libs/rpc/reply.h"

namespace clm::journal {

// What the journal must know of a request: whose it is, how it is recognised when it is repeated,
// how long the caller waits. The shards are left to the handler. `Req` has a request_id.
template <class Req>
MutationInfo InfoFor(const rpc::Call& call, std::string tenant, const Req& request) {
  MutationInfo info;
  info.tenant = std::move(tenant);
  if (!request.request_id().empty()) {
    info.request_id = absl::AsciiStrToLower(request.request_id());
    info.fingerprint = rpc::Fingerprint(request, call.method);
    info.cause = "request:" + info.request_id;
  }
  info.actor = call.caller.actor;
  info.traceparent = call.traceparent;
  info.deadline = call.deadline;
  return info;
}

// Queues a mutation and answers the call with its outcome: the serialized response that `apply`
// returned, or the one recorded when the same request first took effect.
template <class W, class Resp>
void Mutate(Lanes& lanes, MutationInfo info, typename MutationOf<W>::DeclareFn declare,
            typename MutationOf<W>::ApplyFn apply, rpc::Reply<Resp> reply) {
  lanes.Submit(std::make_unique<MutationOf<W>>(
      std::move(info), std::move(declare), std::move(apply),
      [reply = std::move(reply)](absl::StatusOr<Answer> answer) mutable {
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_MUTATE_H_
