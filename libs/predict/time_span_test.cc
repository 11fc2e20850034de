#include "libs/predict/time_span.h"

#include <gtest/gtest.h>

namespace clm::predict {
namespace {

TEST(TimeSpanTest, ACountComesBackInItsOwnUnitUnchanged) {
  EXPECT_EQ(TimeSpan::Weeks(38.86).In(TimeUnit::kWeek), 38.86);
  EXPECT_EQ(TimeSpan::Months(0.1).In(TimeUnit::kMonth), 0.1);
}

TEST(TimeSpanTest, WeeksAreNotDays) {
  EXPECT_DOUBLE_EQ(TimeSpan::Weeks(2).In(TimeUnit::kDay), 14);
  EXPECT_DOUBLE_EQ(TimeSpan::Days(272).In(TimeUnit::kWeek), 272.0 / 7);
  EXPECT_DOUBLE_EQ(TimeSpan::Years(1).In(TimeUnit::kMonth), 12);
  EXPECT_DOUBLE_EQ(TimeSpan::Months(12).In(TimeUnit::kDay), 365);
  EXPECT_NEAR(TimeSpan::Months(1).In(TimeUnit::kWeek), 4.345, 3e-4);
  EXPECT_DOUBLE_EQ(TimeSpan::Weeks(4.345).Times(12).In(TimeUnit::kWeek), 52.14);
}

TEST(TimeSpanTest, UnitsHaveNames) {
  for (const TimeUnit unit : {TimeUnit::kDay, TimeUnit::kWeek, TimeUnit::kMonth, TimeUnit::kYear}) {
    TimeUnit read = unit == TimeUnit::kDay ? TimeUnit::kYear : TimeUnit::kDay;
    EXPECT_TRUE(ParseTimeUnit(TimeUnitName(unit), &read));
    EXPECT_EQ(read, unit);
  }
  TimeUnit read = TimeUnit::kWeek;
  EXPECT_FALSE(ParseTimeUnit("fortnight", &read));
  EXPECT_EQ(read, TimeUnit::kWeek);
}

}  // namespace
}  // namespace clm::predict
