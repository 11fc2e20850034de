#include "services/contact/identifiers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = IdentityDecision::Kind;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

std::string Email(absl::string_view text, const NormalizeOptions& options = {}) {
  return NormalizeEmail(text, options).value_or("refused");
}

TEST(NormalizeEmailTest, BlanksAndCapitalsAreCut) {
  EXPECT_EQ(Email(" Ada.Lovelace@Example.COM\t"), "ada.lovelace@example.com");
  EXPECT_EQ(Email("\xC2\xA0"
                  "ada@example.com"),
            "ada@example.com");
  EXPECT_EQ(Email("o'hara+list=x@sub.example.co.uk"), "o'hara+list=x@sub.example.co.uk");
}

TEST(NormalizeEmailTest, DomainsOfAnyScriptGetTheirAsciiForm) {
  EXPECT_EQ(Email("ada@Bücher.example"), "ada@xn--bcher-kva.example");
  EXPECT_EQ(Email("ada@XN--BCHER-KVA.example"), "ada@xn--bcher-kva.example");
  EXPECT_EQ(Email("ada@straße.de"), "ada@xn--strae-oqa.de");
}

TEST(NormalizeEmailTest, WhatIsNoAddressIsRefused) {
  for (const char* bad : {"",
                          "ada",
                          "@example.com",
                          "ada@",
                          "ada@localhost",
                          "ada@example..com",
                          "a..b@example.com",
                          ".ada@example.com",
                          "ada.@example.com",
                          "ada@-example.com",
                          "ada@example.com.",
                          "ada@[127.0.0.1]",
                          "ada@127.0.0.1",
                          "a b@example.com",
                          "ada@exa mple.com",
                          "Ada <ada@example.com>",
                          "ada@example.com,bob@example.com",
                          "\"ada\"@example.com",
                          "a@b@example.com",
                          "ada@exam_ple.com",
                          "\xFF@example.com",
                          "a\xC2\x85@example.com"}) {
    EXPECT_EQ(Email(bad), "refused") << bad;
  }
  EXPECT_EQ(Email(std::string(65, 'a') + "@example.com"), "refused");
  EXPECT_NE(Email(std::string(64, 'a') + "@example.com"), "refused");
  std::string domain;
  for (int i = 0; i < 4; ++i) domain += std::string(62, 'd') + ".";
  EXPECT_EQ(Email("ada@" + domain + "example"), "refused");
  EXPECT_EQ(Email("ada@" + std::string(64, 'd') + ".example"), "refused");
}

TEST(NormalizeEmailTest, ProviderTricksAreOffUnlessSwitchedOn) {
  EXPECT_EQ(Email("A.D.A+shop@googlemail.com"), "a.d.a+shop@googlemail.com");
  IdentityPolicy policy;
  policy.email_providers = {{"gmail.com", {true, true, ""}},
                            {"googlemail.com", {false, false, "gmail.com"}}};
  const NormalizeOptions tricks{.policy = &policy};
  EXPECT_EQ(Email("A.D.A+shop@googlemail.com", tricks), "ada@gmail.com");
  EXPECT_EQ(Email("a.d.a+shop@example.com", tricks), "a.d.a+shop@example.com");
  EXPECT_EQ(Email("+shop@gmail.com", tricks), "refused");
}

std::string Phone(absl::string_view text, absl::string_view region = "") {
  return NormalizePhone(text, {.phone_region = std::string(region)}).value_or("refused");
}

TEST(NormalizePhoneTest, NumbersBecomeE164) {
  EXPECT_EQ(Phone("+49 (0)30 123-456"), "+4930123456");
  EXPECT_EQ(Phone("+1 650.253.0000"), "+16502530000");
  EXPECT_EQ(Phone("030 123 456", "DE"), "+4930123456");
  EXPECT_EQ(Phone("0049 30 123456", "DE"), "+4930123456");
  EXPECT_EQ(Phone("(650) 253-0000", "US"), "+16502530000");
  EXPECT_EQ(Phone("+39 06 1234 5678"), "+390612345678");
}

TEST(NormalizePhoneTest, WhatIsNoNumberIsRefused) {
  for (const char* bad : {"", "030 123 456", "+49", "+999 1234567", "+49 30 CALL ME",
                          "+1 650 253 0000 ext. 5", "+1", "+4930123456789012345", "+-"}) {
    EXPECT_EQ(Phone(bad), "refused") << bad;
  }
}

TEST(BlockedValueTest, PlaceholdersIdentifyNobody) {
  for (const char* blocked : {"", "000-000", "0", "---", "-1", "null", "NULL", "anonymous",
                              " Anonymous ", "undefined", "None", "n/a"}) {
    EXPECT_TRUE(IsBlockedValue(blocked)) << blocked;
  }
  for (const char* fine : {"1", "0-1", "-2", "nullo", "00004", "ada"}) {
    EXPECT_FALSE(IsBlockedValue(fine)) << fine;
  }
  EXPECT_FALSE(NormalizeExternalId("000-000").ok());
  EXPECT_FALSE(NormalizeExternalId("null").ok());
}

TEST(ExternalIdTest, TheTypeIsAnIdAndNotAFieldOfItsOwn) {
  EXPECT_TRUE(ValidExternalIdType("user_id"));
  EXPECT_TRUE(ValidExternalIdType("shopify-eu"));
  EXPECT_FALSE(ValidExternalIdType("email"));
  EXPECT_FALSE(ValidExternalIdType("phone"));
  EXPECT_FALSE(ValidExternalIdType("Shop"));
  EXPECT_EQ(*NormalizeExternalId(" Ab1 "), "Ab1");
  EXPECT_FALSE(NormalizeExternalId(std::string(257, 'x')).ok());
}

TEST(TombstoneTest, TheHashDependsOnSaltTypeAndValue) {
  const Identifier ada{"email", "ada@example.com"};
  const std::string hash = TombstoneHash("salt", ada);
  EXPECT_EQ(hash.size(), 32u);
  EXPECT_EQ(hash, TombstoneHash("salt", ada));
  EXPECT_NE(hash, TombstoneHash("pepper", ada));
  EXPECT_NE(hash, TombstoneHash("salt", {"email", "bob@example.com"}));
  EXPECT_NE(hash, TombstoneHash("salt", {"user_id", "ada@example.com"}));
  EXPECT_NE(TombstoneHash("salt", {"a", "bc"}), TombstoneHash("salt", {"ab", "c"}));
}

Uuid Id(int n) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = static_cast<uint8_t>(n);
  return Uuid(bytes);
}

// Profile `n`, made on day n, with identifiers first seen `age` ago.
IdentityProfile Profile(int n, const std::vector<Identifier>& identifiers,
                        absl::Duration age = absl::Hours(1)) {
  IdentityProfile profile{Id(n), kNow - absl::Hours(24 * (100 - n)), {}};
  for (const Identifier& identifier : identifiers) {
    profile.identifiers.push_back({identifier, kNow - age});
  }
  return profile;
}

IdentityDecision Resolve(const std::vector<Identifier>& identifiers,
                         const std::vector<IdentityProfile>& profiles,
                         const IdentityPolicy& policy = {}) {
  return ResolveIdentity(identifiers, profiles, policy, kNow);
}

const Identifier kAdaMail{"email", "ada@example.com"};
const Identifier kAdaUser{"user_id", "ada"};
const Identifier kBobUser{"user_id", "bob"};
const Identifier kBrowser{"anonymous_id", "browser-1"};

TEST(ResolveIdentityTest, NoMatchMakesAProfile) {
  const auto decision = Resolve({kBrowser, {"email", " ADA@example.com"}}, {});
  EXPECT_EQ(decision.kind, Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(kAdaMail, kBrowser));
  EXPECT_THAT(decision.violations, IsEmpty());
}

TEST(ResolveIdentityTest, OneMatchIsAddedTo) {
  const auto decision = Resolve({kBrowser, kAdaMail}, {Profile(1, {kAdaMail})});
  EXPECT_EQ(decision.kind, Kind::kAdd);
  EXPECT_THAT(decision.profiles, ElementsAre(Id(1)));
  EXPECT_THAT(decision.identifiers, ElementsAre(kAdaMail, kBrowser));
}

TEST(ResolveIdentityTest, SeveralMatchesAreMergedIntoTheOldest) {
  const auto decision =
      Resolve({kBrowser, kAdaMail}, {Profile(2, {kAdaMail}), Profile(1, {kBrowser})});
  EXPECT_EQ(decision.kind, Kind::kMerge);
  EXPECT_THAT(decision.profiles, ElementsAre(Id(1), Id(2)));
}

TEST(ResolveIdentityTest, BlockedValuesMatchNobody) {
  const IdentityProfile crowd = Profile(1, {{"user_id", "null"}});
  const auto decision = Resolve(
      {{"user_id", "null"}, {"phone", "000-000"}, {"shop", "-1"}, {"crm", "ANONYMOUS"}}, {crowd});
  EXPECT_EQ(decision.kind, Kind::kUnidentified);
  EXPECT_THAT(decision.profiles, IsEmpty());
  ASSERT_EQ(decision.violations.size(), 4u);
  for (const auto& violation : decision.violations) {
    EXPECT_EQ(violation.kind, IdentityViolation::Kind::kBlockedValue);
  }
}

TEST(ResolveIdentityTest, ATenantMayBlockMoreValues) {
  IdentityPolicy policy;
  policy.blocked_values.insert("kiosk");
  const auto decision = Resolve({{"user_id", "Kiosk"}, kAdaMail}, {}, policy);
  EXPECT_THAT(decision.identifiers, ElementsAre(kAdaMail));
  ASSERT_EQ(decision.violations.size(), 1u);
  EXPECT_EQ(decision.violations[0].kind, IdentityViolation::Kind::kBlockedValue);
}

TEST(ResolveIdentityTest, MalformedIdentifiersAreDroppedAndTold) {
  const auto decision = Resolve({{"email", "nobody"}, kBrowser}, {});
  EXPECT_EQ(decision.kind, Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(kBrowser));
  ASSERT_EQ(decision.violations.size(), 1u);
  EXPECT_EQ(decision.violations[0].kind, IdentityViolation::Kind::kInvalid);
}

TEST(ResolveIdentityTest, TwoUserIdsAreTwoPeopleOnOneBrowser) {
  // Bob logs in where Ada was before: the browser is dropped, Bob gets a profile of his own.
  const auto decision = Resolve({kBrowser, kBobUser}, {Profile(1, {kAdaUser, kBrowser})});
  EXPECT_EQ(decision.kind, Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(kBobUser));
  ASSERT_EQ(decision.violations.size(), 1u);
  EXPECT_EQ(decision.violations[0].identifier, kBrowser);
  EXPECT_EQ(decision.violations[0].limit_type, "user_id");
  EXPECT_THAT(decision.violations[0].profiles, ElementsAre(Id(1)));
}

TEST(ResolveIdentityTest, AUniqueIdentifierThatDisagreesStopsAMerge) {
  const auto decision =
      Resolve({kBobUser, kAdaMail}, {Profile(1, {kAdaUser, kAdaMail}), Profile(2, {kBobUser})});
  EXPECT_EQ(decision.kind, Kind::kAdd);
  EXPECT_THAT(decision.profiles, ElementsAre(Id(2)));
  EXPECT_THAT(decision.identifiers, ElementsAre(kBobUser));
  ASSERT_EQ(decision.violations.size(), 1u);
  EXPECT_EQ(decision.violations[0].identifier, kAdaMail);
}

TEST(ResolveIdentityTest, TheLeastTrustedIdentifierGoesFirst) {
  // user_id 1, email 2, the rest alphabetical: zendesk goes before anonymous_id, and that before
  // the address.
  const auto decision =
      Resolve({{"zendesk", "z"}, kAdaMail, kBrowser, kBobUser}, {Profile(1, {kAdaUser, kAdaMail})});
  EXPECT_EQ(decision.kind, Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(kBobUser));
  ASSERT_EQ(decision.violations.size(), 3u);
  EXPECT_EQ(decision.violations[0].identifier.type, "zendesk");
  EXPECT_EQ(decision.violations[1].identifier.type, "anonymous_id");
  EXPECT_EQ(decision.violations[2].identifier.type, "email");
}

TEST(ResolveIdentityTest, FiveAddressesAreTheLimitForEver) {
  std::vector<Identifier> held = {kAdaUser};
  for (int i = 0; i < 4; ++i) held.push_back({"email", "a" + std::to_string(i) + "@example.com"});
  auto decision =
      Resolve({kAdaUser, {"email", "new@example.com"}}, {Profile(1, held, absl::Hours(24 * 3000))});
  EXPECT_EQ(decision.identifiers.size(), 2u);

  held.push_back({"email", "a4@example.com"});
  decision =
      Resolve({kAdaUser, {"email", "new@example.com"}}, {Profile(1, held, absl::Hours(24 * 3000))});
  EXPECT_EQ(decision.kind, Kind::kAdd);
  EXPECT_THAT(decision.identifiers, ElementsAre(kAdaUser));
  ASSERT_EQ(decision.violations.size(), 1u);
  EXPECT_EQ(decision.violations[0].limit_type, "email");
}

TEST(ResolveIdentityTest, AnonymousIdsAreCountedPerWeek) {
  std::vector<Identifier> held = {kAdaUser};
  for (int i = 0; i < 5; ++i) held.push_back({"anonymous_id", "old-" + std::to_string(i)});
  const std::vector<Identifier> event = {kAdaUser, kBrowser};
  EXPECT_THAT(Resolve(event, {Profile(1, held, absl::Hours(24 * 8))}).identifiers,
              ElementsAre(kAdaUser, kBrowser));
  EXPECT_THAT(Resolve(event, {Profile(1, held, absl::Hours(24 * 6))}).identifiers,
              ElementsAre(kAdaUser));
}

TEST(ResolveIdentityTest, AProfileOverItsLimitStillTakesItsOwnEvents) {
  std::vector<Identifier> held = {kAdaMail};
  for (int i = 0; i < 9; ++i) held.push_back({"email", "a" + std::to_string(i) + "@example.com"});
  const auto decision = Resolve({kAdaMail}, {Profile(1, held)});
  EXPECT_EQ(decision.kind, Kind::kAdd);
  EXPECT_THAT(decision.violations, IsEmpty());
}

TEST(ResolveIdentityTest, WhatIsToldOfARefusedIdentifierCanBeStored) {
  // Cut in the middle of a character, and with a zero byte that no text column takes.
  const std::string odd = "x" + std::string(1, '\0') + std::string(253, 'y') + "\xC3\xA4";
  const auto decision = Resolve({{"email", odd}, kBrowser}, {});
  ASSERT_EQ(decision.violations.size(), 1u);
  EXPECT_EQ(decision.violations[0].identifier.value, "x " + std::string(253, 'y'));
}

TEST(ExceedsLimitsTest, CountsWhatIsHeldAndWhatIsAdded) {
  const std::vector<KnownIdentifier> held = {{kAdaUser, kNow}, {kAdaMail, kNow}};
  EXPECT_FALSE(ExceedsLimits(held, {kAdaUser, kBrowser}, IdentityPolicy(), kNow));
  EXPECT_TRUE(ExceedsLimits(held, {kBrowser, kBobUser}, IdentityPolicy(), kNow));
}

TEST(ResolveIdentityTest, RepeatedIdentifiersCountOnce) {
  const auto decision = Resolve({kAdaUser, {"user_id", " ada "}}, {});
  EXPECT_EQ(decision.kind, Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(kAdaUser));
}

TEST(ResolveIdentityTest, TwoUserIdsInOneEventKeepTheFirst) {
  const auto decision = Resolve({kAdaUser, kBobUser}, {});
  EXPECT_EQ(decision.kind, Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(kAdaUser));
  EXPECT_EQ(decision.violations.size(), 1u);
}

}  // namespace
}  // namespace clm::contact
