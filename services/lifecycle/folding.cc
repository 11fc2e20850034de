#include "services/lifecycle/folding.h"

#include <algorithm>
#include <utility>

#include "clm/contact/v1/contact.pb.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/payload.h"
#include "services/lifecycle/lifecycle_proto.h"

namespace clm::lifecycle {
namespace {

// `a` and `b` in order, merged.
std::vector<FactPtr> Merged(const std::vector<FactPtr>& a, const std::vector<FactPtr>& b) {
  std::vector<FactPtr> all;
  all.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all), Precedes);
  return all;
}

void Record(LifecycleWork& work, journal::Recorder& recorder, const EntityKey& key,
            absl::Time occur_time, const std::string& cause,
            const google::protobuf::Message& payload) {
  journal::Entry entry;
  entry.shard = ShardOf(key.tenant, key.id);
  entry.tenant = key.tenant;
  entry.subject = EntityName(kContacts, key);
  entry.type = payload.GetDescriptor()->full_name();
  entry.subject_version = ++work.Progress(key).version;
  entry.occur_time = occur_time;
  entry.cause = cause;
  entry.payload = payload.SerializeAsString();
  recorder.Record(std::move(entry));
}

}  // namespace

absl::StatusOr<FoldDecision> DecideFold(LifecycleWork& work, const FoldRequest& request,
                                        absl::Time now) {
  const EntityKey& key = request.customer;
  FoldDecision decision{.customer = key};
  for (const FactPtr& fact : request.facts) {
    const bool twin =
        std::any_of(decision.facts.begin(), decision.facts.end(), [&](const FactPtr& other) {
          return other->id == fact->id && other->fact.at == fact->fact.at;
        });
    if (!twin && !work.HasFact(key, fact)) decision.facts.push_back(fact);
  }
  std::sort(decision.facts.begin(), decision.facts.end(), Precedes);
  const TenantModels& models = work.Models(key.tenant);
  if (models.models.empty()) return decision;

  // That the customer came into being is a fact that is not stored.
  std::vector<FactPtr> fresh = decision.facts;
  FactPtr created;
  if (request.created) {
    created = work.CustomerOf(key).CreatedFact();
    fresh.insert(std::upper_bound(fresh.begin(), fresh.end(), created, Precedes), created);
  }

  for (const auto& model : models.models) {
    if (!request.model.empty() && model->id != request.model) continue;
    const Place& before = work.CustomerOf(key).PlaceIn(model->id);
    bool late = request.anew || model->Outdated(before.state);
    std::vector<FactPtr> concerned;
    for (const FactPtr& fact : fresh) {
      if (!model->plan.Concerns(before.state, fact->fact)) continue;
      late = late || model->plan.IsLate(before.state, fact->fact);
      concerned.push_back(fact);
    }
    if (concerned.empty() && !request.anew && request.until == absl::InfinitePast()) continue;

    PlaceChange change;
    if (late) {
      CLM_RETURN_IF_ERROR(work.LoadAll(key));
      if (created == nullptr) created = work.CustomerOf(key).CreatedFact();
      std::vector<FactPtr> all = Merged(work.FactsOf(key), decision.facts);
      all.insert(std::upper_bound(all.begin(), all.end(), created, Precedes), created);
      const CustomerHistory history(&work.CustomerOf(key), &all);
      CLM_ASSIGN_OR_RETURN(change, Refold(model->plan, before, all, work.LogOf(key, model->id),
                                          history, request.until, now));
    } else {
      if (model->LooksBack(before.state)) CLM_RETURN_IF_ERROR(work.LoadHistory(key));
      const std::vector<FactPtr> all = Merged(work.FactsOf(key), fresh);
      const CustomerHistory history(&work.CustomerOf(key), &all);
      CLM_ASSIGN_OR_RETURN(change,
                           Advance(model->plan, before, concerned, history, request.until, now));
    }
    decision.changes.push_back(std::move(change));
  }
  return decision;
}

void RecordSuperseded(LifecycleWork& work, journal::Recorder& recorder, const EntityKey& subject,
                      const EntityKey& owner, const std::string& model,
                      const std::vector<RecordedTransition>& voided, const std::string& cause) {
  if (voided.empty()) return;
  // Of years of moves, more than one event may hold.
  v1::StagesSuperseded superseded;
  size_t bytes = 0;
  for (const RecordedTransition& line : voided) {
    v1::Transition transition = ToProto(owner, model, line);
    const size_t size = transition.ByteSizeLong() + 8;
    if (bytes + size > journal::kMaxPayload && !superseded.transitions().empty()) {
      Record(work, recorder, subject, recorder.now(), cause, superseded);
      superseded.clear_transitions();
      bytes = 0;
    }
    *superseded.add_transitions() = std::move(transition);
    bytes += size;
  }
  Record(work, recorder, subject, recorder.now(), cause, superseded);
}

void CommitFold(LifecycleWork& work, journal::Recorder& recorder, const FoldDecision& decision,
                const std::string& cause) {
  const EntityKey& key = decision.customer;
  const bool erased = work.CustomerOf(key).status == contact::v1::Contact::STATUS_ERASED;
  for (const FactPtr& fact : decision.facts) work.AddFact(key, fact);
  for (const PlaceChange& change : decision.changes) {
    work.SavePlace(key, change);
    RecordSuperseded(work, recorder, key, key, change.model_id, change.voided, cause);
    for (const RecordedTransition& line : change.appended) {
      v1::StageChanged changed;
      *changed.mutable_transition() = ToProto(key, change.model_id, line);
      changed.set_contact_erased(erased);
      Record(work, recorder, key, line.logged.at, cause, changed);
    }
    const CompiledModel* model = work.Models(key.tenant).Find(change.model_id);
    for (const OverdueNotice& notice : change.overdue) {
      // As it was when the target was passed; the customer may have moved on since.
      Place then = change.after;
      then.state.stage = notice.stage;
      then.state.entered_at = notice.entered_at;
      then.state.overdue = true;
      v1::StageOverdue overdue;
      *overdue.mutable_customer_stage() = ToProto(key, model->newest(), then);
      ToProto(notice.at, overdue.mutable_due_time());
      Record(work, recorder, key, notice.at, cause, overdue);
    }
  }
}

}  // namespace clm::lifecycle
