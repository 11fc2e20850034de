#include "services/lifecycle/transition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Stages one, two, loop (LOOP), three, four, sad (NEGATIVE), end (TERMINAL).
StageModel Model(Policy policy, SkipPolicy skips = SkipPolicy::kAllowed) {
  StageModel model{.id = "m", .display_name = "Model", .policy = policy, .skip_policy = skips};
  const auto add = [&](const char* id, StageKind kind) {
    model.stages.push_back({.id = id,
                            .label = id,
                            .position = 10 * static_cast<int>(model.stages.size()),
                            .kind = kind});
  };
  add("one", StageKind::kNormal);
  add("two", StageKind::kNormal);
  add("loop", StageKind::kLoop);
  add("three", StageKind::kNormal);
  add("four", StageKind::kNormal);
  add("sad", StageKind::kNegative);
  add("end", StageKind::kTerminal);
  return model;
}

class Customer {
 public:
  explicit Customer(StageModel model) : table_(std::move(model)) {}

  absl::StatusOr<Transition> Ask(const MoveRequest& request) {
    auto transition =
        Decide(table_, standing_, request,
               [this](const Stage&, absl::string_view expression) -> absl::StatusOr<bool> {
                 return expression == open_gate_;
               });
    if (transition.ok()) standing_ = transition->after;
    return transition;
  }
  absl::StatusOr<Transition> Go(const std::string& to) { return Ask({.to = to}); }
  // The stages in turn; the last answer.
  std::optional<Transition> GoAll(std::initializer_list<const char*> stages) {
    std::optional<Transition> last;
    for (const char* stage : stages) {
      const auto step = Go(stage);
      EXPECT_TRUE(step.ok()) << stage << ": " << step.status();
      if (step.ok()) last = *step;
    }
    return last;
  }
  absl::StatusOr<Transition> Clear() { return Ask({.verb = Verb::kClear}); }
  absl::StatusOr<Transition> Reactivate(const std::string& to) {
    return Ask({.verb = Verb::kReactivate, .to = to});
  }
  std::string stage() const { return table_.Id(standing_.stage); }
  const Standing& standing() const { return standing_; }
  std::string open_gate_;

 private:
  StageTable table_;
  Standing standing_;
};

std::string Why(const absl::StatusOr<Transition>& answer) { return error::Reason(answer.status()); }

TEST(ForwardOnlyTest, MovesForwardAndRefusesToGoBackWithFromToAndPolicy) {
  Customer customer(Model(Policy::kForwardOnly));
  EXPECT_EQ(customer.GoAll({"one", "two", "three"})->direction, Direction::kProgress);
  const auto back = customer.Go("one");
  EXPECT_EQ(back.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Why(back), "REGRESS_NOT_ALLOWED");
  EXPECT_EQ(error::MetadataValue(back.status(), "from"), "three");
  EXPECT_EQ(error::MetadataValue(back.status(), "to"), "one");
  EXPECT_EQ(error::MetadataValue(back.status(), "policy"), "FORWARD_ONLY");
  EXPECT_EQ(customer.stage(), "three");
}

TEST(ForwardOnlyTest, ARegressNeedsToBeAllowedAReasonAndARole) {
  Customer customer(Model(Policy::kForwardOnly));
  customer.GoAll({"three"});
  EXPECT_EQ(Why(customer.Ask({.to = "one", .reason = "typo", .has_role = true})),
            "REGRESS_NOT_ALLOWED");
  const auto silent = customer.Ask({.to = "one", .allow_regress = true, .has_role = true});
  EXPECT_EQ(silent.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error::FieldViolations(silent.status())[0].first, "reason");
  const auto nobody = customer.Ask({.to = "one", .allow_regress = true, .reason = "typo"});
  EXPECT_EQ(nobody.status().code(), absl::StatusCode::kPermissionDenied);
  const auto done =
      customer.Ask({.to = "one", .allow_regress = true, .reason = "typo", .has_role = true});
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->direction, Direction::kRegress);
  EXPECT_EQ(customer.Go("two")->direction, Direction::kProgress);
}

TEST(DecideTest, AMoveToThePresentStageChangesNothing) {
  Customer customer(Model(Policy::kForwardOnly));
  customer.GoAll({"two"});
  const Standing before = customer.standing();
  const auto again = customer.Go("two");
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->changes);
  EXPECT_EQ(customer.standing(), before);
}

TEST(DecideTest, AnUnknownStageIsABadArgument) {
  Customer customer(Model(Policy::kFree));
  EXPECT_EQ(customer.Go("nowhere").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(customer.Go("").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(GraphTest, MovesAlongListedEdgesOnly) {
  StageModel model = Model(Policy::kGraph);
  model.edges = {{"one", "two"}, {"two", "four"}, {"four", "two"}, {"two", "sad"}, {"sad", "two"}};
  Customer customer(model);
  customer.GoAll({"one", "two", "four"});
  EXPECT_EQ(customer.Go("two")->direction, Direction::kRegress);
  EXPECT_EQ(Why(customer.Go("three")), "NO_EDGE");
  EXPECT_EQ(Why(customer.Go("end")), "NO_EDGE");
  EXPECT_EQ(error::MetadataValue(customer.Go("end").status(), "policy"), "GRAPH");
  EXPECT_TRUE(customer.Go("sad").ok());
  EXPECT_EQ(Why(customer.Go("four")), "NO_EDGE");
  EXPECT_TRUE(customer.Go("two").ok());
  EXPECT_EQ(Why(customer.Go("one")), "REGRESS_NOT_ALLOWED");
  EXPECT_TRUE(
      customer.Ask({.to = "one", .allow_regress = true, .reason = "typo", .has_role = true}).ok());
}

TEST(GraphTest, AListedEdgeMayJumpEvenWhereSkipsAreForbidden) {
  StageModel model = Model(Policy::kGraph, SkipPolicy::kForbidden);
  model.edges = {{"one", "four"}};
  Customer customer(model);
  customer.GoAll({"one"});
  EXPECT_THAT(customer.Go("four")->skipped, ElementsAre("two", "three"));
}

TEST(FreeTest, GoesBackWithoutAsking) {
  Customer customer(Model(Policy::kFree));
  EXPECT_EQ(customer.GoAll({"four", "one"})->direction, Direction::kRegress);
}

TEST(ClearTest, LeavesNoStageAndTheNextEntryMayBeAny) {
  for (const Policy policy : {Policy::kForwardOnly, Policy::kGraph, Policy::kFree}) {
    StageModel model = Model(policy, SkipPolicy::kForbidden);
    if (policy == Policy::kGraph) model.edges = {{"one", "two"}};
    Customer customer(model);
    customer.GoAll({"one", "two"});
    const auto cleared = customer.Clear();
    ASSERT_TRUE(cleared.ok());
    EXPECT_EQ(cleared->to, "");
    EXPECT_EQ(cleared->direction, Direction::kClear);
    EXPECT_EQ(customer.standing().episode, 1);
    EXPECT_FALSE(customer.Clear()->changes);
    EXPECT_TRUE(customer.Go("four").ok());
    ASSERT_TRUE(customer.Clear().ok());
    EXPECT_TRUE(customer.Go("one").ok());
  }
}

TEST(SkipTest, AJumpListsWhatItSkipsWithoutLoops) {
  Customer customer(Model(Policy::kForwardOnly));
  customer.GoAll({"one"});
  const auto jump = customer.Go("four");
  EXPECT_THAT(jump->skipped, ElementsAre("two", "three"));
  EXPECT_THAT(jump->backfilled, IsEmpty());
}

TEST(SkipTest, AFirstEntryFurtherOnSkipsWhatLiesBefore) {
  Customer customer(Model(Policy::kForwardOnly));
  EXPECT_THAT(customer.Go("three")->skipped, ElementsAre("one", "two"));
}

TEST(SkipTest, AForbiddenJumpNamesTheStages) {
  Customer customer(Model(Policy::kForwardOnly, SkipPolicy::kForbidden));
  EXPECT_EQ(Why(customer.Go("two")), "SKIP_FORBIDDEN");
  customer.GoAll({"one"});
  const auto jump = customer.Go("four");
  EXPECT_EQ(jump.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(error::MetadataValue(jump.status(), "skipped"), "two,three");
  customer.GoAll({"two", "three", "four"});
}

TEST(SkipTest, BackfilledStagesCountAsVisited) {
  StageModel model = Model(Policy::kForwardOnly, SkipPolicy::kBackfilled);
  model.stages[4].require_all_earlier = true;
  Customer customer(model);
  const auto jump = customer.GoAll({"one", "three"});
  EXPECT_THAT(jump->backfilled, ElementsAre("two"));
  EXPECT_THAT(jump->skipped, IsEmpty());
  EXPECT_TRUE(customer.Go("four").ok());
}

TEST(LoopTest, IsComeBackToWithoutRegress) {
  Customer customer(Model(Policy::kForwardOnly));
  EXPECT_EQ(customer.GoAll({"one", "two", "loop", "three", "loop"})->direction, Direction::kReturn);
  EXPECT_EQ(Why(customer.Go("two")), "REGRESS_NOT_ALLOWED");
  EXPECT_EQ(customer.Go("three")->direction, Direction::kReturn);
  EXPECT_THAT(customer.GoAll({"loop", "four"})->skipped, IsEmpty());
}

TEST(NegativeTest, IsEnteredFromAnywhereAndIsNeverProgress) {
  Customer customer(Model(Policy::kForwardOnly, SkipPolicy::kForbidden));
  EXPECT_EQ(customer.GoAll({"one", "sad"})->direction, Direction::kNegative);
  EXPECT_THAT(customer.GoAll({"one", "two", "sad"})->skipped, IsEmpty());
  EXPECT_EQ(customer.standing().progress, 1);
}

TEST(NegativeTest, LeadsBackToWhereTheCustomerWasAndOnward) {
  Customer customer(Model(Policy::kForwardOnly));
  customer.GoAll({"one", "two", "sad"});
  EXPECT_EQ(Why(customer.Go("one")), "REGRESS_NOT_ALLOWED");
  EXPECT_EQ(customer.Go("two")->direction, Direction::kReturn);
  const auto onward = customer.GoAll({"sad", "three"});
  EXPECT_EQ(onward->direction, Direction::kProgress);
  EXPECT_THAT(onward->skipped, IsEmpty());
}

TEST(TerminalTest, OnlyReactivateLeadsOutAndOpensANewEpisode) {
  Customer customer(Model(Policy::kFree));
  EXPECT_EQ(customer.GoAll({"one", "end"})->direction, Direction::kTerminal);
  EXPECT_EQ(Why(customer.Go("one")), "STAGE_TERMINAL");
  EXPECT_EQ(Why(customer.Go("sad")), "STAGE_TERMINAL");
  EXPECT_EQ(Why(customer.Clear()), "STAGE_TERMINAL");
  EXPECT_EQ(
      Why(customer.Ask({.to = "one", .allow_regress = true, .reason = "x", .has_role = true})),
      "STAGE_TERMINAL");
  EXPECT_EQ(Why(customer.Reactivate("sad")), "REACTIVATE_TO_PROGRESS_ONLY");
  const auto back = customer.Reactivate("two");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(back->new_episode);
  EXPECT_EQ(back->after.episode, 2);
  EXPECT_EQ(back->after.visited, StageTable::Bit(1));
  EXPECT_EQ(back->direction, Direction::kReturn);
}

TEST(TerminalTest, ReactivateIsForTerminalStagesOnly) {
  Customer customer(Model(Policy::kFree));
  EXPECT_EQ(Why(customer.Reactivate("one")), "STAGE_NOT_TERMINAL");
  customer.GoAll({"sad"});
  EXPECT_EQ(Why(customer.Reactivate("one")), "STAGE_NOT_TERMINAL");
}

TEST(GateTest, TheEntryGateKeepsOutAndTheExitGateKeepsFromGoingOn) {
  StageModel model = Model(Policy::kForwardOnly);
  model.stages[0].exit_gate = "checklist done";
  model.stages[3].entry_gate = "consented";
  Customer customer(model);
  customer.GoAll({"one"});
  EXPECT_EQ(Why(customer.Go("two")), "EXIT_GATE_CLOSED");
  EXPECT_EQ(customer.stage(), "one");
  customer.open_gate_ = "checklist done";
  customer.GoAll({"two"});
  EXPECT_EQ(Why(customer.Go("three")), "ENTRY_GATE_CLOSED");
  customer.open_gate_ = "consented";
  customer.GoAll({"three"});
}

TEST(GateTest, NoGateKeepsACustomerFromANegativeOrTerminalStage) {
  StageModel model = Model(Policy::kForwardOnly);
  model.stages[0].exit_gate = "closed for good";
  Customer customer(model);
  customer.GoAll({"one", "sad", "end"});
}

TEST(GateTest, AStageMayDemandEveryEarlierStage) {
  StageModel model = Model(Policy::kForwardOnly);
  model.stages[3].require_all_earlier = true;
  Customer customer(model);
  customer.GoAll({"one"});
  EXPECT_EQ(Why(customer.Go("three")), "EARLIER_STAGES_MISSING");
  customer.GoAll({"two", "three"});
}

TEST(GateTest, VisitsOfAClosedEpisodeDoNotCount) {
  StageModel model = Model(Policy::kForwardOnly);
  model.stages[3].require_all_earlier = true;
  Customer customer(model);
  customer.GoAll({"one", "two", "three", "end"});
  EXPECT_EQ(Why(customer.Reactivate("three")), "EARLIER_STAGES_MISSING");
  ASSERT_TRUE(customer.Reactivate("two").ok());
  EXPECT_EQ(Why(customer.Go("three")), "EARLIER_STAGES_MISSING");
}

TEST(GateTest, AGateThatFailsFailsTheDecision) {
  StageModel model = Model(Policy::kFree);
  model.stages[1].entry_gate = "x";
  const StageTable table(model);
  const auto answer =
      Decide(table, {}, {.to = "two"}, [](const Stage&, absl::string_view) -> absl::StatusOr<bool> {
        return error::Internal("no history");
      });
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kInternal);
}

TEST(StageTableTest, StagesAreInOrderOfPositionAndTheLastOf64Works) {
  StageModel model{.id = "m"};
  for (int i = 0; i < kMaxStages; ++i) {
    model.stages.push_back({.id = absl::StrCat("s", i), .position = kMaxStages - i});
  }
  const StageTable table(model);
  EXPECT_EQ(table.Find("s0"), 63);
  EXPECT_EQ(table.Find("s63"), 0);
  const auto jump = Decide(table, {}, {.to = "s0"}, [](auto&&...) { return true; });
  ASSERT_TRUE(jump.ok());
  EXPECT_EQ(jump->skipped.size(), 63u);
}

}  // namespace
}  // namespace clm::lifecycle
