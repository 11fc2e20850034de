#include "tools/clm/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"
#include "libs/base/time_text.h"

namespace clm::cli {
namespace {

using contact::v1::AttributeDefinition;
using ::testing::ElementsAre;
using ::testing::Pair;

const absl::Time kNow = *clm::ParseTime("2026-11-21T12:00:00Z");

std::string FieldOf(const absl::Status& status) {
  const auto violations = error::FieldViolations(status);
  return violations.empty() ? "" : violations.front().first;
}

TEST(ParseMomentTest, ADayIsItsBeginInUtc) {
  EXPECT_EQ(*ParseMoment("--at", "2026-03-01", kNow), *clm::ParseTime("2026-03-01T00:00:00Z"));
}

TEST(ParseMomentTest, ASpanIsCountedBackFromNow) {
  EXPECT_EQ(*ParseMoment("--at", "36h", kNow), *clm::ParseTime("2026-11-20T00:00:00Z"));
  EXPECT_EQ(*ParseMoment("--at", "now", kNow), kNow);
}

TEST(ParseMomentTest, WhatIsNeitherNamesTheFlag) {
  for (const char* text : {"", "yesterday", "2026-13-01", "-3d", "d"}) {
    const auto moment = ParseMoment("--at", text, kNow);
    ASSERT_FALSE(moment.ok()) << text;
    EXPECT_EQ(FieldOf(moment.status()), "--at") << text;
  }
}

TEST(ParseMoneyTest, IsExactInTheCurrencysMinorUnits) {
  EXPECT_EQ(*ParseMoney("--amount", "12.5", "EUR"), 1250);
  EXPECT_EQ(*ParseMoney("--amount", "0.07", "EUR"), 7);
  EXPECT_EQ(*ParseMoney("--amount", "1234", "JPY"), 1234);
  EXPECT_EQ(*ParseMoney("--amount", "1.234", "KWD"), 1234);
}

TEST(ParseMoneyTest, NothingIsRounded) {
  for (const char* text : {"12.345", "1.", "-1", ".5x", "", "1e3", "1,50"}) {
    const auto minor = ParseMoney("--amount", text, "EUR");
    if (std::string(text) == "1.") {
      EXPECT_EQ(*minor, 100);
      continue;
    }
    EXPECT_FALSE(minor.ok()) << text;
  }
  EXPECT_FALSE(ParseMoney("--amount", "1.5", "JPY").ok());
  EXPECT_FALSE(ParseMoney("--amount", "99999999999999999999", "EUR").ok());
}

TEST(ParsePairsTest, TheFirstEqualsSignDivides) {
  EXPECT_THAT(*ParsePairs("--property", {"a=b=c", "d="}),
              ElementsAre(Pair("a", "b=c"), Pair("d", "")));
  EXPECT_FALSE(ParsePairs("--property", {"=x"}).ok());
  EXPECT_FALSE(ParsePairs("--property", {"x"}).ok());
}

TEST(ParseAttributeTest, TheDefinitionsTypeDecides) {
  EXPECT_EQ(ParseAttribute("--set", AttributeDefinition::TYPE_INT64, "42")->int64_value(), 42);
  EXPECT_EQ(ParseAttribute("--set", AttributeDefinition::TYPE_STRING, "42")->string_value(), "42");
  EXPECT_FALSE(ParseAttribute("--set", AttributeDefinition::TYPE_INT64, "4.2").ok());
  EXPECT_FALSE(ParseAttribute("--set", AttributeDefinition::TYPE_BOOL, "maybe").ok());
  EXPECT_EQ(ParseAttribute("--set", AttributeDefinition::TYPE_BOOL, "")->kind_case(),
            contact::v1::AttributeValue::KIND_NOT_SET);
  EXPECT_EQ(AttributeText(*ParseAttribute("--set", AttributeDefinition::TYPE_STRING_SET, "a,b")),
            "a,b");
}

TEST(ProtoTimeTest, TimesBeforeTheEpochKeepTheirFraction) {
  const absl::Time time = absl::UnixEpoch() - absl::Milliseconds(250);
  google::protobuf::Timestamp proto;
  SetTime(time, &proto);
  EXPECT_EQ(proto.seconds(), -1);
  EXPECT_EQ(proto.nanos(), 750'000'000);
  EXPECT_EQ(ToTime(proto), time);
}

TEST(EnumTextTest, ReadsLikeAWord) {
  EXPECT_EQ(EnumText("STATUS_", "STATUS_ACTIVE"), "active");
  EXPECT_EQ(EnumText("KIND_", "KIND_UNSPECIFIED"), "");
}

}  // namespace
}  // namespace clm::cli
