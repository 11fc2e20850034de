#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/pg/pg.h"

namespace clm::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

std::string Only(const Args& args) {
  EXPECT_EQ(args.values().size(), 1u);
  return args.values().at(0).value_or("NULL");
}

TEST(ArgsTest, ScalarsAreTheTextsThatPostgresReads) {
  EXPECT_EQ(Only(Args().Add("it's")), "it's");
  EXPECT_EQ(Only(Args().Add(std::numeric_limits<int64_t>::min())), "-9223372036854775808");
  EXPECT_EQ(Only(Args().Add(7)), "7");
  EXPECT_EQ(Only(Args().Add(true)), "t");
  EXPECT_EQ(Only(Args().Add(false)), "f");
  EXPECT_EQ(Only(Args().Add(0.1)), "0.1");
  EXPECT_EQ(Only(Args().Add(-std::numeric_limits<double>::infinity())), "-Infinity");
  EXPECT_EQ(Only(Args().Add(std::nan(""))), "NaN");
  EXPECT_EQ(Only(Args().Add(absl::CivilDay(2026, 2, 3))), "2026-02-03");
  EXPECT_EQ(Only(Args().AddBytes(std::string("\x00\xff\x1a", 3))), "\\x00ff1a");
  EXPECT_EQ(Only(Args().Add(Uuid())), "00000000-0000-0000-0000-000000000000");
  EXPECT_FALSE(Args().AddNull().values()[0].has_value());
}

TEST(ArgsTest, TimesHaveMicrosecondsAndInfinities) {
  EXPECT_EQ(Only(Args().Add(absl::FromUnixMicros(1'795'250'130'000'007))),
            "2026-11-21T08:35:30.000007Z");
  EXPECT_EQ(Only(Args().Add(absl::FromUnixMicros(-1))), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(Only(Args().Add(absl::InfiniteFuture())), "infinity");
  EXPECT_EQ(Only(Args().Add(absl::InfinitePast())), "-infinity");
}

TEST(ArgsTest, OptionalsAreNullWhenEmpty) {
  const Args args =
      Args().Add(std::optional<int64_t>(5)).Add(std::optional<std::string>()).Add("x");
  EXPECT_THAT(args.values(),
              ElementsAre(Optional(std::string("5")), std::nullopt, Optional(std::string("x"))));
}

TEST(ArgsTest, TextArraysQuoteWhatWouldMeanSomethingElse) {
  EXPECT_EQ(
      Only(Args().AddArray(std::vector<std::string>{"a", "", "NULL", "b,c", "{}", "\"", "\\"})),
      R"({"a","","NULL","b,c","{}","\"","\\"})");
  EXPECT_EQ(Only(Args().AddArray(std::vector<std::string>{})), "{}");
  EXPECT_EQ(Only(Args().AddArray(std::vector<std::optional<std::string>>{std::nullopt, "NULL"})),
            R"({NULL,"NULL"})");
}

TEST(ArgsTest, OtherArraysHaveNullsToo) {
  EXPECT_EQ(Only(Args().AddArray(std::vector<int64_t>{-1, 2})), "{-1,2}");
  EXPECT_EQ(Only(Args().AddArray(std::vector<std::optional<int64_t>>{1, std::nullopt})),
            "{1,NULL}");
  EXPECT_EQ(Only(Args().AddArray(std::vector<bool>{true, false})), "{t,f}");
  EXPECT_EQ(Only(Args().AddArray(std::vector<double>{0.5, 2})), "{0.5,2}");
  EXPECT_EQ(Only(Args().AddArray(
                std::vector<std::optional<absl::Time>>{absl::UnixEpoch(), std::nullopt})),
            "{1970-01-01T00:00:00.000000Z,NULL}");
  EXPECT_EQ(Only(Args().AddArray(std::vector<std::optional<Uuid>>{Uuid(), std::nullopt})),
            "{00000000-0000-0000-0000-000000000000,NULL}");
  EXPECT_EQ(Only(Args().AddBytesArray({"\x01", ""})), R"({"\\x01","\\x"})");
}

}  // namespace
}  // namespace clm::pg
