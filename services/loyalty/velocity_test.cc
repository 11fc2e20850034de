#include "services/loyalty/velocity.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

class VelocityTest : public ::testing::Test {
 protected:
  VelocityTest() { EXPECT_TRUE(absl::LoadTimeZone("Europe/Berlin", &zone_)); }

  absl::Time At(const std::string& text) const {
    absl::Time time;
    EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, zone_, &time, nullptr)) << text;
    return time;
  }
  absl::Status Request(const std::string& at, int64_t points) {
    const auto after = CountRequest(limit_, count_, points, At(at), zone_);
    if (after.ok()) count_ = *after;
    return after.status();
  }

  absl::TimeZone zone_;
  VelocityLimit limit_{.id = "daily", .operation = VelocityOperation::kSpend};
  VelocityCount count_;
};

TEST_F(VelocityTest, RequestsAreCountedInDaysOfTheProgramme) {
  limit_.max_requests = 2;
  EXPECT_TRUE(Request("2026-03-28 00:00", 10).ok());
  EXPECT_TRUE(Request("2026-03-28 23:59", 10).ok());
  const absl::Status refused = Request("2026-03-28 23:59", 10);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_EQ(error::Reason(refused), "VELOCITY_LIMIT");
  EXPECT_EQ(error::MetadataValue(refused, "limit"), "daily");
  // Clocks go forward in the night of the next day.
  EXPECT_EQ(error::MetadataValue(refused, "again_time"), "2026-03-28T23:00:00.000000Z");
  EXPECT_TRUE(Request("2026-03-29 00:00", 10).ok());
  EXPECT_TRUE(Request("2026-03-29 23:00", 10).ok());
  EXPECT_EQ(error::MetadataValue(Request("2026-03-29 23:00", 10), "again_time"),
            "2026-03-29T22:00:00.000000Z");
}

TEST_F(VelocityTest, PointsAreCountedUpToTheLast) {
  limit_.max_points = 100;
  EXPECT_TRUE(Request("2026-01-31 12:00", 60).ok());
  const absl::Status refused = Request("2026-01-31 12:00", 41);
  EXPECT_EQ(error::MetadataValue(refused, "points_left"), "40");
  EXPECT_TRUE(Request("2026-01-31 12:00", 40).ok());
  EXPECT_FALSE(Request("2026-01-31 12:00", 1).ok());
}

TEST_F(VelocityTest, PeriodsEndWithTheCalendar) {
  limit_.max_requests = 1;
  const auto again = [&](EarnCap::Period period) {
    limit_.period = period;
    count_ = {};
    EXPECT_TRUE(Request("2026-12-31 12:00", 1).ok());
    return error::MetadataValue(Request("2026-12-31 12:00", 1), "again_time");
  };
  EXPECT_EQ(again(EarnCap::Period::kWeek), "2027-01-03T23:00:00.000000Z");
  EXPECT_EQ(again(EarnCap::Period::kMonth), "2026-12-31T23:00:00.000000Z");
  EXPECT_EQ(again(EarnCap::Period::kYear), "2026-12-31T23:00:00.000000Z");
  EXPECT_EQ(again(EarnCap::Period::kLifetime), "");
}

TEST_F(VelocityTest, AClockThatIsBehindDoesNotOpenThePeriodAnew) {
  limit_.max_requests = 1;
  EXPECT_TRUE(Request("2026-03-02 00:00", 1).ok());
  EXPECT_FALSE(Request("2026-03-01 23:59", 1).ok());
}

}  // namespace
}  // namespace clm::loyalty
