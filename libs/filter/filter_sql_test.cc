#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/filter/sample_columns.h"
#include "libs/filter/sample_schema.h"
#include "libs/filter/sql.h"

namespace clm::filter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

struct Written {
  std::string sql;
  pg::Args args;
};

Written Write(absl::string_view text) {
  Written written;
  const auto sql = ToSql(*sample::Read(text), sample::SampleColumns(), sample::Now(), written.args);
  EXPECT_TRUE(sql.ok()) << text << ": " << sql.status();
  written.sql = sql.value_or("");
  return written;
}

TEST(ToSqlTest, ComparesColumnsThatAnIndexCanServe) {
  EXPECT_EQ(Write("").sql, "TRUE");
  EXPECT_EQ(Write("name = ada").sql, "((name) = $1::text)");
  EXPECT_EQ(Write("name < ada").sql, "((name) COLLATE \"C\" < $1::text)");
  EXPECT_EQ(Write("name = 'ada*'").sql, "((name) LIKE $1::text)");
  EXPECT_EQ(Write("active").sql, "(active)");
  EXPECT_EQ(Write("active != true").sql, "(NOT (active))");
  EXPECT_EQ(Write("visits > 1").sql, "((visits) > $1::bigint)");
  EXPECT_EQ(Write("visits > 1.5").sql, "((visits) > $1::numeric)");
  EXPECT_EQ(Write("tags:vip").sql, "(tags @> ARRAY[$1::text])");
  EXPECT_EQ(Write("name:*").sql, "((name) IS NOT NULL)");
  EXPECT_EQ(Write("status = BLOCKED").sql, "((status) = $1::bigint)");
  EXPECT_EQ(Write("attributes.plan = gold").sql, "((attributes->>$1::text) = $2::text)");
  EXPECT_EQ(Write("attributes.topics:a").sql,
            "(attributes @> jsonb_build_object($1::text, jsonb_build_array($2::text)))");
}

TEST(ToSqlTest, NegatesInTwoValuedLogic) {
  EXPECT_EQ(Write("NOT name = ada").sql, "(((name) = $1::text) IS NOT TRUE)");
  EXPECT_EQ(Write("visits = 1 visits = 2 OR -active").sql,
            "(((visits) = $1::bigint) AND (((visits) = $2::bigint) OR ((active) IS NOT TRUE)))");
}

TEST(ToSqlTest, ContinuesThePlaceholdersOfItsCaller) {
  pg::Args args;
  args.Add("tenant");
  const auto sql = ToSql(*sample::Read("visits = 1 OR visits = 2"), sample::SampleColumns(),
                         sample::Now(), args);
  EXPECT_EQ(*sql, "(((visits) = $2::bigint) OR ((visits) = $3::bigint))");
  EXPECT_THAT(args.values(), ElementsAre(Optional(std::string("tenant")),
                                         Optional(std::string("1")), Optional(std::string("2"))));
}

TEST(ToSqlTest, BindsTimesThatNowGives) {
  EXPECT_THAT(Write("created_at > now() - 1d").args.values(),
              ElementsAre(Optional(std::string("2026-11-20T08:30:00.000000Z"))));
  EXPECT_THAT(Write("birthday = today() + 1d").args.values(),
              ElementsAre(Optional(std::string("2026-11-22"))));
}

TEST(ToSqlTest, EscapesWhatLikeWouldUnderstand) {
  EXPECT_THAT(Write(R"(name = "100%_\\\**")").args.values(),
              ElementsAre(Optional(std::string(R"(100\%\_\\*%)"))));
}

TEST(ToSqlTest, PutsNothingOfTheCallerIntoTheText) {
  for (const char* text : {
           R"(name = "zzz'; DROP TABLE filter_row; --")",
           R"(name = "zzz$1")",
           R"(name = "zzz*zzz' OR '1'='1")",
           R"(name > "zzz\\' OR 1=1 --")",
           R"(tags:"zzz}'); DELETE FROM filter_row")",
           R"(properties."zzz'->>'x" = "zzz")",
           R"(properties."zzz')) OR TRUE --":*)",
           R"(properties."zzz\" = 1" = "zzz")",
           R"(properties.zzz < 5)",
           R"(count("zzz', 1) OR (1=1", 1d) > 5)",
           R"(sum("zzz", "zzz; --") > 0)",
       }) {
    const Written written = Write(text);
    EXPECT_THAT(written.sql, Not(HasSubstr("zzz"))) << text;
    EXPECT_THAT(written.sql, Not(HasSubstr("1=1"))) << text;
    bool bound = false;
    for (const auto& value : written.args.values()) {
      bound = bound || (value && value->find("zzz") != std::string::npos);
    }
    EXPECT_TRUE(bound) << text;
  }
}

TEST(ToSqlTest, AColumnThatWasForgottenIsOurFault) {
  pg::Args args;
  for (const char* text : {"name = a", "count(x) = 1", "attributes.plan = a", "tags:a", "tags:*"}) {
    const auto sql = ToSql(*sample::Read(text), Columns(), sample::Now(), args);
    EXPECT_EQ(sql.status().code(), absl::StatusCode::kInternal) << text;
  }
  // A plain column does not serve a map, nor the other way round.
  Columns wrong;
  wrong.Add("attributes", "attributes").AddMap("name", "name");
  EXPECT_FALSE(ToSql(*sample::Read("name = a"), wrong, sample::Now(), args).ok());
  EXPECT_FALSE(ToSql(*sample::Read("attributes.plan = a"), wrong, sample::Now(), args).ok());
}

}  // namespace
}  // namespace clm::filter
