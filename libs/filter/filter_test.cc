#include "libs/filter/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"
#include "libs/filter/sample_schema.h"

namespace clm::filter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string Canonical(absl::string_view text) {
  const auto expression = sample::Read(text);
  return expression.ok() ? ToString(*expression) : std::string(expression.status().message());
}

// The message after "filter: ".
std::string Refusal(absl::string_view text) {
  const auto expression = sample::Read(text);
  if (expression.ok()) return "accepted";
  EXPECT_EQ(expression.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error::Reason(expression.status()), "INVALID_ARGUMENT");
  const auto violations = error::FieldViolations(expression.status());
  EXPECT_EQ(violations.size(), 1);
  EXPECT_EQ(violations[0].first, "filter");
  return violations[0].second;
}

bool Is(absl::string_view text, const sample::Row& row) {
  const auto expression = sample::Read(text);
  EXPECT_TRUE(expression.ok()) << text << ": " << expression.status();
  return expression.ok() && Evaluate(*expression, row, sample::Now());
}

sample::Row Ada() {
  sample::Row row;
  row.name = "Ada Lovelace";
  row.email = "ada@example.com";
  row.active = true;
  row.visits = 7;
  row.balance = Decimal::Parse("19.90");
  row.created_at = ParseTime("2026-11-01T00:00:00Z");
  row.birthday = absl::CivilDay(1815, 12, 10);
  row.status = "ACTIVE";
  row.tags = {"vip", "beta"};
  row.attributes = {{"plan", "gold"}, {"seats", "3"}, {"trial", "false"}, {"rate", "0.1"}};
  row.properties = {{"amount", "25.00"}, {"code", "5"}};
  row.events = {
      {"purchase", {*ParseTime("2026-11-11T00:00:00Z"), *ParseTime("2026-01-01T00:00:00Z")}}};
  return row;
}

struct Case {
  const char* text;
  const char* canonical;
};

TEST(FilterGrammarTest, BindsAsTheAipSays) {
  const Case cases[] = {
      {"", ""},
      {"   \n", ""},
      {"visits = 1", "visits = 1"},
      {"visits=1", "visits = 1"},
      {"visits\t=\n1", "visits = 1"},
      // OR binds tighter than AND, and adjacency is AND.
      {"visits=1 AND visits=2 OR visits=3", "visits = 1 AND (visits = 2 OR visits = 3)"},
      {"visits=1 OR visits=2 AND visits=3", "(visits = 1 OR visits = 2) AND visits = 3"},
      {"visits=1 OR visits=2 visits=3 OR visits=4",
       "(visits = 1 OR visits = 2) AND (visits = 3 OR visits = 4)"},
      {"visits=1 visits=2 AND visits=3 visits=4",
       "visits = 1 AND visits = 2 AND visits = 3 AND visits = 4"},
      {"(visits=1 AND visits=2) OR visits=3", "(visits = 1 AND visits = 2) OR visits = 3"},
      {"((visits=1))", "visits = 1"},
      {"( visits = 1 )", "visits = 1"},
      {"visits=1 OR (visits=2 OR visits=3)", "visits = 1 OR visits = 2 OR visits = 3"},
      {"visits=1 (visits=2 (visits=3))", "visits = 1 AND visits = 2 AND visits = 3"},
      // A negation holds one term.
      {"NOT visits=1 OR visits=2", "NOT visits = 1 OR visits = 2"},
      {"NOT (visits=1 OR visits=2)", "NOT (visits = 1 OR visits = 2)"},
      {"NOT(visits=1 visits=2)", "NOT (visits = 1 AND visits = 2)"},
      {"-visits=1 -active", "NOT visits = 1 AND NOT active = true"},
      {"-(NOT visits=1)", "NOT (NOT visits = 1)"},
      {"NOT (NOT (NOT active))", "NOT (NOT (NOT active = true))"},
      {"active OR NOT active", "active = true OR NOT active = true"},
      {"visits=1 AND(visits=2 visits=3) OR(active)",
       "visits = 1 AND ((visits = 2 AND visits = 3) OR active = true)"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Canonical(c.text), c.canonical) << c.text;
  }
}

TEST(FilterGrammarTest, ReadsEveryLiteral) {
  const Case cases[] = {
      {"name = ada", R"(name = "ada")"},
      {"name = 'a\"b'", R"(name = "a\"b")"},
      {R"(name = "a'b\'c\\d")", R"(name = "a'b'c\\d")"},
      {R"(name = "\u0041\u00eb\u6771\n\t\r")", "name = \"A\u00eb\u6771\\n\\t\\r\""},
      {"name = Zo\u00eb", "name = \"Zo\u00eb\""},
      {"email = ADA@Example.COM", R"(email = "ada@example.com")"},
      {"email = ' Ada@example.com'", R"(email = "ada@example.com")"},
      {"email = *@Example.com", R"(email = "*@example.com")"},
      {R"(name = "a**b*")", R"(name = "a*b*")"},
      {R"(name = "\*a*")", R"(name = "\*a*")"},
      {R"(name != "*")", R"(name != "*")"},
      {"name:ada", R"(name = "ada")"},
      {"visits = -9223372036854775808", "visits = -9223372036854775808"},
      {"visits = 9223372036854775807", "visits = 9223372036854775807"},
      {"visits = 9223372036854775808", "visits = 9223372036854775808"},
      {"visits > 2.50", "visits > 2.5"},
      {"visits > 2.0", "visits > 2"},
      {"balance >= -0.10", "balance >= -0.1"},
      {"stats.score<1", "stats.score < 1"},
      {"active = true", "active = true"},
      {"active!=false", "active != false"},
      {"status = ACTIVE", R"(status = "ACTIVE")"},
      {"status:'BLOCKED'", R"(status = "BLOCKED")"},
      {"created_at > 2026-11-21T08:30:00Z", "created_at > 2026-11-21T08:30:00.000000Z"},
      {"created_at > 2026-11-21T10:00:00.5+01:30", "created_at > 2026-11-21T08:30:00.500000Z"},
      {"created_at > \"2026-11-21T08:30:00Z\"", "created_at > 2026-11-21T08:30:00.000000Z"},
      {"created_at > now()", "created_at > now()"},
      {"created_at > now()-24h", "created_at > now() - 1d"},
      {"created_at > now() - 90m", "created_at > now() - 90m"},
      {"created_at > now() -90m", "created_at > now() - 90m"},
      {"created_at > now() -active", "created_at > now() AND NOT active = true"},
      {"created_at > now() + 20s active", "created_at > now() + 20s AND active = true"},
      {"now() - 30d > 2026-11-21T08:30:00Z", "now() - 30d > 2026-11-21T08:30:00.000000Z"},
      {"birthday = 1815-12-10", "birthday = 1815-12-10"},
      {"birthday < today() - 18d", "birthday < today() - 18d"},
      {"tags:vip", R"(tags:"vip")"},
      {R"(tags:"a\*")", R"(tags:"a\*")"},
      {"tags:*", "tags:*"},
      {"name:*", "name:*"},
      {"name = *", R"(name = "*")"},
      {"attributes:plan", "attributes.plan:*"},
      {"attributes.plan:*", "attributes.plan:*"},
      {"attributes.plan = gold", R"(attributes.plan = "gold")"},
      {"attributes.\"odd key'\" = x", R"(attributes."odd key'" = "x")"},
      {"attributes:'odd key\\''", R"(attributes."odd key'":*)"},
      {"attributes.seats > 2", "attributes.seats > 2"},
      {"attributes.size != S", R"(attributes.size != "S")"},
      {"attributes.topics:a", R"(attributes.topics:"a")"},
      {"attributes.trial", "attributes.trial = true"},
      {"properties.amount > 10", "properties.amount > 10"},
      {"properties.a-b = 'x'", R"(properties.a-b = "x")"},
      {"properties.NOT = x", R"(properties.NOT = "x")"},
      {"properties.x", "properties.x = true"},
      {"properties.x < 2026-01-01", "properties.x < 2026-01-01"},
      {"properties.\"a.b\" = now()", R"(properties."a.b" = now())"},
      {"properties.\"a*b\":*", R"(properties."a\*b":*)"},
      {"count(\"purchase\", 90d) >= 3", R"(count("purchase", 90d) >= 3)"},
      {"count( purchase ) = 0", R"(count("purchase") = 0)"},
      {"sum('purchase' ,'amount', 720h) > 100.5", R"(sum("purchase", "amount", 30d) > 100.5)"},
      {"days_since(purchase):*", R"(days_since("purchase"):*)"},
      {"is_member(vip)", R"(is_member("vip") = true)"},
      {"-is_member(vip)", R"(NOT is_member("vip") = true)"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Canonical(c.text), c.canonical) << c.text;
    EXPECT_EQ(Canonical(c.canonical), c.canonical) << c.text;
  }
}

TEST(FilterErrorTest, NamesThePlaceAndWhatWasExpectedThere) {
  const Case cases[] = {
      {"visits =", "character 9: expected a value"},
      {"visits = )", "character 10: expected a value"},
      {"visits = AND", "character 10: expected a value"},
      {"(visits = 1", "character 12: expected ')'"},
      {"visits = 1)", "character 11: expected a condition, AND, OR or the end"},
      {"visits == 1", "character 9: expected a value"},
      {"()", "character 2: expected a condition"},
      {"AND visits = 1", "character 1: expected a condition, AND, OR or the end"},
      {"visits = 1 AND", "character 15: expected a condition after AND"},
      {"visits = 1 OR AND", "character 15: expected a condition after OR"},
      {"NOT", "character 4: expected a condition to negate"},
      {"NOT NOT active", "character 5: expected a condition to negate"},
      {"visits = 1(active)", "character 11: expected a condition, AND, OR or the end"},
      {"\"ada\"", "character 1: expected a condition, AND, OR or the end"},
      {"name = \"ada", "character 12: expected a closing \""},
      {"name = 'ada\\'", "character 14: expected a closing '"},
      {"attributes. = 1", "character 12: expected a name after the dot"},
      {"count(purchase", "character 15: expected ')'"},
      {"count(purchase,) > 1", "character 16: expected an argument"},
      // Characters are counted, not bytes.
      {"name = \"\u6771\u4eac\" AND visit = 1",
       "character 17: unknown field 'visit'; did you mean 'visits'?"},
      {"emial = 'x'", "character 1: unknown field 'emial'; did you mean 'email'?"},
      {"active nmae = 1", "character 8: unknown field 'nmae'; did you mean 'name'?"},
      {"zzzzzzzz = 1", "character 1: unknown field 'zzzzzzzz'"},
      {"atributes.plan = 1",
       "character 1: unknown field 'atributes.plan'; did you mean 'attributes.plan'?"},
      {"attributes.paln = 1",
       "character 12: unknown entry 'paln' of 'attributes'; did you mean 'plan'?"},
      {"attributes:paln",
       "character 12: unknown entry 'paln' of 'attributes'; did you mean "
       "'plan'?"},
      {"attributes.plan.x = 1",
       "character 17: expected one name after 'attributes.'; a name that "
       "holds a dot is written in quotes"},
      {"attributes = 1", "character 1: expected the name of an entry, as in attributes.name"},
      {"attributes", "character 1: expected the name of an entry, as in attributes.name"},
      {"attributes:*", "character 12: expected the name of an entry of 'attributes'"},
      {"attributes.\"\" = 1", "character 12: expected a name that is not empty"},
      {"active and visits = 1",
       "character 8: unknown field 'and'; did you mean 'AND'? Operators are in capitals"},
      {"name", "character 1: expected an operator and a value after 'name', which is a string"},
      {"name = 5", "character 8: expected a string in quotes; found a number"},
      {"name = true", "character 8: expected a string in quotes; found true or false"},
      {"name = 2026-11-21", "character 8: expected a string in quotes; found a date"},
      {"name = 30d", "character 8: expected a string in quotes; found a duration"},
      {"name = null",
       "character 8: expected a string; whether a value is missing is asked by NOT "
       "field:*"},
      {"visits = 'x'", "character 10: expected a whole number; found a string"},
      {"visits = x", "character 10: expected a whole number; found a word"},
      {"visits = 1e5", "character 10: expected a whole number; found a word"},
      {"visits = 10000000000000000000",
       "character 10: expected a whole number of at most 19 digits before and 9 after the point"},
      {"balance = 1.0000000001",
       "character 11: expected a number of at most 19 digits before and 9 after the point"},
      {"balance = 1.2.3",
       "character 11: expected a number of at most 19 digits before and 9 after the point"},
      {"balance = now()", "character 11: expected a number; found a timestamp"},
      {"balance = count(x)",
       "character 11: expected a number; functions stand to the left of an operator"},
      {"active = 1", "character 10: expected true or false; found a number"},
      {"active = 'true'", "character 10: expected true or false; found a string"},
      {"active > true", "character 8: expected '=' or '!=' with true or false"},
      {"status < ACTIVE", "character 8: expected '=' or '!=' with one of a list of words"},
      {"status = ACTVE",
       "character 10: expected one of ACTIVE, BLOCKED, ERASED; did you mean 'ACTIVE'?"},
      {"status = 'A*'",
       "character 10: expected a string without '*'; \\* in quotes is an asterisk"},
      {"created_at = 2026-11-21",
       "character 14: expected a timestamp like 2026-11-21T08:30:00Z; found a date"},
      {"created_at > 30d",
       "character 14: expected a timestamp like 2026-11-21T08:30:00Z; found a duration"},
      {"created_at > '2026-02-30T00:00:00Z'",
       "character 14: expected a timestamp like 2026-11-21T08:30:00Z; found a string"},
      {"created_at > 0001-01-01T00:00:00+01:00",
       "character 14: expected a timestamp like 2026-11-21T08:30:00Z; found a timestamp"},
      {"created_at > today()",
       "character 14: expected a timestamp like 2026-11-21T08:30:00Z; found a date"},
      {"created_at > now() - 5w",
       "character 20: expected a duration like 30d, 12h, 90m or 20s of "
       "at most 100 years"},
      {"created_at > now() - 36526d",
       "character 20: expected a duration like 30d, 12h, 90m or 20s "
       "of at most 100 years"},
      {"created_at > now(1)", "character 18: expected ')': now() takes no arguments"},
      {"birthday > today() - 12h",
       "character 20: expected whole days with today(), as in today() - 30d"},
      {"birthday = 2025-02-29", "character 12: expected a date like 2026-11-21; found a word"},
      {"tags = vip", "character 6: expected ':' to ask for an element of a set"},
      {"tags:5", "character 6: expected a string in quotes; found a number"},
      {"tags:'v*'", "character 6: expected a string without '*'; \\* in quotes is an asterisk"},
      {"name > 'a*'",
       "character 8: expected a string without '*', which works with = and != only; "
       "\\* in quotes is an asterisk"},
      {R"(name = "a\x")",
       "character 10: expected one of the escapes \\\" \\' \\\\ \\* \\n \\r \\t "
       "\\u0041"},
      {R"(name = "\u0000")",
       "character 9: expected one of the escapes \\\" \\' \\\\ \\* \\n \\r "
       "\\t \\u0041"},
      {R"(name = "\ud800")",
       "character 9: expected one of the escapes \\\" \\' \\\\ \\* \\n \\r "
       "\\t \\u0041"},
      {"now = 1", "character 1: expected '(' after the function 'now'"},
      {"count > 1", "character 1: expected '(' after the function 'count'"},
      {"now():*", "character 1: now() and today() always have a value"},
      {"conut(x) > 1", "character 1: unknown function 'conut'; did you mean 'count'?"},
      {"count() > 1", "character 1: count() takes 1 to 2 arguments; has 0"},
      {"days_since(a, b) > 1", "character 1: days_since() takes 1 argument; has 2"},
      {"count(x, 5) > 1",
       "character 10: expected a duration like 30d, 12h, 90m or 20s; found a "
       "number"},
      {"count(x, '5d') > 1",
       "character 10: expected a duration like 30d, 12h, 90m or 20s; found a "
       "string"},
      {"count(now()) > 1", "character 7: expected a string; found a function"},
      {"count(x) - 5d > 1",
       "character 10: expected an operator; only now() and today() take a duration"},
      {"days_since('') > 1", "character 1: days_since(): expected an event type"},
      {"count(x)",
       "character 1: expected an operator and a value after 'count', which is a whole "
       "number"},
      {"name = \"\xff\"", "character 9: not UTF-8 text"},
  };
  for (const Case& c : cases) EXPECT_EQ(Refusal(c.text), c.canonical) << c.text;
  EXPECT_EQ(Refusal(absl::string_view("name = \"\0\"", 10)), "character 9: not UTF-8 text");
}

TEST(FilterErrorTest, NeverRepeatsALiteral) {
  for (const char* text :
       {"visits = 'secret'", "status = secret", "active = secret", "created_at > 'secret'",
        "count(x, secret) = 1", "name > 'secret*'", "tags:'secret*'", "name = \"secret\\x\""}) {
    EXPECT_THAT(Refusal(text), Not(HasSubstr("secret"))) << text;
  }
  // A long name is not repeated whole.
  EXPECT_LT(Refusal(std::string(3000, 'n') + " = 1").size(), 200);
}

TEST(FilterErrorTest, NamesTheFieldOfTheRequest) {
  const auto expression = Parse("x = 1", sample::SampleSchema(), {.field = "rule.condition"});
  ASSERT_FALSE(expression.ok());
  EXPECT_EQ(error::FieldViolations(expression.status())[0].first, "rule.condition");
}

std::string Repeat(absl::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) absl::StrAppend(&result, text);
  return result;
}

TEST(FilterLimitTest, BoundsTheText) {
  const std::string most = absl::StrCat("name = \"", std::string(4096 - 9, 'x'), "\"");
  ASSERT_EQ(most.size(), 4096);
  EXPECT_EQ(Refusal(most), "accepted");
  EXPECT_EQ(Refusal(most + " "), "at most 4096 bytes are allowed; has 4097");
}

TEST(FilterLimitTest, BoundsTheDepth) {
  // Every NOT is a level and so is the term.
  const auto nested = [](int nots) {
    return Repeat("NOT (", nots) + "active" + std::string(nots, ')');
  };
  EXPECT_EQ(Refusal(nested(31)), "accepted");
  EXPECT_EQ(Refusal(nested(32)), "character 161: nested deeper than 32");
  // Parentheses alone are no levels, up to the bound that protects the stack.
  EXPECT_EQ(Refusal(std::string(64, '(') + "active" + std::string(64, ')')), "accepted");
  EXPECT_EQ(Refusal(std::string(65, '(') + "active" + std::string(65, ')')),
            "character 66: too many levels of parentheses");
  EXPECT_THAT(Refusal(std::string(4000, '(')), HasSubstr("too many levels"));
  EXPECT_THAT(Refusal(Repeat("f(", 2000)), HasSubstr("too many levels"));
  EXPECT_THAT(Refusal(Repeat("-(", 2000)), HasSubstr("too many levels"));
}

TEST(FilterLimitTest, BoundsTheNodes) {
  EXPECT_EQ(Refusal(Repeat("active ", 199)), "accepted");
  EXPECT_EQ(Refusal(Repeat("active ", 200)),
            "character 1394: at most 200 terms, operators and arguments are allowed");
  // Arguments count.
  EXPECT_EQ(Refusal(Repeat("count(x,1d)>1 ", 66)), "accepted");
  EXPECT_THAT(Refusal(Repeat("count(x,1d)>1 ", 67)), HasSubstr("at most 200"));
  const auto small = Parse("active active", sample::SampleSchema(), {.limits = {.nodes = 2}});
  EXPECT_FALSE(small.ok());
}

TEST(EvaluateTest, AnswersEveryKindOfTerm) {
  const sample::Row ada = Ada();
  for (const char* text : {
           "",
           "name = 'Ada Lovelace'",
           "name != 'ada lovelace'",
           "name = 'Ada*'",
           "name = '*lace'",
           "name = '*Love*'",
           "name = 'A*L*e'",
           "name != '*love*'",
           "name < 'Ada M'",
           "name >= 'Ada Lovelace'",
           "email = ' ADA@example.com'",
           "email = *@EXAMPLE.com",
           "active",
           "active != false",
           "visits = 7",
           "visits <= 7",
           "visits >= 7",
           "visits < 8",
           "visits > 6",
           "-visits < 7 -visits > 7",
           "visits > 6.999999999",
           "visits != 7.5",
           "visits < 9223372036854775808",
           "balance = 19.9",
           "balance > 19",
           "balance < 19.900000001",
           "created_at > now() - 30d",
           "created_at < now() - 20d",
           "created_at = 2026-11-01T01:00:00+01:00",
           "birthday = 1815-12-10",
           "birthday < today()",
           "status = ACTIVE",
           "status != BLOCKED",
           "tags:vip",
           "tags:beta tags:*",
           "-tags:v",
           "attributes.plan = gold",
           "attributes:plan",
           "attributes.seats >= 3",
           "attributes.rate = 0.10",
           "attributes.trial = false",
           "-attributes.trial",
           "properties.amount = 25",
           "properties.code = '5'",
           "properties.code = 5",
           "count(purchase) = 2",
           "count(purchase, 30d) = 1",
           "days_since(purchase) = 10",
           "sum(purchase, amount) = 3",
           "is_member(vip)",
           "now() > 2026-11-21T08:29:59Z",
           "now() = 2026-11-21T08:30:00Z",
           "today() = 2026-11-21",
           "visits = 1 OR visits = 7 AND active",
       }) {
    EXPECT_TRUE(Is(text, ada)) << text;
    EXPECT_FALSE(Is(absl::StrCat("NOT (", text[0] == '\0' ? "visits = 7" : text, ")"), ada))
        << text;
  }
}

TEST(EvaluateTest, AMissingValueMakesEveryComparisonFalse) {
  const sample::Row nobody;
  for (const char* text : {"name = ''",
                           "name != 'x'",
                           "name < 'x'",
                           "name >= ''",
                           "name = '*'",
                           "name != 'x*'",
                           "email:*",
                           "active",
                           "active = false",
                           "active != true",
                           "visits != 1",
                           "visits < 1",
                           "balance <= 0",
                           "created_at < now()",
                           "created_at:*",
                           "birthday != 2026-01-01",
                           "status != ACTIVE",
                           "tags:''",
                           "tags:*",
                           "attributes.plan != x",
                           "attributes.seats < 1",
                           "attributes.topics:*",
                           "properties.p != 1",
                           "properties.p:*",
                           "days_since(visit) > 1",
                           "days_since(visit) <= 1",
                           "days_since(visit):*"}) {
    EXPECT_FALSE(Is(text, nobody)) << text;
    EXPECT_TRUE(Is(absl::StrCat("NOT (", text, ")"), nobody)) << text;
    EXPECT_FALSE(Is(absl::StrCat("NOT (NOT (", text, "))"), nobody)) << text;
  }
}

TEST(EvaluateTest, AnEmptyStringIsPresentAndAnEmptySetIsNot) {
  sample::Row row;
  row.name = "";
  row.tags.emplace();
  EXPECT_TRUE(Is("name:* name = '' name = '*'", row));
  EXPECT_FALSE(Is("tags:*", row));
}

TEST(EvaluateTest, TextOfAnotherTypeIsMissing) {
  sample::Row row;
  row.attributes = {{"seats", "many"}, {"joined", "2026-02-30T00:00:00Z"}, {"trial", "yes"}};
  EXPECT_FALSE(Is("attributes.seats:* OR attributes.joined:* OR attributes.trial:*", row));
  EXPECT_TRUE(Is("NOT attributes.seats > 1 AND NOT attributes.seats <= 1", row));
}

TEST(EvaluateTest, WildcardsDoNotOverlap) {
  sample::Row row;
  const auto matches = [&](const char* pattern, const char* text) {
    row.name = text;
    return Is(absl::StrCat("name = \"", pattern, "\""), row);
  };
  EXPECT_FALSE(matches("aba*aba", "aba"));
  EXPECT_FALSE(matches("aba*aba", "ababa"));
  EXPECT_TRUE(matches("aba*aba", "abaaba"));
  EXPECT_FALSE(matches("*ab*ab*", "ab"));
  EXPECT_TRUE(matches("*ab*ab*", "xabab"));
  EXPECT_TRUE(matches("a*b*c", "abbc"));
  EXPECT_FALSE(matches("a*b*c", "acb"));
  EXPECT_TRUE(matches("*a*b", "abab"));
  EXPECT_TRUE(matches("\\*", "*"));
  EXPECT_FALSE(matches("\\*", "x"));
  EXPECT_TRUE(matches("a.c%_", "a.c%_"));
  EXPECT_FALSE(matches("a.c%_*", "abcde"));
}

TEST(EvaluateTest, TimeIsTheArgumentCutToMicroseconds) {
  const auto expression = *sample::Read("created_at = now()");
  sample::Row row;
  row.created_at = absl::FromUnixMicros(1'000'001);
  EXPECT_TRUE(Evaluate(expression, row, *row.created_at + absl::Nanoseconds(999)));
  EXPECT_FALSE(Evaluate(expression, row, *row.created_at + absl::Microseconds(1)));
}

TEST(EvaluateTest, LooksNoFurtherThanItMust) {
  struct Counting : sample::Row {
    Value Invoke(const Call& call, absl::Time now) const override {
      ++calls;
      return Row::Invoke(call, now);
    }
    mutable int calls = 0;
  };
  Counting row;
  row.active = true;
  EXPECT_TRUE(Is("active OR count(x) > 1", row));
  EXPECT_FALSE(Is("-active count(x) > 1", row));
  EXPECT_EQ(row.calls, 0);
  EXPECT_FALSE(Is("active count(x) > 1", row));
  EXPECT_EQ(row.calls, 1);
}

TEST(ExpressionTest, ADefaultOneMatchesEverything) {
  EXPECT_TRUE(Evaluate(Expression(), sample::Row(), sample::Now()));
  EXPECT_EQ(ToString(Expression()), "");
  EXPECT_EQ(Expression(), *sample::Read(" "));
  EXPECT_FALSE(Expression() == *sample::Read("active"));
}

TEST(ExpressionTest, OutlivesItsTextAndSchema) {
  Expression expression;
  {
    auto schema = std::make_unique<Schema>();
    schema->Add(sample::kName, "name", Type::kString);
    auto text = std::make_unique<std::string>("name = 'a long enough name to be on the heap'");
    expression = *Parse(*text, *schema);
  }
  sample::Row row;
  row.name = "a long enough name to be on the heap";
  EXPECT_TRUE(Evaluate(expression, row, sample::Now()));
}

TEST(ExpressionTest, TellsWhatItRefersTo) {
  const auto expression = *sample::Read(
      "count(purchase, 90d) > 1 OR count(purchase, 90d) > 5 OR count(visit) = 1 name = a "
      "attributes.plan = b name = c attributes.plan:*");
  std::vector<std::string> fields;
  for (const Field& field : ReferencedFields(expression)) {
    fields.push_back(absl::StrCat(field.name, "/", field.key));
  }
  EXPECT_THAT(fields, ElementsAre("name/", "attributes/plan"));
  const auto calls = ReferencedFunctions(expression);
  ASSERT_EQ(calls.size(), 2);
  EXPECT_EQ(calls[0].id, sample::kCount);
  ASSERT_EQ(calls[0].args.size(), 2);
  EXPECT_EQ(std::get<absl::string_view>(calls[0].args[0]), "purchase");
  EXPECT_EQ(std::get<absl::Duration>(calls[0].args[1]), absl::Hours(24 * 90));
  EXPECT_EQ(std::get<absl::string_view>(calls[1].args[0]), "visit");
}

TEST(ExpressionTest, TellsTheValuesItRequires) {
  const auto required = [](absl::string_view text, absl::string_view field) {
    return RequiredValues(*sample::Read(text), field);
  };
  EXPECT_THAT(*required("name = a active", "name"), ElementsAre("a"));
  EXPECT_THAT(*required("name = a OR name = b active", "name"), ElementsAre("a", "b"));
  EXPECT_THAT(*required("(name = a OR name = b) (name = b OR name = c)", "name"), ElementsAre("b"));
  EXPECT_THAT(*required("name = a name = b", "name"), IsEmpty());
  EXPECT_THAT(*required("(name = a active) OR (name = b visits = 1)", "name"),
              ElementsAre("a", "b"));
  EXPECT_THAT(*required("attributes.plan = gold", "attributes.plan"), ElementsAre("gold"));
  EXPECT_THAT(*required("status = ACTIVE", "status"), ElementsAre("ACTIVE"));
  EXPECT_THAT(*required("visits = 7 OR visits = -2", "visits"), ElementsAre("-2", "7"));
  EXPECT_THAT(*required("balance = 19.90", "balance"), ElementsAre("19.9"));
  EXPECT_THAT(*required("active visits = 1", "active"), ElementsAre("true"));
  EXPECT_THAT(*required("birthday = '1815-12-10'", "birthday"), ElementsAre("1815-12-10"));
  EXPECT_THAT(*required("created_at = 2026-11-21T09:30:00+01:00", "created_at"),
              ElementsAre("2026-11-21T08:30:00.000000Z"));
  EXPECT_EQ(required("birthday = today()", "birthday"), std::nullopt);
  EXPECT_EQ(required("visits > 7", "visits"), std::nullopt);
  EXPECT_EQ(required("NOT active", "active"), std::nullopt);
  EXPECT_EQ(required("tags:vip", "tags"), std::nullopt);
  EXPECT_EQ(required("name = a OR active", "name"), std::nullopt);
  EXPECT_EQ(required("name != a", "name"), std::nullopt);
  EXPECT_EQ(required("NOT name = a", "name"), std::nullopt);
  EXPECT_EQ(required("name = 'a*'", "name"), std::nullopt);
  EXPECT_EQ(required("email = a@b", "name"), std::nullopt);
  EXPECT_EQ(required("", "name"), std::nullopt);
}

TEST(ExpressionTest, TellsWhetherTimeAloneMayChangeIt) {
  EXPECT_TRUE(UsesNow(*sample::Read("active created_at > now() - 1d")));
  EXPECT_TRUE(UsesNow(*sample::Read("NOT birthday = today()")));
  EXPECT_TRUE(UsesNow(*sample::Read("now() > 2026-11-21T08:30:00Z")));
  EXPECT_FALSE(UsesNow(*sample::Read("active created_at > 2026-11-21T08:30:00Z")));
}

TEST(ParseValueTest, ReadsOneFormOnly) {
  const auto missing = [](Type type, absl::string_view text) {
    return std::holds_alternative<std::monostate>(ParseValue(type, text));
  };
  EXPECT_EQ(ParseValue(Type::kInt64, "-9223372036854775808"),
            Value(std::numeric_limits<int64_t>::min()));
  EXPECT_TRUE(missing(Type::kInt64, "9223372036854775808"));
  EXPECT_TRUE(missing(Type::kInt64, "1.0"));
  EXPECT_TRUE(missing(Type::kInt64, ""));
  EXPECT_EQ(ParseValue(Type::kDecimal, "1.50"), Value(*Decimal::Parse("1.5")));
  EXPECT_TRUE(missing(Type::kDecimal, "1e5"));
  EXPECT_EQ(ParseValue(Type::kBool, "true"), Value(true));
  EXPECT_TRUE(missing(Type::kBool, "TRUE"));
  EXPECT_EQ(ParseValue(Type::kDate, "2024-02-29"), Value(absl::CivilDay(2024, 2, 29)));
  EXPECT_TRUE(missing(Type::kDate, "2023-02-29"));
  const Value time = sample::Now();
  for (const char* text : {"2026-11-21T08:30:00Z", "2026-11-21T08:30:00.000000Z",
                           "2026-11-21T08:30:00.0+00:00", "2026-11-21T22:30:00+14:00"}) {
    EXPECT_EQ(ParseValue(Type::kTimestamp, text), time) << text;
  }
  for (const char* text :
       {"2026-11-21 08:30:00Z", "2026-11-21T08:30:00", "2026-11-21T08:30:00z",
        "2026-11-21T08:30:00.Z", "2026-11-21T08:30:00.0000000Z", "2026-11-21T08:30:00+15:00",
        "2026-11-21T08:30:00+01", "2026-11-21T08:30:00+01:00:00", "2026-11-21t08:30:00Z",
        "2026-11-21T08:30:00.5", "2026-11-21", "", "2026-11-21T08:30:00+24:00"}) {
    EXPECT_TRUE(missing(Type::kTimestamp, text)) << text;
  }
}

}  // namespace
}  // namespace clm::filter
