// How a mutation folds a customer: which of its models the new facts concern, whether the past must
// be folded again, and what the journal is told. First all is decided, then all is staged and
// recorded, so that a refusal leaves nothing behind.
#ifndef CLM_SERVICES_LIFECYCLE_FOLDING_H_
#define CLM_SERVICES_LIFECYCLE_FOLDING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/journal/mutation.h"
#include "services/lifecycle/customer.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

struct FoldRequest {
  EntityKey customer;
  std::vector<FactPtr> facts;  // New ones, in any order; those seen before are left out.
  // Also a fact: the customer has just come into being.
  bool created = false;
  // Lets time run so far; InfinitePast: not beyond the last fact.
  absl::Time until = absl::InfinitePast();
  // Folds everything again, whether or not a fact is late.
  bool anew = false;
  // Limits the fold to one model; empty: all.
  std::string model;
};

struct FoldDecision {
  EntityKey customer;
  std::vector<FactPtr> facts;  // The new ones, in order.
  std::vector<PlaceChange> changes;
};

// Reads, and changes nothing.
absl::StatusOr<FoldDecision> DecideFold(LifecycleWork& work, const FoldRequest& request,
                                        absl::Time now);

// Stages the decision. Records one StageChanged per move, one StagesSuperseded per model whose log
// was corrected, one StageOverdue per notice; `cause` is what brought it about.
void CommitFold(LifecycleWork& work, journal::Recorder& recorder, const FoldDecision& decision,
                const std::string& cause);

// Records that moves of `owner` turned out untrue, as news about `subject`, whose shard is locked.
void RecordSuperseded(LifecycleWork& work, journal::Recorder& recorder, const EntityKey& subject,
                      const EntityKey& owner, const std::string& model,
                      const std::vector<RecordedTransition>& voided, const std::string& cause);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_FOLDING_H_
