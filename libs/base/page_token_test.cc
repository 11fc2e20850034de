#include "libs/base/page_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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

// The pages of `items`, one per text; `between` is called after each.
std::vector<std::string> Pages(
    std::vector<std::string>& items, int size, const std::function<void()>& between = [] {}) {
  const PageTokens tokens("secret");
  std::vector<std::string> pages;
  std::string token;
  do {
    std::string text;
    const auto next = AddPage(
        PageOf{tokens, kList, size, token}, items,
        [](const std::string& item) { return std::vector<std::string>{item}; },
        [&](const std::string& item) { text += item; });
    if (!next.ok()) return {next.status().ToString()};
    token = *next;
    pages.push_back(text);
    between();
  } while (!token.empty());
  return pages;
}

TEST(PageInMemoryTest, PagesCoverTheListOnce) {
  std::vector<std::string> items = {"a", "b", "c", "d"};
  EXPECT_THAT(Pages(items, 3), testing::ElementsAre("abc", "d"));
  EXPECT_THAT(Pages(items, 2), testing::ElementsAre("ab", "cd"));
  EXPECT_THAT(Pages(items, 4), testing::ElementsAre("abcd"));
  EXPECT_THAT(Pages(items, 0), testing::ElementsAre("abcd"));
  items.clear();
  EXPECT_THAT(Pages(items, 1), testing::ElementsAre(""));
}

TEST(PageInMemoryTest, WhatComesAndGoesBetweenPagesShiftsNothing) {
  std::vector<std::string> items = {"b", "c", "d", "f"};
  EXPECT_THAT(Pages(items, 2,
                    [&] {
                      items = {"a", "b", "d", "e", "f"};
                    }),
              testing::ElementsAre("bc", "de", "f"));
}

TEST(PageInMemoryTest, RefusesAWrongSizeAndAForeignToken) {
  const PageTokens tokens("secret");
  const auto page = [&](int32_t size, absl::string_view token) {
    return AddPage(
               PageOf{tokens, kList, size, token}, std::vector<std::string>{"a", "b"},
               [](const std::string& item) { return std::vector<std::string>{item}; },
               [](const std::string&) {})
        .status()
        .code();
  };
  EXPECT_EQ(page(1, ""), absl::StatusCode::kOk);
  EXPECT_EQ(page(-1, ""), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(page(1, tokens.Encode({"another list"}, {"a"})), absl::StatusCode::kInvalidArgument);
}

TEST(PageSizeTest, DefaultsCoercesAndRefuses) {
  EXPECT_EQ(*PageSize(0), 50);
  EXPECT_EQ(*PageSize(5000), 1000);
  EXPECT_EQ(PageSize(-1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace clm
