// The crosswalk: what stages of different models have in common. Each stage names one canonical
// stage, so that marketing may use one model and success another and their reports still add up.
// Pure.
#ifndef CLM_SERVICES_LIFECYCLE_CROSSWALK_H_
#define CLM_SERVICES_LIFECYCLE_CROSSWALK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/lifecycle/stage_model.h"

namespace clm::lifecycle {

// "AWARENESS" ...; "UNSPECIFIED" for a stage that is not mapped.
absl::string_view Name(CanonicalStage stage);
// nullopt for anything that is not the name of a canonical stage.
std::optional<CanonicalStage> ParseCanonicalStage(absl::string_view name);
// All but kUnspecified, in the order of the crosswalk.
absl::Span<const CanonicalStage> CanonicalStages();

// The ids of the stages that are not mapped, in order of position.
std::vector<std::string> UnmappedStages(const StageModel& model);

// What one canonical stage is in each of the models compared; empty where a model has no such
// stage.
struct CrosswalkRow {
  CanonicalStage canonical = CanonicalStage::kUnspecified;
  std::vector<std::vector<std::string>> stages;  // By model; ids in order of position.

  bool operator==(const CrosswalkRow&) const = default;
};

// One row for every canonical stage that at least one model has, in the order of the crosswalk;
// stages that are not mapped come last. Every stage of every model is in exactly one row.
std::vector<CrosswalkRow> CompareModels(absl::Span<const StageModel* const> models);

// The stages of `to` with the canonical stage that `stage` has in `from`; empty if there are none
// or it is not mapped.
std::vector<std::string> Translate(const StageModel& from, absl::string_view stage,
                                   const StageModel& to);

// Adds up counts by stage to counts by canonical stage. Ids that `model` lacks count as
// unspecified, so that the total stays the same.
std::map<CanonicalStage, int64_t> CountByCanonical(const StageModel& model,
                                                   const std::map<std::string, int64_t>& counts);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_CROSSWALK_H_
