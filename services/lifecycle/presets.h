// The preset library: ready stage models to install as they are or to start from. They keep the
// wording and the order of the texts they come from, slips included; where such a text contradicts
// itself the description says so. Every stage is mapped to its canonical stage.
//
// Immutable after start; safe from any thread.
#ifndef CLM_SERVICES_LIFECYCLE_PRESETS_H_
#define CLM_SERVICES_LIFECYCLE_PRESETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/lifecycle/stage_model.h"

namespace clm::lifecycle {

// The id of a preset is the id of its model. The rules name that model id; an installer that gives
// the model another id passes them through RenameModel, and may switch them off for a dry run
// first.
struct Preset {
  StageModel model;
  std::vector<Rule> rules;
};

// All presets: HubSpot's eight stages, the models of the literature, and the two models with rules,
// "non-contractual" and "subscription".
const std::vector<Preset>& Presets();
// Null when there is none.
const Preset* FindPreset(absl::string_view id);
// The same preset under another model id.
Preset RenameModel(Preset preset, const std::string& model_id);

// Customers who buy when they like and leave without a word: first_purchase, repeat, at_risk,
// lapsed, won_back.
StageModel NonContractualModel();

struct NonContractualOptions {
  std::string purchase_type = "purchase";
  int at_risk_after_days = 90;  // Without a purchase.
  int lapsed_after_days = 180;  // Without a purchase; more than at_risk_after_days.
};
// The rules of NonContractualModel. INVALID_ARGUMENT if the thresholds are out of order.
absl::StatusOr<std::vector<Rule>> NonContractualRules(const NonContractualOptions& options);

// A shop that sells once and by subscription, as the demo shop does.
StageModel SubscriptionModel();
std::vector<Rule> SubscriptionRules();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PRESETS_H_
