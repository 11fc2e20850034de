#include "services/lifecycle/fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "libs/base/error.h"

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

absl::Time Day(double day) {
  return absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone()) + absl::Hours(24) * day;
}

Fact Event(double day, std::string id, std::string type) {
  return {.at = Day(day), .id = std::move(id), .type = std::move(type)};
}

Fact Attribute(double day, std::string id, std::string name) {
  return {
      .at = Day(day), .id = std::move(id), .kind = Fact::Kind::kAttribute, .type = std::move(name)};
}

Fact Manual(double day, std::string id, std::string to) {
  return {.at = Day(day),
          .id = std::move(id),
          .kind = Fact::Kind::kMove,
          .type = "m",
          .move = {.to = std::move(to)}};
}

Rule On(std::string id, std::string type, std::vector<std::string> from, std::string to,
        int priority = 0) {
  return {.id = std::move(id),
          .priority = priority,
          .model_id = "m",
          .from_stages = std::move(from),
          .to_stage = std::move(to),
          .trigger = {.kind = Trigger::Kind::kEvent, .types = {std::move(type)}}};
}

Rule InStage(std::string id, int days, std::vector<std::string> from, std::string to,
             int priority = 0) {
  Rule rule = On(std::move(id), "", std::move(from), std::move(to), priority);
  rule.trigger = {.kind = Trigger::Kind::kTimeInStage, .duration = absl::Hours(24) * days};
  return rule;
}

Rule Since(std::string id, std::string type, int days, std::vector<std::string> from,
           std::string to, int priority = 0) {
  Rule rule = On(std::move(id), "", std::move(from), std::move(to), priority);
  rule.trigger = {.kind = Trigger::Kind::kTimeSinceEvent,
                  .types = {std::move(type)},
                  .duration = absl::Hours(24) * days};
  return rule;
}

// Stages a, b, c, d, and n (NEGATIVE), t (TERMINAL); everything is permitted.
StageModel Letters(Policy policy = Policy::kFree) {
  StageModel model{.id = "m", .display_name = "Letters", .policy = policy};
  for (const char* id : {"a", "b", "c", "d"}) {
    model.stages.push_back(
        {.id = id, .label = id, .position = static_cast<int>(model.stages.size())});
  }
  model.stages.push_back({.id = "n", .label = "N", .position = 4, .kind = StageKind::kNegative});
  model.stages.push_back({.id = "t", .label = "T", .position = 5, .kind = StageKind::kTerminal});
  return model;
}

absl::StatusOr<Predicate> Constant(absl::string_view expression) {
  const bool value = expression != "false";
  return Predicate([value](const Situation&) { return value; });
}

Plan PlanOf(StageModel model, std::vector<Rule> rules) {
  auto plan = Plan::Compile({{.model = std::move(model), .rules = std::move(rules)}}, Constant);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *std::move(plan);
}

FoldResult FoldAll(const Plan& plan, std::vector<Fact> facts,
                   absl::Time until = absl::InfinitePast(), const ModelState& from = {}) {
  MemoryHistory history;
  for (const Fact& fact : facts) history.Add(fact);
  auto result = Fold(plan, from, facts, until, history);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::vector<std::string> Path(const FoldResult& result) {
  std::vector<std::string> path;
  for (const LoggedTransition& t : result.transitions) path.push_back(t.from + ">" + t.to);
  return path;
}

TEST(FoldTest, TheHighestPriorityWinsAndTiesGoToTheSmallestId) {
  const Plan plan = PlanOf(Letters(), {On("z-low", "buy", {}, "a", 1), On("y", "buy", {}, "b", 5),
                                       On("x", "buy", {}, "c", 5)});
  const FoldResult result = FoldAll(plan, {Event(1, "e1", "buy")});
  ASSERT_EQ(result.transitions.size(), 1u);
  EXPECT_EQ(result.transitions[0].to, "c");
  EXPECT_EQ(result.transitions[0].rule_id, "x");
  EXPECT_EQ(result.transitions[0].fact_id, "e1");
}

TEST(FoldTest, AFactAtTheInstantOfATimerGoesFirst) {
  const Plan plan =
      PlanOf(Letters(), {On("buy", "buy", {}, "a"), Since("quiet", "buy", 90, {"a"}, "n")});
  const FoldResult kept = FoldAll(plan, {Event(0, "e1", "buy"), Event(90, "e2", "buy")}, Day(100));
  EXPECT_THAT(Path(kept), ElementsAre(">a"));
  EXPECT_EQ(kept.next_due, Day(180));
  const FoldResult lost =
      FoldAll(plan, {Event(0, "e1", "buy"), Event(90.5, "e2", "buy")}, Day(100));
  EXPECT_THAT(Path(lost), ElementsAre(">a", "a>n", "n>a"));
  EXPECT_EQ(lost.transitions[1].at, Day(90));
}

TEST(FoldTest, ARefusedRuleLeavesTheMatterToTheNextAndASatisfiedOneEndsIt) {
  StageModel model = Letters(Policy::kForwardOnly);
  const Plan refused = PlanOf(model, {On("back", "buy", {}, "a", 9), On("on", "buy", {}, "c", 1)});
  EXPECT_THAT(Path(FoldAll(refused, {Manual(1, "e1", "b"), Event(2, "e2", "buy")})),
              ElementsAre(">b", "b>c"));
  const Plan satisfied =
      PlanOf(model, {On("stay", "buy", {}, "b", 9), On("on", "buy", {}, "c", 1)});
  EXPECT_THAT(Path(FoldAll(satisfied, {Manual(1, "e1", "b"), Event(2, "e2", "buy")})),
              ElementsAre(">b"));
}

TEST(FoldTest, ADisabledRuleMovesNobody) {
  Rule rule = On("r", "buy", {}, "a");
  rule.enabled = false;
  const Plan plan = PlanOf(Letters(), {rule});
  EXPECT_THAT(Path(FoldAll(plan, {Event(1, "e1", "buy")})), IsEmpty());
}

TEST(FoldTest, ARuleActsOnlyFromItsStages) {
  const Plan plan = PlanOf(Letters(), {On("r", "buy", {"a"}, "b")});
  EXPECT_THAT(Path(FoldAll(plan, {Event(1, "e1", "buy")})), IsEmpty());
  EXPECT_THAT(Path(FoldAll(plan, {Manual(0, "e0", "a"), Event(1, "e1", "buy")})),
              ElementsAre(">a", "a>b"));
  EXPECT_THAT(Path(FoldAll(plan, {Manual(0, "e0", "c"), Event(1, "e1", "buy")})),
              ElementsAre(">c"));
}

TEST(FoldTest, AConditionDecides) {
  Rule no = On("no", "buy", {}, "a", 2);
  no.condition = "false";
  Rule yes = On("yes", "buy", {}, "b", 1);
  yes.condition = "true";
  const Plan plan = PlanOf(Letters(), {no, yes});
  EXPECT_THAT(Path(FoldAll(plan, {Event(1, "e1", "buy")})), ElementsAre(">b"));
}

TEST(FoldTest, AnAttributeChangeTriggersAndAnEventOfThatNameDoesNot) {
  Rule rule = On("r", "", {}, "a");
  rule.trigger = {.kind = Trigger::Kind::kAttributeChange, .attribute = "plan"};
  const Plan plan = PlanOf(Letters(), {rule});
  EXPECT_THAT(Path(FoldAll(plan, {Event(1, "e1", "plan")})), IsEmpty());
  EXPECT_THAT(Path(FoldAll(plan, {Attribute(1, "e1", "plan")})), ElementsAre(">a"));
}

TEST(FoldTest, CountsLookBackOverTheWindowWithoutItsFarEnd) {
  Rule rule = On("r", "", {}, "a");
  rule.trigger = {.kind = Trigger::Kind::kEventCount,
                  .types = {"buy"},
                  .window = absl::Hours(24) * 10,
                  .at_least = 3};
  const Plan plan = PlanOf(Letters(), {rule});
  EXPECT_TRUE(plan.needs_history());
  EXPECT_THAT(
      Path(FoldAll(plan, {Event(0, "e1", "buy"), Event(5, "e2", "buy"), Event(10, "e3", "buy")})),
      IsEmpty());
  const FoldResult result =
      FoldAll(plan, {Event(0.5, "e1", "buy"), Event(5, "e2", "buy"), Event(10, "e3", "buy")});
  ASSERT_THAT(Path(result), ElementsAre(">a"));
  EXPECT_EQ(result.transitions[0].fact_id, "e3");
}

TEST(FoldTest, ACountDoesNotSeeLaterFactsOfTheSameInstant) {
  Rule rule = On("r", "", {}, "a");
  rule.trigger = {.kind = Trigger::Kind::kEventCount,
                  .types = {"buy"},
                  .window = absl::Hours(24),
                  .at_least = 2};
  const Plan plan = PlanOf(Letters(), {rule});
  const FoldResult result = FoldAll(plan, {Event(1, "e1", "buy"), Event(1, "e2", "buy")});
  ASSERT_EQ(result.transitions.size(), 1u);
  EXPECT_EQ(result.transitions[0].fact_id, "e2");
}

TEST(FoldTest, SumsAreExactPerCurrencyAndRefuseToOverflow) {
  Rule rule = On("r", "", {}, "a");
  rule.trigger = {.kind = Trigger::Kind::kEventSum,
                  .types = {"buy"},
                  .window = absl::Hours(24) * 10,
                  .at_least = 10000,
                  .currency = "EUR"};
  const Plan plan = PlanOf(Letters(), {rule});
  const std::vector<Fact> facts = {Event(1, "e1", "buy"), Event(2, "e2", "buy"),
                                   Event(3, "e3", "buy")};
  MemoryHistory history;
  history.Add(facts[0], {{.currency = "EUR", .value = 6000}});
  history.Add(facts[1], {{.currency = "USD", .value = 6000}, {.property = "items", .value = 9999}});
  history.Add(facts[2], {{.currency = "EUR", .value = 4000}});
  const auto result = Fold(plan, {}, facts, absl::InfinitePast(), history);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->transitions.size(), 1u);
  EXPECT_EQ(result->transitions[0].fact_id, "e3");

  history.Add(facts[1], {{.currency = "EUR", .value = std::numeric_limits<int64_t>::max()}});
  const auto overflow = Fold(plan, {}, facts, absl::InfinitePast(), history);
  EXPECT_EQ(overflow.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(error::Reason(overflow.status()), "SUM_OVERFLOW");
}

TEST(FoldTest, TimersFireBetweenFactsAtTheirExactInstants) {
  const Plan plan = PlanOf(Letters(), {On("buy", "buy", {}, "a"), InStage("t1", 10, {"a"}, "b"),
                                       InStage("t2", 5, {"b"}, "c")});
  const FoldResult result = FoldAll(plan, {Event(0, "e1", "buy"), Event(100, "e2", "buy")});
  ASSERT_THAT(Path(result), ElementsAre(">a", "a>b", "b>c", "c>a"));
  EXPECT_EQ(result.transitions[1].at, Day(10));
  EXPECT_EQ(result.transitions[2].at, Day(15));
  EXPECT_EQ(result.transitions[2].fact_id, "");
  EXPECT_EQ(result.transitions[2].rule_id, "t2");
  EXPECT_EQ(result.next_due, Day(110));
}

TEST(FoldTest, UntilIsInclusiveAndTimeStandsStillBeyondIt) {
  const Plan plan = PlanOf(Letters(), {InStage("t", 10, {"a"}, "b")});
  const FoldResult before = FoldAll(plan, {Manual(0, "e", "a")}, Day(9.9));
  EXPECT_THAT(Path(before), ElementsAre(">a"));
  EXPECT_EQ(before.next_due, Day(10));
  EXPECT_THAT(Path(FoldAll(plan, {}, Day(10), before.state)), ElementsAre("a>b"));
}

TEST(FoldTest, OfTimersDueAtOneInstantTheWinningRuleGoesFirst) {
  const Plan plan =
      PlanOf(Letters(), {InStage("low", 10, {"a"}, "b", 1), InStage("high", 10, {"a"}, "c", 2)});
  EXPECT_THAT(Path(FoldAll(plan, {Manual(0, "e", "a")}, Day(30))), ElementsAre(">a", "a>c"));
}

TEST(FoldTest, ARuleOfSilenceWaitsForTheNextEventOnceItHasFired) {
  const Plan plan =
      PlanOf(Letters(), {On("buy", "buy", {"n"}, "a"), Since("quiet", "buy", 90, {"a"}, "n")});
  const FoldResult result = FoldAll(plan,
                                    {Manual(0, "e0", "a"), Event(1, "e1", "buy"),
                                     Manual(100, "e2", "a"), Event(200, "e3", "buy")},
                                    Day(400));
  EXPECT_THAT(Path(result), ElementsAre(">a", "a>n", "n>a", "a>n"));
  EXPECT_EQ(result.transitions[3].at, Day(290));
}

TEST(FoldTest, SilenceOlderThanTheStageCountsFromTheEntry) {
  const Plan plan = PlanOf(Letters(), {Since("quiet", "login", 30, {"b"}, "n")});
  const FoldResult result =
      FoldAll(plan, {Event(0, "e0", "login"), Manual(40, "e1", "b")}, Day(40));
  ASSERT_THAT(Path(result), ElementsAre(">b", "b>n"));
  EXPECT_EQ(result.transitions[1].at, Day(40));
}

TEST(FoldTest, SilenceNeverBeginsWithoutAFirstEvent) {
  const Plan plan = PlanOf(Letters(), {Since("quiet", "login", 30, {}, "n")});
  EXPECT_EQ(FoldAll(plan, {Manual(0, "e0", "a")}, Day(900)).next_due, absl::InfiniteFuture());
}

TEST(FoldTest, ATimerWhoseConditionFailsIsTriedAgainInTheNextVisitOnly) {
  int asked = 0;
  Rule rule = InStage("t", 10, {"a"}, "b");
  rule.condition = "asked";
  auto plan = Plan::Compile({{.model = Letters(), .rules = {rule}}}, [&](absl::string_view) {
    return Predicate([&](const Situation& now) -> absl::StatusOr<bool> {
      EXPECT_EQ(now.stage, "a");
      EXPECT_EQ(now.fact, nullptr);
      return ++asked == 2;
    });
  });
  ASSERT_TRUE(plan.ok());
  FoldResult first = FoldAll(*plan, {Manual(0, "e0", "a")}, Day(50));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(first.next_due, absl::InfiniteFuture());
  const FoldResult second =
      FoldAll(*plan, {Manual(60, "e1", "c"), Manual(70, "e2", "a")}, Day(100), first.state);
  EXPECT_THAT(Path(second), ElementsAre("a>c", "c>a", "a>b"));
}

TEST(FoldTest, AnOverdueStageIsToldOncePerVisit) {
  StageModel model = Letters();
  model.stages[0].target_days = 7;
  const Plan plan = PlanOf(model, {});
  const FoldResult result =
      FoldAll(plan, {Manual(0, "e0", "a"), Manual(20, "e1", "b"), Manual(30, "e2", "a")}, Day(90));
  EXPECT_THAT(result.overdue, ElementsAre(OverdueNotice{Day(7), "a", Day(0)},
                                          OverdueNotice{Day(37), "a", Day(30)}));
  EXPECT_TRUE(result.state.overdue);
  EXPECT_THAT(FoldAll(plan, {}, Day(900), result.state).overdue, IsEmpty());
}

TEST(FoldTest, AStageIsResetAfterItsDays) {
  StageModel model = Letters();
  model.stages[0].target_days = 7;
  model.stages[0].reset_after_days = 30;
  const FoldResult result = FoldAll(PlanOf(model, {}), {Manual(0, "e0", "a")}, Day(90));
  ASSERT_THAT(Path(result), ElementsAre(">a", "a>"));
  EXPECT_EQ(result.transitions[1].at, Day(30));
  EXPECT_EQ(result.transitions[1].cause, Cause::kReset);
  EXPECT_EQ(result.overdue.size(), 1u);
}

TEST(FoldTest, TheFirstFactLeadsToTheInitialStageUnlessARuleDecides) {
  StageModel model = Letters();
  model.initial_stage = "a";
  const Plan plan = PlanOf(model, {On("buy", "buy", {}, "b")});
  const FoldResult seen = FoldAll(plan, {Event(1, "e1", "seen"), Event(2, "e2", "seen")});
  ASSERT_THAT(Path(seen), ElementsAre(">a"));
  EXPECT_EQ(seen.transitions[0].cause, Cause::kInitial);
  EXPECT_EQ(seen.transitions[0].fact_id, "e1");
  EXPECT_THAT(Path(FoldAll(plan, {Event(1, "e1", "buy")})), ElementsAre(">b"));
  Fact clear = Manual(3, "e3", "");
  clear.move.verb = Verb::kClear;
  EXPECT_THAT(Path(FoldAll(plan, {Event(1, "e1", "seen"), clear, Event(4, "e4", "seen")})),
              ElementsAre(">a", "a>"));
}

TEST(FoldTest, AManualMoveThatIsForbiddenAtItsPlaceIsReportedAndChangesNothing) {
  const Plan plan = PlanOf(Letters(Policy::kForwardOnly), {});
  const FoldResult result =
      FoldAll(plan, {Manual(0, "e0", "b"), Manual(1, "e1", "a"), Manual(2, "e2", "b")});
  EXPECT_THAT(Path(result), ElementsAre(">b"));
  ASSERT_EQ(result.refused.size(), 1u);
  EXPECT_EQ(result.refused[0].fact_id, "e1");
  EXPECT_EQ(error::MetadataValue(result.refused[0].status, "from"), "b");
}

TEST(FoldTest, BackfilledStagesAreEnteredAtTheSameInstantAndFlagged) {
  StageModel model = Letters(Policy::kForwardOnly);
  model.skip_policy = SkipPolicy::kBackfilled;
  const FoldResult result = FoldAll(PlanOf(model, {}), {Manual(5, "e0", "c")});
  ASSERT_THAT(Path(result), ElementsAre(">a", "a>b", "b>c"));
  for (const LoggedTransition& t : result.transitions) EXPECT_EQ(t.at, Day(5));
  EXPECT_TRUE(result.transitions[0].synthetic);
  EXPECT_TRUE(result.transitions[1].synthetic);
  EXPECT_FALSE(result.transitions[2].synthetic);
  EXPECT_THAT(result.transitions[2].skipped, IsEmpty());
  EXPECT_EQ(result.state.visits, 3);
  EXPECT_THAT(result.state.visited, ElementsAre("a", "b", "c"));
}

TEST(FoldTest, ALateFactIsRefusedAndOneThatConcernsNothingIsNot) {
  const Plan plan = PlanOf(Letters(), {On("buy", "buy", {}, "a"), InStage("t", 10, {"a"}, "b")});
  const FoldResult result = FoldAll(plan, {Event(5, "e5", "buy")}, Day(20));
  EXPECT_EQ(result.state.applied, (Horizon{.at = Day(15), .phase = Horizon::Phase::kTimer}));
  EXPECT_TRUE(plan.IsLate(result.state, Event(15, "e6", "buy")));
  EXPECT_FALSE(plan.IsLate(result.state, Event(15.1, "e6", "buy")));
  EXPECT_FALSE(plan.IsLate(result.state, Event(1, "e6", "other")));
  const std::vector<Fact> late = {Event(15, "e6", "buy")};
  const auto refused = Fold(plan, result.state, late, absl::InfinitePast(), MemoryHistory());
  EXPECT_EQ(error::Reason(refused.status()), "FACT_LATE");
  EXPECT_EQ(FoldAll(plan, {Event(1, "e6", "other")}, absl::InfinitePast(), result.state).state,
            result.state);
}

TEST(FoldTest, AnEventThatNoRevisionNamesConcernsNobody) {
  const Plan plan = PlanOf(Letters(), {On("buy", "buy", {}, "a"), Since("s", "call", 9, {}, "n")});
  EXPECT_TRUE(plan.MayConcern(Event(1, "e", "buy")));
  EXPECT_TRUE(plan.MayConcern(Event(1, "e", "call")));
  EXPECT_FALSE(plan.MayConcern(Event(1, "e", "visit")));
  EXPECT_TRUE(plan.MayConcern(Manual(1, "e", "b")));

  auto revised = Plan::Compile(
      {{.model = Letters(), .rules = {On("buy", "buy", {}, "a")}},
       {.number = 2, .from = Day(5), .model = Letters(), .rules = {On("v", "visit", {}, "a")}}},
      Constant);
  ASSERT_TRUE(revised.ok());
  EXPECT_TRUE(revised->MayConcern(Event(1, "e", "visit")));
  EXPECT_TRUE(revised->MayConcern(Event(9, "e", "buy")));

  // Whoever has no stage yet gets one by anything; a condition may look at anything.
  StageModel initial = Letters();
  initial.initial_stage = "a";
  EXPECT_TRUE(PlanOf(initial, {}).MayConcern(Event(1, "e", "visit")));
  Rule judged = On("buy", "buy", {}, "a");
  judged.condition = "true";
  EXPECT_TRUE(PlanOf(Letters(), {judged}).MayConcern(Event(1, "e", "visit")));
}

TEST(FoldTest, ASecondFactOfAnInstantFollowsByIdOnly) {
  const Plan plan = PlanOf(Letters(), {On("buy", "buy", {}, "a")});
  const ModelState state = FoldAll(plan, {Event(5, "e5", "buy")}).state;
  EXPECT_TRUE(plan.IsLate(state, Event(5, "e4", "buy")));
  EXPECT_TRUE(plan.IsLate(state, Event(5, "e5", "buy")));
  EXPECT_FALSE(plan.IsLate(state, Event(5, "e6", "buy")));
}

TEST(FoldTest, RulesThatLeadInACircleEnd) {
  Rule there = InStage("there", 1, {"a"}, "b");
  Rule back = InStage("back", 1, {"b"}, "a");
  there.trigger.duration = back.trigger.duration = absl::Seconds(1);
  const Plan plan = PlanOf(Letters(), {there, back});
  const std::vector<Fact> facts = {Manual(0, "e0", "a")};
  const auto result = Fold(plan, {}, facts, Day(3650), MemoryHistory());
  EXPECT_EQ(error::Reason(result.status()), "TIMER_LOOP");
}

TEST(FoldTest, AReactivationByRuleOpensANewEpisode) {
  Rule back = On("back", "subscribe", {"t"}, "b");
  back.reactivate = true;
  const Plan plan = PlanOf(Letters(), {back, On("buy", "buy", {}, "c")});
  const FoldResult result = FoldAll(plan, {Manual(0, "e0", "a"), Manual(1, "e1", "t"),
                                           Event(2, "e2", "buy"), Event(3, "e3", "subscribe")});
  EXPECT_THAT(Path(result), ElementsAre(">a", "a>t", "t>b"));
  EXPECT_EQ(result.transitions[1].episode, 1);
  EXPECT_EQ(result.transitions[2].episode, 2);
  EXPECT_THAT(result.state.visited, ElementsAre("b"));
}

TEST(FoldTest, ANewRevisionMapsStagesAtItsInstantAndJudgesFromThenOn) {
  StageModel second = Letters();
  second.version = 2;
  second.stages[0].id = "alpha";
  std::vector<Revision> revisions;
  revisions.push_back({.model = Letters(), .rules = {On("r1", "buy", {}, "a")}});
  revisions.push_back(
      {.number = 2,
       .from = Day(10),
       .model = second,
       .rules = {On("r2", "buy", {"alpha"}, "b"), Since("quiet", "login", 30, {"alpha"}, "n")},
       .mapping = {{"a", "alpha"}}});
  auto plan = Plan::Compile(std::move(revisions), Constant);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const FoldResult result = FoldAll(
      *plan, {Event(0, "e0", "login"), Event(1, "e1", "buy"), Event(20, "e2", "seen")}, Day(100));
  ASSERT_THAT(Path(result), ElementsAre(">a", "a>alpha", "alpha>n"));
  EXPECT_EQ(result.transitions[1].at, Day(10));
  EXPECT_EQ(result.transitions[1].cause, Cause::kRevision);
  EXPECT_EQ(result.transitions[1].model_version, 2);
  EXPECT_EQ(result.transitions[2].at, Day(30));
  EXPECT_EQ(FoldAll(*plan, {Event(1, "e1", "buy")}).next_due, Day(10));
  EXPECT_TRUE(plan->IsLate(result.state, Event(5, "e3", "login")));
  EXPECT_THAT(Path(FoldAll(*plan, {Event(1, "e1", "buy"), Event(10, "e2", "buy")})),
              ElementsAre(">a", "a>alpha", "alpha>b"));
}

TEST(FoldTest, FactsOutOfOrderAreRefused) {
  const Plan plan = PlanOf(Letters(), {On("buy", "buy", {}, "a")});
  for (const Fact& second : {Event(5, "e4", "buy"), Event(5, "e5", "buy"), Event(4, "e6", "buy")}) {
    const std::vector<Fact> facts = {Event(5, "e5", "buy"), second};
    const auto result = Fold(plan, {}, facts, absl::InfinitePast(), MemoryHistory());
    EXPECT_EQ(error::Reason(result.status()), "FACT_LATE");
  }
}

TEST(FoldTest, AnUnchangedRuleThatHasFiredDoesNotFireAgainInANewRevision) {
  const Rule quiet = Since("quiet", "buy", 90, {"a"}, "n");
  std::vector<Revision> revisions;
  revisions.push_back({.model = Letters(), .rules = {quiet}});
  revisions.push_back({.number = 2,
                       .from = Day(120),
                       .model = Letters(),
                       .rules = {quiet, On("end", "end", {}, "d")}});
  const auto plan = Plan::Compile(std::move(revisions), Constant);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const FoldResult result = FoldAll(
      *plan, {Manual(0, "e0", "a"), Event(0, "e1", "buy"), Manual(100, "e2", "a")}, Day(300));
  EXPECT_THAT(Path(result), ElementsAre(">a", "a>n", "n>a"));
}

TEST(FoldTest, AStageChangedByARevisionIsANewVisitForItsTimers) {
  int asked = 0;
  // Silence has lasted long enough when the visit begins, so the rule is tried at once.
  Rule rule = Since("t", "buy", 10, {"a", "b"}, "c");
  rule.condition = "asked";
  std::vector<Revision> revisions;
  revisions.push_back({.model = Letters(), .rules = {rule}});
  revisions.push_back(
      {.number = 2, .from = Day(50), .model = Letters(), .rules = {rule}, .mapping = {{"a", "b"}}});
  const auto plan = Plan::Compile(std::move(revisions), [&](absl::string_view) {
    return Predicate([&](const Situation&) -> absl::StatusOr<bool> { return ++asked == 2; });
  });
  ASSERT_TRUE(plan.ok()) << plan.status();
  const FoldResult result = FoldAll(*plan, {Manual(0, "e0", "a"), Event(0, "e1", "buy")}, Day(300));
  ASSERT_THAT(Path(result), ElementsAre(">a", "a>b", "b>c"));
  EXPECT_EQ(result.transitions[2].at, Day(50));
}

TEST(ReconcileTest, KeepsWhatBothLogsContainAndNumbersTheNewOnesOnward) {
  const Plan plan = PlanOf(Letters(), {On("buy", "buy", {}, "a"), On("end", "end", {}, "d"),
                                       InStage("t", 10, {"a"}, "b")});
  const FoldResult lived =
      FoldAll(plan, {Event(0, "e0", "buy"), Event(20, "e1", "buy"), Event(40, "e2", "end")});
  ASSERT_THAT(Path(lived), ElementsAre(">a", "a>b", "b>a", "a>b", "b>d"));
  const FoldResult again = FoldAll(plan, {Event(0, "e0", "buy"), Event(5, "e9", "end"),
                                          Event(20, "e1", "buy"), Event(40, "e2", "end")});
  ASSERT_THAT(Path(again), ElementsAre(">a", "a>d", "d>a", "a>b", "b>d"));
  const Reconciliation change = Reconcile(lived.transitions, again.transitions, 5);
  EXPECT_THAT(change.voided, ElementsAre(2, 3));
  ASSERT_EQ(change.appended.size(), 2u);
  EXPECT_EQ(change.appended[0].sequence, 6);
  EXPECT_EQ(change.appended[0].to, "d");
  EXPECT_EQ(change.appended[1].sequence, 7);
  EXPECT_EQ(change.last_sequence, 7);
  EXPECT_THAT(Reconcile(lived.transitions, lived.transitions, 5).appended, IsEmpty());
}

}  // namespace
}  // namespace clm::lifecycle
