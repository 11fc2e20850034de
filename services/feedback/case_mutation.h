// Changing a case that there is, whose contact may turn out to be another by the time its shards
// are locked.
#ifndef CLM_SERVICES_FEEDBACK_CASE_MUTATION_H_
#define CLM_SERVICES_FEEDBACK_CASE_MUTATION_H_

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
#include "services/feedback/case_changes.h"
#include "services/feedback/case_reader.h"
#include "services/feedback/feedback_work.h"
#include "services/feedback/module_part.h"

namespace clm::feedback {

inline constexpr int kMovedTries = 4;

template <class Resp>
struct CaseMutation {
  journal::MutationInfo info;  // Shards and aggregate are those of the case.
  EntityKey key;
  std::string etag_field = "etag";
  std::string etag;
  // With what is due of the case raised already.
  std::function<absl::StatusOr<Resp>(CaseWork&, journal::Recorder&, const Case& before)> apply;
};

// Runs it under the shards of the case and of its contact.
template <class Resp>
void RunOnCase(const FeedbackParts& shared, CaseReader& reader, absl::Time deadline,
               CaseMutation<Resp> mutation, rpc::Reply<Resp> reply, int tries = kMovedTries) {
  const auto known = reader.Get(mutation.key, deadline);
  if (!known.ok()) return reply(known.status());
  auto kept = std::make_shared<CaseMutation<Resp>>(std::move(mutation));
  journal::MutationInfo info = kept->info;
  info.shards.set(known->shard);
  if (known->contact) info.shards.set(ShardOf(kept->key.tenant, *known->contact));
  info.aggregate = known->contact;
  shared.lanes->Submit(std::make_unique<journal::MutationOf<FeedbackWork>>(
      std::move(info), [kept](FeedbackWork& work) { work.Part<CaseWork>().NeedCase(kept->key); },
      [kept, contact = known->contact](FeedbackWork& work,
                                       journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        auto& cases = work.Part<CaseWork>();
        const Case* stored = cases.Find(kept->key);
        if (stored == nullptr) return error::NotFound(NameOfCase(kept->key));
        if (stored->contact != contact && stored->contact) {
          return error::Make(absl::StatusCode::kAborted, "CONTACT_MOVED",
                             "contact: was merged into another one; repeat the call",
                             {{"contact_id", stored->contact->ToString()}});
        }
        CLM_RETURN_IF_ERROR(CheckEtag(kept->etag_field, kept->etag, stored->version));
        CLM_ASSIGN_OR_RETURN(const Resp response,
                             kept->apply(cases, recorder, RaiseDue(cases, recorder, *stored)));
        return response.SerializeAsString();
      },
      [&shared, &reader, deadline, kept, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (error::Reason(answer.status()) == "CONTACT_MOVED" && tries > 1) {
          return RunOnCase(shared, reader, deadline, std::move(*kept), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_MUTATION_H_
