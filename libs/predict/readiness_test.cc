#include "libs/predict/readiness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/testing/status_matchers.h"

namespace clm::predict {
namespace {

using ::testing::HasSubstr;

TEST(ReadinessTest, ExactlyEnoughIsEnough) {
  EXPECT_TRUE(UnmetConditions({500, 1, 180, 30}, 365).empty());
  CLM_EXPECT_OK(Refuse({}));
}

TEST(ReadinessTest, EveryUnmetConditionIsNamed) {
  const auto unmet = UnmetConditions({499, 0, 179, 31}, 366);
  ASSERT_EQ(unmet.size(), 5u);
  const absl::Status status = Refuse(unmet);
  EXPECT_THAT(status, clm::testing::ReasonIs("PREDICTION_DATA_INSUFFICIENT"));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* condition :
       {"customers", "customers_with_three", "history_days", "days_since_last", "horizon_days"}) {
    EXPECT_NE(error::MetadataValue(status, condition), "") << condition;
  }
  EXPECT_EQ(error::MetadataValue(status, "customers"), "499/500");
  EXPECT_THAT(std::string(status.message()), HasSubstr("days of history: 179 of 180"));
}

TEST(ReadinessTest, EachConditionStandsAlone) {
  const auto only = [](const DataFacts& facts, int64_t horizon) {
    const auto unmet = UnmetConditions(facts, horizon);
    return unmet.size() == 1 ? unmet[0].condition : "";
  };
  EXPECT_EQ(only({499, 1, 180, 30}, 365), "customers");
  EXPECT_EQ(only({500, 0, 180, 30}, 365), "customers_with_three");
  EXPECT_EQ(only({500, 1, 179, 30}, 365), "history_days");
  EXPECT_EQ(only({500, 1, 180, 31}, 365), "days_since_last");
  EXPECT_EQ(only({500, 1, 180, 30}, 366), "horizon_days");
}

}  // namespace
}  // namespace clm::predict
