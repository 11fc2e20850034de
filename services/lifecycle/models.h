// A tenant's stage models in all their revisions: as stored (ModelDefinition), and compiled for
// folding (TenantModels), with a cache of the latter.
#ifndef CLM_SERVICES_LIFECYCLE_MODELS_H_
#define CLM_SERVICES_LIFECYCLE_MODELS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/lifecycle/condition.h"
#include "services/lifecycle/customer.h"
#include "services/lifecycle/fold.h"

namespace clm::lifecycle {

// A rule as it is kept, switched on or off.
struct RuleRecord {
  Rule rule;  // rule.enabled: switched on.
  std::string display_name;
  std::optional<absl::Time> enable_time;
  absl::Time create_time;
  int64_t row_version = 1;
};

// A model as it is kept.
struct ModelDefinition {
  StageModel model;  // The newest version.
  std::string preset;
  absl::Time create_time;
  absl::Time update_time;
  int64_t row_version = 1;
  std::vector<Revision> revisions;          // Rising; at least one.
  std::map<std::string, RuleRecord> rules;  // By id.

  std::vector<Rule> EnabledRules() const;
};

// From `now` on the model and the rules that are switched on judge customers. With `replace` they
// take the place of the latest revision, back to its beginning: for models by which nobody can have
// been judged yet.
void Revise(ModelDefinition& definition, std::map<std::string, std::string> mapping, absl::Time now,
            bool replace);
// The rule judges everything, past revisions included, as far as its stages exist in them.
void ReviseHistory(ModelDefinition& definition, const Rule& rule);

// One model, ready for folding. Immutable.
struct CompiledModel {
  std::string id;
  Plan plan;
  std::vector<std::pair<int32_t, absl::Time>> revisions;  // Number and beginning.
  // What its windows and conditions look at; of all revisions.
  Needs needs;
  bool looks_back = false;  // Conditions or windows: needs must be loaded before folding.

  int32_t latest() const { return revisions.back().first; }
  // A revision began before what the customer has seen already, so what came after it was judged by
  // the wrong one. Facts may be dated a little ahead of the clock.
  bool Outdated(const ModelState& state) const;
  // Folding may look at the history.
  bool LooksBack(const ModelState& state) const {
    return looks_back || (revisions.size() > 1 && state.revision != latest());
  }
  const StageModel& newest() const { return plan.table(absl::InfiniteFuture()).model(); }
};

// The models of a tenant at one epoch. Immutable.
struct TenantModels {
  int64_t epoch = 0;
  std::vector<std::shared_ptr<const CompiledModel>> models;  // By id.

  const CompiledModel* Find(absl::string_view id) const;
  // Whether the fact may concern anybody in any of the models.
  bool MayConcern(const Fact& fact) const;
};

// Checks expressions as well: INVALID_ARGUMENT naming the field at fault.
absl::StatusOr<std::shared_ptr<const CompiledModel>> Compile(
    const std::vector<Revision>& revisions);
absl::StatusOr<std::shared_ptr<const TenantModels>> Compile(
    int64_t epoch, const std::map<std::string, ModelDefinition>& definitions);

// Checks a model and its rules as they would be stored, expressions included.
absl::Status CheckModel(const StageModel& model, const std::vector<Rule>& rules);
absl::Status CheckRule(const Rule& rule, const StageModel& model);

// Compiled models by tenant. Thread-safe.
class ModelCache {
 public:
  // Null unless it holds just this epoch.
  std::shared_ptr<const TenantModels> Get(const std::string& tenant, int64_t epoch) const;
  // Keeps the newer.
  void Put(const std::string& tenant, std::shared_ptr<const TenantModels> models);

 private:
  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<const TenantModels>> models_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_MODELS_H_
