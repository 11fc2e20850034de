#include "services/contact/known_standings.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace clm::contact {
namespace {

using ::testing::Eq;
using ::testing::Optional;

const Standing kFirst{ContactStatus::kActive, std::nullopt, 1};
const Standing kSecond{ContactStatus::kBlocked, std::nullopt, 2};
const Standing kMerged{ContactStatus::kActive, Uuid::V7(absl::UnixEpoch()), 2};
const Standing kErased{ContactStatus::kErased, std::nullopt, 2};

class KnownStandingsTest : public ::testing::Test {
 protected:
  // A transaction on ada's shard.
  void Pass(int64_t before, int64_t after, std::vector<KnownStandings::Seen> seen,
            KnownStandings::MergeCounts merge_counts = {{"acme", 0}}) {
    known_.Learn({{shard_, before, after}}, seen, merge_counts);
  }
  std::optional<Standing> Find(int64_t head, int64_t merge_count = 0) const {
    return known_.Find({ada_}, {{shard_, head}}, {{"acme", merge_count}})[0];
  }

  static EntityKey SomebodyOf(int shard) {
    while (true) {
      const EntityKey key{"acme", Uuid::V7(absl::FromUnixSeconds(1'790'000'000))};
      if (ShardOf(key.tenant, key.id) == shard) return key;
    }
  }

  const EntityKey ada_{"acme", Uuid::V7(absl::FromUnixSeconds(1'790'000'000))};
  const int shard_ = ShardOf(ada_.tenant, ada_.id);
  int64_t head_ = 10;
  KnownStandings known_{2};
};

TEST_F(KnownStandingsTest, WhatWasSeenIsBelievedAtTheHeadThatTheTransactionLeft) {
  Pass(10, 11, {{ada_, kFirst}});
  EXPECT_THAT(Find(11), Optional(kFirst));
  EXPECT_THAT(Find(12), Eq(std::nullopt)) << "somebody else was there";
}

TEST_F(KnownStandingsTest, ItStaysWhenTheNextTransactionFollowsAndGoesWhenSomebodyWasBetween) {
  Pass(10, 11, {{ada_, kFirst}});
  Pass(11, 12, {});
  EXPECT_THAT(Find(12), Optional(kFirst));
  Pass(13, 14, {});
  EXPECT_THAT(Find(14), Eq(std::nullopt));
}

TEST_F(KnownStandingsTest, AnOlderTransactionThatComesLateIsNotListenedTo) {
  Pass(11, 12, {{ada_, kSecond}});
  Pass(10, 11, {{ada_, kFirst}});
  EXPECT_THAT(Find(12), Optional(kSecond));
}

TEST_F(KnownStandingsTest, AChangeTakesThePlaceOfWhatWasKnown) {
  Pass(10, 11, {{ada_, kFirst}});
  Pass(11, 12, {{ada_, kSecond}});
  EXPECT_THAT(Find(12), Optional(kSecond));
}

TEST_F(KnownStandingsTest, WhoIsMergedErasedOrMissingIsForgotten) {
  for (const std::optional<Standing>& gone :
       {std::optional(kMerged), std::optional(kErased), std::optional<Standing>()}) {
    Pass(head_, head_ + 1, {{ada_, kFirst}});
    Pass(head_ + 1, head_ + 2, {{ada_, gone}});
    head_ += 2;
    EXPECT_THAT(Find(head_), Eq(std::nullopt));
  }
}

TEST_F(KnownStandingsTest, WhoIsSeenWithoutTheMergeCountIsForgotten) {
  Pass(10, 11, {{ada_, kFirst}});
  Pass(11, 12, {{ada_, kSecond}}, {});
  EXPECT_THAT(Find(12), Eq(std::nullopt));
}

TEST_F(KnownStandingsTest, NothingOutlivesAMergeOfTheTenant) {
  Pass(10, 11, {{ada_, kFirst}});
  EXPECT_THAT(Find(11, 1), Eq(std::nullopt));
  Pass(11, 12, {{ada_, kSecond}}, {{"acme", 1}});
  EXPECT_THAT(Find(12, 1), Optional(kSecond));
  Pass(12, 13, {{ada_, kFirst}}, {{"acme", 0}});
  EXPECT_THAT(Find(13, 1), Optional(kSecond)) << "by a transaction from before the merge";
}

TEST_F(KnownStandingsTest, OtherTenantsAndContactsAreUnknown) {
  Pass(10, 11, {{ada_, kFirst}});
  const EntityKey bob{"acme", Uuid::V7(absl::FromUnixSeconds(1'790'000'001))};
  const EntityKey theirs{"globex", ada_.id};
  absl::flat_hash_map<int, int64_t> heads;
  for (int s = 0; s < kShards; ++s) heads[s] = 11;
  const auto found = known_.Find({bob, theirs, ada_}, heads, {{"acme", 0}, {"globex", 0}});
  EXPECT_THAT(found, ::testing::ElementsAre(Eq(std::nullopt), Eq(std::nullopt), Optional(kFirst)));
}

TEST_F(KnownStandingsTest, BeyondTheCapacityAllIsForgotten) {
  Pass(10, 11, {{ada_, kFirst}});
  for (int i = 1; i < 3; ++i) {
    const int shard = (shard_ + i) % kShards;
    known_.Learn({{shard, 1, 2}}, {{SomebodyOf(shard), kFirst}}, {{"acme", 0}});
  }
  EXPECT_THAT(Find(11), Eq(std::nullopt));
}

}  // namespace
}  // namespace clm::contact
