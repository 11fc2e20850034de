#include "libs/pg/binary.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace clm::pg {
namespace {

using ::testing::ElementsAre;

std::optional<std::string> Of(const Args& args, absl::string_view type) {
  return BinaryArray(std::get<Args::Array>(args.raw()[0]), type);
}

TEST(BinaryTest, ParameterTypesAreTheCasts) {
  EXPECT_THAT(ParameterTypes("SELECT $2::uuid[], $1::text WHERE a = $10::bigint"),
              ElementsAre("text", "uuid[]", "", "", "", "", "", "", "", "bigint"));
  EXPECT_THAT(ParameterTypes("SELECT '$' || $1 || $$x$$"), ElementsAre());
  EXPECT_THAT(ParameterTypes("SELECT 1"), ElementsAre());
}

TEST(BinaryTest, AnArrayIsAHeaderAndItsElementsWithTheirLengths) {
  EXPECT_EQ(Of(Args().AddArray(std::vector<int64_t>{-2}), "smallint[]"),
            std::string("\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\2\xff\xfe", 26));
  EXPECT_EQ(
      Of(Args().AddArray(std::vector<std::optional<std::string>>{"a", std::nullopt}), "text[]"),
      std::string("\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1a\xff\xff\xff\xff", 29));
  EXPECT_EQ(Of(Args().AddArray(std::vector<Uuid>{}), "uuid[]"),
            std::string("\0\0\0\0\0\0\0\0\0\0\x0b\x86", 12));
}

TEST(BinaryTest, WhatDoesNotFitGoesAsText) {
  EXPECT_EQ(Of(Args().AddArray(std::vector<int64_t>{40000}), "smallint[]"), std::nullopt);
  EXPECT_EQ(Of(Args().AddArray(std::vector<std::string>{"2026-02-03"}), "date[]"), std::nullopt);
  EXPECT_EQ(Of(Args().AddArray(std::vector<std::string>{"no uuid"}), "uuid[]"), std::nullopt);
  EXPECT_EQ(Of(Args().AddArray(std::vector<std::string>{"1"}), "bigint[]"), std::nullopt);
}

}  // namespace
}  // namespace clm::pg
