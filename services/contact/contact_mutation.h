// Changing one contact that may turn out to be another by the time it is locked: merged meanwhile,
// or no longer the one that has the key.
#ifndef CLM_SERVICES_CONTACT_CONTACT_MUTATION_H_
#define CLM_SERVICES_CONTACT_CONTACT_MUTATION_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/reply.h"
#include "services/contact/contact_work.h"
#include "services/contact/upsert.h"

namespace clm::contact {

inline constexpr int kMovedTries = 4;

// What a handler answers when the workers' queue is full.
inline absl::Status Busy() {
  return error::Unavailable("OVERLOADED", "the server is busy; try again", absl::Milliseconds(100));
}

template <class Resp>
struct ContactMutation {
  journal::MutationInfo info;  // Shards and aggregate are those of `key`.
  EntityKey key;
  journal::ShardSet also;  // Locked besides.
  std::function<void(ContactWork&, const EntityKey&)> declare;
  std::function<absl::StatusOr<Resp>(ContactWork&, journal::Recorder&, const EntityKey&)> apply;
};

// Runs the mutation under the shard of its contact, and again under that of another one when
// `apply` answers Moved.
template <class Resp>
void RunOnContact(journal::Lanes& lanes, ContactMutation<Resp> mutation, rpc::Reply<Resp> reply,
                  int tries = kMovedTries) {
  auto shared = std::make_shared<ContactMutation<Resp>>(std::move(mutation));
  journal::MutationInfo info = shared->info;
  info.shards = shared->also;
  info.shards.set(ShardOf(shared->key.tenant, shared->key.id));
  info.aggregate = shared->key.id;
  lanes.Submit(std::make_unique<journal::MutationOf<ContactWork>>(
      std::move(info), [shared](ContactWork& work) { shared->declare(work, shared->key); },
      [shared](ContactWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const Resp response, shared->apply(work, recorder, shared->key));
        return response.SerializeAsString();
      },
      [&lanes, shared, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (const auto to = MovedTo(answer.status()); to && tries > 1) {
          shared->key.id = *to;
          return RunOnContact(lanes, std::move(*shared), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_MUTATION_H_
