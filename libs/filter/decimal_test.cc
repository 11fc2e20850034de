#include "libs/filter/decimal.h"

#include <gtest/gtest.h>

#include <limits>

namespace clm::filter {
namespace {

TEST(DecimalTest, PrintsWhatItRead) {
  for (const char* text : {"0", "1", "-1", "12.5", "-0.5", "0.000000001", "-0.000000001", "1.01",
                           "9999999999999999999.999999999", "-9999999999999999999.999999999"}) {
    const auto value = Decimal::Parse(text);
    ASSERT_TRUE(value.has_value()) << text;
    EXPECT_EQ(value->ToString(), text);
  }
}

TEST(DecimalTest, ForgetsNeedlessZeros) {
  EXPECT_EQ(Decimal::Parse("1.50")->ToString(), "1.5");
  EXPECT_EQ(Decimal::Parse("007.000")->ToString(), "7");
  EXPECT_EQ(Decimal::Parse("-0")->ToString(), "0");
  EXPECT_EQ(*Decimal::Parse("-0"), Decimal());
}

TEST(DecimalTest, RefusesEverythingElse) {
  for (const char* bad : {"", "-", "+1", "--1", ".5", "1.", "1.0000000001", "1e5", " 1", "1 ",
                          "NaN", "0x1", "10000000000000000000", "1,5", "1.5.5"}) {
    EXPECT_FALSE(Decimal::Parse(bad).has_value()) << bad;
  }
}

TEST(DecimalTest, OrdersExactly) {
  EXPECT_TRUE(*Decimal::Parse("0.1") < *Decimal::Parse("0.100000001"));
  EXPECT_TRUE(*Decimal::Parse("-2") < *Decimal::Parse("-1.999999999"));
  // Two integers that a double cannot tell apart.
  EXPECT_TRUE(Decimal(9007199254740992) < Decimal(9007199254740993));
  EXPECT_FALSE(Decimal(9007199254740992) == Decimal(9007199254740993));
}

TEST(DecimalTest, TurnsIntoAnIntegerOnlyWhenItIsOne) {
  EXPECT_EQ(Decimal::Parse("42.000")->ToInt64(), 42);
  EXPECT_FALSE(Decimal::Parse("42.5")->ToInt64().has_value());
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(Decimal(kLeast).ToInt64(), kLeast);
  EXPECT_FALSE(Decimal::Parse("9223372036854775808")->ToInt64().has_value());
}

TEST(DecimalTest, ReadsMinorUnits) {
  EXPECT_EQ(Decimal::FromMinorUnits(1999, 2), *Decimal::Parse("19.99"));
  EXPECT_EQ(Decimal::FromMinorUnits(-5, 3), *Decimal::Parse("-0.005"));
  EXPECT_EQ(Decimal::FromMinorUnits(7, 0), Decimal(7));
}

}  // namespace
}  // namespace clm::filter
