// The automatic transition log as a pure function of a customer's facts. Loading years of old
// facts, living through them one by one, and rebuilding after a late arrival give the same log,
// because every decision depends on the facts before it and on nothing else.
//
// Order. Facts are ordered by (effective instant, id). At one instant come first a new revision of
// model and rules, then the facts in order of id, then the timers: a purchase at the very instant
// at which "90 days without purchase" falls due keeps the customer. Timers between two facts fire
// in virtual time, each at its exact instant; of timers due at one instant the rule that wins goes
// first, then the overdue notice of the stage, then its reset.
//
// Facts and rules. The rules that name the fact's event type or attribute are candidates when the
// customer's stage is among their stages and trigger and condition hold. They are tried from the
// highest priority down, ties by id: the first whose move is permitted makes it, or ends the matter
// if the customer already is where it leads. A rule whose move is refused (policy, skip, gate,
// terminal) leaves the matter to the next. So a fact causes at most one transition per model,
// besides the synthetic entries of a backfill. If none applies and the customer never had a stage,
// the model's initial stage is entered. Rules of other models play no part.
//
// Timers. TIME_IN_STAGE runs once per visit, and never without a stage. TIME_SINCE_EVENT runs in
// its stages from the latest event of its types, and no earlier than the entry into the stage;
// having led somewhere it waits for the next such event, so a customer moved back by hand stays.
// Each is tried once at its instant; when the condition or the model refuses, it is tried again in
// another visit only. Windows need no timer: counts and sums are looked at when an event of theirs
// arrives.
//
// Manual moves are facts. One that the model refuses at its place in the order, perhaps only since
// a late fact arrived before it, changes nothing and is reported.
//
// Revisions. The revision of model and rules in force at an instant judges it; the first also
// judges everything before. A customer whose stage a new revision maps to another moves at its
// instant.
//
// Plan is immutable and may be shared between threads; the rest are values.
#ifndef CLM_SERVICES_LIFECYCLE_FOLD_H_
#define CLM_SERVICES_LIFECYCLE_FOLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/lifecycle/stage_model.h"
#include "services/lifecycle/transition.h"

namespace clm::lifecycle {

// What a caller attaches to a fact so that its own predicates find the event behind it.
class FactDetails {
 public:
  virtual ~FactDetails() = default;
};

// Something that happened to one customer.
struct Fact {
  enum class Kind { kEvent, kAttribute, kMove };
  absl::Time at;   // Effective instant; finite.
  std::string id;  // Unique per customer.
  Kind kind = Kind::kEvent;
  std::string type;  // Event type, attribute, or for kMove the model that is meant.
  MoveRequest move;  // kMove only.
  const FactDetails* details = nullptr;
};

// A place in the order of a customer's facts.
struct Horizon {
  enum class Phase { kRevision, kFact, kTimer };
  absl::Time at = absl::InfinitePast();
  Phase phase = Phase::kRevision;
  std::string id;  // Of the fact, for kFact.

  bool operator==(const Horizon&) const = default;
};
bool operator<(const Horizon& a, const Horizon& b);

// The end of a stretch of history: the facts up to `last_id` at the instant `at`, or all at `at` if
// null.
struct Moment {
  absl::Time at;
  const std::string* last_id = nullptr;
};

// A customer's events, as far as windows look back. Implementations may fail (they may read a
// database); the fold fails with them and nothing is half done.
class History {
 public:
  virtual ~History() = default;
  // Events of `type` in (after, through].
  virtual absl::StatusOr<int64_t> Count(absl::string_view type, absl::Time after,
                                        const Moment& through) const = 0;
  // Sum over the same events of an integer property, or of the amounts when `property` is empty; of
  // one currency unless `currency` is empty. OUT_OF_RANGE if it does not fit.
  virtual absl::StatusOr<int64_t> Sum(absl::string_view type, absl::string_view property,
                                      absl::string_view currency, absl::Time after,
                                      const Moment& through) const = 0;
  // The instant of the latest event of `type` before `before`. nullopt: none.
  virtual absl::StatusOr<std::optional<absl::Time>> Last(absl::string_view type,
                                                         absl::Time before) const = 0;
};

// History held in memory: for imports, rehearsals and tests.
class MemoryHistory : public History {
 public:
  struct Amount {
    std::string property;  // Empty: the amount of the event.
    std::string currency;  // Empty for plain numbers.
    int64_t value = 0;
  };
  // In any order.
  void Add(const Fact& event, std::vector<Amount> amounts = {});

  absl::StatusOr<int64_t> Count(absl::string_view type, absl::Time after,
                                const Moment& through) const override;
  absl::StatusOr<int64_t> Sum(absl::string_view type, absl::string_view property,
                              absl::string_view currency, absl::Time after,
                              const Moment& through) const override;
  absl::StatusOr<std::optional<absl::Time>> Last(absl::string_view type,
                                                 absl::Time before) const override;

 private:
  using Key = std::pair<absl::Time, std::string>;
  absl::flat_hash_map<std::string, std::map<Key, std::vector<Amount>>> events_;
};

// What a condition or a gate may look at.
struct Situation {
  absl::Time at;
  const Fact* fact = nullptr;  // Null when time itself is the cause.
  absl::string_view stage;     // Empty: none.
  absl::Time entered_at;       // Of that stage.
  int32_t episode = 1;
  Moment moment;                     // The history up to here.
  const History* history = nullptr;  // As given to Fold.
};
// Must depend on nothing but the situation. May be called from several threads.
using Predicate = std::function<absl::StatusOr<bool>(const Situation&)>;

// A model and its rules as they stood for a time. A change of the rules alone is a revision of its
// own, with the model's version as it was.
struct Revision {
  int32_t number = 1;
  absl::Time from = absl::InfinitePast();  // In force from here until the next revision.
  StageModel model;
  std::vector<Rule> rules;
  std::map<std::string, std::string> mapping;  // As in PlanMigration, from the revision before.
};

// Where one customer is in one model: all that a fold must remember. Small; store it as it is.
struct ModelState {
  // A timer rule that is not to be tried now.
  struct Mark {
    std::string rule_id;
    bool fired = false;  // False: tried in this visit, and refused.
    bool operator==(const Mark&) const = default;
  };

  int32_t revision = 0;                          // That judged last; 0: nothing folded yet.
  std::string stage;                             // Empty: none.
  absl::Time entered_at = absl::InfinitePast();  // Into `stage`, or into none.
  int32_t episode = 1;
  int64_t visits = 0;  // Entries into stages, synthetic ones included.
  std::string progress_stage;
  std::vector<std::string> visited;  // In this episode, in the order of the model.
  bool cleared = false;
  bool overdue = false;                          // The overdue notice of this visit has been given.
  absl::Time began_at = absl::InfiniteFuture();  // The first entry.
  int64_t sequence = 0;                          // Of the latest transition.
  std::vector<std::pair<std::string, absl::Time>> last_events;  // By type, types that timers name.
  std::vector<Mark> marks;                                      // By rule id.
  Horizon applied;  // The last fact, timer or revision that took effect.

  bool operator==(const ModelState&) const = default;
};

enum class Cause {
  kRule,      // A rule; `fact_id` is empty when time was its trigger.
  kMove,      // A manual move.
  kInitial,   // The model's initial stage, at the first fact.
  kReset,     // The stage's reset_after_days.
  kRevision,  // A new revision of the model mapped the stage to another.
};

struct LoggedTransition {
  absl::Time at;
  int64_t sequence = 0;  // Rises with every transition of the customer in the model.
  std::string from;      // Empty: no stage.
  std::string to;
  Direction direction = Direction::kNone;
  std::vector<std::string> skipped;
  bool synthetic = false;
  Cause cause = Cause::kRule;
  std::string fact_id;
  std::string rule_id;
  int32_t model_version = 0;
  int32_t episode = 1;  // After the transition.

  bool operator==(const LoggedTransition&) const = default;
};

// A visit outlasted the stage's target. Once per visit; (stage, entered_at) identifies the visit.
struct OverdueNotice {
  absl::Time at;
  std::string stage;
  absl::Time entered_at;

  bool operator==(const OverdueNotice&) const = default;
};

struct RefusedMove {
  std::string fact_id;
  absl::Status status;
};

struct FoldResult {
  ModelState state;
  std::vector<LoggedTransition> transitions;
  std::vector<OverdueNotice> overdue;
  std::vector<RefusedMove> refused;
  // The earliest instant at which folding further does something without a new fact; may lie in the
  // past of the clock if `until` did. InfiniteFuture: never.
  absl::Time next_due = absl::InfiniteFuture();
};

// A model with its rules in all its revisions, prepared for folding.
class Plan {
 public:
  // Turns an expression into a predicate; called once per non-empty condition and gate.
  using Compiler = absl::FunctionRef<absl::StatusOr<Predicate>(absl::string_view expression)>;

  // `revisions`: of one model, by rising number and `from`. The first one's `from` is not looked
  // at: it judges everything before, too.
  static absl::StatusOr<Plan> Compile(std::vector<Revision> revisions, Compiler compiler);

  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  const std::string& model_id() const;
  // The table of the revision in force at `at`.
  const StageTable& table(absl::Time at) const;
  // Whether Fold may ask the history at all; if not, an empty MemoryHistory will do.
  bool needs_history() const;
  // Whether there can be a customer whom the fact concerns: no state is needed to tell that there
  // is none.
  bool MayConcern(const Fact& fact) const;
  // Whether the fact can make any difference to a customer in this state. What does not concern a
  // model need not be folded.
  bool Concerns(const ModelState& state, const Fact& fact) const;
  // Whether the fact concerns the model and belongs before what `state` has seen: then the customer
  // is folded again, from an earlier state or from ModelState{}, and the logs are reconciled.
  bool IsLate(const ModelState& state, const Fact& fact) const;

 private:
  friend class Folder;
  struct Compiled;
  Plan();
  bool Touches(int32_t reached, absl::Time began_at, const Fact& fact) const;
  std::vector<std::unique_ptr<const Compiled>> revisions_;
  // Of all revisions.
  absl::flat_hash_set<std::string> event_types_;
  bool any_event_ = false;
};

// Applies `facts`, which must be in order, to `checkpoint`, and then lets time run to `until`
// (InfinitePast: not beyond the last fact). FAILED_PRECONDITION with reason FACT_LATE if a fact
// belongs before the checkpoint, TIMER_LOOP if timers alone cause transitions without end.
absl::StatusOr<FoldResult> Fold(const Plan& plan, const ModelState& checkpoint,
                                absl::Span<const Fact> facts, absl::Time until,
                                const History& history);

// The difference between the log as stored and as folded again.
struct Reconciliation {
  std::vector<int64_t> voided;             // Sequences of stored transitions that no longer hold.
  std::vector<LoggedTransition> appended;  // New ones, with sequences that follow all stored.
  int64_t last_sequence = 0;               // To be kept in the state.
};

// Both logs in order of (at, sequence), the voided left out. What both contain is kept, so that
// nobody is told of a change that is none. Transitions of one instant are kept or replaced
// together, so the order by (at, sequence) stays right.
Reconciliation Reconcile(absl::Span<const LoggedTransition> stored,
                         absl::Span<const LoggedTransition> folded, int64_t last_sequence);

absl::string_view Name(Cause cause);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_FOLD_H_
