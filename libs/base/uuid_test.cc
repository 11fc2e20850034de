#include "libs/base/uuid.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace clm {
namespace {

TEST(UuidTest, TextRoundTrips) {
  const auto uuid = Uuid::Parse("0190163D-8694-739B-AEA5-966C26F8AD91");
  ASSERT_TRUE(uuid.has_value());
  EXPECT_EQ(uuid->ToString(), "0190163d-8694-739b-aea5-966c26f8ad91");
  EXPECT_EQ(Uuid::FromBytes(uuid->ToBytes()), uuid);
}

TEST(UuidTest, RefusesEverythingElse) {
  for (const char* bad :
       {"", "0190163d", "0190163d-8694-739b-aea5-966c26f8ad9",
        "0190163d-8694-739b-aea5-966c26f8ad911", "0190163dx8694-739b-aea5-966c26f8ad91",
        "g190163d-8694-739b-aea5-966c26f8ad91", "0190163d8694-739b-aea5-966c26f8ad91--"}) {
    EXPECT_FALSE(Uuid::Parse(bad).has_value()) << bad;
  }
}

TEST(UuidTest, V7IncreasesEvenWhenTheClockStandsStillOrGoesBack) {
  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  Uuid last = Uuid::V7(now);
  for (int i = 0; i < 20'000; ++i) {
    if (i % 1000 == 999) now -= absl::Seconds(1);
    const Uuid next = Uuid::V7(now);
    ASSERT_LT(last, next);
    last = next;
  }
  EXPECT_EQ(last.ToString()[14], '7');
}

TEST(UuidTest, V7IsUniqueAcrossThreads) {
  std::vector<std::vector<Uuid>> made(4);
  std::vector<std::thread> threads;
  threads.reserve(made.size());
  for (auto& out : made) {
    threads.emplace_back([&out] {
      for (int i = 0; i < 5'000; ++i) out.push_back(Uuid::V7(absl::Now()));
    });
  }
  for (auto& t : threads) t.join();
  std::set<Uuid> all;
  for (const auto& out : made) all.insert(out.begin(), out.end());
  EXPECT_EQ(all.size(), 20'000u);
}

// RFC 9562 appendix A.4: the DNS name space and "www.example.com".
TEST(UuidTest, V5MatchesThePublishedVector) {
  const auto dns = Uuid::Parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
  EXPECT_EQ(Uuid::V5(*dns, "www.example.com").ToString(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

}  // namespace
}  // namespace clm
