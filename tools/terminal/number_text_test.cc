#include "tools/terminal/number_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace clm::terminal {
namespace {

TEST(NumberTextTest, CountsAreGrouped) {
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(1'000), "1,000");
  EXPECT_EQ(CountText(-1'234'567), "-1,234,567");
  EXPECT_EQ(CountText(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(NumberTextTest, NumbersAreRoundedAndNeverMinusZero) {
  EXPECT_EQ(NumberText(1234.567), "1,234.57");
  EXPECT_EQ(NumberText(-0.001), "0.00");
  EXPECT_EQ(NumberText(-1234.5, 0), "-1,234");
  EXPECT_EQ(NumberText(std::nan("")), "-");
  EXPECT_EQ(NumberText(INFINITY), "-");
}

TEST(NumberTextTest, SharesArePerCent) {
  EXPECT_EQ(PercentText(0.12345), "12.3%");
  EXPECT_EQ(PercentText(1, 0), "100%");
  EXPECT_EQ(PercentText(-0.1), "-10.0%");
  EXPECT_EQ(PercentText(std::nan("")), "-");
}

TEST(NumberTextTest, MoneyIsExactInTheCurrencysDigits) {
  EXPECT_EQ(MoneyText(123'450, "EUR"), "1,234.50 EUR");
  EXPECT_EQ(MoneyText(5, "EUR"), "0.05 EUR");
  EXPECT_EQ(MoneyText(-5, "EUR"), "-0.05 EUR");
  EXPECT_EQ(MoneyText(123'450, "JPY"), "123,450 JPY");
  EXPECT_EQ(MoneyText(0, "JPY"), "0 JPY");
  EXPECT_EQ(MoneyText(1'234'567, "KWD"), "1,234.567 KWD");
  EXPECT_EQ(MoneyText(9'007'199'254'740'993, "EUR"), "90,071,992,547,409.93 EUR");
  EXPECT_EQ(MoneyText(std::numeric_limits<int64_t>::min(), "EUR"),
            "-92,233,720,368,547,758.08 EUR");
  EXPECT_EQ(MoneyDecimal(-123'450, "EUR"), "-1234.50");
  EXPECT_EQ(MoneyDecimal(7, "JPY"), "7");
}

TEST(NumberTextTest, DurationsHaveTwoUnitsAtMost) {
  EXPECT_EQ(DurationText(absl::ZeroDuration()), "0 s");
  EXPECT_EQ(DurationText(absl::Microseconds(380)), "380 us");
  EXPECT_EQ(DurationText(absl::Microseconds(12'440)), "12.4 ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(3'200)), "3.2 s");
  EXPECT_EQ(DurationText(absl::Seconds(125)), "2 min 5 s");
  EXPECT_EQ(DurationText(absl::Minutes(200)), "3 h 20 min");
  EXPECT_EQ(DurationText(absl::Hours(52)), "2 d 4 h");
  EXPECT_EQ(DurationText(absl::Hours(24 * 1'234)), "1,234 d");
  EXPECT_EQ(DurationText(-absl::Seconds(5)), "-5.0 s");
  EXPECT_EQ(DurationText(absl::InfiniteDuration()), "-");
}

TEST(NumberTextTest, DurationsRoundIntoTheNextUnit) {
  EXPECT_EQ(DurationText(absl::Nanoseconds(999'600)), "1.0 ms");
  EXPECT_EQ(DurationText(absl::Microseconds(999'960)), "1.0 s");
  EXPECT_EQ(DurationText(absl::Milliseconds(59'960)), "1 min 0 s");
  EXPECT_EQ(DurationText(absl::Milliseconds(3'599'600)), "1 h 0 min");
  EXPECT_EQ(DurationText(absl::Seconds(86'399)), "1 d 0 h");
  EXPECT_EQ(DurationText(absl::Hours(240) - absl::Seconds(1)), "10 d");
}

TEST(NumberTextTest, BytesAreInPowersOf1024) {
  EXPECT_EQ(BytesText(512), "512 B");
  EXPECT_EQ(BytesText(1'536), "1.5 kB");
  EXPECT_EQ(BytesText(41'000'000), "39.1 MB");
  EXPECT_EQ(BytesText(1024 * 1024 - 1), "1.0 MB");
}

TEST(NumberTextTest, TimesAreUtcToTheMinute) {
  EXPECT_EQ(TimeText(absl::FromUnixSeconds(1'795'251'659)), "2026-11-21 09:00");
  EXPECT_EQ(TimeText(absl::InfinitePast()), "-");
}

}  // namespace
}  // namespace clm::terminal
