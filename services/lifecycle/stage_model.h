// Stage models and their rules, as data. What a tenant publishes is a StageModel and the Rules that
// move customers through it; both are checked here, whole, before they are stored. A stage is
// identified by (model id, stage id) and never by its label, which may occur twice in one model.
// There is no order across models: positions mean something within one model only.
//
// Plain values and pure functions; safe to share between threads when not modified.
#ifndef CLM_SERVICES_LIFECYCLE_STAGE_MODEL_H_
#define CLM_SERVICES_LIFECYCLE_STAGE_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace clm::lifecycle {

// A model fits into one machine word of stages, which makes every judgement a few bit operations.
inline constexpr int kMaxStages = 64;
inline constexpr int kMaxRules = 500;
inline constexpr int kMaxEdges = 512;
// Stands in Rule::from_stages for having no stage.
inline constexpr char kNoStage[] = "-";
// The longest duration of a trigger and the longest target of a stage.
inline constexpr int kMaxDays = 36500;

// Which moves a model permits. Clear, Reactivate and the first entry have rules of their own
// (transition.h).
enum class Policy {
  kForwardOnly,  // To a later stage. Back only as a regress that is allowed on purpose.
  kGraph,        // Along a listed edge.
  kFree,         // Anywhere.
};

// What becomes of the stages that a forward move jumps over.
enum class SkipPolicy {
  kAllowed,     // They are listed as skipped in the transition.
  kForbidden,   // The move is refused.
  kBackfilled,  // They are entered at the same instant by transitions flagged synthetic.
};

enum class StageKind {
  kNormal,
  // A stage customers come back to: entering it again from a later stage is not a regress, and
  // jumping over it is not a skip.
  kLoop,
  // Never progress, and may be entered from any stage that is not terminal.
  kNegative,
  // The end of an episode. Only Reactivate leads out.
  kTerminal,
};

// The stage that different models have in common, so that reports over several models add up.
enum class CanonicalStage {
  kUnspecified,
  kAwareness,
  kInterest,
  kConsideration,
  kAcquisition,
  kActivation,
  kConversion,
  kEngagement,  // Also nurturing, use and post-purchase.
  kRetention,
  kExpansion,
  kLoyalty,
  kAdvocacy,     // Also referral.
  kAtRisk,       // Also dissatisfaction and decline.
  kDeactivated,  // Also retirement.
};

struct Stage {
  std::string id;     // Unique in the model, stable across its versions.
  std::string label;  // Shown to people. Not unique.
  std::string description;
  int position = 0;  // Unique in the model; the order of stages.
  StageKind kind = StageKind::kNormal;
  CanonicalStage canonical = CanonicalStage::kUnspecified;
  // Filter expressions that must hold when a customer enters, or leaves for a NORMAL or LOOP stage.
  // Empty: no gate. A gate never keeps a customer from a negative or terminal stage.
  std::string entry_gate;
  std::string exit_gate;
  // Entry demands a visit, in this episode, of every NORMAL stage of a lower position.
  bool require_all_earlier = false;
  // A visit longer than this is overdue.
  std::optional<int> target_days;
  // After so many days in the stage the customer is moved to no stage.
  std::optional<int> reset_after_days;

  bool operator==(const Stage&) const = default;
};

struct Edge {
  std::string from;
  std::string to;

  bool operator==(const Edge&) const = default;
};

struct StageModel {
  std::string id;
  int32_t version = 1;
  std::string display_name;
  std::string description;
  Policy policy = Policy::kForwardOnly;
  SkipPolicy skip_policy = SkipPolicy::kAllowed;
  std::vector<Stage> stages;
  std::vector<Edge> edges;  // Only for kGraph.
  // The stage that a customer's first fact leads to when no rule decides otherwise. Empty: none.
  std::string initial_stage;

  bool operator==(const StageModel&) const = default;
};

// What makes a rule look at a customer.
struct Trigger {
  enum class Kind {
    kEvent,            // An event of `types[0]`.
    kEventCount,       // An event of `types[0]`, if then at least `at_least` lie in the window.
    kEventSum,         // The same, if then `property` sums up to at least `at_least`.
    kAttributeChange,  // A change of `attribute`.
    kTimeInStage,      // `duration` after entering the current stage.
    kTimeSinceEvent,   // `duration` after the latest event of any of `types`.
  };
  Kind kind = Kind::kEvent;
  std::vector<std::string> types;
  // The window ending at the event: (at - window, at]. Infinite: all time.
  absl::Duration window = absl::InfiniteDuration();
  int64_t at_least = 0;  // Events, or minor units, or units of `property`.
  std::string property;  // kEventSum: an integer property; empty: the amount of the event.
  std::string currency;  // kEventSum of amounts: only this currency. Empty: amounts of any.
  std::string attribute;
  absl::Duration duration;

  bool operator==(const Trigger&) const = default;
};

struct Rule {
  std::string id;
  int32_t priority = 0;  // The highest wins; ties go to the smallest id.
  std::string model_id;
  // Empty: from any stage that is not terminal, and from none. With kNoStage: from none also.
  std::vector<std::string> from_stages;
  std::string to_stage;
  Trigger trigger;
  std::string condition;       // A filter expression; empty holds always.
  bool enabled = true;         // A disabled rule is kept and dry-run, but moves nobody.
  bool allow_regress = false;  // The rule may lead back in a FORWARD_ONLY or GRAPH model.
  bool reactivate = false;     // The rule leads out of terminal stages, opening a new episode.

  bool operator==(const Rule&) const = default;
};

// Refuses with every bad field at once; paths are relative to the model ("stages[2].label").
absl::Status ValidateModel(const StageModel& model);

// The same for a rule of `model`. Expressions are checked by the filter library, not here.
absl::Status ValidateRule(const Rule& rule, const StageModel& model);

// Each rule, and that their ids differ; paths begin with "rules[i]".
absl::Status ValidateRules(absl::Span<const Rule> rules, const StageModel& model);

// Something outside the model that names one of its stages.
struct Referrer {
  std::string kind;  // "rule", "journey", "segment" ...
  std::string name;
  std::string stage;
};

struct StageMove {
  std::string from;
  std::string to;  // Empty: to no stage.
  int64_t customers = 0;

  bool operator==(const StageMove&) const = default;
};

struct MigrationPlan {
  std::vector<StageMove> moves;  // Every stage of the old version whose customers change stage.
  std::vector<std::string> added;
  std::vector<std::string> removed;
  int64_t customers = 0;  // The sum over `moves`.
};

// Plans the publication of version n+1. `mapping` names for stages of the old version the stage of
// the new one (empty: no stage); a stage that is not named keeps its id. `counts` is the number of
// customers now in each old stage. Refuses with FAILED_PRECONDITION, reason STAGE_IN_USE, when a
// stage that disappears is still named by a referrer, or holds customers and is not mapped; the
// metadata entries "referrers" and "stages" list all of them.
absl::StatusOr<MigrationPlan> PlanMigration(const StageModel& before, const StageModel& after,
                                            const std::map<std::string, std::string>& mapping,
                                            const std::map<std::string, int64_t>& counts,
                                            absl::Span<const Referrer> referrers);

// The UPPER_SNAKE names used in errors, listings and on the wire.
absl::string_view Name(Policy policy);
absl::string_view Name(SkipPolicy policy);
absl::string_view Name(StageKind kind);
absl::string_view Name(Trigger::Kind kind);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_STAGE_MODEL_H_
