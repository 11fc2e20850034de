#include "services/contact/attribute_index.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/testing/status_matchers.h"

namespace clm::contact {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

AttributeRegistry Registry() {
  AttributeRegistry registry;
  for (const char* id : {"plan", "tier"}) {
    registry[id] = {.id = id, .type = AttributeType::kString, .indexed = true};
  }
  registry["score"] = {.id = "score", .type = AttributeType::kInt64, .indexed = true};
  registry["note"] = {.id = "note", .type = AttributeType::kString};
  return registry;
}

// "plan:gold,silver", or "none".
std::string Lookup(const std::string& filter) {
  filter::Schema schema;
  schema.Add(1, "source", filter::Type::kString);
  schema.AddMap(2, "attributes", filter::Type::kString);
  schema.AddMap(3, "external_ids", filter::Type::kString);
  const auto expression = filter::Parse(filter, schema);
  CLM_EXPECT_OK(expression);
  if (!expression.ok()) return "";
  const auto lookup = LookupFor(*expression, Registry());
  if (!lookup) return "none";
  std::string text = absl::StrCat(lookup->attribute, ":");
  for (const std::string& value : lookup->values) absl::StrAppend(&text, value, ",");
  return text;
}

TEST(AttributeIndexTest, AFilterThatDemandsAValueIsLookedUp) {
  EXPECT_EQ(Lookup("attributes.plan = gold"), "plan:gold,");
  EXPECT_EQ(Lookup("source = web attributes.plan = gold attributes.note = x"), "plan:gold,");
  EXPECT_EQ(Lookup("attributes.plan = gold OR attributes.plan = silver"), "plan:gold,silver,");
  EXPECT_EQ(Lookup("attributes.plan = gold attributes.plan = silver"), "plan:");
  EXPECT_EQ(Lookup("NOT attributes.plan = gold attributes.tier = a"), "tier:a,");
}

TEST(AttributeIndexTest, TheLookupWithTheFewestValuesIsTaken) {
  EXPECT_EQ(Lookup("(attributes.plan = a OR attributes.plan = b) attributes.tier = c"), "tier:c,");
  EXPECT_EQ(Lookup("attributes.tier = c AND (attributes.plan = a OR attributes.plan = b)"),
            "tier:c,");
}

TEST(AttributeIndexTest, AFilterThatDemandsNoValueIsNot) {
  for (const char* filter :
       {"", "attributes.note = x", "attributes.unknown = x", "external_ids.plan = gold",
        "attributes.plan != gold", "NOT attributes.plan = gold", "attributes.plan = 'g*'",
        "attributes.plan > gold", "attributes.plan:*", "attributes.plan = gold OR source = web",
        "attributes.plan = gold OR attributes.tier = a"}) {
    EXPECT_EQ(Lookup(filter), "none") << filter;
  }
}

TEST(AttributeIndexTest, ALongValueIsLookedUpByTheHashThatIsKept) {
  const std::string longest(kMaxIndexedBytes, 'x');
  EXPECT_EQ(IndexedText(longest), longest);
  const std::string text = longest + "y";
  EXPECT_EQ(IndexedText(text).size(), 32);
  EXPECT_NE(IndexedText(text), IndexedText(longest + "z"));
  EXPECT_EQ(Lookup(absl::StrCat("attributes.plan = ", text)),
            absl::StrCat("plan:", IndexedText(text), ","));
  Contact contact;
  contact.attributes["plan"] = text;
  EXPECT_THAT(IndexedValuesOf(Registry(), contact), ElementsAre(Pair("plan", IndexedText(text))));
}

TEST(AttributeIndexTest, OnlyIndexedValuesOfWhoIsNoAliasAreKept) {
  Contact contact;
  contact.attributes["plan"] = std::string();
  contact.attributes["score"] = int64_t{-7};
  contact.attributes["note"] = std::string("x");
  EXPECT_THAT(IndexedValuesOf(Registry(), contact),
              ElementsAre(Pair("plan", ""), Pair("score", "-7")));
  contact.merged_into = Uuid();
  EXPECT_THAT(IndexedValuesOf(Registry(), contact), ElementsAre());
}

}  // namespace
}  // namespace clm::contact
