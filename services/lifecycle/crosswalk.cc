#include "services/lifecycle/crosswalk.h"

#include <algorithm>
#include <utility>

namespace clm::lifecycle {
namespace {

constexpr CanonicalStage kAll[] = {
    CanonicalStage::kAwareness,   CanonicalStage::kInterest,   CanonicalStage::kConsideration,
    CanonicalStage::kAcquisition, CanonicalStage::kActivation, CanonicalStage::kConversion,
    CanonicalStage::kEngagement,  CanonicalStage::kRetention,  CanonicalStage::kExpansion,
    CanonicalStage::kLoyalty,     CanonicalStage::kAdvocacy,   CanonicalStage::kAtRisk,
    CanonicalStage::kDeactivated,
};

std::vector<std::string> StagesWith(const StageModel& model, CanonicalStage canonical) {
  std::vector<const Stage*> found;
  for (const Stage& stage : model.stages) {
    if (stage.canonical == canonical) found.push_back(&stage);
  }
  std::sort(found.begin(), found.end(),
            [](const Stage* a, const Stage* b) { return a->position < b->position; });
  std::vector<std::string> ids;
  for (const Stage* stage : found) ids.push_back(stage->id);
  return ids;
}

}  // namespace

absl::string_view Name(CanonicalStage stage) {
  switch (stage) {
    case CanonicalStage::kUnspecified:
      return "UNSPECIFIED";
    case CanonicalStage::kAwareness:
      return "AWARENESS";
    case CanonicalStage::kInterest:
      return "INTEREST";
    case CanonicalStage::kConsideration:
      return "CONSIDERATION";
    case CanonicalStage::kAcquisition:
      return "ACQUISITION";
    case CanonicalStage::kActivation:
      return "ACTIVATION";
    case CanonicalStage::kConversion:
      return "CONVERSION";
    case CanonicalStage::kEngagement:
      return "ENGAGEMENT";
    case CanonicalStage::kRetention:
      return "RETENTION";
    case CanonicalStage::kExpansion:
      return "EXPANSION";
    case CanonicalStage::kLoyalty:
      return "LOYALTY";
    case CanonicalStage::kAdvocacy:
      return "ADVOCACY";
    case CanonicalStage::kAtRisk:
      return "AT_RISK";
    case CanonicalStage::kDeactivated:
      return "DEACTIVATED";
  }
  return "";
}

std::optional<CanonicalStage> ParseCanonicalStage(absl::string_view name) {
  for (const CanonicalStage stage : kAll) {
    if (Name(stage) == name) return stage;
  }
  return std::nullopt;
}

absl::Span<const CanonicalStage> CanonicalStages() { return kAll; }

std::vector<std::string> UnmappedStages(const StageModel& model) {
  return StagesWith(model, CanonicalStage::kUnspecified);
}

std::vector<CrosswalkRow> CompareModels(absl::Span<const StageModel* const> models) {
  std::vector<CrosswalkRow> rows;
  const auto add = [&](CanonicalStage canonical) {
    CrosswalkRow row{.canonical = canonical};
    bool any = false;
    for (const StageModel* model : models) {
      row.stages.push_back(StagesWith(*model, canonical));
      any |= !row.stages.back().empty();
    }
    if (any) rows.push_back(std::move(row));
  };
  for (const CanonicalStage canonical : kAll) add(canonical);
  add(CanonicalStage::kUnspecified);
  return rows;
}

CanonicalStage CanonicalOf(const StageModel& model, absl::string_view stage) {
  for (const Stage& one : model.stages) {
    if (one.id == stage) return one.canonical;
  }
  return CanonicalStage::kUnspecified;
}

std::vector<CanonicalStep> CanonicalSteps(const StageModel& model) {
  StageModel normal;
  for (const Stage& stage : model.stages) {
    if (stage.kind == StageKind::kNormal) normal.stages.push_back(stage);
  }
  std::vector<CanonicalStep> steps;
  for (const CanonicalStage canonical : kAll) {
    std::vector<std::string> stages = StagesWith(normal, canonical);
    if (!stages.empty()) steps.push_back({canonical, std::move(stages)});
  }
  return steps;
}

}  // namespace clm::lifecycle
