#include "services/contact/duplicates.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace clm::contact {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;

const absl::Time kDay1 = absl::FromUnixSeconds(1'790'000'000);

Uuid Id(int n) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = static_cast<uint8_t>(n);
  return Uuid(bytes);
}

// What comparing each with those after it finds.
std::vector<DuplicatePair> FindAll(const std::vector<DuplicateSubject>& subjects) {
  std::vector<DuplicatePair> pairs;
  for (size_t i = 0; i < subjects.size(); ++i) {
    std::vector<const DuplicateSubject*> others;
    for (size_t k = i; k < subjects.size(); ++k) others.push_back(&subjects[k]);
    for (auto& pair : FindDuplicates(subjects[i], others)) pairs.push_back(std::move(pair));
  }
  return pairs;
}

DuplicateSubject Subject(int n, const std::vector<Identifier>& identifiers) {
  return {Id(n), kDay1 + absl::Hours(n), identifiers, "", "", ""};
}

DuplicateSubject Named(int n, absl::string_view given, absl::string_view family,
                       absl::string_view postal = "SW1A 1AA") {
  return {Id(n),
          kDay1 + absl::Hours(n),
          {},
          std::string(given),
          std::string(family),
          std::string(postal)};
}

TEST(JaroWinklerTest, PublishedPairsHaveTheirPublishedValues) {
  EXPECT_NEAR(JaroWinkler("MARTHA", "MARHTA"), 0.9611, 0.0001);
  EXPECT_NEAR(JaroWinkler("DIXON", "DICKSONX"), 0.8133, 0.0001);
  EXPECT_NEAR(JaroWinkler("DWAYNE", "DUANE"), 0.84, 0.0001);
  EXPECT_EQ(JaroWinkler("", ""), 1);
  EXPECT_EQ(JaroWinkler("a", ""), 0);
  EXPECT_EQ(JaroWinkler("abc", "xyz"), 0);
  EXPECT_EQ(JaroWinkler("a", "a"), 1);
}

TEST(JaroWinklerTest, CountsCodePointsNotBytes) {
  EXPECT_DOUBLE_EQ(JaroWinkler("\xC3\xA4rzte", "\xC3\xA4rtze"), JaroWinkler("xrzte", "xrtze"));
}

TEST(FoldNameTest, MarksCaseAndPunctuationDoNotMatter) {
  EXPECT_EQ(FoldName("Dr. Jos\xC3\xA9  O'Hara"), "dr jose ohara");
  EXPECT_EQ(FoldName("M\xC3\x9CLLER-L\xC3\xBC"
                     "denscheid"),
            "muller ludenscheid");
  EXPECT_EQ(FoldName("Stra\xC3\x9F"
                     "e"),
            "strasse");
  EXPECT_EQ(FoldName("\xC5\x81ukasz"), "lukasz");
  EXPECT_EQ(FoldName("\xC5\xBB\xC3\xB3\xC5\x82\xC4\x87"), "zolc");
  EXPECT_EQ(FoldName("Jose\xCC\x81"), "jose");
  EXPECT_EQ(FoldName("\xD0\x98\xD0\x92\xD0\x90\xD0\x9D"), "\xD0\xB8\xD0\xB2\xD0\xB0\xD0\xBD");
  EXPECT_EQ(FoldName("  "), "");
}

TEST(FindDuplicatesTest, AnIdentifierInCommonIsCertain) {
  const auto pairs = FindAll({Subject(2, {{"phone", "+4930123456"}, {"email", "a@b.com"}}),
                              Subject(1, {{"phone", "+4930123456"}, {"email", "a@b.com"}}),
                              Subject(3, {{"email", "c@b.com"}})});
  EXPECT_THAT(pairs, ElementsAre(DuplicatePair{Id(1), Id(2), 100, {"email", "phone"}}));
}

TEST(FindDuplicatesTest, TheSameTextUnderAnotherTypeIsNotInCommon) {
  EXPECT_THAT(FindAll({Subject(1, {{"shopify", "7"}}), Subject(2, {{"crm", "7"}})}), IsEmpty());
  EXPECT_THAT(FindAll({Subject(1, {{"shopify", "7"}}), Subject(2, {{"shopify", "7"}})}),
              ElementsAre(DuplicatePair{Id(1), Id(2), 100, {"external id shopify"}}));
}

TEST(FindDuplicatesTest, NameAndPostcodeAreScored) {
  const auto score = [](const DuplicateSubject& a, const DuplicateSubject& b) {
    const auto pairs = FindAll({a, b});
    return pairs.empty() ? 0 : pairs[0].score;
  };
  EXPECT_EQ(score(Named(1, "Ada", "Lovelace"), Named(2, "ADA", "Lovelace", "sw1a1aa")), 95);
  EXPECT_EQ(score(Named(1, "Ada", "Lovelace"), Named(2, "Lovelace", "Ada")), 95);
  const int typo = score(Named(1, "Ada", "Lovelace"), Named(2, "Ada", "Lovelaec"));
  EXPECT_GT(typo, kLeastScore);
  EXPECT_LT(typo, 95);
  EXPECT_EQ(score(Named(1, "Ada", "Lovelace"), Named(2, "Ada", "Lovelace", "N1 9GU")), 0);
  EXPECT_EQ(score(Named(1, "Ada", "Lovelace"), Named(2, "Byron", "Noel")), 0);
  EXPECT_EQ(score(Named(1, "Ada", "Lovelace", ""), Named(2, "Ada", "Lovelace", "")), 0);
  EXPECT_EQ(score(Named(1, "", "Lovelace"), Named(2, "", "Lovelace")), 0);
}

TEST(FindDuplicatesTest, ReasonsAddUp) {
  DuplicateSubject a = Named(1, "Ada", "Lovelace");
  DuplicateSubject b = Named(2, "Ada", "Lovelace");
  a.identifiers = {{"email", "ada.lovelace@gmail.com"}};
  b.identifiers = {{"email", "adalovelace+shop@gmail.com"}};
  EXPECT_THAT(FindAll({a, b}),
              ElementsAre(DuplicatePair{Id(1), Id(2), 99, {"name and postcode", "similar email"}}));
  b.postal_code = "";
  EXPECT_THAT(FindAll({a, b}), ElementsAre(DuplicatePair{Id(1), Id(2), 80, {"similar email"}}));
}

TEST(FindDuplicatesTest, DifferentAccountsAreDifferentPeople) {
  DuplicateSubject father = Named(1, "John", "Smith");
  DuplicateSubject son = Named(2, "John", "Smith");
  father.identifiers = {{"user_id", "1"}};
  son.identifiers = {{"user_id", "2"}};
  EXPECT_THAT(FindAll({father, son}), IsEmpty());
  son.identifiers.push_back({"email", "j@example.com"});
  father.identifiers.push_back({"email", "j@example.com"});
  EXPECT_EQ(FindAll({father, son}).size(), 1u);
}

TEST(FindDuplicatesTest, TheBestPairComesFirstAndEachOnce) {
  const DuplicateSubject ada = Named(1, "Ada", "Lovelace");
  DuplicateSubject phone = Named(3, "Ada", "Byron");
  phone.identifiers = {{"phone", "+4930123456"}};
  DuplicateSubject asking = ada;
  asking.id = Id(9);
  asking.identifiers = {{"phone", "+4930123456"}};
  const DuplicateSubject typo = Named(2, "Ada", "Lovelaec");
  const auto pairs = FindDuplicates(asking, {&typo, &ada, &phone, &asking, &ada});
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].score, 100);
  EXPECT_EQ(pairs[1].score, 95);
  EXPECT_LT(pairs[2].score, 95);
}

TEST(BlockKeysTest, CandidatesShareABlock) {
  // Whatever FindDuplicates would pair must meet in at least one block.
  DuplicateSubject a = Named(1, "Ada", "Lovelace");
  DuplicateSubject swapped = Named(2, "Lovelace",
                                   "\xC3\x81"
                                   "da",
                                   "sw1a1aa");
  const auto keys = BlockKeys(a);
  EXPECT_THAT(BlockKeys(swapped), IsSupersetOf(keys));
  EXPECT_THAT(BlockKeys(Subject(1, {{"email", "a.b+c@x.com"}})), Contains("~mail:ab@x.com"));
  EXPECT_THAT(BlockKeys(Subject(1, {{"phone", "+4930123456"}})), Contains("=phone:+4930123456"));
  EXPECT_THAT(BlockKeys(Named(1, "Ada", "Lovelace", "")), IsEmpty());
}

TEST(SubjectTest, ThePostcodeIsAnAttribute) {
  Contact contact;
  contact.given_name = "Ada";
  contact.attributes[kPostalCodeAttribute] = std::string("12345");
  EXPECT_EQ(SubjectOf(contact, {}).postal_code, "12345");
}

}  // namespace
}  // namespace clm::contact
