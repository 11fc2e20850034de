#include "services/lifecycle/stage_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

StageModel Valid() {
  return {.id = "sales",
          .display_name = "Sales",
          .stages = {{.id = "lead", .label = "Lead", .position = 1},
                     {.id = "customer", .label = "Customer", .position = 2},
                     {.id = "lost", .label = "Lost", .position = 3, .kind = StageKind::kNegative},
                     {.id = "gone", .label = "Gone", .position = 4, .kind = StageKind::kTerminal}}};
}

Rule ValidRule() {
  return {.id = "purchase",
          .model_id = "sales",
          .from_stages = {"lead"},
          .to_stage = "customer",
          .trigger = {.kind = Trigger::Kind::kEvent, .types = {"purchase"}}};
}

std::vector<std::string> BadFields(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(status)) fields.push_back(field);
  return fields;
}

TEST(ValidateModelTest, AGoodModelPasses) { EXPECT_TRUE(ValidateModel(Valid()).ok()); }

TEST(ValidateModelTest, EveryBadFieldIsNamedAtOnce) {
  StageModel model = Valid();
  model.id = "Sales!";
  model.version = 0;
  model.display_name = "";
  model.stages[0].label = "";
  model.stages[1].position = -1;
  model.stages[2].target_days = 0;
  model.stages[3].reset_after_days = 10;
  model.edges = {{"lead", "customer"}};
  model.initial_stage = "nowhere";
  EXPECT_THAT(BadFields(ValidateModel(model)),
              UnorderedElementsAre("id", "version", "display_name", "stages[0].label",
                                   "stages[1].position", "stages[2].target_days",
                                   "stages[3].reset_after_days", "edges", "initial_stage"));
}

TEST(ValidateModelTest, IdsAndPositionsAreUniqueAndLabelsNeedNotBe) {
  StageModel model = Valid();
  model.stages[1].label = "Lead";
  EXPECT_TRUE(ValidateModel(model).ok());
  model.stages[1].id = "lead";
  model.stages[2].position = 1;
  EXPECT_THAT(BadFields(ValidateModel(model)), ElementsAre("stages[1].id", "stages[2].position"));
}

TEST(ValidateModelTest, AModelHasFrom1To64StagesAndSomethingToReach) {
  StageModel model = Valid();
  model.stages.clear();
  EXPECT_THAT(BadFields(ValidateModel(model)), ElementsAre("stages"));
  for (int i = 0; i < kMaxStages; ++i) {
    model.stages.push_back({.id = "s" + std::to_string(i), .label = "S", .position = i});
  }
  EXPECT_TRUE(ValidateModel(model).ok());
  model.stages.push_back({.id = "one-more", .label = "S", .position = 100});
  EXPECT_THAT(BadFields(ValidateModel(model)), ElementsAre("stages"));
  model.stages = {{.id = "lost", .label = "Lost", .kind = StageKind::kNegative}};
  EXPECT_THAT(BadFields(ValidateModel(model)), ElementsAre("stages"));
}

TEST(ValidateModelTest, EdgesJoinDifferentStagesOnceAndNeverLeaveATerminalOne) {
  StageModel model = Valid();
  model.policy = Policy::kGraph;
  EXPECT_THAT(BadFields(ValidateModel(model)), ElementsAre("edges"));
  model.edges = {{"lead", "customer"},
                 {"lead", "customer"},
                 {"lead", "lead"},
                 {"lead", "nowhere"},
                 {"gone", "lead"}};
  EXPECT_THAT(BadFields(ValidateModel(model)),
              ElementsAre("edges[1]", "edges[2]", "edges[3].to", "edges[4].from"));
}

TEST(ValidateModelTest, GatesStandWhereTheyCanHold) {
  StageModel model = Valid();
  model.stages[3].exit_gate = "x";
  model.stages[2].require_all_earlier = true;
  model.initial_stage = "lost";
  EXPECT_THAT(BadFields(ValidateModel(model)),
              UnorderedElementsAre("stages[3].exit_gate", "stages[2].require_all_earlier",
                                   "initial_stage"));
}

TEST(ValidateRuleTest, AGoodRulePasses) {
  EXPECT_TRUE(ValidateRule(ValidRule(), Valid()).ok());
  Rule anywhere = ValidRule();
  anywhere.from_stages = {};
  EXPECT_TRUE(ValidateRule(anywhere, Valid()).ok());
  anywhere.from_stages = {kNoStage, "lead"};
  EXPECT_TRUE(ValidateRule(anywhere, Valid()).ok());
}

TEST(ValidateRuleTest, EveryBadFieldIsNamedAtOnce) {
  Rule rule = ValidRule();
  rule.id = "";
  rule.model_id = "other";
  rule.from_stages = {"lead", "lead", "nowhere", "gone"};
  rule.to_stage = "nowhere";
  rule.trigger.types = {};
  EXPECT_THAT(
      BadFields(ValidateRule(rule, Valid())),
      UnorderedElementsAre("id", "model_id", "from_stages[1]", "from_stages[2]", "from_stages[2]",
                           "from_stages[3]", "to_stage", "trigger.types"));
}

TEST(ValidateRuleTest, ARuleDoesNotLeadToWhereItStarts) {
  Rule rule = ValidRule();
  rule.from_stages = {"customer"};
  EXPECT_THAT(BadFields(ValidateRule(rule, Valid())), ElementsAre("from_stages[0]"));
}

TEST(ValidateRuleTest, AReactivationLeadsFromTerminalToNormalStages) {
  Rule rule = ValidRule();
  rule.reactivate = true;
  rule.from_stages = {"gone"};
  EXPECT_TRUE(ValidateRule(rule, Valid()).ok());
  rule.from_stages = {"lead", kNoStage};
  rule.to_stage = "lost";
  EXPECT_THAT(BadFields(ValidateRule(rule, Valid())),
              ElementsAre("from_stages[0]", "from_stages[1]", "to_stage"));
}

TEST(ValidateRuleTest, EachTriggerNeedsItsParts) {
  using Kind = Trigger::Kind;
  const auto bad = [](Trigger trigger) {
    Rule rule = ValidRule();
    rule.trigger = std::move(trigger);
    return BadFields(ValidateRule(rule, Valid()));
  };
  const absl::Duration day = absl::Hours(24);
  EXPECT_THAT(bad({.kind = Kind::kEvent, .types = {"a", "b"}}), ElementsAre("trigger.types"));
  EXPECT_THAT(bad({.kind = Kind::kEventCount, .types = {"a"}, .window = absl::ZeroDuration()}),
              ElementsAre("trigger.window", "trigger.at_least"));
  EXPECT_THAT(bad({.kind = Kind::kEventCount, .types = {"a"}, .at_least = 1}), IsEmpty());
  EXPECT_THAT(bad({.kind = Kind::kEventSum, .types = {""}, .window = day, .at_least = 1}),
              ElementsAre("trigger.types[0]"));
  EXPECT_THAT(bad({.kind = Kind::kAttributeChange}), ElementsAre("trigger.attribute"));
  EXPECT_THAT(bad({.kind = Kind::kTimeInStage, .duration = absl::Milliseconds(999)}),
              ElementsAre("trigger.duration"));
  EXPECT_THAT(bad({.kind = Kind::kTimeInStage, .duration = day * (kMaxDays + 1)}),
              ElementsAre("trigger.duration"));
  EXPECT_THAT(bad({.kind = Kind::kTimeSinceEvent, .duration = day}), ElementsAre("trigger.types"));
  EXPECT_THAT(bad({.kind = Kind::kTimeSinceEvent, .types = {"a", "b"}, .duration = day}),
              IsEmpty());
}

TEST(ValidateRulesTest, IdsAreUniqueAndPathsNameTheRule) {
  Rule bad = ValidRule();
  bad.to_stage = "";
  EXPECT_THAT(BadFields(ValidateRules({ValidRule(), bad}, Valid())),
              ElementsAre("rules[1].to_stage", "rules[1].id"));
}

StageModel Next() {
  StageModel model = Valid();
  model.version = 2;
  return model;
}

TEST(PlanMigrationTest, CountsWhoMovesWhere) {
  StageModel after = Next();
  after.stages[0].id = "prospect";
  const auto plan = PlanMigration(Valid(), after, {{"lead", "prospect"}, {"lost", ""}},
                                  {{"lead", 7}, {"lost", 2}, {"customer", 5}}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->moves, ElementsAre(StageMove{"lead", "prospect", 7}, StageMove{"lost", "", 2}));
  EXPECT_THAT(plan->added, ElementsAre("prospect"));
  EXPECT_THAT(plan->removed, ElementsAre("lead"));
  EXPECT_EQ(plan->customers, 9);
}

TEST(PlanMigrationTest, AStageThatIsNamedElsewhereCannotGo) {
  StageModel after = Next();
  after.stages.erase(after.stages.begin());
  const auto plan = PlanMigration(Valid(), after, {{"lead", "customer"}}, {},
                                  {{"rule", "first-purchase", "lead"},
                                   {"segment", "prospects", "lead"},
                                   {"journey", "welcome", "customer"}});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(error::Reason(plan.status()), "STAGE_IN_USE");
  EXPECT_EQ(error::MetadataValue(plan.status(), "referrers"),
            "rule first-purchase (lead), segment prospects (lead)");
}

TEST(PlanMigrationTest, AStageThatHoldsCustomersCannotGoUnmapped) {
  StageModel after = Next();
  after.stages.erase(after.stages.begin());
  const auto plan = PlanMigration(Valid(), after, {}, {{"lead", 3}}, {});
  EXPECT_EQ(error::Reason(plan.status()), "STAGE_IN_USE");
  EXPECT_EQ(error::MetadataValue(plan.status(), "stages"), "lead=3");
  EXPECT_TRUE(PlanMigration(Valid(), after, {}, {}, {}).ok());
  EXPECT_TRUE(PlanMigration(Valid(), after, {{"lead", "customer"}}, {{"lead", 3}}, {}).ok());
}

TEST(PlanMigrationTest, OnlyTheNextVersionOfTheSameModelFollows) {
  StageModel after = Next();
  after.version = 3;
  after.id = "other";
  EXPECT_THAT(
      BadFields(PlanMigration(Valid(), after, {{"nowhere", "lead"}, {"lead", "nowhere"}}, {}, {})
                    .status()),
      ElementsAre("model.id", "model.version", "mapping[lead]", "mapping[nowhere]"));
}

}  // namespace
}  // namespace clm::lifecycle
