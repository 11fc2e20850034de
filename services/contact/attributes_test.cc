#include "services/contact/attributes.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

const absl::Time kNow = absl::FromUnixMicros(1'790'000'000'123'456);

std::string Canonical(absl::string_view text) {
  const auto decimal = Decimal::Parse(text);
  return decimal ? decimal->ToString() : "refused";
}

TEST(DecimalTest, EqualNumbersHaveOneForm) {
  EXPECT_EQ(Canonical("12.50"), "12.5");
  EXPECT_EQ(Canonical("012.5"), "12.5");
  EXPECT_EQ(Canonical("-0.00"), "0");
  EXPECT_EQ(Canonical("7.000000000000"), "7");
  EXPECT_EQ(Canonical("-000.1"), "-0.1");
  EXPECT_EQ(Decimal().ToString(), "0");
}

TEST(DecimalTest, WhatIsNotExactIsRefused) {
  for (const char* bad : {"", "-", ".5", "5.", "1e3", "+1", "1,5", "1 ", "--1", "0x1", "NaN",
                          "1234567890123456789", "0.1234567891"}) {
    EXPECT_EQ(Canonical(bad), "refused") << bad;
  }
  EXPECT_EQ(Canonical("123456789012345678.123456789"), "123456789012345678.123456789");
}

TEST(DecimalTest, OrderIsThatOfTheNumbers) {
  const char* ascending[] = {"-100", "-99.5", "-99.45", "-1", "-0.1", "0",   "0.09",
                             "0.1",  "0.11",  "1",      "2",  "10",   "10.5"};
  for (const char* a : ascending) {
    for (const char* b : ascending) {
      const auto expected = std::stod(a) <=> std::stod(b);
      const auto order = *Decimal::Parse(a) <=> *Decimal::Parse(b);
      EXPECT_TRUE((expected < 0) == (order < 0) && (expected > 0) == (order > 0))
          << a << " and " << b;
    }
  }
}

AttributeDefinition Plan() {
  return {.id = "plan", .type = AttributeType::kEnum, .enum_values = {"free", "pro"}};
}

AttributeDefinition OfType(AttributeType type) { return {.id = "x", .type = type}; }

TEST(DefinitionTest, EveryBadFieldIsNamed) {
  AttributeDefinition bad = Plan();
  bad.id = "Plan";
  bad.type = static_cast<AttributeType>(0);
  bad.display_name = "two\nlines";
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(ValidateDefinition(bad))) {
    fields.push_back(field);
  }
  EXPECT_THAT(fields, ElementsAre("attribute.name", "attribute.type", "attribute.display_name",
                                  "attribute.enum_values"));
}

TEST(DefinitionTest, AnEnumHasDistinctValues) {
  EXPECT_TRUE(ValidateDefinition(Plan()).ok());
  AttributeDefinition bad = Plan();
  bad.enum_values = {"free", "", "free"};
  EXPECT_THAT(error::FieldViolations(ValidateDefinition(bad)),
              ElementsAre(Pair("attribute.enum_values[1]", "must not be empty"),
                          Pair("attribute.enum_values[2]", "occurs twice")));
  bad.enum_values = {};
  EXPECT_FALSE(ValidateDefinition(bad).ok());
}

TEST(DefinitionTest, AnUpdateKeepsStoredValuesValid) {
  AttributeDefinition wanted = Plan();
  wanted.enum_values.push_back("team");
  wanted.personal = true;
  const auto grown = UpdateDefinition(Plan(), wanted);
  ASSERT_TRUE(grown.ok()) << grown.status();
  EXPECT_TRUE(grown->personal);
  EXPECT_THAT(grown->enum_values, ElementsAre("free", "pro", "team"));

  wanted.enum_values = {"pro"};
  EXPECT_EQ(error::Reason(UpdateDefinition(Plan(), wanted).status()), "ENUM_VALUE_IN_USE");
  wanted = OfType(AttributeType::kString);
  EXPECT_EQ(error::Reason(UpdateDefinition(Plan(), wanted).status()), "ATTRIBUTE_TYPE_FIXED");
}

TEST(DefinitionTest, WhetherAnAttributeIsIndexedIsSaidOnce) {
  AttributeDefinition indexed = Plan();
  indexed.indexed = true;
  EXPECT_TRUE(ValidateDefinition(indexed).ok());
  EXPECT_EQ(error::Reason(UpdateDefinition(Plan(), indexed).status()), "ATTRIBUTE_INDEX_FIXED");
  EXPECT_EQ(error::Reason(UpdateDefinition(indexed, Plan()).status()), "ATTRIBUTE_INDEX_FIXED");
  AttributeDefinition set = OfType(AttributeType::kStringSet);
  EXPECT_TRUE(ValidateDefinition(set).ok());
  set.indexed = true;
  EXPECT_THAT(error::FieldViolations(ValidateDefinition(set)),
              ElementsAre(Pair("attribute.indexed", "a STRING_SET cannot be indexed")));
}

TEST(DefinitionTest, AnUpdateOfWhatWasReadBeforeAnotherOneAborts) {
  AttributeDefinition before = Plan();
  before.version = 3;
  AttributeDefinition wanted = before;
  wanted.display_name = "Plan";
  EXPECT_TRUE(UpdateDefinition(before, wanted).ok());
  wanted.version = 0;  // Unconditional.
  const auto after = UpdateDefinition(before, wanted);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->version, 3);
  wanted.version = 2;
  EXPECT_EQ(error::Reason(UpdateDefinition(before, wanted).status()), "ETAG_MISMATCH");
}

// One value of every type.
const std::vector<std::pair<AttributeType, AttributeValue>>& Samples() {
  static const auto* const kSamples = new std::vector<std::pair<AttributeType, AttributeValue>>{
      {AttributeType::kString, std::string("a \"quoted\" \xC3\xA9, line\nbreak")},
      {AttributeType::kBool, true},
      {AttributeType::kInt64, int64_t{-9'223'372'036'854'775'807}},
      {AttributeType::kDecimal, *Decimal::Parse("123456789012345678.123456789")},
      {AttributeType::kDate, absl::CivilDay(2024, 2, 29)},
      {AttributeType::kTimestamp, kNow},
      {AttributeType::kStringSet, StringSet{"b", "a"}},
  };
  return *kSamples;
}

TEST(ValueTest, ATypeIsNeverConverted) {
  for (const auto& [type, ignored] : Samples()) {
    for (const auto& [of, value] : Samples()) {
      EXPECT_EQ(ValidateValue(OfType(type), value).ok(), type == of)
          << TypeName(of) << " for " << TypeName(type);
    }
  }
  EXPECT_FALSE(ValidateValue(OfType(AttributeType::kInt64), std::string("7")).ok());
}

TEST(ValueTest, AnEnumTakesItsValuesOnly) {
  EXPECT_TRUE(ValidateValue(Plan(), std::string("pro")).ok());
  EXPECT_THAT(std::string(ValidateValue(Plan(), std::string("Pro")).message()),
              HasSubstr("must be one of free, pro"));
  EXPECT_FALSE(ValidateValue(Plan(), true).ok());
}

TEST(ValueTest, SizesAreBounded) {
  EXPECT_TRUE(ValidateValue(std::string(kMaxStringBytes, 'x')).ok());
  EXPECT_FALSE(ValidateValue(std::string(kMaxStringBytes + 1, 'x')).ok());
  EXPECT_FALSE(ValidateValue(std::string("\xFF")).ok());
  EXPECT_FALSE(ValidateValue(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(ValidateValue(StringSet{""}).ok());
  EXPECT_FALSE(ValidateValue(StringSet{std::string(kMaxSetMemberBytes + 1, 'x')}).ok());
  StringSet many;
  for (size_t i = 0; i <= kMaxSetMembers; ++i) many.insert(std::to_string(i));
  EXPECT_FALSE(ValidateValue(many).ok());
  many.erase("0");
  EXPECT_TRUE(ValidateValue(many).ok());
  EXPECT_FALSE(ValidateValue(absl::CivilDay(10000, 1, 1)).ok());
  EXPECT_FALSE(ValidateValue(absl::InfiniteFuture()).ok());
}

TEST(ValueTest, TextIsReadStrictly) {
  const auto read = [](AttributeType type, absl::string_view text) {
    const auto value = ParseValue(OfType(type), text);
    return value.ok() ? FormatValue(*value) : "refused";
  };
  EXPECT_EQ(read(AttributeType::kBool, "true"), "true");
  EXPECT_EQ(read(AttributeType::kBool, "TRUE"), "refused");
  EXPECT_EQ(read(AttributeType::kBool, "1"), "refused");
  EXPECT_EQ(read(AttributeType::kInt64, "-7"), "-7");
  EXPECT_EQ(read(AttributeType::kInt64, "9223372036854775807"), "9223372036854775807");
  for (const char* bad : {"", " 7", "7 ", "+7", "7.0", "9223372036854775808", "-", "0x7"}) {
    EXPECT_EQ(read(AttributeType::kInt64, bad), "refused") << bad;
  }
  EXPECT_EQ(read(AttributeType::kDecimal, "12.50"), "12.5");
  EXPECT_EQ(read(AttributeType::kDecimal, "12,50"), "refused");
  EXPECT_EQ(read(AttributeType::kDate, "2024-02-29"), "2024-02-29");
  EXPECT_EQ(read(AttributeType::kDate, "2023-02-29"), "refused");
  EXPECT_EQ(read(AttributeType::kDate, "29.02.2024"), "refused");
  EXPECT_EQ(read(AttributeType::kTimestamp, "2024-02-29T01:00:00+01:00"),
            "2024-02-29T00:00:00.000000Z");
  EXPECT_EQ(read(AttributeType::kTimestamp, "2024-02-29"), "refused");
  EXPECT_EQ(read(AttributeType::kStringSet, " b; a ;;b"), "a;b");
  EXPECT_FALSE(ParseValue(Plan(), "gold").ok());
}

TEST(ValueTest, StoredFormsReadBackEqual) {
  AttributeRegistry registry = {{"plan", Plan()}};
  AttributeMap values = {{"plan", std::string("pro")}};
  for (const auto& [type, value] : Samples()) {
    const std::string id = "a" + std::to_string(static_cast<int>(type));
    registry[id] = OfType(type);
    values[id] = value;
  }
  const auto read = FromJson(registry, ToJson(values));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, values);
  const auto tagged = FromTaggedJson(ToTaggedJson(values));
  ASSERT_TRUE(tagged.ok()) << tagged.status();
  EXPECT_EQ(*tagged, values);
}

TEST(ValueTest, TheStoredFormIsFitForFilters) {
  const AttributeMap values = {{"b", true},
                               {"d", *Decimal::Parse("1.5")},
                               {"i", int64_t{7}},
                               {"s", StringSet{"y", "x"}},
                               {"t", absl::UnixEpoch()}};
  EXPECT_EQ(ToJson(values),
            R"({"b":true,"d":"1.5","i":7,"s":["x","y"],"t":"1970-01-01T00:00:00.000000Z"})");
}

TEST(ValueTest, AStoredValueThatDisagreesWithTheRegistryIsInternal) {
  const AttributeRegistry registry = {{"n", OfType(AttributeType::kInt64)}};
  for (const char* bad : {R"({"n":"7"})", R"({"n":7.5})", R"({"m":7})", "[]", "{", ""}) {
    EXPECT_EQ(FromJson(registry, bad).status().code(), absl::StatusCode::kInternal) << bad;
  }
  for (const char* bad : {R"({"n":7})", R"({"n":["INT64"]})", R"({"n":["BOOL",7]})",
                          R"({"n":["NOPE",7]})", R"({"n":[7,"INT64"]})"}) {
    EXPECT_EQ(FromTaggedJson(bad).status().code(), absl::StatusCode::kInternal) << bad;
  }
}

TEST(HistoryTest, OneEntryPerChangedAttribute) {
  const AttributeMap before = {{"gone", true}, {"same", int64_t{1}}, {"plan", std::string("free")}};
  const AttributeMap after = {{"new", true}, {"same", int64_t{1}}, {"plan", std::string("pro")}};
  const auto entries = HistoryOf(before, after, kNow, "ada", "api");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0], (AttributeHistoryEntry{"gone", std::nullopt, kNow, "ada", "api"}));
  EXPECT_EQ(entries[1], (AttributeHistoryEntry{"new", AttributeValue(true), kNow, "ada", "api"}));
  EXPECT_EQ(entries[2], (AttributeHistoryEntry{"plan", AttributeValue(std::string("pro")), kNow,
                                               "ada", "api"}));
}

}  // namespace
}  // namespace clm::contact
