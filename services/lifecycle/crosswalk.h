// The crosswalk: what stages of different models have in common. Each stage names one canonical
// stage, so that marketing may use one model and success another and their reports still add up.
// Pure.
#ifndef CLM_SERVICES_LIFECYCLE_CROSSWALK_H_
#define CLM_SERVICES_LIFECYCLE_CROSSWALK_H_

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

// What a stage means across models; kUnspecified for an id that `model` lacks, so that sums over
// all stages stay the same.
CanonicalStage CanonicalOf(const StageModel& model, absl::string_view stage);

// A step of a funnel by canonical stage: it is entered with any of these stages.
struct CanonicalStep {
  CanonicalStage canonical = CanonicalStage::kUnspecified;
  std::vector<std::string> stages;  // NORMAL ones, in order of position.

  bool operator==(const CanonicalStep&) const = default;
};
// The canonical stages of the NORMAL stages of `model`, in the order of the crosswalk.
std::vector<CanonicalStep> CanonicalSteps(const StageModel& model);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_CROSSWALK_H_
