// The one place where a move between stages is judged: for requests of people and programs, for
// rules and for imports alike.
//
//   from none      Any stage. A model that forbids skips demands the first NORMAL stage, unless the
//                  customer was cleared before (after Clear the next entry may be any stage).
//   progress       The furthest NORMAL or LOOP stage held since the last regress or clear. Forward
//                  and back are measured from it, so a visit of a NEGATIVE stage or of an earlier
//                  LOOP stage neither gains nor loses ground, and coming back to the progress
//                  stage itself is not a regress.
//   FORWARD_ONLY   To a later stage, back to the progress stage, or to a LOOP stage. Anything
//                  earlier is a regress.
//   GRAPH          Along a listed edge. An unlisted move back may still be made as a regress.
//   FREE           Anywhere.
//   regress        Needs allow_regress, a reason, and the role. (FREE asks for nothing.)
//   NEGATIVE       Entered from any stage; never progress, never a regress. GRAPH asks for an edge.
//   TERMINAL       Entered likewise. Left by Reactivate only, which opens a new episode.
//   skips          A forward move that jumps over NORMAL stages lists, refuses or backfills them.
//   An
//                  edge of a GRAPH that jumps is permitted by being listed.
//   gates          The entry gate of the new stage and, for a move to a NORMAL or LOOP stage, the
//                  exit gate of the old one.
//   no-op          A move to the current stage, or a clear of no stage, changes nothing.
//
// Pure. A StageTable is immutable and may be shared between threads.
#ifndef CLM_SERVICES_LIFECYCLE_TRANSITION_H_
#define CLM_SERVICES_LIFECYCLE_TRANSITION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/lifecycle/stage_model.h"

namespace clm::lifecycle {

// A valid model, prepared for judging. Stages are numbered by position.
class StageTable {
 public:
  static constexpr int kNone = -1;
  using Mask = uint64_t;

  // `model` must satisfy ValidateModel.
  explicit StageTable(StageModel model);

  const StageModel& model() const { return model_; }
  int size() const { return static_cast<int>(model_.stages.size()); }
  const Stage& stage(int index) const { return model_.stages[index]; }
  // The id, or "" for kNone.
  const std::string& Id(int index) const;
  // kNone when there is no such stage.
  int Find(absl::string_view id) const;
  int initial() const { return initial_; }

  static Mask Bit(int index) { return index == kNone ? 0 : Mask{1} << index; }
  // The stages before `index`.
  static Mask Below(int index) { return index == kNone ? 0 : (Mask{1} << index) - 1; }
  Mask normal() const { return normal_; }      // NORMAL stages.
  Mask progress() const { return progress_; }  // NORMAL and LOOP stages.
  bool HasEdge(int from, int to) const { return (edges_[from] >> to) & 1; }
  std::vector<std::string> Ids(Mask mask) const;
  bool has_gates() const { return has_gates_; }

 private:
  StageModel model_;  // Stages sorted by position.
  absl::flat_hash_map<std::string, int> index_;
  std::vector<Mask> edges_;
  Mask normal_ = 0;
  Mask progress_ = 0;
  int initial_ = kNone;
  bool has_gates_ = false;
};

// Where a customer stands in one model, as far as moves depend on it.
struct Standing {
  int stage = StageTable::kNone;
  int progress = StageTable::kNone;
  StageTable::Mask visited = 0;  // In this episode.
  int32_t episode = 1;
  bool cleared = false;  // The last move was a clear.

  bool operator==(const Standing&) const = default;
};

enum class Verb { kEnter, kClear, kReactivate };

// Where a move leads, seen from where the customer stood. Only kProgress counts as progress.
enum class Direction { kNone, kProgress, kReturn, kRegress, kNegative, kTerminal, kClear };

enum class Refusal {
  kNone,
  kUnknownStage,
  kRegress,        // A regress that was not allowed on purpose.
  kRegressReason,  // Allowed, but without a reason.
  kRegressRole,    // Allowed, but by somebody who may not.
  kNoEdge,
  kSkip,
  kTerminal,      // Out of a terminal stage without Reactivate.
  kNotTerminal,   // Reactivate from a stage that is not terminal.
  kReactivateTo,  // Reactivate to a stage that is not NORMAL or LOOP.
  kEntryGate,
  kExitGate,
  kEarlierStages,
};

// A move as it is judged.
struct Move {
  Verb verb = Verb::kEnter;
  int to = StageTable::kNone;
  bool allow_regress = false;
  bool has_reason = false;
  bool has_role = false;
};

struct Verdict {
  Refusal refusal = Refusal::kNone;
  bool changes = false;  // False with refusal kNone: a no-op.
  Direction direction = Direction::kNone;
  StageTable::Mask skipped = 0;
};

// Whether the gate expression of `stage` holds now.
using GateFn =
    absl::FunctionRef<absl::StatusOr<bool>(const Stage& stage, absl::string_view expression)>;

// Judges without building texts. Fails only if a gate does.
absl::StatusOr<Verdict> Judge(const StageTable& table, const Standing& standing, const Move& move,
                              GateFn gate);

// Where the customer stands after a move that was judged to change something.
Standing After(const StageTable& table, const Standing& before, const Move& move,
               const Verdict& verdict);

// The error for a refusal: FAILED_PRECONDITION with from, to and policy, except INVALID_ARGUMENT
// for an unknown stage or a missing reason and PERMISSION_DENIED for a missing role.
absl::Status RefusalStatus(const StageTable& table, const Standing& standing, absl::string_view to,
                           const Verdict& verdict);

// A move as it is asked for.
struct MoveRequest {
  Verb verb = Verb::kEnter;
  std::string to;  // Empty for kClear.
  bool allow_regress = false;
  std::string reason;
  bool has_role = false;  // The caller may regress customers.

  bool operator==(const MoveRequest&) const = default;
};

// What an accepted request does. `changes` false: nothing is to be written.
struct Transition {
  bool changes = false;
  std::string from;  // Empty: no stage.
  std::string to;
  Direction direction = Direction::kNone;
  std::vector<std::string> skipped;     // Jumped over, and left so (ALLOWED).
  std::vector<std::string> backfilled;  // Entered at the same instant, synthetic (BACKFILLED).
  bool new_episode = false;
  Standing after;
};

// Judge for requests: names instead of numbers, a status instead of a refusal.
absl::StatusOr<Transition> Decide(const StageTable& table, const Standing& standing,
                                  const MoveRequest& request, GateFn gate);

absl::string_view Name(Verb verb);
absl::string_view Name(Direction direction);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_TRANSITION_H_
