#include "services/loyalty/rewards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using clm::testing::ReasonIs;

const absl::Time kNoon = absl::FromUnixSeconds(1'800'000'000);

std::vector<Tier> Metals() { return {{.id = "bronze"}, {.id = "silver"}, {.id = "gold"}}; }

absl::Status Check(const Reward& reward, const RewardCounters& counters = {},
                   const std::string& tier = "") {
  return CheckReward(reward, counters, Metals(), tier, kNoon);
}

TEST(RewardsTest, EveryBadFieldIsNamedAtOnce) {
  const absl::Status refused = ValidateReward({.cost = -1,
                                               .stock = kMaxRewardNumber + 1,
                                               .member_limit = -1,
                                               .start = kNoon,
                                               .end = kNoon});
  std::vector<std::string> fields;
  for (const auto& [field, _] : error::FieldViolations(refused)) fields.push_back(field);
  EXPECT_THAT(fields, ::testing::ElementsAre("cost", "stock", "member_limit", "end_time"));
  CLM_EXPECT_OK(ValidateReward({.cost = kMaxRewardNumber, .stock = kMaxRewardNumber}));
  CLM_EXPECT_OK(ValidateReward({}));
}

TEST(RewardsTest, ItIsThereFromItsStartUntilItsEnd) {
  CLM_EXPECT_OK(Check({.start = kNoon, .end = kNoon + absl::Microseconds(1)}));
  EXPECT_THAT(Check({.start = kNoon + absl::Microseconds(1)}), ReasonIs("REWARD_NOT_STARTED"));
  EXPECT_THAT(Check({.end = kNoon}), ReasonIs("REWARD_EXPIRED"));
  EXPECT_THAT(Check({.end = kNoon, .archived = true}), ReasonIs("REWARD_ARCHIVED"));
}

TEST(RewardsTest, ATierOpensItToThatTierAndThoseAbove) {
  const Reward reward{.minimum_tier = "silver"};
  for (const char* tier : {"silver", "gold"}) CLM_EXPECT_OK(Check(reward, {}, tier));
  for (const char* tier : {"", "bronze"}) {
    const absl::Status refused = Check(reward, {}, tier);
    EXPECT_THAT(refused, ReasonIs("REWARD_TIER"));
    EXPECT_EQ(error::MetadataValue(refused, "minimum_tier"), "silver");
    EXPECT_EQ(error::MetadataValue(refused, "tier"), tier);
  }
  EXPECT_THAT(Check({.minimum_tier = "platinum"}, {}, "gold"), ReasonIs("REWARD_TIER"));
  CLM_EXPECT_OK(Check({}, {}, ""));
}

TEST(RewardsTest, TheLastOneIsGivenOutAndNoFurtherOne) {
  CLM_EXPECT_OK(Check({.stock = 5}, {.redeemed = 4}));
  const absl::Status gone = Check({.stock = 5}, {.redeemed = 5});
  EXPECT_THAT(gone, ReasonIs("REWARD_OUT_OF_STOCK"));
  EXPECT_EQ(error::MetadataValue(gone, "stock"), "5");
  // The stock was lowered below what is out already.
  EXPECT_THAT(Check({.stock = 3}, {.redeemed = 5}), ReasonIs("REWARD_OUT_OF_STOCK"));
  CLM_EXPECT_OK(Check({}, {.redeemed = kMaxRewardNumber}));
}

TEST(RewardsTest, AMemberHasNoMoreThanTheirLimit) {
  CLM_EXPECT_OK(Check({.member_limit = 2}, {.redeemed = 9, .redeemed_by_member = 1}));
  const absl::Status refused = Check({.member_limit = 2}, {.redeemed_by_member = 2});
  EXPECT_THAT(refused, ReasonIs("REWARD_MEMBER_LIMIT"));
  EXPECT_EQ(error::MetadataValue(refused, "limit"), "2");
  CLM_EXPECT_OK(Check({}, {.redeemed_by_member = 1000}));
}

}  // namespace
}  // namespace clm::loyalty
