#include "services/lifecycle/fold.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <memory>
#include <string_view>
#include <tuple>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

using Mask = StageTable::Mask;
constexpr int kNone = StageTable::kNone;

// Timers that may go off in one fold. Nobody's history needs as many; rules that lead in a circle
// do.
constexpr int kMaxTimers = 100'000;

// Whether a fact at (at, id) lies after `horizon`.
bool Follows(const Fact& fact, const Horizon& horizon) {
  if (fact.at != horizon.at) return horizon.at < fact.at;
  switch (horizon.phase) {
    case Horizon::Phase::kRevision:
      return true;
    case Horizon::Phase::kFact:
      return horizon.id < fact.id;
    case Horizon::Phase::kTimer:
      return false;
  }
  return false;
}

absl::Duration Days(int days) { return absl::Hours(24) * days; }

}  // namespace

bool operator<(const Horizon& a, const Horizon& b) {
  return std::tie(a.at, a.phase, a.id) < std::tie(b.at, b.phase, b.id);
}

void MemoryHistory::Add(const Fact& event, std::vector<Amount> amounts) {
  events_[event.type][Key(event.at, event.id)] = std::move(amounts);
}

absl::StatusOr<int64_t> MemoryHistory::Count(absl::string_view type, absl::Time after,
                                             const Moment& through) const {
  const auto events = events_.find(type);
  if (events == events_.end()) return 0;
  int64_t count = 0;
  for (const auto& [key, amounts] : events->second) {
    if (key.first <= after) continue;
    if (key.first > through.at) break;
    if (key.first == through.at && through.last_id != nullptr && key.second > *through.last_id) {
      break;
    }
    ++count;
  }
  return count;
}

absl::StatusOr<int64_t> MemoryHistory::Sum(absl::string_view type, absl::string_view property,
                                           absl::string_view currency, absl::Time after,
                                           const Moment& through) const {
  const auto events = events_.find(type);
  if (events == events_.end()) return 0;
  __int128 sum = 0;
  for (const auto& [key, amounts] : events->second) {
    if (key.first <= after) continue;
    if (key.first > through.at) break;
    if (key.first == through.at && through.last_id != nullptr && key.second > *through.last_id) {
      break;
    }
    for (const Amount& amount : amounts) {
      if (amount.property != property) continue;
      if (!currency.empty() && amount.currency != currency) continue;
      sum += amount.value;
    }
  }
  if (sum > std::numeric_limits<int64_t>::max() || sum < std::numeric_limits<int64_t>::min()) {
    return error::Make(absl::StatusCode::kOutOfRange, "SUM_OVERFLOW",
                       absl::StrCat("the sum over events of type ", type, " does not fit 64 bits"));
  }
  return static_cast<int64_t>(sum);
}

absl::StatusOr<std::optional<absl::Time>> MemoryHistory::Last(absl::string_view type,
                                                              absl::Time before) const {
  const auto events = events_.find(type);
  if (events == events_.end()) return std::nullopt;
  const auto end = events->second.lower_bound(Key(before, ""));
  if (end == events->second.begin()) return std::nullopt;
  return std::prev(end)->first.first;
}

// A revision with everything looked up: rules by what they name, timers by stage.
struct Plan::Compiled {
  struct CompiledRule {
    Rule rule;
    Mask from = 0;
    bool from_none = false;
    Move move;
    Predicate condition;                // Empty: holds.
    absl::InlinedVector<int, 2> slots;  // kTimeSinceEvent: where the last events are kept.
    int timer = -1;                     // Timers: the number of the mark.
  };
  // What an event type means to the revision.
  struct Named {
    std::vector<int> rules;   // In the order in which they win.
    std::vector<int> timers;  // That an event of the type starts anew.
    int slot = -1;
  };

  explicit Compiled(StageModel model) : table(std::move(model)) {}

  bool From(const CompiledRule& rule, int stage) const {
    return stage == kNone ? rule.from_none : (rule.from & StageTable::Bit(stage)) != 0;
  }
  const std::vector<int>& TimersAt(int stage) const { return timers_by_stage[stage + 1]; }
  // Whether a fact can matter to a customer who has been in a stage already.
  bool Names(const Fact& fact) const {
    switch (fact.kind) {
      case Fact::Kind::kMove:
        return fact.type == table.model().id;
      case Fact::Kind::kEvent:
        return reads_facts || events.contains(fact.type);
      case Fact::Kind::kAttribute:
        return reads_facts || attributes.contains(fact.type);
    }
    return true;
  }

  StageTable table;
  int32_t number = 0;
  absl::Time from;
  std::map<std::string, std::string> mapping;
  std::vector<CompiledRule> rules;  // In the order in which they win.
  absl::flat_hash_map<std::string, Named> events;
  absl::flat_hash_map<std::string, std::vector<int>> attributes;
  std::vector<std::string> slot_types;
  std::vector<int> timer_rules;                   // Timer -> rule.
  std::vector<std::vector<int>> timers_by_stage;  // Stage + 1 -> rules in the order they win.
  absl::flat_hash_map<std::string, Predicate> gates;
  bool reads_facts = false;  // Conditions and gates may look at any fact.
  bool windows = false;
};

Plan::Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

absl::StatusOr<Plan> Plan::Compile(std::vector<Revision> revisions, Compiler compiler) {
  if (revisions.empty()) return error::Internal("a plan needs at least one revision");
  Plan plan;
  for (Revision& revision : revisions) {
    CLM_RETURN_IF_ERROR(ValidateModel(revision.model));
    CLM_RETURN_IF_ERROR(ValidateRules(revision.rules, revision.model));
    auto compiled = std::make_unique<Compiled>(std::move(revision.model));
    if (!plan.revisions_.empty()) {
      const Compiled& before = *plan.revisions_.back();
      if (before.table.model().id != compiled->table.model().id ||
          before.number >= revision.number || before.from >= revision.from) {
        return error::Internal("revisions of a plan must be of one model and rise");
      }
      compiled->from = revision.from;
    } else {
      compiled->from = absl::InfinitePast();
    }
    compiled->number = revision.number;
    compiled->mapping = std::move(revision.mapping);
    const StageTable& table = compiled->table;
    std::sort(revision.rules.begin(), revision.rules.end(), [](const Rule& a, const Rule& b) {
      return a.priority != b.priority ? a.priority > b.priority : a.id < b.id;
    });
    compiled->timers_by_stage.resize(table.size() + 1);
    for (Rule& rule : revision.rules) {
      if (!rule.enabled) continue;
      const int number = static_cast<int>(compiled->rules.size());
      Compiled::CompiledRule entry;
      entry.from_none = rule.from_stages.empty() && !rule.reactivate;
      for (const std::string& id : rule.from_stages) entry.from_none |= id == kNoStage;
      for (const std::string& id : rule.from_stages) entry.from |= StageTable::Bit(table.Find(id));
      if (rule.from_stages.empty()) {
        for (int i = 0; i < table.size(); ++i) {
          const bool terminal = table.stage(i).kind == StageKind::kTerminal;
          if (terminal == rule.reactivate) entry.from |= StageTable::Bit(i);
        }
      }
      entry.move = {.verb = rule.reactivate ? Verb::kReactivate : Verb::kEnter,
                    .to = table.Find(rule.to_stage),
                    .allow_regress = rule.allow_regress,
                    .has_reason = true,
                    .has_role = true};
      if (!rule.condition.empty()) {
        CLM_ASSIGN_OR_RETURN(entry.condition, compiler(rule.condition));
        compiled->reads_facts = true;
      }
      using Kind = Trigger::Kind;
      switch (rule.trigger.kind) {
        case Kind::kEventCount:
        case Kind::kEventSum:
          compiled->windows = true;
          [[fallthrough]];
        case Kind::kEvent:
          compiled->events[rule.trigger.types[0]].rules.push_back(number);
          break;
        case Kind::kAttributeChange:
          compiled->attributes[rule.trigger.attribute].push_back(number);
          break;
        case Kind::kTimeSinceEvent:
          for (const std::string& type : rule.trigger.types) {
            Compiled::Named& named = compiled->events[type];
            named.timers.push_back(static_cast<int>(compiled->timer_rules.size()));
            if (named.slot < 0) {
              named.slot = static_cast<int>(compiled->slot_types.size());
              compiled->slot_types.push_back(type);
            }
            entry.slots.push_back(named.slot);
          }
          [[fallthrough]];
        case Kind::kTimeInStage:
          entry.timer = static_cast<int>(compiled->timer_rules.size());
          compiled->timer_rules.push_back(number);
          for (int stage = kNone; stage < table.size(); ++stage) {
            if (stage == kNone && rule.trigger.kind == Kind::kTimeInStage) continue;
            if (compiled->From(entry, stage)) {
              compiled->timers_by_stage[stage + 1].push_back(number);
            }
          }
          break;
      }
      entry.rule = std::move(rule);
      compiled->rules.push_back(std::move(entry));
    }
    for (const Stage& stage : table.model().stages) {
      for (const std::string& expression : {stage.entry_gate, stage.exit_gate}) {
        if (expression.empty() || compiled->gates.contains(expression)) continue;
        CLM_ASSIGN_OR_RETURN(Predicate gate, compiler(expression));
        compiled->gates.emplace(expression, std::move(gate));
        compiled->reads_facts = true;
      }
    }
    for (const auto& [type, _] : compiled->events) plan.event_types_.insert(type);
    plan.any_event_ |= compiled->reads_facts || table.initial() != kNone;
    plan.revisions_.push_back(std::move(compiled));
  }
  return plan;
}

const std::string& Plan::model_id() const { return revisions_.front()->table.model().id; }

const StageTable& Plan::table(absl::Time at) const {
  size_t v = revisions_.size() - 1;
  while (v > 0 && revisions_[v]->from > at) --v;
  return revisions_[v]->table;
}

bool Plan::needs_history() const {
  // A later revision may have to look up the last event of a type that no earlier one kept.
  return revisions_.size() > 1 || revisions_.front()->windows || revisions_.front()->reads_facts;
}

bool Plan::Touches(int32_t reached, absl::Time began_at, const Fact& fact) const {
  // From the revision that judges the fact to the one that the customer has reached: a later one
  // may look back at it through a window or a timer.
  size_t v = revisions_.size() - 1;
  while (v > 0 && revisions_[v]->from > fact.at) --v;
  for (; v < revisions_.size(); ++v) {
    const Compiled& revised = *revisions_[v];
    if (revised.Names(fact)) return true;
    if (revised.table.initial() != kNone && fact.kind != Fact::Kind::kMove && fact.at <= began_at) {
      return true;
    }
    if (revised.number >= reached) break;
  }
  return false;
}

bool Plan::MayConcern(const Fact& fact) const {
  return fact.kind != Fact::Kind::kEvent || any_event_ || event_types_.contains(fact.type);
}

bool Plan::Concerns(const ModelState& state, const Fact& fact) const {
  return Touches(state.revision, state.began_at, fact);
}

bool Plan::IsLate(const ModelState& state, const Fact& fact) const {
  return !Follows(fact, state.applied) && Concerns(state, fact);
}

// One fold in progress: a ModelState with its names turned into numbers, and back at the end.
class Folder {
 public:
  Folder(const Plan& plan, const History& history) : plan_(plan), history_(history) {}

  absl::Status Load(const ModelState& state);
  absl::Status Apply(const Fact& fact);
  // Publishes and fires what falls due before `limit`, or also at it. Revisions come before facts
  // of their instant, so they are published at `limit` in either case.
  absl::Status Run(absl::Time limit, bool inclusive);
  FoldResult Finish();

 private:
  using Compiled = Plan::Compiled;
  using CompiledRule = Plan::Compiled::CompiledRule;
  enum class Timer { kNever, kRule, kOverdue, kReset };
  enum MarkValue : uint8_t { kArmed, kTried, kFired };
  struct Due {
    absl::Time at = absl::InfiniteFuture();
    Timer timer = Timer::kNever;
    int rule = -1;
  };

  const Compiled& revised() const { return *plan_.revisions_[v_]; }
  const StageTable& table() const { return revised().table; }

  void SetRevision(size_t v);
  absl::Time DueAt(const CompiledRule& rule) const;
  Due Next() const;
  absl::Status Fire(const Due& due);
  absl::Status FireBefore(absl::Time limit, bool inclusive);
  absl::Status Publish();

  Situation Now(absl::Time at, const Fact* fact) const;
  absl::StatusOr<bool> Triggered(const CompiledRule& rule, const Fact& fact) const;
  // True if the rule made its move, or the customer is where it leads.
  absl::StatusOr<bool> Try(const CompiledRule& rule, absl::Time at, const Fact* fact);
  absl::StatusOr<bool> TryAll(const std::vector<int>& rules, const Fact& fact);
  absl::Status ApplyMove(const Fact& fact);
  bool FollowsAll(const Fact& fact) const;
  absl::StatusOr<Verdict> JudgeNow(const Move& move, const Situation& now) const;
  void Commit(const Move& move, const Verdict& verdict, LoggedTransition entry);
  void Log(const LoggedTransition& entry);

  const Plan& plan_;
  const History& history_;

  size_t v_ = 0;
  Standing standing_;
  absl::Time entered_at_;
  int64_t visits_ = 0;
  bool overdue_ = false;
  absl::Time began_at_;
  int64_t sequence_ = 0;
  absl::InlinedVector<absl::Time, 4> last_;  // By slot; InfinitePast: never.
  absl::InlinedVector<MarkValue, 8> marks_;  // By timer.
  Horizon loaded_;
  absl::Time at_;  // With phase_ and fact_: the horizon now.
  Horizon::Phase phase_ = Horizon::Phase::kRevision;
  const Fact* fact_ = nullptr;  // Null: not moved since Load, or phase_ is no fact.
  bool moved_ = false;
  int timers_ = 0;
  FoldResult result_;
};

void Folder::SetRevision(size_t v) {
  v_ = v;
  last_.assign(revised().slot_types.size(), absl::InfinitePast());
  marks_.assign(revised().timer_rules.size(), kArmed);
}

absl::Status Folder::Load(const ModelState& state) {
  size_t v = 0;
  if (state.revision != 0) {
    while (v < plan_.revisions_.size() && plan_.revisions_[v]->number != state.revision) {
      ++v;
    }
    if (v == plan_.revisions_.size()) {
      return error::Internal(
          absl::StrCat("model ", plan_.model_id(), " has no revision ", state.revision));
    }
  }
  SetRevision(v);
  standing_ = {.stage = table().Find(state.stage),
               .progress = table().Find(state.progress_stage),
               .episode = state.episode,
               .cleared = state.cleared};
  if (standing_.stage == kNone && !state.stage.empty()) {
    return error::Internal(absl::StrCat("model ", plan_.model_id(), " has no stage ", state.stage));
  }
  for (const std::string& id : state.visited) {
    standing_.visited |= StageTable::Bit(table().Find(id));
  }
  entered_at_ = state.entered_at;
  visits_ = state.visits;
  overdue_ = state.overdue;
  began_at_ = state.began_at;
  sequence_ = state.sequence;
  for (const auto& [type, at] : state.last_events) {
    const auto named = revised().events.find(type);
    if (named != revised().events.end() && named->second.slot >= 0) last_[named->second.slot] = at;
  }
  for (const ModelState::Mark& mark : state.marks) {
    for (size_t t = 0; t < marks_.size(); ++t) {
      if (revised().rules[revised().timer_rules[t]].rule.id == mark.rule_id) {
        marks_[t] = mark.fired ? kFired : kTried;
      }
    }
  }
  loaded_ = state.applied;
  at_ = loaded_.at;
  return absl::OkStatus();
}

FoldResult Folder::Finish() {
  const StageTable& t = table();
  ModelState& state = result_.state;
  state.revision = revised().number;
  state.stage = t.Id(standing_.stage);
  state.entered_at = entered_at_;
  state.episode = standing_.episode;
  state.visits = visits_;
  state.progress_stage = t.Id(standing_.progress);
  state.visited = t.Ids(standing_.visited);
  state.cleared = standing_.cleared;
  state.overdue = overdue_;
  state.began_at = began_at_;
  state.sequence = sequence_;
  for (size_t i = 0; i < last_.size(); ++i) {
    if (last_[i] != absl::InfinitePast()) {
      state.last_events.emplace_back(revised().slot_types[i], last_[i]);
    }
  }
  std::sort(state.last_events.begin(), state.last_events.end());
  for (size_t i = 0; i < marks_.size(); ++i) {
    if (marks_[i] == kArmed) continue;
    state.marks.push_back({revised().rules[revised().timer_rules[i]].rule.id, marks_[i] == kFired});
  }
  std::sort(state.marks.begin(), state.marks.end(),
            [](const auto& a, const auto& b) { return a.rule_id < b.rule_id; });
  state.applied =
      moved_ ? Horizon{at_, phase_, fact_ == nullptr ? std::string() : fact_->id} : loaded_;
  result_.next_due = Next().at;
  if (v_ + 1 < plan_.revisions_.size()) {
    result_.next_due = std::min(result_.next_due, plan_.revisions_[v_ + 1]->from);
  }
  return std::move(result_);
}

absl::Time Folder::DueAt(const CompiledRule& rule) const {
  if (marks_[rule.timer] != kArmed) return absl::InfiniteFuture();
  if (rule.rule.trigger.kind == Trigger::Kind::kTimeInStage) {
    return std::max(entered_at_ + rule.rule.trigger.duration, revised().from);
  }
  absl::Time last = absl::InfinitePast();
  for (const int slot : rule.slots) last = std::max(last, last_[slot]);
  if (last == absl::InfinitePast()) return absl::InfiniteFuture();
  return std::max({last + rule.rule.trigger.duration, entered_at_, revised().from});
}

Folder::Due Folder::Next() const {
  Due next;
  for (const int number : revised().TimersAt(standing_.stage)) {
    const absl::Time at = DueAt(revised().rules[number]);
    if (at < next.at) next = {at, Timer::kRule, number};
  }
  if (standing_.stage == kNone) return next;
  const Stage& stage = table().stage(standing_.stage);
  if (stage.target_days.has_value() && !overdue_) {
    const absl::Time at = std::max(entered_at_ + Days(*stage.target_days), revised().from);
    if (at < next.at) next = {at, Timer::kOverdue, -1};
  }
  if (stage.reset_after_days.has_value()) {
    const absl::Time at = std::max(entered_at_ + Days(*stage.reset_after_days), revised().from);
    if (at < next.at) next = {at, Timer::kReset, -1};
  }
  return next;
}

absl::Status Folder::Fire(const Due& due) {
  if (++timers_ > kMaxTimers) {
    return error::Precondition(
        "TIMER_LOOP",
        absl::StrCat("the time rules of model ", plan_.model_id(), " lead in a circle"),
        {{"model", plan_.model_id()}});
  }
  at_ = due.at;
  phase_ = Horizon::Phase::kTimer;
  fact_ = nullptr;
  moved_ = true;
  switch (due.timer) {
    case Timer::kRule: {
      const CompiledRule& rule = revised().rules[due.rule];
      // Marked before it is tried, so that a move does not clear it as a refusal.
      marks_[rule.timer] = kFired;
      CLM_ASSIGN_OR_RETURN(const bool fired, Try(rule, due.at, nullptr));
      if (!fired) marks_[rule.timer] = kTried;
      break;
    }
    case Timer::kOverdue:
      overdue_ = true;
      result_.overdue.push_back({due.at, table().Id(standing_.stage), entered_at_});
      break;
    case Timer::kReset: {
      const Move move{.verb = Verb::kClear};
      CLM_ASSIGN_OR_RETURN(const Verdict verdict, JudgeNow(move, Now(due.at, nullptr)));
      Commit(move, verdict, {.at = due.at, .cause = Cause::kReset});
      break;
    }
    case Timer::kNever:
      break;
  }
  return absl::OkStatus();
}

absl::Status Folder::FireBefore(absl::Time limit, bool inclusive) {
  for (Due due = Next(); due.timer != Timer::kNever; due = Next()) {
    if (due.at > limit || (due.at == limit && !inclusive)) break;
    CLM_RETURN_IF_ERROR(Fire(due));
  }
  return absl::OkStatus();
}

absl::Status Folder::Run(absl::Time limit, bool inclusive) {
  while (v_ + 1 < plan_.revisions_.size() && plan_.revisions_[v_ + 1]->from <= limit) {
    CLM_RETURN_IF_ERROR(FireBefore(plan_.revisions_[v_ + 1]->from, /*inclusive=*/false));
    CLM_RETURN_IF_ERROR(Publish());
  }
  return FireBefore(limit, inclusive);
}

absl::Status Folder::Publish() {
  const Compiled& before = revised();
  const Compiled& after = *plan_.revisions_[v_ + 1];
  const auto mapped = [&](int stage) {
    const std::string& id = before.table.Id(stage);
    const auto it = after.mapping.find(id);
    return after.table.Find(it == after.mapping.end() ? id : it->second);
  };
  const int stage = standing_.stage == kNone ? kNone : mapped(standing_.stage);
  const std::string& from = before.table.Id(standing_.stage);
  const std::string& to = after.table.Id(stage);
  Mask visited = 0;
  for (Mask rest = standing_.visited; rest != 0; rest &= rest - 1) {
    visited |= StageTable::Bit(mapped(std::countr_zero(rest)));
  }
  if (standing_.progress != kNone) standing_.progress = mapped(standing_.progress);
  standing_.visited = visited;
  standing_.stage = stage;

  const auto old_last = last_;
  const auto old_marks = marks_;
  SetRevision(v_ + 1);
  for (size_t slot = 0; slot < last_.size(); ++slot) {
    const auto kept = before.events.find(after.slot_types[slot]);
    if (kept != before.events.end() && kept->second.slot >= 0) {
      last_[slot] = old_last[kept->second.slot];
      continue;
    }
    CLM_ASSIGN_OR_RETURN(const std::optional<absl::Time> last,
                         history_.Last(after.slot_types[slot], after.from));
    if (last.has_value()) last_[slot] = *last;
  }
  const bool moves = from != to;
  for (size_t t = 0; t < marks_.size(); ++t) {
    const CompiledRule& rule = after.rules[after.timer_rules[t]];
    for (size_t u = 0; u < old_marks.size(); ++u) {
      const CompiledRule& old = before.rules[before.timer_rules[u]];
      // A rule that was rewritten starts afresh; what it said is the revision's, not the rule id's.
      if (old.rule == rule.rule) marks_[t] = old_marks[u];
    }
  }
  at_ = after.from;
  phase_ = Horizon::Phase::kRevision;
  fact_ = nullptr;
  moved_ = true;
  if (!moves) return absl::OkStatus();

  for (size_t t = 0; t < marks_.size(); ++t) {
    const auto kind = after.rules[after.timer_rules[t]].rule.trigger.kind;
    if (marks_[t] == kTried || kind == Trigger::Kind::kTimeInStage) marks_[t] = kArmed;
  }
  entered_at_ = after.from;
  overdue_ = false;
  standing_.cleared = stage == kNone;
  if (stage == kNone) {
    standing_.progress = kNone;
  } else {
    ++visits_;
    standing_.visited |= StageTable::Bit(stage);
  }
  Log({.at = after.from,
       .from = from,
       .to = to,
       .direction = stage == kNone ? Direction::kClear : Direction::kNone,
       .cause = Cause::kRevision});
  return absl::OkStatus();
}

Situation Folder::Now(absl::Time at, const Fact* fact) const {
  return {.at = at,
          .fact = fact,
          .stage = table().Id(standing_.stage),
          .entered_at = entered_at_,
          .episode = standing_.episode,
          .moment = {at, fact == nullptr ? nullptr : &fact->id},
          .history = &history_};
}

absl::StatusOr<bool> Folder::Triggered(const CompiledRule& rule, const Fact& fact) const {
  const Trigger& trigger = rule.rule.trigger;
  switch (trigger.kind) {
    case Trigger::Kind::kEventCount: {
      CLM_ASSIGN_OR_RETURN(
          const int64_t count,
          history_.Count(trigger.types[0], fact.at - trigger.window, {fact.at, &fact.id}));
      return count >= trigger.at_least;
    }
    case Trigger::Kind::kEventSum: {
      CLM_ASSIGN_OR_RETURN(const int64_t sum,
                           history_.Sum(trigger.types[0], trigger.property, trigger.currency,
                                        fact.at - trigger.window, {fact.at, &fact.id}));
      return sum >= trigger.at_least;
    }
    default:
      return true;
  }
}

absl::StatusOr<Verdict> Folder::JudgeNow(const Move& move, const Situation& now) const {
  return Judge(table(), standing_, move,
               [&](const Stage&, absl::string_view expression) -> absl::StatusOr<bool> {
                 return revised().gates.find(expression)->second(now);
               });
}

absl::StatusOr<bool> Folder::Try(const CompiledRule& rule, absl::Time at, const Fact* fact) {
  if (rule.condition) {
    CLM_ASSIGN_OR_RETURN(const bool holds, rule.condition(Now(at, fact)));
    if (!holds) return false;
  }
  CLM_ASSIGN_OR_RETURN(const Verdict verdict, JudgeNow(rule.move, Now(at, fact)));
  if (verdict.refusal != Refusal::kNone) return false;
  if (!verdict.changes) return true;
  Commit(rule.move, verdict,
         {.at = at,
          .cause = Cause::kRule,
          .fact_id = fact == nullptr ? std::string() : fact->id,
          .rule_id = rule.rule.id});
  return true;
}

absl::StatusOr<bool> Folder::TryAll(const std::vector<int>& rules, const Fact& fact) {
  for (const int number : rules) {
    const CompiledRule& rule = revised().rules[number];
    if (!revised().From(rule, standing_.stage)) continue;
    CLM_ASSIGN_OR_RETURN(const bool triggered, Triggered(rule, fact));
    if (!triggered) continue;
    CLM_ASSIGN_OR_RETURN(const bool settled, Try(rule, fact.at, &fact));
    if (settled) return true;
  }
  return false;
}

void Folder::Log(const LoggedTransition& entry) {
  if (began_at_ == absl::InfiniteFuture()) began_at_ = entry.at;
  result_.transitions.push_back(entry);
  LoggedTransition& logged = result_.transitions.back();
  logged.sequence = ++sequence_;
  logged.model_version = table().model().version;
  logged.episode = standing_.episode;
}

void Folder::Commit(const Move& move, const Verdict& verdict, LoggedTransition entry) {
  const Standing before = standing_;
  standing_ = After(table(), before, move, verdict);
  int from = before.stage;
  if (table().model().skip_policy == SkipPolicy::kBackfilled) {
    for (Mask rest = verdict.skipped; rest != 0; rest &= rest - 1) {
      LoggedTransition synthetic = entry;
      const int to = std::countr_zero(rest);
      synthetic.from = table().Id(from);
      synthetic.to = table().Id(to);
      synthetic.direction = Direction::kProgress;
      synthetic.synthetic = true;
      Log(synthetic);
      ++visits_;
      from = to;
    }
  } else {
    entry.skipped = table().Ids(verdict.skipped);
  }
  entry.from = table().Id(from);
  entry.to = table().Id(standing_.stage);
  entry.direction = verdict.direction;
  if (standing_.stage != kNone) ++visits_;
  entered_at_ = entry.at;
  overdue_ = false;
  for (size_t t = 0; t < marks_.size(); ++t) {
    const auto kind = revised().rules[revised().timer_rules[t]].rule.trigger.kind;
    if (marks_[t] == kTried || kind == Trigger::Kind::kTimeInStage) marks_[t] = kArmed;
  }
  Log(entry);
}

absl::Status Folder::Apply(const Fact& fact) {
  if (fact.at == absl::InfinitePast() || fact.at == absl::InfiniteFuture()) {
    return error::Internal("a fact needs a finite instant");
  }
  if (!plan_.Touches(revised().number, began_at_, fact)) return absl::OkStatus();
  if (!FollowsAll(fact)) {
    return error::Precondition(
        "FACT_LATE", "the fact belongs before what was folded; fold again from an earlier state",
        {{"model", plan_.model_id()}, {"fact", fact.id}});
  }
  CLM_RETURN_IF_ERROR(Run(fact.at, /*inclusive=*/false));
  at_ = fact.at;
  phase_ = Horizon::Phase::kFact;
  fact_ = &fact;
  moved_ = true;

  if (fact.kind == Fact::Kind::kMove) return ApplyMove(fact);
  bool settled = false;
  if (fact.kind == Fact::Kind::kEvent) {
    const auto named = revised().events.find(fact.type);
    if (named != revised().events.end()) {
      if (named->second.slot >= 0) last_[named->second.slot] = fact.at;
      for (const int timer : named->second.timers) marks_[timer] = kArmed;
      CLM_ASSIGN_OR_RETURN(settled, TryAll(named->second.rules, fact));
    }
  } else {
    const auto named = revised().attributes.find(fact.type);
    if (named != revised().attributes.end()) {
      CLM_ASSIGN_OR_RETURN(settled, TryAll(named->second, fact));
    }
  }
  if (settled || table().initial() == kNone || visits_ != 0) return absl::OkStatus();
  const Move move{.verb = Verb::kEnter, .to = table().initial()};
  CLM_ASSIGN_OR_RETURN(const Verdict verdict, JudgeNow(move, Now(fact.at, &fact)));
  if (verdict.changes) {
    Commit(move, verdict, {.at = fact.at, .cause = Cause::kInitial, .fact_id = fact.id});
  }
  return absl::OkStatus();
}

absl::Status Folder::ApplyMove(const Fact& fact) {
  const MoveRequest& request = fact.move;
  const Move move{.verb = request.verb,
                  .to = table().Find(request.to),
                  .allow_regress = request.allow_regress,
                  .has_reason = !request.reason.empty(),
                  .has_role = request.has_role};
  CLM_ASSIGN_OR_RETURN(const Verdict verdict, JudgeNow(move, Now(fact.at, &fact)));
  if (verdict.refusal != Refusal::kNone) {
    result_.refused.push_back({fact.id, RefusalStatus(table(), standing_, request.to, verdict)});
  } else if (verdict.changes) {
    Commit(move, verdict, {.at = fact.at, .cause = Cause::kMove, .fact_id = fact.id});
  }
  return absl::OkStatus();
}

// Whether the fact lies after all that was folded.
bool Folder::FollowsAll(const Fact& fact) const {
  if (!moved_) return Follows(fact, loaded_);
  if (fact.at != at_) return at_ < fact.at;
  return phase_ == Horizon::Phase::kRevision ||
         (phase_ == Horizon::Phase::kFact && fact_->id < fact.id);
}

absl::StatusOr<FoldResult> Fold(const Plan& plan, const ModelState& checkpoint,
                                absl::Span<const Fact> facts, absl::Time until,
                                const History& history) {
  Folder folder(plan, history);
  CLM_RETURN_IF_ERROR(folder.Load(checkpoint));
  for (const Fact& fact : facts) CLM_RETURN_IF_ERROR(folder.Apply(fact));
  CLM_RETURN_IF_ERROR(folder.Run(until, /*inclusive=*/true));
  return folder.Finish();
}

Reconciliation Reconcile(absl::Span<const LoggedTransition> stored,
                         absl::Span<const LoggedTransition> folded, int64_t last_sequence) {
  Reconciliation result;
  const auto same = [](const LoggedTransition& a, const LoggedTransition& b) {
    LoggedTransition c = b;
    c.sequence = a.sequence;
    return a == c;
  };
  size_t s = 0;
  size_t f = 0;
  while (s < stored.size() || f < folded.size()) {
    const absl::Time at = std::min(s < stored.size() ? stored[s].at : absl::InfiniteFuture(),
                                   f < folded.size() ? folded[f].at : absl::InfiniteFuture());
    const size_t s_begin = s;
    const size_t f_begin = f;
    while (s < stored.size() && stored[s].at == at) ++s;
    while (f < folded.size() && folded[f].at == at) ++f;
    if (std::equal(stored.begin() + s_begin, stored.begin() + s, folded.begin() + f_begin,
                   folded.begin() + f, same)) {
      continue;
    }
    for (size_t i = s_begin; i < s; ++i) result.voided.push_back(stored[i].sequence);
    for (size_t i = f_begin; i < f; ++i) {
      result.appended.push_back(folded[i]);
      result.appended.back().sequence = ++last_sequence;
    }
  }
  result.last_sequence = last_sequence;
  return result;
}

absl::string_view Name(Cause cause) {
  switch (cause) {
    case Cause::kRule:
      return "RULE";
    case Cause::kMove:
      return "MOVE";
    case Cause::kInitial:
      return "INITIAL";
    case Cause::kReset:
      return "RESET";
    case Cause::kRevision:
      return "REVISION";
  }
  return "";
}

}  // namespace clm::lifecycle
