#include "services/loyalty/codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::MatchesRegex;
using ::testing::Not;
using testing::ReasonIs;
using testing::StatusIs;

constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

std::vector<uint8_t> Bytes(std::mt19937& random, int count) {
  std::vector<uint8_t> bytes;
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(random()));
  return bytes;
}

TEST(CodesTest, AreShownInGroupsAfterThePrefix) {
  const std::vector<uint8_t> bytes = {0, 1, 2, 31, 32, 33, 255, 10, 18, 26};
  const auto code = MakeCode({.prefix = "Summer"}, bytes);
  ASSERT_THAT(code, IsOk());
  EXPECT_THAT(*code, MatchesRegex("SUMMER-012Z-01ZA-JT."));
  const auto folded = FoldCode("code", *code);
  ASSERT_THAT(folded, IsOk());
  EXPECT_THAT(*folded, MatchesRegex("SVMMER012Z01ZAJT."));
  EXPECT_TRUE(HasRightCheck(*folded));
  const auto bare = MakeCode({.random_characters = 7}, bytes);
  ASSERT_THAT(bare, IsOk());
  EXPECT_THAT(*bare, MatchesRegex("012Z-01Z."));
}

TEST(CodesTest, FoldingForgivesWhatPeopleDoToCodes) {
  for (const char* typed : {"SVMMER-01AZ", "summer-o1az", "SUMMER OIAZ", " sUmMeR--oLaZ ",
                            "SUMMER\xe2\x80\x93"
                            "0l\tAZ",
                            "SUMMER\xc2\xa0"
                            "01A\xe2\x80\x91Z"}) {
    EXPECT_THAT(FoldCode("code", typed), IsOkAndHolds("SVMMER01AZ")) << typed;
  }
}

TEST(CodesTest, FoldingRefusesWhatIsNoCodeWithoutRepeatingIt) {
  for (const std::string& typed :
       {std::string(), std::string("- -"), std::string("AB*C"), std::string("AB\xc3\x84"),
        std::string("AB\0C", 4), std::string(65, 'A'), std::string(1000, '-')}) {
    const auto folded = FoldCode("coupon.code", typed);
    EXPECT_THAT(folded, ReasonIs("CODE_MALFORMED")) << typed;
    EXPECT_THAT(folded, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("coupon.code: ")));
    EXPECT_THAT(std::string(folded.status().message()), Not(HasSubstr("AB")));
  }
  EXPECT_THAT(FoldCode("code", std::string(64, 'A')), IsOk());
}

TEST(CodesTest, EverySubstitutionAndEverySwapOfNeighboursIsFound) {
  std::mt19937 random(20261126);
  for (int round = 0; round < 300; ++round) {
    const CodeFormat format{.prefix = round % 3 == 0 ? "FRIEND2026" : "",
                            .random_characters = 6 + round % 27};
    const auto code = MakeCode(format, Bytes(random, 32));
    ASSERT_THAT(code, IsOk());
    const std::string folded = *FoldCode("code", *code);
    ASSERT_TRUE(HasRightCheck(folded)) << folded;
    for (size_t i = 0; i < folded.size(); ++i) {
      for (const char c : absl::string_view(kAlphabet)) {
        std::string wrong = folded;
        wrong[i] = c;
        ASSERT_EQ(HasRightCheck(wrong), wrong == folded) << folded << " " << wrong;
      }
      if (i + 1 == folded.size()) continue;
      std::string swapped = folded;
      std::swap(swapped[i], swapped[i + 1]);
      ASSERT_EQ(HasRightCheck(swapped), swapped == folded) << folded << " " << swapped;
    }
  }
}

TEST(CodesTest, EverySwapOfAnyTwoNeighboursIsFound) {
  for (const char a : absl::string_view(kAlphabet)) {
    for (const char b : absl::string_view(kAlphabet)) {
      // Exactly one check character fits, so the swapped code may not have the same.
      for (const char check : absl::string_view(kAlphabet)) {
        if (a != b && HasRightCheck({std::string{'7', a, b, 'K', check}})) {
          EXPECT_FALSE(HasRightCheck({std::string{'7', b, a, 'K', check}})) << a << b;
        }
      }
    }
  }
}

TEST(CodesTest, AnUnknownCodeWasMistypedOrIsUnknown) {
  const auto code = MakeCode({}, std::vector<uint8_t>(10, 7));
  ASSERT_THAT(code, IsOk());
  std::string folded = *FoldCode("code", *code);
  EXPECT_THAT(UnknownCode("code", folded), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(UnknownCode("code", folded), ReasonIs("CODE_UNKNOWN"));
  folded[0] = 'Z';
  EXPECT_THAT(UnknownCode("code", folded), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(UnknownCode("code", folded), ReasonIs("CODE_MALFORMED"));
  EXPECT_THAT(UnknownCode("code", "0"), ReasonIs("CODE_MALFORMED"));
}

TEST(CodesTest, EveryCharacterIsAsLikelyAsAnother) {
  std::map<char, int> counts;
  std::vector<uint8_t> bytes(6);
  for (int byte = 0; byte < 256; ++byte) {
    bytes[0] = static_cast<uint8_t>(byte);
    const auto code = MakeCode({.random_characters = 6}, bytes);
    ASSERT_THAT(code, IsOk());
    ++counts[(*code)[0]];
  }
  EXPECT_EQ(counts.size(), 32u);
  for (const auto& [c, count] : counts) EXPECT_EQ(count, 8) << c;
}

TEST(CodesTest, RefusesFormatsAndTooFewBytes) {
  EXPECT_THAT(ValidateCodeFormat({.prefix = std::string(20, 'A'), .random_characters = 32}),
              IsOk());
  const auto refused = ValidateCodeFormat({.prefix = "A-B", .random_characters = 5});
  EXPECT_EQ(error::FieldViolations(refused).size(), 2u);
  EXPECT_THAT(ValidateCodeFormat({.prefix = std::string(21, 'A')}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prefix: ")));
  EXPECT_THAT(ValidateCodeFormat({.random_characters = 33}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(MakeCode({}, std::vector<uint8_t>(9)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("random: ")));
}

}  // namespace
}  // namespace clm::loyalty
