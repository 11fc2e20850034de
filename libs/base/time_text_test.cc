#include "libs/base/time_text.h"

#include <gtest/gtest.h>

namespace clm {
namespace {

TEST(TimeTextTest, RoundTrips) {
  for (int64_t micros : {0L, 1L, -1L, 951'782'400'000'000L, 1'800'000'000'123'456L}) {
    const absl::Time time = absl::FromUnixMicros(micros);
    EXPECT_EQ(ParseTime(clm::FormatTime(time)), time) << clm::FormatTime(time);
  }
}

TEST(TimeTextTest, ReadsBothForms) {
  const absl::Time want = absl::FromUnixMicros(1'795'251'600'500'000);
  EXPECT_EQ(clm::FormatTime(want), "2026-11-21T09:00:00.500000Z");
  EXPECT_EQ(ParseTime("2026-11-21 09:00:00.5+00"), want);
  EXPECT_EQ(ParseTime("2026-11-21T10:00:00.5+01:00"), want);
  EXPECT_EQ(ParseTime("2026-11-21t09:00:00.500000999z"), want);
}

TEST(TimeTextTest, RefusesEverythingElse) {
  for (const char* bad :
       {"", "2026-11-21", "2026-11-21T09:00:00", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-11-21T24:00:00Z", "2026-11-21T09:00:00.Z", "2026-11-21T09:00:00Zjunk",
        "0000-01-01T00:00:00Z", "2026-11-21T09:60:00Z"}) {
    EXPECT_FALSE(ParseTime(bad).has_value()) << bad;
  }
  EXPECT_FALSE(ParseDay("2025-02-29").has_value());
  EXPECT_EQ(FormatDay(*ParseDay("2024-02-29")), "2024-02-29");
}

}  // namespace
}  // namespace clm
