#include "services/contact/identity_policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/contact/identifiers.h"

namespace clm::contact {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

// The paths that are refused.
std::vector<std::string> Refused(IdentityPolicy policy) {
  error::FieldErrors errors;
  NormalizeIdentityPolicy("p", policy, errors);
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(errors.ToStatus())) {
    fields.push_back(field);
  }
  return fields;
}

BlockedPatterns Patterns(const std::vector<std::string>& texts) {
  error::FieldErrors errors;
  BlockedPatterns patterns(texts, "p", errors);
  EXPECT_TRUE(errors.empty());
  return patterns;
}

TEST(IdentityPolicyTest, TheDefaultsAreInNormalForm) {
  IdentityPolicy policy;
  error::FieldErrors errors;
  NormalizeIdentityPolicy("p", policy, errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(policy, DefaultIdentityPolicy());
}

TEST(IdentityPolicyTest, ValuesAreBlockedByThemselvesAndByPatternsInAnyCase) {
  IdentityPolicy policy;
  policy.blocked_values = {"kiosk"};
  policy.blocked_patterns = Patterns({"^test-", "@Shop\\.example$"});
  EXPECT_TRUE(IsBlockedValue(" KIOSK", policy));
  EXPECT_TRUE(IsBlockedValue("Test-7", policy));
  EXPECT_TRUE(IsBlockedValue("till@shop.example", policy));
  EXPECT_FALSE(IsBlockedValue("a-test-7", policy));
  // The list of a tenant is the whole list.
  EXPECT_FALSE(IsBlockedValue("null", policy));
  EXPECT_FALSE(IsBlockedValue("000", policy));
}

TEST(IdentityPolicyTest, WhatIsBlockedHasNoNormalFormWhateverItsType) {
  IdentityPolicy policy;
  policy.blocked_patterns = Patterns({"^till@", "^\\+4930"});
  const NormalizeOptions options{.policy = &policy};
  EXPECT_FALSE(NormalizeIdentifier(kEmailType, "Till@shop.example", options).ok());
  EXPECT_FALSE(NormalizeIdentifier(kPhoneType, "+49 30 123456", options).ok());
  EXPECT_FALSE(NormalizeIdentifier("shop", "till@1", options).ok());
  EXPECT_TRUE(NormalizeIdentifier(kEmailType, "ada@shop.example", options).ok());
}

TEST(IdentityPolicyTest, APatternThatDoesNotCompileIsNamed) {
  error::FieldErrors errors;
  const BlockedPatterns patterns({"^a", "(", ""}, "p.blocked_patterns", errors);
  EXPECT_TRUE(errors.Names("p.blocked_patterns[1]"));
  EXPECT_TRUE(errors.Names("p.blocked_patterns[2]"));
  EXPECT_THAT(patterns.texts(), ElementsAre("^a"));
}

TEST(IdentityPolicyTest, WhatMakesNoSenseIsRefusedByName) {
  IdentityPolicy policy;
  policy.limits["Shop"] = {};
  policy.limits["crm"] = {0, absl::InfiniteDuration()};
  policy.limits["erp"] = {1, absl::Milliseconds(1500)};
  policy.default_limit.max_values = 1001;
  policy.priorities = {"email", "crm", "email"};
  EXPECT_THAT(
      Refused(policy),
      UnorderedElementsAre("p.limits.Shop", "p.limits.crm.max_values", "p.limits.erp.window",
                           "p.default_limit.max_values", "p.priorities[2]"));
}

TEST(IdentityPolicyTest, DomainsOfProvidersAreBroughtIntoTheFormOfAddresses) {
  IdentityPolicy policy;
  policy.email_providers = {{"Gmail.COM", {true, true, ""}},
                            {"googlemail.com", {false, false, "GMAIL.com"}},
                            {"bücher.example", {true, false, ""}}};
  error::FieldErrors errors;
  NormalizeIdentityPolicy("p", policy, errors);
  EXPECT_TRUE(errors.empty());
  EXPECT_EQ(policy.email_providers.at("googlemail.com").canonical_domain, "gmail.com");
  EXPECT_EQ(policy.email_providers.count("xn--bcher-kva.example"), 1u);
}

TEST(IdentityPolicyTest, ACanonicalDomainIsAProviderOfItsOwn) {
  IdentityPolicy policy;
  policy.email_providers = {{"googlemail.com", {true, true, "gmail.com"}}};
  EXPECT_THAT(Refused(policy), Not(IsEmpty()));
  policy.email_providers["gmail.com"] = {true, true, "google.com"};
  policy.email_providers["google.com"] = {};
  EXPECT_THAT(Refused(policy), Not(IsEmpty()));
  policy.email_providers["gmail.com"].canonical_domain = "";
  EXPECT_THAT(Refused(policy), IsEmpty());
}

TEST(IdentityPolicyTest, TheNormalFormOfAnAddressIsItsOwnNormalForm) {
  IdentityPolicy policy;
  policy.email_providers = {{"gmail.com", {true, false, ""}},
                            {"googlemail.com", {false, true, "gmail.com"}},
                            {"tags.example", {false, true, ""}}};
  const NormalizeOptions options{.policy = &policy};
  for (const char* text :
       {"a.da+shop@googlemail.com", "a.da+shop@gmail.com", "a.da+shop@tags.example"}) {
    const auto once = NormalizeEmail(text, options);
    ASSERT_TRUE(once.ok()) << text;
    EXPECT_EQ(NormalizeEmail(*once, options).value_or(""), *once);
  }
  EXPECT_EQ(*NormalizeEmail("a.da+shop@googlemail.com", options), "ada@gmail.com");
  EXPECT_EQ(*NormalizeEmail("a.da+shop@tags.example", options), "a.da@tags.example");
  EXPECT_FALSE(NormalizeEmail("ada.+shop@tags.example", options).ok());
}

TEST(IdentityPolicyTest, TheOrderOfTrustIsTheTenants) {
  IdentityPolicy policy;
  policy.priorities = {"crm"};
  policy.limits = {{"crm", {1, absl::InfiniteDuration()}}};
  const absl::Time now = absl::FromUnixSeconds(1'790'000'000);
  const IdentityProfile ada{
      Uuid(),
      now - absl::Hours(9),
      {{{"crm", "1"}, now - absl::Hours(9)}, {{"email", "ada@example.com"}, now - absl::Hours(9)}}};
  // Her address with another crm id: the address is the less trusted one.
  const auto decision =
      ResolveIdentity({{"email", "ada@example.com"}, {"crm", "2"}}, {ada}, policy, now);
  EXPECT_EQ(decision.kind, IdentityDecision::Kind::kNewProfile);
  EXPECT_THAT(decision.identifiers, ElementsAre(Identifier{"crm", "2"}));
}

}  // namespace
}  // namespace clm::contact
