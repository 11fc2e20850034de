#include "libs/base/page_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace clm {
namespace {

const std::vector<std::string> kList = {"ListContacts", "tenants/acme", "status = ACTIVE", ""};

TEST(PageTokenTest, RoundTrips) {
  const PageTokens tokens("secret");
  const std::string token = tokens.Encode(kList, {"2026-01-01", std::string("\0x", 2)});
  EXPECT_THAT(*tokens.Decode(kList, token),
              testing::ElementsAre("2026-01-01", std::string("\0x", 2)));
  EXPECT_TRUE(tokens.Decode(kList, "")->empty());
}

TEST(PageTokenTest, IsBoundToItsListAndSuite) {
  const PageTokens tokens("secret");
  const std::string token = tokens.Encode(kList, {"k"});
  auto other = kList;
  other[1] = "tenants/globex";
  EXPECT_FALSE(tokens.Decode(other, token).ok());
  // Moving a boundary between two parts must not give the same signature.
  EXPECT_FALSE(tokens.Decode({"ListContactstenants/acme", "", "status = ACTIVE", ""}, token).ok());
  EXPECT_FALSE(PageTokens("another").Decode(kList, token).ok());
}

TEST(PageTokenTest, EveryFlippedByteIsRefused) {
  const PageTokens tokens("secret");
  const std::string token = tokens.Encode(kList, {"key-of-the-last-row"});
  for (size_t i = 0; i < token.size(); ++i) {
    std::string bad = token;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    // The last base64 character may hold unused bits only; then the token is still the same token.
    const auto key = tokens.Decode(kList, bad);
    if (key.ok()) {
      EXPECT_EQ(i, token.size() - 1);
    }
  }
}

TEST(PageSizeTest, DefaultsCoercesAndRefuses) {
  EXPECT_EQ(*PageSize(0), 50);
  EXPECT_EQ(*PageSize(5000), 1000);
  EXPECT_EQ(PageSize(-1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace clm
