#include "libs/cache/near_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <latch>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/clock.h"
#include "libs/cache/near_watch.h"

namespace clm::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr int kProfile = 0, kContext = 1;
constexpr size_t kRoomy = 16 << 20;

EntityKey Customer(const std::string& tenant, uint8_t number) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = number;
  return {tenant, Uuid(bytes)};
}

class NearCacheTest : public ::testing::Test {
 protected:
  void Keep(const EntityKey& customer, int kind, const std::string& answer) {
    cache_.Put(customer, kind, cache_.Begin(customer, kind, clock_.Now()), answer);
  }
  uint64_t Counted(const std::string& name) { return metrics_.GetCounter(name, "").value(); }
  std::optional<std::string> Get(const EntityKey& customer, int kind,
                                 absl::Duration max_staleness = absl::Seconds(5)) {
    return cache_.Get(customer, kind, clock_.Now(), max_staleness);
  }

  const EntityKey ada_ = Customer("acme", 1);
  ManualClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  obs::Metrics metrics_;
  NearCache cache_{kRoomy, metrics_};
};

TEST_F(NearCacheTest, AnAnswerIsGivenAsLongAsTheCallerAllows) {
  Keep(ada_, kProfile, "ada");
  EXPECT_THAT(Get(ada_, kProfile), Optional(std::string("ada")));
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(Get(ada_, kProfile), Optional(std::string("ada")));
  clock_.Advance(absl::Microseconds(1));
  EXPECT_EQ(Get(ada_, kProfile), std::nullopt);
  EXPECT_THAT(Get(ada_, kProfile, absl::Seconds(6)), Optional(std::string("ada")));
  EXPECT_EQ(Counted("clm_near_cache_hits_total"), 3);
  EXPECT_EQ(Counted("clm_near_cache_misses_total"), 1);
}

TEST_F(NearCacheTest, ItsAgeCountsFromWhenTheReadBegan) {
  const NearCache::Ticket ticket = cache_.Begin(ada_, kProfile, clock_.Now());
  clock_.Advance(absl::Seconds(4));
  cache_.Put(ada_, kProfile, ticket, "ada");
  EXPECT_THAT(Get(ada_, kProfile, absl::Seconds(4)), Optional(std::string("ada")));
  EXPECT_EQ(Get(ada_, kProfile, absl::Seconds(3)), std::nullopt);
}

TEST_F(NearCacheTest, AClockThatIsSetBackMakesNothingYoung) {
  Keep(ada_, kProfile, "ada");
  clock_.Advance(-absl::Hours(1));
  EXPECT_EQ(Get(ada_, kProfile), std::nullopt);
}

TEST_F(NearCacheTest, ASlowReadDoesNotReplaceALaterOne) {
  const NearCache::Ticket slow = cache_.Begin(ada_, kProfile, clock_.Now());
  clock_.Advance(absl::Seconds(1));
  Keep(ada_, kProfile, "later");
  cache_.Put(ada_, kProfile, slow, "earlier");
  EXPECT_THAT(Get(ada_, kProfile), Optional(std::string("later")));
}

TEST_F(NearCacheTest, TenantsAndKindsAreAnswersOfTheirOwn) {
  Keep(ada_, kProfile, "profile");
  EXPECT_EQ(Get(ada_, kContext), std::nullopt);
  EXPECT_EQ(Get({"globex", ada_.id}, kProfile), std::nullopt);
  Keep(ada_, kContext, "context");
  EXPECT_THAT(Get(ada_, kProfile), Optional(std::string("profile")));
  EXPECT_THAT(Get(ada_, kContext), Optional(std::string("context")));
}

TEST_F(NearCacheTest, WhatIsDroppedIsGoneInEveryKind) {
  const EntityKey bob = Customer("acme", 2);
  for (const EntityKey& customer : {ada_, bob}) {
    Keep(customer, kProfile, "profile");
    Keep(customer, kContext, "context");
  }
  cache_.Drop(ada_);
  EXPECT_EQ(Get(ada_, kProfile), std::nullopt);
  EXPECT_EQ(Get(ada_, kContext), std::nullopt);
  EXPECT_NE(Get(bob, kProfile), std::nullopt);
  EXPECT_NE(Get(bob, kContext), std::nullopt);
}

TEST_F(NearCacheTest, AShardIsDroppedByKindOrWhole) {
  const int shard = ShardOf(ada_.tenant, ada_.id);
  Keep(ada_, kProfile, "profile");
  Keep(ada_, kContext, "context");
  cache_.DropShard((shard + 1) % kShards);
  EXPECT_NE(Get(ada_, kContext), std::nullopt);
  cache_.DropShard(shard, kContext);
  EXPECT_EQ(Get(ada_, kContext), std::nullopt);
  EXPECT_NE(Get(ada_, kProfile), std::nullopt);
  cache_.DropShard(shard);
  EXPECT_EQ(Get(ada_, kProfile), std::nullopt);
  EXPECT_EQ(cache_.bytes(), 0);
}

// The reader has read what was true before the change, and comes to Put it after the drop.
TEST_F(NearCacheTest, AReadThatBeganBeforeADropIsNotKeptAfterIt) {
  for (const bool whole_shard : {false, true}) {
    std::latch read(1), dropped(1);
    std::thread reader([&] {
      const NearCache::Ticket ticket = cache_.Begin(ada_, kContext, clock_.Now());
      read.count_down();
      dropped.wait();
      cache_.Put(ada_, kContext, ticket, "old");
    });
    read.wait();
    if (whole_shard) {
      cache_.DropShard(ShardOf(ada_.tenant, ada_.id), kContext);
    } else {
      cache_.Drop(ada_);
    }
    dropped.count_down();
    reader.join();
    EXPECT_EQ(Get(ada_, kContext), std::nullopt) << whole_shard;
  }
  EXPECT_EQ(Counted("clm_near_cache_refused_total"), 2);
  Keep(ada_, kContext, "new");
  EXPECT_THAT(Get(ada_, kContext), Optional(std::string("new")));
}

TEST(NearCacheRoomTest, MemoryIsBoundedAndWhatIsAskedForStays) {
  constexpr size_t kMost = 64 * 8192;
  obs::Metrics metrics;
  NearCache cache(kMost, metrics);
  const absl::Time now = absl::FromUnixSeconds(1'790'000'000);
  const EntityKey hot = Customer("acme", 0);
  const auto keep = [&](const EntityKey& customer) {
    cache.Put(customer, kProfile, cache.Begin(customer, kProfile, now), std::string(500, 'x'));
  };
  keep(hot);
  for (int i = 1; i < 20'000; ++i) {
    EXPECT_NE(cache.Get(hot, kProfile, now, absl::Seconds(1)), std::nullopt) << i;
    keep({absl::StrCat("tenant-", i), hot.id});
  }
  EXPECT_LE(cache.bytes(), kMost);
  EXPECT_GT(cache.bytes(), kMost / 2);
  EXPECT_GT(metrics.GetCounter("clm_near_cache_evictions_total", "").value(), 0);
  cache.Put(hot, kProfile, cache.Begin(hot, kProfile, now), std::string(kMost, 'x'));
  EXPECT_LE(cache.bytes(), kMost);
}

TEST(NearCacheRoomTest, WithoutRoomNothingIsHeld) {
  obs::Metrics metrics;
  NearCache cache(0, metrics);
  const EntityKey ada = Customer("acme", 1);
  const absl::Time now = absl::FromUnixSeconds(1'790'000'000);
  cache.Put(ada, kProfile, cache.Begin(ada, kProfile, now), "ada");
  EXPECT_EQ(cache.Get(ada, kProfile, now, absl::Seconds(1)), std::nullopt);
}

class NearWatchTest : public ::testing::Test {
 protected:
  // What the lanes of this process do after a commit.
  void Commit(int shard, int64_t before, int64_t last) {
    told_.Add({{shard, before, last}});
    heads_.Raise({{shard, last}});
  }
  std::vector<int> Changed() { return std::exchange(changed_, {}); }

  journal::Heads heads_;
  journal::ToldOffsets told_;
  std::vector<int> changed_;
  std::optional<NearWatch> watch_{std::in_place, &heads_, &told_,
                                  [this](int shard) { changed_.push_back(shard); }};
};

TEST_F(NearWatchTest, WhatOthersCommitIsToldByShard) {
  heads_.Raise({{3, 10}});
  heads_.Raise({{3, 11}, {5, 1}});
  EXPECT_THAT(Changed(), ElementsAre(3, 3, 5));
  heads_.Raise({{3, 11}});
  EXPECT_THAT(Changed(), IsEmpty());
}

TEST_F(NearWatchTest, WhatThisProcessCommitsIsNot) {
  heads_.Raise({{3, 10}});
  Changed();
  Commit(3, 10, 12);
  Commit(3, 12, 13);
  EXPECT_THAT(Changed(), IsEmpty());
}

TEST_F(NearWatchTest, WhatOthersCommitBetweenCommitsOfThisProcessIsNotOverlooked) {
  heads_.Raise({{3, 10}});
  Commit(3, 10, 12);
  Changed();
  // The ring for 13 is late, or lost.
  Commit(3, 13, 14);
  EXPECT_THAT(Changed(), ElementsAre(3));
  heads_.Raise({{3, 13}});
  EXPECT_THAT(Changed(), IsEmpty());
}

TEST_F(NearWatchTest, AWatchThatIsGoneTellsNothing) {
  watch_.reset();
  heads_.Raise({{3, 10}});
  EXPECT_THAT(Changed(), IsEmpty());
}

}  // namespace
}  // namespace clm::cache
