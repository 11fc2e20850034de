#include "services/lifecycle/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/base/error.h"
#include "services/lifecycle/crosswalk.h"
#include "services/lifecycle/fold.h"

namespace clm::lifecycle {
namespace {

using testing::ElementsAre;

std::string Labels(const StageModel& model) {
  return absl::StrJoin(model.stages, "; ", [](std::string* out, const Stage& stage) {
    absl::StrAppend(out, stage.label);
  });
}

const StageModel& ModelOf(absl::string_view id) {
  const Preset* preset = FindPreset(id);
  EXPECT_NE(preset, nullptr) << id;
  return preset->model;
}

// The texts as printed, one line per model.
const std::map<std::string, std::string>& Printed() {
  static const auto* const printed = new std::map<std::string, std::string>{
      {"hubspot-eight",
       "Subscriber; Lead; Marketing Qualified Lead; Sales Qualified Lead; Opportunity; Customer; "
       "Evangelist; Other"},
      {"s000-five-steps",
       "Reach or Getting There; Acquiring the Customer; Conversion; Retaining or Loyalty Building; "
       "The Relationship"},
      {"s001-five", "Reach; Possession; Turning; Retention; Loyalty"},
      {"s002-01-intro", "Acquisition; Activation; Retention; Referral"},
      {"s002-02-steps", "Acquisition; Activation; Retention; Marketing"},
      {"s002-03-engage", "Acquisition; Engagement; Conversion; Retention"},
      {"s002-04-six",
       "Acquisition; Retention; Loyalty; Cross-selling and upselling; Activation; Retention"},
      {"s002-05-prepost", "Pre-acquisition; Acquisition; Conversion; Post-acquisition; Retention"},
      {"s002-06-touch", "initial contact; purchase cycle; usage cycle; post-purchase experience"},
      {"s002-07-purchase", "awareness; consideration; purchase; use"},
      {"s002-08-onboard", "New customer acquisition; Activation; Retention; Deactivation"},
      {"s002-09-engagement", "Acquisition; Conversion; Relationship; Retention"},
      {"s002-10-purchase4", "Pre-Purchase; Purchase; Post-Purchase; Ongoing Relationship"},
      {"s002-11-service", "Acquisition; Engagement; Loyalty; Retention; Dissatisfaction"},
      {"s002-12-loyalty", "Acquiring; Engaging; Loyalty; Retention"},
      {"s002-13-crm", "acquisition; activation; retention; growth"},
      {"s002-14-decline", "Acquisition; Activation; Retention; Expansion; Decline"},
      {"s002-15-conclusion", "acquisition; activation; loyalty; retirement"},
      {"s002-16-journey", "awareness; interest; engagement; loyalty"},
      {"s002-17-software", "acquisition; engagement; retention"},
      {"s002-18-phases", "Acquisition; Relationship Management; Retention"},
      {"s003-five", "Awareness; Conversion; Nurturing; Retention; Advocacy"},
      {"s004-five",
       "awareness (reach); interest (acquisition); purchase (conversion); staying with added value "
       "(retention); loyal advocates (loyalty)"},
  };
  return *printed;
}

TEST(PresetsTest, EveryModelOfTheTextsIsThereInTheOrderPrinted) {
  EXPECT_EQ(Printed().size(), 23u);
  for (const auto& [id, labels] : Printed()) {
    ASSERT_NE(FindPreset(id), nullptr) << id;
    EXPECT_EQ(Labels(ModelOf(id)), labels) << id;
  }
  EXPECT_EQ(Presets().size(), Printed().size() + 2);
  EXPECT_EQ(FindPreset("s005"), nullptr);
}

TEST(PresetsTest, EveryPresetIsValidWithItsRulesAndListedInOrderOfPosition) {
  std::set<std::string> ids;
  for (const Preset& preset : Presets()) {
    SCOPED_TRACE(preset.model.id);
    EXPECT_TRUE(ids.insert(preset.model.id).second);
    EXPECT_TRUE(ValidateModel(preset.model).ok()) << ValidateModel(preset.model);
    EXPECT_TRUE(ValidateRules(preset.rules, preset.model).ok())
        << ValidateRules(preset.rules, preset.model);
    for (size_t i = 0; i < preset.model.stages.size(); ++i) {
      EXPECT_EQ(preset.model.stages[i].position, static_cast<int>(i) + 1);
    }
  }
}

TEST(PresetsTest, EveryStageIsMapped) {
  for (const Preset& preset : Presets()) {
    EXPECT_THAT(UnmappedStages(preset.model), testing::IsEmpty()) << preset.model.id;
  }
}

CanonicalStage CanonicalOf(absl::string_view model, absl::string_view label) {
  for (const Stage& stage : ModelOf(model).stages) {
    if (stage.label == label) return stage.canonical;
  }
  ADD_FAILURE() << label;
  return CanonicalStage::kUnspecified;
}

TEST(PresetsTest, TheMappingsThatTheTextsExplainAreKept) {
  EXPECT_EQ(CanonicalOf("s001-five", "Possession"), CanonicalStage::kAcquisition);
  EXPECT_EQ(CanonicalOf("s001-five", "Turning"), CanonicalStage::kConversion);
  EXPECT_EQ(CanonicalOf("s000-five-steps", "The Relationship"), CanonicalStage::kLoyalty);
  EXPECT_EQ(CanonicalOf("s002-02-steps", "Marketing"), CanonicalStage::kAdvocacy);
  EXPECT_EQ(CanonicalOf("s002-13-crm", "growth"), CanonicalStage::kExpansion);
  EXPECT_EQ(CanonicalOf("s002-14-decline", "Expansion"), CanonicalStage::kExpansion);
  EXPECT_EQ(CanonicalOf("s002-01-intro", "Referral"), CanonicalStage::kAdvocacy);
  EXPECT_EQ(CanonicalOf("s003-five", "Nurturing"), CanonicalStage::kEngagement);
}

// Labels that are the name of a canonical stage mean that stage in every model.
TEST(PresetsTest, AStageThatBearsACanonicalNameIsMappedToIt) {
  for (const Preset& preset : Presets()) {
    for (const Stage& stage : preset.model.stages) {
      const auto named = ParseCanonicalStage(absl::AsciiStrToUpper(stage.label));
      if (named.has_value()) {
        EXPECT_EQ(stage.canonical, *named) << preset.model.id << stage.label;
      }
    }
  }
}

TEST(PresetsTest, NegativeAndTerminalStagesAreWhatTheTextsMakeThem) {
  std::map<std::string, StageKind> special;
  for (const Preset& preset : Presets()) {
    if (!Printed().contains(preset.model.id)) continue;
    for (const Stage& stage : preset.model.stages) {
      if (stage.kind != StageKind::kNormal) special[preset.model.id + "/" + stage.id] = stage.kind;
    }
  }
  EXPECT_EQ(special, (std::map<std::string, StageKind>{
                         {"s002-06-touch/purchase_cycle", StageKind::kLoop},
                         {"s002-06-touch/usage_cycle", StageKind::kLoop},
                         {"s002-08-onboard/deactivation", StageKind::kTerminal},
                         {"s002-11-service/dissatisfaction", StageKind::kNegative},
                         {"s002-14-decline/decline", StageKind::kNegative},
                         {"s002-15-conclusion/retirement", StageKind::kTerminal}}));
}

TEST(PresetsTest, ARepeatedLabelIsTwoStages) {
  const StageModel& model = ModelOf("s002-04-six");
  EXPECT_EQ(model.stages[1].label, model.stages[5].label);
  EXPECT_NE(model.stages[1].id, model.stages[5].id);
  EXPECT_LT(model.stages[1].position, model.stages[5].position);
}

absl::StatusOr<Transition> Step(const StageTable& table, Standing& standing, std::string to) {
  auto step = Decide(table, standing, {.to = std::move(to)},
                     [](const Stage&, absl::string_view) { return true; });
  if (step.ok()) standing = step->after;
  return step;
}

TEST(PresetsTest, BothRetentionsOfOneModelCanBeReached) {
  const StageTable table(ModelOf("s002-04-six"));
  Standing standing;
  for (const Stage& stage : table.model().stages) {
    const auto step = Step(table, standing, stage.id);
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_EQ(step->direction, Direction::kProgress);
    EXPECT_THAT(step->skipped, testing::IsEmpty());
  }
}

TEST(PresetsTest, ACustomerRenewsOutOfDecline) {
  const StageTable table(ModelOf("s002-14-decline"));
  Standing standing;
  for (const char* to : {"expansion", "decline", "retention", "expansion"}) {
    ASSERT_TRUE(Step(table, standing, to).ok()) << to;
  }
  Standing declined;
  ASSERT_TRUE(Step(table, declined, "activation").ok());
  ASSERT_TRUE(Step(table, declined, "decline").ok());
  EXPECT_FALSE(Step(table, declined, "expansion").ok());
}

TEST(PresetsTest, LateStagesOfTheGatedModelAskForTheEarlierOnes) {
  const StageTable table(ModelOf("s001-five"));
  Standing standing;
  ASSERT_TRUE(Step(table, standing, "reach").ok());
  EXPECT_EQ(error::Reason(Step(table, standing, "retention").status()), "EARLIER_STAGES_MISSING");
  for (const char* to : {"possession", "turning", "retention", "loyalty"}) {
    EXPECT_TRUE(Step(table, standing, to).ok()) << to;
  }
}

TEST(PresetsTest, ContradictionsAreNoted) {
  EXPECT_THAT(ModelOf("s002-01-intro").description, testing::HasSubstr("only four are printed"));
  EXPECT_THAT(ModelOf("s001-five").description, testing::HasSubstr("the list is kept"));
  EXPECT_THAT(ModelOf("s002-15-conclusion").description, testing::HasSubstr("retirements"));
}

absl::StatusOr<Predicate> NoConditions(absl::string_view) {
  return error::Internal("the rules have no conditions");
}

absl::Time Day(int day) { return absl::UnixEpoch() + absl::Hours(24) * day; }

// Folds events given as "day type; day type; ..." and returns "day stage" for each transition.
std::vector<std::string> Lived(const Preset& preset, absl::string_view events, int until) {
  const auto plan = Plan::Compile({{.model = preset.model, .rules = preset.rules}}, NoConditions);
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::vector<Fact> facts;
  MemoryHistory history;
  for (absl::string_view event : absl::StrSplit(events, "; ")) {
    const std::vector<std::string> parts = absl::StrSplit(event, ' ');
    facts.push_back({.at = Day(std::stoi(parts[0])), .id = std::string(event), .type = parts[1]});
    history.Add(facts.back());
  }
  const auto result = Fold(*plan, {}, facts, Day(until), history);
  EXPECT_TRUE(result.ok()) << result.status();
  std::vector<std::string> lived;
  for (const LoggedTransition& t : result->transitions) {
    lived.push_back(absl::StrCat((t.at - absl::UnixEpoch()) / absl::Hours(24), " ", t.to));
  }
  return lived;
}

TEST(NonContractualTest, BuyersPassFromTheFirstPurchaseToLapsedAndBack) {
  const Preset& preset = *FindPreset("non-contractual");
  EXPECT_THAT(Lived(preset, "0 purchase; 10 purchase; 20 purchase", 1000),
              ElementsAre("0 first_purchase", "10 repeat", "110 at_risk", "200 lapsed"));
  EXPECT_THAT(Lived(preset, "0 purchase; 100 purchase; 120 purchase; 130 purchase", 150),
              ElementsAre("0 first_purchase", "90 at_risk", "100 won_back", "120 repeat"));
  EXPECT_THAT(Lived(preset, "0 purchase; 300 purchase", 500),
              ElementsAre("0 first_purchase", "90 at_risk", "180 lapsed", "300 won_back",
                          "390 at_risk", "480 lapsed"));
}

TEST(NonContractualTest, APurchaseOnTheDayOfTheThresholdKeepsTheCustomer) {
  EXPECT_THAT(Lived(*FindPreset("non-contractual"), "0 purchase; 90 purchase; 180 purchase", 200),
              ElementsAre("0 first_purchase", "90 repeat"));
}

TEST(NonContractualTest, ThresholdsAreParametersAndMustRise) {
  const auto rules = NonContractualRules({.at_risk_after_days = 30, .lapsed_after_days = 31});
  ASSERT_TRUE(rules.ok());
  EXPECT_THAT(Lived({NonContractualModel(), *rules}, "0 purchase", 100),
              ElementsAre("0 first_purchase", "30 at_risk", "31 lapsed"));
  const auto refused = NonContractualRules({.at_risk_after_days = 0, .lapsed_after_days = 0});
  EXPECT_EQ(error::FieldViolations(refused.status()).size(), 2u);
}

TEST(SubscriptionTest, SubscribersComeBackInANewEpisode) {
  const Preset& preset = *FindPreset("subscription");
  EXPECT_THAT(Lived(preset,
                    "0 visit; 1 sign_up; 4 trial_start; 10 subscription_start; 11 purchase; "
                    "40 renewal; 70 payment_failed; 72 renewal; 100 subscription_cancel; "
                    "150 subscription_start; 151 purchase; 180 renewal",
                    190),
              ElementsAre("0 visitor", "1 member", "4 trial", "10 subscriber", "70 at_risk",
                          "72 subscriber", "100 churned", "150 returned", "180 subscriber"));
}

TEST(SubscriptionTest, OneOffBuyersFallSilentAndAreWonBack) {
  EXPECT_THAT(Lived(*FindPreset("subscription"),
                    "0 visit; 1 sign_up; 5 purchase; 20 purchase; 180 purchase; 200 purchase; "
                    "210 account_closed",
                    600),
              ElementsAre("0 visitor", "1 member", "5 buyer", "20 repeat_buyer", "80 at_risk",
                          "170 lapsed", "180 returned", "200 repeat_buyer", "210 churned"));
}

TEST(RenameModelTest, TheRulesFollow) {
  const Preset renamed = RenameModel(*FindPreset("non-contractual"), "buyers");
  EXPECT_TRUE(ValidateRules(renamed.rules, renamed.model).ok());
}

}  // namespace
}  // namespace clm::lifecycle
