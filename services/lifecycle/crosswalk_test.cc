#include "services/lifecycle/crosswalk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "services/lifecycle/presets.h"

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

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

TEST(TranslateTest, FindsTheStagesOfTheSameMeaning) {
  const StageModel& six = FindPreset("s002-04-six")->model;
  const StageModel& five = FindPreset("s003-five")->model;
  EXPECT_THAT(Translate(five, "retention", six), ElementsAre("retention", "retention_2"));
  EXPECT_THAT(Translate(five, "awareness", six), IsEmpty());
  EXPECT_THAT(Translate(five, "none", six), IsEmpty());
}

TEST(CountByCanonicalTest, TotalsStayTheSame) {
  const auto counts =
      CountByCanonical(FindPreset("s002-04-six")->model,
                       {{"retention", 3}, {"retention_2", 4}, {"loyalty", 5}, {"gone", 1}});
  EXPECT_EQ(counts.at(CanonicalStage::kRetention), 7);
  EXPECT_EQ(counts.at(CanonicalStage::kLoyalty), 5);
  EXPECT_EQ(counts.at(CanonicalStage::kUnspecified), 1);
}

}  // namespace
}  // namespace clm::lifecycle
