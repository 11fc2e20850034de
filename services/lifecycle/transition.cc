#include "services/lifecycle/transition.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

using Mask = StageTable::Mask;
constexpr int kNone = StageTable::kNone;

absl::StatusOr<Refusal> CheckGates(const StageTable& table, const Standing& standing,
                                   const Move& move, const Verdict& verdict, GateFn gate) {
  if (!table.has_gates()) return Refusal::kNone;
  const bool onward =
      verdict.direction == Direction::kProgress || verdict.direction == Direction::kReturn;
  if (onward && standing.stage != kNone && !table.stage(standing.stage).exit_gate.empty()) {
    const Stage& from = table.stage(standing.stage);
    CLM_ASSIGN_OR_RETURN(const bool open, gate(from, from.exit_gate));
    if (!open) return Refusal::kExitGate;
  }
  const Stage& to = table.stage(move.to);
  if (to.kind != StageKind::kNormal && to.kind != StageKind::kLoop) return Refusal::kNone;
  const Mask visited = move.verb == Verb::kReactivate ? 0 : standing.visited;
  if (to.require_all_earlier && (table.normal() & StageTable::Below(move.to) & ~visited) != 0) {
    return Refusal::kEarlierStages;
  }
  if (!to.entry_gate.empty()) {
    CLM_ASSIGN_OR_RETURN(const bool open, gate(to, to.entry_gate));
    if (!open) return Refusal::kEntryGate;
  }
  return Refusal::kNone;
}

// The judgement of Verb::kEnter, gates left out.
Verdict JudgeEnter(const StageTable& table, const Standing& standing, const Move& move) {
  const int from = standing.stage;
  const int to = move.to;
  const Policy policy = table.model().policy;
  if (to == from) return {};
  if (from != kNone && table.stage(from).kind == StageKind::kTerminal) {
    return {.refusal = Refusal::kTerminal};
  }
  const bool unlisted = policy == Policy::kGraph && from != kNone && !table.HasEdge(from, to);
  Verdict verdict{.changes = true};
  const StageKind kind = table.stage(to).kind;
  if (kind == StageKind::kNegative || kind == StageKind::kTerminal) {
    if (unlisted) return {.refusal = Refusal::kNoEdge};
    verdict.direction = kind == StageKind::kNegative ? Direction::kNegative : Direction::kTerminal;
    return verdict;
  }
  if (standing.progress == kNone) {
    if (unlisted) return {.refusal = Refusal::kNoEdge};
    verdict.direction = Direction::kProgress;
    verdict.skipped = table.normal() & StageTable::Below(to) & ~standing.visited;
  } else if (to > standing.progress) {
    if (unlisted) return {.refusal = Refusal::kNoEdge};
    verdict.direction = Direction::kProgress;
    verdict.skipped = table.normal() & StageTable::Below(to) &
                      ~StageTable::Below(standing.progress) & ~StageTable::Bit(standing.progress);
  } else if (to == standing.progress || kind == StageKind::kLoop) {
    if (unlisted) return {.refusal = Refusal::kNoEdge};
    verdict.direction = Direction::kReturn;
  } else {
    verdict.direction = Direction::kRegress;
    if (policy == Policy::kForwardOnly || unlisted) {
      if (!move.allow_regress) return {.refusal = Refusal::kRegress};
      if (!move.has_reason) return {.refusal = Refusal::kRegressReason};
      if (!move.has_role) return {.refusal = Refusal::kRegressRole};
    }
  }
  const bool listed = policy == Policy::kGraph && from != kNone;
  if (verdict.skipped != 0 && table.model().skip_policy == SkipPolicy::kForbidden && !listed &&
      !standing.cleared) {
    return {.refusal = Refusal::kSkip, .skipped = verdict.skipped};
  }
  return verdict;
}

const char* Reason(Refusal refusal) {
  switch (refusal) {
    case Refusal::kRegress:
      return "REGRESS_NOT_ALLOWED";
    case Refusal::kNoEdge:
      return "NO_EDGE";
    case Refusal::kSkip:
      return "SKIP_FORBIDDEN";
    case Refusal::kTerminal:
      return "STAGE_TERMINAL";
    case Refusal::kNotTerminal:
      return "STAGE_NOT_TERMINAL";
    case Refusal::kReactivateTo:
      return "REACTIVATE_TO_PROGRESS_ONLY";
    case Refusal::kEntryGate:
      return "ENTRY_GATE_CLOSED";
    case Refusal::kExitGate:
      return "EXIT_GATE_CLOSED";
    case Refusal::kEarlierStages:
      return "EARLIER_STAGES_MISSING";
    case Refusal::kRegressRole:
      return "REGRESS_ROLE_MISSING";
    case Refusal::kNone:
    case Refusal::kUnknownStage:
    case Refusal::kRegressReason:
      break;
  }
  return "INVALID_ARGUMENT";
}

std::string Explanation(const StageTable& table, const Verdict& verdict) {
  switch (verdict.refusal) {
    case Refusal::kRegress:
      return "the model leads forward only; to go back set allow_regress and give a reason";
    case Refusal::kNoEdge:
      return "the model lists no edge between these stages";
    case Refusal::kSkip:
      return absl::StrCat("would skip ", absl::StrJoin(table.Ids(verdict.skipped), ", "),
                          ", and the model forbids skips");
    case Refusal::kTerminal:
      return "the present stage is terminal; only Reactivate leads out";
    case Refusal::kNotTerminal:
      return "Reactivate leads out of terminal stages only";
    case Refusal::kReactivateTo:
      return "Reactivate leads to a NORMAL or LOOP stage";
    case Refusal::kEntryGate:
      return "the entry gate of the stage does not hold";
    case Refusal::kExitGate:
      return "the exit gate of the present stage does not hold";
    case Refusal::kEarlierStages:
      return "the stage demands a visit of every earlier stage";
    case Refusal::kRegressRole:
      return "a regress needs a role that permits it";
    case Refusal::kNone:
    case Refusal::kUnknownStage:
    case Refusal::kRegressReason:
      break;
  }
  return "";
}

}  // namespace

StageTable::StageTable(StageModel model) : model_(std::move(model)) {
  std::sort(model_.stages.begin(), model_.stages.end(),
            [](const Stage& a, const Stage& b) { return a.position < b.position; });
  for (int i = 0; i < size(); ++i) {
    const Stage& stage = model_.stages[i];
    index_[stage.id] = i;
    if (stage.kind == StageKind::kNormal) normal_ |= Bit(i);
    if (stage.kind == StageKind::kNormal || stage.kind == StageKind::kLoop) progress_ |= Bit(i);
    has_gates_ |=
        stage.require_all_earlier || !stage.entry_gate.empty() || !stage.exit_gate.empty();
  }
  edges_.resize(model_.stages.size(), 0);
  for (const Edge& edge : model_.edges) edges_[Find(edge.from)] |= Bit(Find(edge.to));
  initial_ = Find(model_.initial_stage);
}

const std::string& StageTable::Id(int index) const {
  static const std::string* const kNoStage = new std::string;
  return index == kNone ? *kNoStage : model_.stages[index].id;
}

int StageTable::Find(absl::string_view id) const {
  const auto it = index_.find(id);
  return it == index_.end() ? kNone : it->second;
}

std::vector<std::string> StageTable::Ids(Mask mask) const {
  std::vector<std::string> ids;
  for (; mask != 0; mask &= mask - 1) ids.push_back(Id(std::countr_zero(mask)));
  return ids;
}

absl::StatusOr<Verdict> Judge(const StageTable& table, const Standing& standing, const Move& move,
                              GateFn gate) {
  const bool in_terminal = standing.stage != StageTable::kNone &&
                           table.stage(standing.stage).kind == StageKind::kTerminal;
  if (move.verb == Verb::kClear) {
    if (standing.stage == StageTable::kNone) return Verdict{};
    if (in_terminal) return Verdict{.refusal = Refusal::kTerminal};
    return Verdict{.changes = true, .direction = Direction::kClear};
  }
  if (move.to == StageTable::kNone) return Verdict{.refusal = Refusal::kUnknownStage};
  Verdict verdict;
  if (move.verb == Verb::kReactivate) {
    if (!in_terminal) return Verdict{.refusal = Refusal::kNotTerminal};
    if ((table.progress() & StageTable::Bit(move.to)) == 0) {
      return Verdict{.refusal = Refusal::kReactivateTo};
    }
    verdict = {.changes = true, .direction = Direction::kReturn};
  } else {
    verdict = JudgeEnter(table, standing, move);
  }
  if (!verdict.changes) return verdict;
  CLM_ASSIGN_OR_RETURN(const Refusal closed, CheckGates(table, standing, move, verdict, gate));
  if (closed != Refusal::kNone) return Verdict{.refusal = closed};
  return verdict;
}

Standing After(const StageTable& table, const Standing& before, const Move& move,
               const Verdict& verdict) {
  Standing after = before;
  if (move.verb == Verb::kClear) {
    after.stage = StageTable::kNone;
    after.progress = StageTable::kNone;
    after.cleared = true;
    return after;
  }
  after.stage = move.to;
  after.cleared = false;
  const Mask entered = StageTable::Bit(move.to);
  if (move.verb == Verb::kReactivate) {
    ++after.episode;
    after.visited = entered;
    after.progress = move.to;
    return after;
  }
  after.visited |= entered;
  if (table.model().skip_policy == SkipPolicy::kBackfilled) after.visited |= verdict.skipped;
  if (verdict.direction == Direction::kProgress || verdict.direction == Direction::kRegress) {
    after.progress = move.to;
  }
  return after;
}

absl::Status RefusalStatus(const StageTable& table, const Standing& standing, absl::string_view to,
                           const Verdict& verdict) {
  if (verdict.refusal == Refusal::kNone) return absl::OkStatus();
  if (verdict.refusal == Refusal::kUnknownStage) {
    return error::InvalidField("to_stage",
                               absl::StrCat("is not a stage of model ", table.model().id));
  }
  if (verdict.refusal == Refusal::kRegressReason) {
    return error::InvalidField("reason", "a regress needs one");
  }
  error::Metadata metadata = {{"from", table.Id(standing.stage)},
                              {"to", std::string(to)},
                              {"policy", std::string(Name(table.model().policy))}};
  if (verdict.refusal == Refusal::kSkip) {
    metadata.emplace_back("skipped", absl::StrJoin(table.Ids(verdict.skipped), ","));
  }
  const std::string message = absl::StrCat("to: ", Explanation(table, verdict));
  if (verdict.refusal == Refusal::kRegressRole) {
    return error::Make(absl::StatusCode::kPermissionDenied, Reason(verdict.refusal), message,
                       metadata);
  }
  return error::Precondition(Reason(verdict.refusal), message, metadata);
}

absl::StatusOr<Transition> Decide(const StageTable& table, const Standing& standing,
                                  const MoveRequest& request, GateFn gate) {
  const Move move{.verb = request.verb,
                  .to = table.Find(request.to),
                  .allow_regress = request.allow_regress,
                  .has_reason = !request.reason.empty(),
                  .has_role = request.has_role};
  CLM_ASSIGN_OR_RETURN(const Verdict verdict, Judge(table, standing, move, gate));
  if (verdict.refusal != Refusal::kNone) {
    return RefusalStatus(table, standing, request.to, verdict);
  }
  Transition transition{.changes = verdict.changes,
                        .from = table.Id(standing.stage),
                        .to = table.Id(standing.stage),
                        .direction = verdict.direction,
                        .after = standing};
  if (!verdict.changes) return transition;
  transition.after = After(table, standing, move, verdict);
  transition.to = table.Id(transition.after.stage);
  transition.new_episode = transition.after.episode != standing.episode;
  if (table.model().skip_policy == SkipPolicy::kBackfilled) {
    transition.backfilled = table.Ids(verdict.skipped);
  } else {
    transition.skipped = table.Ids(verdict.skipped);
  }
  return transition;
}

absl::string_view Name(Verb verb) {
  switch (verb) {
    case Verb::kEnter:
      return "ENTER";
    case Verb::kClear:
      return "CLEAR";
    case Verb::kReactivate:
      return "REACTIVATE";
  }
  return "";
}

absl::string_view Name(Direction direction) {
  switch (direction) {
    case Direction::kNone:
      return "NONE";
    case Direction::kProgress:
      return "PROGRESS";
    case Direction::kReturn:
      return "RETURN";
    case Direction::kRegress:
      return "REGRESS";
    case Direction::kNegative:
      return "NEGATIVE";
    case Direction::kTerminal:
      return "TERMINAL";
    case Direction::kClear:
      return "CLEAR";
  }
  return "";
}

}  // namespace clm::lifecycle
