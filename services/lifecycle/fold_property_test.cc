// Properties of the fold over random models, rules and facts. Instants lie on a grid of half days
// and durations are multiples of it, so that facts, timers and revisions fall on the same instants
// all the time.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <random>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "services/lifecycle/fold.h"
#include "services/lifecycle/stage_times.h"

namespace clm::lifecycle {
namespace {

constexpr absl::Duration kStep = absl::Hours(12);
constexpr int kFactSteps = 60;
constexpr int kEndStep = 100;

absl::Time Step(int step) { return absl::UnixEpoch() + kStep * step; }

// (step, kind, pick): small numbers, so that a counterexample shrinks to something readable.
using FactSpec = std::tuple<int, int, int>;

rc::Gen<std::vector<FactSpec>> FactSpecs() {
  return rc::gen::container<std::vector<FactSpec>>(rc::gen::tuple(
      rc::gen::inRange(0, kFactSteps), rc::gen::inRange(0, 12), rc::gen::inRange(0, 100)));
}

struct Dice {
  explicit Dice(uint32_t seed) : random(seed) {}
  int Below(int n) { return static_cast<int>(random() % n); }
  bool OneIn(int n) { return Below(n) == 0; }
  std::mt19937 random;
};

std::string Type(int i) { return absl::StrCat("e", i); }

StageModel RandomModel(Dice& dice) {
  StageModel model{.id = "m",
                   .display_name = "Random",
                   .policy = static_cast<Policy>(dice.Below(3)),
                   .skip_policy = static_cast<SkipPolicy>(dice.Below(3))};
  const int stages = 2 + dice.Below(5);
  for (int i = 0; i < stages; ++i) {
    Stage stage{.id = absl::StrCat("s", i), .label = "S", .position = i};
    if (i > 0) {
      constexpr StageKind kKinds[] = {StageKind::kNormal, StageKind::kNormal,
                                      StageKind::kNormal, StageKind::kNegative,
                                      StageKind::kLoop,   StageKind::kTerminal};
      stage.kind = kKinds[dice.Below(6)];
    }
    if (dice.OneIn(3)) stage.target_days = 1 + dice.Below(6);
    if (stage.kind != StageKind::kTerminal && dice.OneIn(6)) {
      stage.reset_after_days = 1 + dice.Below(8);
    }
    if (stage.kind == StageKind::kNormal && dice.OneIn(8)) stage.require_all_earlier = true;
    if (dice.OneIn(10)) stage.entry_gate = "even";
    model.stages.push_back(std::move(stage));
  }
  if (model.policy == Policy::kGraph) {
    for (const Stage& from : model.stages) {
      for (const Stage& to : model.stages) {
        if (from.id == to.id || from.kind == StageKind::kTerminal) continue;
        if (dice.OneIn(2)) model.edges.push_back({from.id, to.id});
      }
    }
    if (model.edges.empty()) model.edges.push_back({"s0", "s1"});
  }
  if (dice.OneIn(3)) model.initial_stage = "s0";
  return model;
}

std::vector<Rule> RandomRules(const StageModel& model, Dice& dice) {
  std::vector<Rule> rules;
  const int count = dice.Below(9);
  for (int i = 0; i < count; ++i) {
    Rule rule{.id = absl::StrCat("r", i),
              .priority = dice.Below(3),
              .model_id = "m",
              .to_stage = model.stages[dice.Below(model.stages.size())].id,
              .allow_regress = dice.OneIn(2)};
    Trigger& trigger = rule.trigger;
    trigger.kind = static_cast<Trigger::Kind>(dice.Below(6));
    trigger.types = {Type(dice.Below(4))};
    trigger.window = kStep * (1 + dice.Below(30));
    trigger.at_least = 1 + dice.Below(3);
    trigger.attribute = absl::StrCat("a", dice.Below(2));
    trigger.duration = kStep * (1 + dice.Below(16));
    if (trigger.kind == Trigger::Kind::kEventSum) trigger.at_least *= 60;
    if (trigger.kind == Trigger::Kind::kTimeSinceEvent && dice.OneIn(3)) {
      trigger.types.push_back(Type(4));
    }
    if (dice.OneIn(4)) rule.condition = "even";
    rule.reactivate = dice.OneIn(4);
    if (!dice.OneIn(4)) {
      for (const Stage& stage : model.stages) {
        const bool terminal = stage.kind == StageKind::kTerminal;
        if (stage.id == rule.to_stage || terminal != rule.reactivate || dice.OneIn(3)) continue;
        rule.from_stages.push_back(stage.id);
      }
      if (!rule.reactivate && dice.OneIn(3)) rule.from_stages.push_back(kNoStage);
    }
    if (ValidateRule(rule, model).ok()) rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<Revision> RandomRevisions(uint32_t seed, bool several) {
  Dice dice(seed);
  std::vector<Revision> revisions(1);
  revisions[0].model = RandomModel(dice);
  revisions[0].rules = RandomRules(revisions[0].model, dice);
  if (several && dice.OneIn(2)) {
    Revision next = revisions[0];
    next.number = 2;
    next.from = Step(dice.Below(kFactSteps));
    if (dice.OneIn(2)) {
      ++next.model.version;
      next.rules.clear();
      const std::string last = next.model.stages.back().id;
      next.model.stages.back().id = "renamed";
      for (Edge& edge : next.model.edges) {
        if (edge.from == last) edge.from = "renamed";
        if (edge.to == last) edge.to = "renamed";
      }
      next.mapping[last] = dice.OneIn(3) ? "" : "renamed";
    }
    // Some rules stay, some go, some are new.
    for (Rule& rule : RandomRules(next.model, dice)) {
      if (dice.OneIn(2)) rule.id += "-new";
      std::erase_if(next.rules, [&](const Rule& old) { return old.id == rule.id; });
      next.rules.push_back(std::move(rule));
    }
    revisions.push_back(std::move(next));
  }
  return revisions;
}

// "even": an even number of events of type e3 so far; looks at the history.
absl::StatusOr<Predicate> Even(absl::string_view) {
  return Predicate([](const Situation& now) -> absl::StatusOr<bool> {
    const auto count = now.history->Count("e3", absl::InfinitePast(), now.moment);
    if (!count.ok()) return count.status();
    return *count % 2 == 0;
  });
}

Plan PlanOf(std::vector<Revision> revisions) {
  auto plan = Plan::Compile(std::move(revisions), Even);
  RC_ASSERT(plan.ok());
  return *std::move(plan);
}

// The amount of an event is drawn from what a move would have for a reason.
std::vector<MemoryHistory::Amount> AmountOf(const Fact& fact) {
  return {{.currency = "EUR", .value = static_cast<int64_t>(fact.move.reason.size()) * 10 + 5}};
}

// Ids are made from the position, so that facts of one instant are in a random order.
std::vector<Fact> FactsOf(const std::vector<FactSpec>& specs, const StageModel& model) {
  std::vector<Fact> facts;
  for (size_t i = 0; i < specs.size(); ++i) {
    const auto& [step, kind, pick] = specs[i];
    Fact fact{.at = Step(step), .id = absl::StrCat("f", (i * 37) % 101, "-", i)};
    fact.move.reason = std::string(pick % 10, 'x');
    if (kind < 7) {
      fact.type = Type(pick % 6);
    } else if (kind < 9) {
      fact.kind = Fact::Kind::kAttribute;
      fact.type = absl::StrCat("a", pick % 3);
    } else {
      fact.kind = Fact::Kind::kMove;
      fact.type = "m";
      fact.move.verb = kind == 9 && pick % 4 == 0   ? Verb::kClear
                       : kind == 9 && pick % 4 == 1 ? Verb::kReactivate
                                                    : Verb::kEnter;
      if (fact.move.verb != Verb::kClear) {
        fact.move.to = model.stages[pick % model.stages.size()].id;
      }
      fact.move.allow_regress = fact.move.has_role = kind == 11;
    }
    facts.push_back(std::move(fact));
  }
  std::sort(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) {
    return std::tie(a.at, a.id) < std::tie(b.at, b.id);
  });
  return facts;
}

MemoryHistory HistoryOf(absl::Span<const Fact> facts) {
  MemoryHistory history;
  for (const Fact& fact : facts) {
    if (fact.kind == Fact::Kind::kEvent) history.Add(fact, AmountOf(fact));
  }
  return history;
}

FoldResult FoldOrFail(const Plan& plan, const ModelState& state, absl::Span<const Fact> facts,
                      absl::Time until, const History& history) {
  auto result = Fold(plan, state, facts, until, history);
  if (!result.ok()) RC_FAIL(std::string(result.status().message()));
  return *std::move(result);
}

template <class T>
void Append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

std::vector<std::string> RefusedIds(const FoldResult& result) {
  std::vector<std::string> ids;
  for (const RefusedMove& refused : result.refused) ids.push_back(refused.fact_id);
  return ids;
}

std::string Show(const std::vector<LoggedTransition>& log) {
  std::string text;
  for (const LoggedTransition& t : log) {
    absl::StrAppend(&text, (t.at - absl::UnixEpoch()) / kStep, ":", t.from, ">", t.to, "(",
                    Name(t.cause), " ", t.rule_id, t.fact_id, ") ");
  }
  return text;
}

TEST(FoldProperty, StepsWithCheckpointsAndRunningTimeEqualOneFold) {
  EXPECT_TRUE(rc::check([](uint32_t seed, uint32_t pace_seed) {
    const auto revisions = RandomRevisions(seed, /*several=*/true);
    const auto facts = FactsOf(*FactSpecs(), revisions[0].model);
    const Plan plan = PlanOf(revisions);
    const MemoryHistory history = HistoryOf(facts);
    const FoldResult once = FoldOrFail(plan, {}, facts, Step(kEndStep), history);

    Dice pace(pace_seed);
    FoldResult lived;
    for (size_t i = 0; i < facts.size(); ++i) {
      // Time runs on after the fact, though not to the instant of the next.
      absl::Time until = absl::InfinitePast();
      const absl::Time next = i + 1 < facts.size() ? facts[i + 1].at : Step(kEndStep);
      if (next > facts[i].at && pace.OneIn(2)) {
        until = facts[i].at + (next - facts[i].at) * (pace.Below(100) / 100.0);
      }
      const FoldResult step =
          FoldOrFail(plan, lived.state, absl::MakeSpan(&facts[i], 1), until, history);
      lived.state = step.state;
      Append(lived.transitions, step.transitions);
      Append(lived.overdue, step.overdue);
      Append(lived.refused, step.refused);
    }
    const FoldResult end = FoldOrFail(plan, lived.state, {}, Step(kEndStep), history);
    Append(lived.transitions, end.transitions);
    Append(lived.overdue, end.overdue);
    RC_ASSERT(Show(lived.transitions) == Show(once.transitions));
    RC_ASSERT(lived.transitions == once.transitions);
    RC_ASSERT(lived.overdue == once.overdue);
    RC_ASSERT(RefusedIds(lived) == RefusedIds(once));
    RC_ASSERT(end.state == once.state);
    RC_ASSERT(end.next_due == once.next_due);
    RC_ASSERT(!FirstBreak(once.transitions).has_value());
  }));
}

TEST(FoldProperty, AnyOrderOfArrivalWithRefoldsEqualsOneFold) {
  EXPECT_TRUE(rc::check([](uint32_t seed, uint32_t order_seed) {
    const auto revisions = RandomRevisions(seed, /*several=*/true);
    const auto facts = FactsOf(*FactSpecs(), revisions[0].model);
    const Plan plan = PlanOf(revisions);
    const FoldResult once = FoldOrFail(plan, {}, facts, Step(kEndStep), HistoryOf(facts));

    Dice order(order_seed);
    std::vector<Fact> arriving = facts;
    // From nearly in order to not at all.
    const int swaps = facts.empty() ? 0 : order.Below(3) * facts.size() / 2;
    for (int i = 0; i < swaps; ++i) {
      std::swap(arriving[order.Below(arriving.size())], arriving[order.Below(arriving.size())]);
    }
    std::vector<Fact> arrived;
    ModelState state;
    std::vector<LoggedTransition> log;
    absl::Time now = absl::InfinitePast();
    const auto store = [&](const FoldResult& result) {
      state = result.state;
      Append(log, result.transitions);
    };
    for (const Fact& fact : arriving) {
      arrived.insert(std::upper_bound(arrived.begin(), arrived.end(), fact,
                                      [](const Fact& a, const Fact& b) {
                                        return std::tie(a.at, a.id) < std::tie(b.at, b.id);
                                      }),
                     fact);
      const MemoryHistory history = HistoryOf(arrived);
      now = std::max(now, fact.at + kStep * order.Below(4));
      if (!plan.IsLate(state, fact)) {
        store(FoldOrFail(plan, state, absl::MakeSpan(&fact, 1), now, history));
        continue;
      }
      const FoldResult again = FoldOrFail(plan, {}, arrived, now, history);
      const Reconciliation change = Reconcile(log, again.transitions, state.sequence);
      std::erase_if(log, [&](const LoggedTransition& t) {
        return std::count(change.voided.begin(), change.voided.end(), t.sequence) > 0;
      });
      Append(log, change.appended);
      SortLog(log);
      state = again.state;
      state.sequence = change.last_sequence;
    }
    store(FoldOrFail(plan, state, {}, Step(kEndStep), HistoryOf(arrived)));

    // Sequences differ; the order they give must not.
    std::set<int64_t> sequences;
    for (const LoggedTransition& t : log) sequences.insert(t.sequence);
    RC_ASSERT(sequences.size() == log.size());
    for (const LoggedTransition& t : log) RC_ASSERT(t.sequence <= state.sequence);
    std::vector<LoggedTransition> sorted = log;
    SortLog(sorted);
    for (size_t i = 0; i < sorted.size(); ++i) sorted[i].sequence = i + 1;
    RC_ASSERT(Show(sorted) == Show(once.transitions));
    RC_ASSERT(sorted == once.transitions);
    state.sequence = once.state.sequence;
    RC_ASSERT(state == once.state);
  }));
}

TEST(FoldProperty, ALateFactCanBeFoldedFromAnyCheckpointBeforeIt) {
  EXPECT_TRUE(rc::check([](uint32_t seed, uint32_t pick) {
    const auto revisions = RandomRevisions(seed, /*several=*/true);
    const auto facts = FactsOf(*FactSpecs(), revisions[0].model);
    RC_PRE(!facts.empty());
    const Plan plan = PlanOf(revisions);
    const FoldResult once = FoldOrFail(plan, {}, facts, Step(kEndStep), HistoryOf(facts));

    const size_t late = pick % facts.size();
    std::vector<Fact> others = facts;
    others.erase(others.begin() + late);
    const MemoryHistory known = HistoryOf(others);
    struct Checkpoint {
      FoldResult result;
      size_t folded = 0;
    };
    std::vector<Checkpoint> checkpoints(1);
    for (size_t i = 0; i < others.size(); ++i) {
      const auto step = FoldOrFail(plan, checkpoints.back().result.state,
                                   absl::MakeSpan(&others[i], 1), absl::InfinitePast(), known);
      Checkpoint next = checkpoints.back();
      next.result.state = step.state;
      Append(next.result.transitions, step.transitions);
      next.folded = i + 1;
      checkpoints.push_back(std::move(next));
    }
    const MemoryHistory all = HistoryOf(facts);
    for (const Checkpoint& checkpoint : checkpoints) {
      RC_ASSERT(plan.MayConcern(facts[late]) ||
                !plan.Concerns(checkpoint.result.state, facts[late]));
      if (plan.IsLate(checkpoint.result.state, facts[late])) continue;
      // Facts of no concern may lie between: they are folded again without effect.
      if (checkpoint.folded > late && plan.Concerns(checkpoint.result.state, facts[late])) continue;
      std::vector<Fact> rest(others.begin() + checkpoint.folded, others.end());
      rest.insert(std::upper_bound(rest.begin(), rest.end(), facts[late],
                                   [](const Fact& a, const Fact& b) {
                                     return std::tie(a.at, a.id) < std::tie(b.at, b.id);
                                   }),
                  facts[late]);
      const FoldResult again = FoldOrFail(plan, checkpoint.result.state, rest, Step(kEndStep), all);
      std::vector<LoggedTransition> log = checkpoint.result.transitions;
      Append(log, again.transitions);
      RC_ASSERT(Show(log) == Show(once.transitions));
      RC_ASSERT(again.state == once.state);
    }
  }));
}

// The rules of fold.h said a second time, as plainly as possible: time goes forward step by step,
// and at every step everything is looked at.
class PlainFold {
 public:
  PlainFold(const Revision& revision, const std::vector<Fact>& facts)
      : table_(revision.model), rules_(revision.rules), facts_(facts) {
    std::sort(rules_.begin(), rules_.end(), [](const Rule& a, const Rule& b) {
      return std::make_tuple(-a.priority, a.id) < std::make_tuple(-b.priority, b.id);
    });
  }

  void Run() {
    for (int step = 0; step <= kEndStep; ++step) {
      now_ = Step(step);
      for (const Fact& fact : facts_) {
        if (fact.at == now_) Apply(fact);
      }
      fact_ = nullptr;
      while (FireOne()) {
      }
    }
  }

  std::vector<std::string> log_;
  std::vector<std::string> overdue_log_;
  std::vector<std::string> refused_;

 private:
  using Kind = Trigger::Kind;

  bool Before(const Fact& fact) const {
    return fact.at < now_ || (fact.at == now_ && (fact_ == nullptr || fact.id <= fact_->id));
  }
  int64_t Tally(const std::string& type, absl::Duration window, bool sum) const {
    int64_t total = 0;
    for (const Fact& fact : facts_) {
      if (fact.kind != Fact::Kind::kEvent || fact.type != type || !Before(fact)) continue;
      if (fact.at <= now_ - window) continue;
      total += sum ? AmountOf(fact)[0].value : 1;
    }
    return total;
  }
  bool IsEven() const { return Tally("e3", absl::InfiniteDuration(), false) % 2 == 0; }

  bool FromMatches(const Rule& rule) const {
    const std::string stage = table_.Id(standing_.stage);
    const bool terminal = standing_.stage != StageTable::kNone &&
                          table_.stage(standing_.stage).kind == StageKind::kTerminal;
    if (rule.from_stages.empty()) {
      return rule.reactivate ? terminal : !terminal;
    }
    const std::string name = stage.empty() ? kNoStage : stage;
    return std::count(rule.from_stages.begin(), rule.from_stages.end(), name) > 0;
  }

  // 0: refused; 1: nothing to change; 2: moved.
  int Request(const MoveRequest& request, const std::string& cause) {
    const auto transition =
        Decide(table_, standing_, request,
               [&](const Stage&, absl::string_view) -> absl::StatusOr<bool> { return IsEven(); });
    if (!transition.ok()) return 0;
    if (!transition->changes) return 1;
    standing_ = transition->after;
    std::string from = transition->from;
    for (const std::string& stage : transition->backfilled) {
      log_.push_back(
          absl::StrCat((now_ - absl::UnixEpoch()) / kStep, ":", from, ">", stage, " ", cause));
      from = stage;
    }
    log_.push_back(absl::StrCat((now_ - absl::UnixEpoch()) / kStep, ":", from, ">", transition->to,
                                " ", cause));
    had_stage_ |= standing_.stage != StageTable::kNone;
    entered_ = now_;
    overdue_ = false;
    tried_.clear();
    for (const Rule& rule : rules_) {
      if (rule.trigger.kind == Kind::kTimeInStage) fired_.erase(rule.id);
    }
    return 2;
  }

  bool TryRule(const Rule& rule) {
    if (!rule.condition.empty() && !IsEven()) return false;
    return Request({.verb = rule.reactivate ? Verb::kReactivate : Verb::kEnter,
                    .to = rule.to_stage,
                    .allow_regress = rule.allow_regress,
                    .reason = "rule",
                    .has_role = true},
                   rule.id) > 0;
  }

  void Apply(const Fact& fact) {
    fact_ = &fact;
    if (fact.kind == Fact::Kind::kMove) {
      if (Request(fact.move, "MOVE") == 0) refused_.push_back(fact.id);
      return;
    }
    if (fact.kind == Fact::Kind::kEvent) {
      last_[fact.type] = now_;
      for (const Rule& rule : rules_) {
        const auto& types = rule.trigger.types;
        if (rule.trigger.kind == Kind::kTimeSinceEvent &&
            std::count(types.begin(), types.end(), fact.type) > 0) {
          fired_.erase(rule.id);
          tried_.erase(rule.id);
        }
      }
    }
    for (const Rule& rule : rules_) {
      const Trigger& trigger = rule.trigger;
      bool triggered = false;
      if (fact.kind == Fact::Kind::kAttribute) {
        triggered = trigger.kind == Kind::kAttributeChange && trigger.attribute == fact.type;
      } else if (trigger.kind == Kind::kEvent || trigger.kind == Kind::kEventCount ||
                 trigger.kind == Kind::kEventSum) {
        triggered = trigger.types[0] == fact.type;
        if (trigger.kind != Kind::kEvent) {
          triggered &=
              Tally(fact.type, trigger.window, trigger.kind == Kind::kEventSum) >= trigger.at_least;
        }
      }
      if (triggered && FromMatches(rule) && TryRule(rule)) return;
    }
    if (!had_stage_ && !table_.model().initial_stage.empty()) {
      Request({.to = table_.model().initial_stage}, "INITIAL");
    }
  }

  bool FireOne() {
    for (const Rule& rule : rules_) {
      if (fired_.contains(rule.id) || tried_.contains(rule.id) || !FromMatches(rule)) continue;
      absl::Time due = absl::InfiniteFuture();
      if (rule.trigger.kind == Kind::kTimeInStage && standing_.stage != StageTable::kNone) {
        due = entered_ + rule.trigger.duration;
      }
      if (rule.trigger.kind == Kind::kTimeSinceEvent) {
        absl::Time last = absl::InfinitePast();
        for (const std::string& type : rule.trigger.types) {
          if (last_.contains(type)) last = std::max(last, last_[type]);
        }
        if (last != absl::InfinitePast()) due = last + rule.trigger.duration;
      }
      if (due > now_) continue;
      // What a move clears, it clears before the rule itself is marked; a rule of time in stage
      // that moved runs again in its next visit.
      const bool fired = TryRule(rule);
      if (!fired) {
        tried_.insert(rule.id);
      } else if (rule.trigger.kind == Kind::kTimeSinceEvent || entered_ != now_) {
        fired_.insert(rule.id);
      }
      return true;
    }
    if (standing_.stage == StageTable::kNone) return false;
    const Stage& stage = table_.stage(standing_.stage);
    if (stage.target_days.has_value() && !overdue_ &&
        entered_ + absl::Hours(24) * *stage.target_days <= now_) {
      overdue_ = true;
      overdue_log_.push_back(absl::StrCat((now_ - absl::UnixEpoch()) / kStep, ":", stage.id));
      return true;
    }
    if (stage.reset_after_days.has_value() &&
        entered_ + absl::Hours(24) * *stage.reset_after_days <= now_) {
      Request({.verb = Verb::kClear}, "RESET");
      return true;
    }
    return false;
  }

  StageTable table_;
  std::vector<Rule> rules_;
  std::vector<Fact> facts_;
  Standing standing_;
  absl::Time now_;
  const Fact* fact_ = nullptr;
  absl::Time entered_;
  bool had_stage_ = false;
  bool overdue_ = false;
  std::map<std::string, absl::Time> last_;
  std::set<std::string> fired_;
  std::set<std::string> tried_;
};

TEST(FoldProperty, EqualsAPlainWalkThroughTime) {
  EXPECT_TRUE(rc::check([](uint32_t seed) {
    const auto revisions = RandomRevisions(seed, /*several=*/false);
    const auto facts = FactsOf(*FactSpecs(), revisions[0].model);
    PlainFold plain(revisions[0], facts);
    plain.Run();
    const FoldResult result =
        FoldOrFail(PlanOf(revisions), {}, facts, Step(kEndStep), HistoryOf(facts));
    std::vector<std::string> log;
    for (const LoggedTransition& t : result.transitions) {
      log.push_back(absl::StrCat((t.at - absl::UnixEpoch()) / kStep, ":", t.from, ">", t.to, " ",
                                 t.cause == Cause::kRule ? t.rule_id : Name(t.cause)));
    }
    RC_ASSERT(log == plain.log_);
    std::vector<std::string> overdue;
    for (const OverdueNotice& notice : result.overdue) {
      overdue.push_back(absl::StrCat((notice.at - absl::UnixEpoch()) / kStep, ":", notice.stage));
    }
    RC_ASSERT(overdue == plain.overdue_log_);
    RC_ASSERT(RefusedIds(result) == plain.refused_);
  }));
}

}  // namespace
}  // namespace clm::lifecycle
