#include "libs/base/resource_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"

namespace clm {
namespace {

constexpr char kId[] = "0190163d-8694-739b-aea5-966c26f8ad91";

TEST(ResourceNameTest, RoundTrips) {
  const std::string name = std::string("tenants/acme/contacts/") + kId;
  const auto key = ParseEntityName("name", "contacts", name);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->tenant, "acme");
  EXPECT_EQ(EntityName("contacts", *key), name);
}

TEST(ResourceNameTest, RefusalsNameTheFieldAndThePattern) {
  for (const char* bad :
       {"tenants/acme", "tenants/acme/contacts/", "tenants/Acme/contacts/x", "tenants//contacts/x",
        "tenants/acme/people/0190163d-8694-739b-aea5-966c26f8ad91", "tenants/acme/contacts/a b",
        "tenants/acme/contacts/x/y", "/tenants/acme/contacts/x", "tenants/a,b/contacts/x"}) {
    const auto key = ParseEntityName("contact.name", "contacts", bad);
    ASSERT_FALSE(key.ok()) << bad;
    ASSERT_EQ(error::FieldViolations(key.status()).size(), 1u);
    EXPECT_EQ(error::FieldViolations(key.status())[0].first, "contact.name");
  }
  EXPECT_THAT(std::string(ParseEntityName("name", "contacts", "").status().message()),
              testing::HasSubstr("is required"));
}

TEST(ResourceNameTest, IdsChosenByCallers) {
  for (const char* good : {"a", "non-contractual", "s002-01-intro", "vip_2"}) {
    EXPECT_TRUE(ValidResourceId(good)) << good;
  }
  for (const char* bad : {"", "A", "1a", "a-", "a_", "a b", "a/b"}) {
    EXPECT_FALSE(ValidResourceId(bad)) << bad;
  }
  EXPECT_FALSE(ValidTenantId("a_b"));
  EXPECT_FALSE(ValidTenantId("*"));
}

TEST(EtagTest, RoundTripsAndRefuses) {
  EXPECT_EQ(*ParseEtag("etag", Etag(17)), 17);
  EXPECT_EQ(*ParseEtag("etag", ""), 0);
  for (const char* bad : {"17", "\"17\"", "\"v\"", "\"v-1\"", "\"v0\"", "\"v1", "\"v1x\""}) {
    EXPECT_FALSE(ParseEtag("etag", bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace clm
