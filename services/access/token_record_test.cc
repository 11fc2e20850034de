#include "services/access/token_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"

namespace clm::access {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

TEST(GrantTokenTest, ScopesAreSortedAndUnique) {
  const auto record =
      GrantToken({.tenant = "acme", .scopes = {"b.read", "a.read", "b.read"}}, {}, kNow);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_THAT(record->scopes, testing::ElementsAre("a.read", "b.read"));
  EXPECT_EQ(record->expire_time, kNow + absl::Hours(24 * 365));
}

TEST(GrantTokenTest, AScopeIsNeeded) {
  EXPECT_EQ(GrantToken({.tenant = "acme"}, {}, kNow).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(GrantTokenTest, TheExpiryLiesWithinAYear) {
  const auto grant = [](absl::Time expires) {
    return GrantToken({.tenant = "acme", .scopes = {"a.read"}, .expire_time = expires}, {}, kNow)
        .ok();
  };
  EXPECT_FALSE(grant(kNow));
  EXPECT_TRUE(grant(kNow + absl::Microseconds(1)));
  EXPECT_TRUE(grant(kNow + absl::Hours(24 * 365)));
  EXPECT_FALSE(grant(kNow + absl::Hours(24 * 365) + absl::Microseconds(1)));
}

TEST(GrantTokenTest, AdminMayGrantAnythingAndOthersWhatTheyHave) {
  const auto grant = [](std::vector<std::string> own, const std::string& scope) {
    return GrantToken({.tenant = "acme", .scopes = {scope}},
                      {.actor = "token:x", .tenant = "acme", .scopes = own, .suite = false}, kNow)
        .status();
  };
  EXPECT_TRUE(grant({"admin"}, "contacts.write").ok());
  EXPECT_TRUE(grant({"contacts.write"}, "contacts.write").ok());
  EXPECT_EQ(error::Reason(grant({"contacts.write"}, "admin")), "SCOPE_MISSING");
}

TEST(AcceptsTest, OnlyTheRightSecretOfALivingTokenIsAccepted) {
  TokenRecord record{.secret_hash = HashSecret("key", "secret"), .expire_time = kNow};
  const std::string right = HashSecret("key", "secret");
  const absl::Time before = kNow - absl::Seconds(1);
  EXPECT_TRUE(Accepts(record, right, before));
  EXPECT_FALSE(Accepts(record, HashSecret("key", "guess"), before));
  EXPECT_FALSE(Accepts(record, HashSecret("other key", "secret"), before));
  EXPECT_FALSE(Accepts(record, "", before));
  EXPECT_FALSE(Accepts(record, right, kNow));
  record.revoke_time = before;
  EXPECT_FALSE(Accepts(record, right, before));
}

}  // namespace
}  // namespace clm::access
