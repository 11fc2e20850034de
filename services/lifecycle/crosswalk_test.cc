#include "services/lifecycle/crosswalk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "services/lifecycle/presets.h"

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;

TEST(CanonicalStageTest, NamesAndParsingAgree) {
  EXPECT_EQ(CanonicalStages().size(), 13u);
  for (const CanonicalStage stage : CanonicalStages()) {
    EXPECT_EQ(ParseCanonicalStage(Name(stage)), stage);
  }
  EXPECT_EQ(ParseCanonicalStage("UNSPECIFIED"), std::nullopt);
  EXPECT_EQ(ParseCanonicalStage("awareness"), std::nullopt);
}

TEST(CompareModelsTest, PutsStagesOfOneMeaningSideBySide) {
  const StageModel* const models[] = {&FindPreset("s002-04-six")->model,
                                      &FindPreset("s003-five")->model};
  const std::vector<CrosswalkRow> rows = CompareModels(models);
  ASSERT_EQ(rows.size(), 9u);
  EXPECT_EQ(rows.front(), (CrosswalkRow{CanonicalStage::kAwareness, {{}, {"awareness"}}}));
  EXPECT_EQ(rows[5], (CrosswalkRow{CanonicalStage::kRetention,
                                   {{"retention", "retention_2"}, {"retention"}}}));
}

TEST(CompareModelsTest, EveryStageOfEveryPresetIsInExactlyOneRow) {
  std::vector<const StageModel*> models;
  for (const Preset& preset : Presets()) models.push_back(&preset.model);
  std::vector<std::multiset<std::string>> seen(models.size());
  for (const CrosswalkRow& row : CompareModels(models)) {
    ASSERT_EQ(row.stages.size(), models.size());
    EXPECT_NE(row.canonical, CanonicalStage::kUnspecified);
    for (size_t m = 0; m < models.size(); ++m) {
      seen[m].insert(row.stages[m].begin(), row.stages[m].end());
    }
  }
  for (size_t m = 0; m < models.size(); ++m) {
    std::multiset<std::string> all;
    for (const Stage& stage : models[m]->stages) all.insert(stage.id);
    EXPECT_EQ(seen[m], all) << models[m]->id;
  }
}

TEST(CompareModelsTest, StagesThatAreNotMappedComeLast) {
  StageModel model{.id = "m"};
  model.stages = {{.id = "x", .position = 1},
                  {.id = "y", .position = 2, .canonical = CanonicalStage::kLoyalty}};
  const StageModel* const models[] = {&model};
  EXPECT_THAT(CompareModels(models),
              ElementsAre(CrosswalkRow{CanonicalStage::kLoyalty, {{"y"}}},
                          CrosswalkRow{CanonicalStage::kUnspecified, {{"x"}}}));
  EXPECT_THAT(UnmappedStages(model), ElementsAre("x"));
}

TEST(CanonicalStepsTest, StagesOfOneMeaningAreOneStepInTheOrderOfTheCrosswalk) {
  StageModel model{.id = "m"};
  model.stages = {
      {.id = "fan", .position = 1, .canonical = CanonicalStage::kLoyalty},
      {.id = "kept", .position = 2, .canonical = CanonicalStage::kRetention},
      {.id = "lost",
       .position = 3,
       .kind = StageKind::kNegative,
       .canonical = CanonicalStage::kRetention},
      {.id = "renewed", .position = 4, .canonical = CanonicalStage::kRetention},
      {.id = "unmapped", .position = 5},
  };
  EXPECT_THAT(CanonicalSteps(model),
              ElementsAre(CanonicalStep{CanonicalStage::kRetention, {"kept", "renewed"}},
                          CanonicalStep{CanonicalStage::kLoyalty, {"fan"}}));
}

TEST(CanonicalOfTest, AStageThatIsNotThereIsNotMapped) {
  const StageModel& six = FindPreset("s002-04-six")->model;
  EXPECT_EQ(CanonicalOf(six, "retention_2"), CanonicalStage::kRetention);
  EXPECT_EQ(CanonicalOf(six, "gone"), CanonicalStage::kUnspecified);
}

}  // namespace
}  // namespace clm::lifecycle
