#include "libs/journal/feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <map>
#include <set>

#include "absl/synchronization/notification.h"
#include "libs/base/clock.h"
#include "libs/journal/test_work.h"
#include "libs/pg/admin.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::IsOk;
using ::testing::ElementsAre;

class FeedTest : public ::testing::Test {
 protected:
  FeedTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        pool_(pg::NewPool({.dsn = database_.app_dsn})),
        lanes_(CounterLanes(pool_.get(), &clock_)),
        shard_(ShardOf("acme", "n")) {}
  clm::testing::Database database_;
  std::unique_ptr<pg::Pool> pool_;
  SystemClock clock_;
  Lanes lanes_;
  Heads heads_;
  const int shard_;
};

TEST_F(FeedTest, GivesWhatComesAfterAPosition) {
  Feed feed({pool_.get(), &heads_});
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Add(lanes_, {}), IsOk());
  const auto response = feed.Read({{shard_, 2}}, 2);
  ASSERT_THAT(response, IsOk());
  ASSERT_EQ(response->shards_size(), 1);
  ASSERT_EQ(response->shards(0).records_size(), 2);
  EXPECT_EQ(response->shards(0).records(0).offset(), 3);
  EXPECT_EQ(response->shards(0).records(1).offset(), 4);
  EXPECT_EQ(feed.Read({{shard_, 5}}, 10)->shards_size(), 0);
}

// Records by shard, as offsets.
std::map<int, std::vector<int64_t>> OffsetsOf(const event::v1::FetchResponse& response) {
  std::map<int, std::vector<int64_t>> offsets;
  for (const auto& shard : response.shards()) {
    for (const auto& record : shard.records()) offsets[shard.shard()].push_back(record.offset());
  }
  return offsets;
}

TEST_F(FeedTest, AnAnswerIsBoundedInBytesAndGoesOnWhereItEnded) {
  for (int i = 0; i < 9; ++i) ASSERT_THAT(Add(lanes_, {}), IsOk());
  Feed whole({pool_.get(), &heads_});
  const auto all = whole.Read({{shard_, 0}}, 100);
  ASSERT_THAT(all, IsOk());
  EXPECT_FALSE(all->more());
  ASSERT_EQ(OffsetsOf(*all)[shard_].size(), 9);
  const int64_t bytes = all->shards(0).records(0).event().size();

  Feed feed({pool_.get(), &heads_, absl::Milliseconds(200), 4 * bytes + 20});
  const auto first = feed.Read({{shard_, 0}}, 100);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(OffsetsOf(*first)[shard_], ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(first->more());
  const auto last = feed.Read({{shard_, 5}}, 100);
  ASSERT_THAT(last, IsOk());
  EXPECT_THAT(OffsetsOf(*last)[shard_], ElementsAre(6, 7, 8, 9));
  EXPECT_FALSE(last->more());
  // The same for some types only; what others have does not count.
  const auto typed = feed.Read({{shard_, 0}}, 100, {"test.Added"});
  ASSERT_THAT(typed, IsOk());
  EXPECT_THAT(OffsetsOf(*typed)[shard_], ElementsAre(1, 2, 3, 4));
  const auto none = feed.Read({{shard_, 0}}, 100, {"test.Other"});
  ASSERT_THAT(none, IsOk());
  EXPECT_EQ(OffsetsOf(*none)[shard_].size(), 9);
  EXPECT_FALSE(none->more());
}

TEST_F(FeedTest, ARecordLargerThanTheBoundComesAlone) {
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Add(lanes_, {}), IsOk());
  Feed feed({pool_.get(), &heads_, absl::Milliseconds(200), 1});
  for (int64_t after = 0; after < 2; ++after) {
    const auto response = feed.Read({{shard_, after}}, 100);
    ASSERT_THAT(response, IsOk());
    EXPECT_THAT(OffsetsOf(*response)[shard_], ElementsAre(after + 1));
    EXPECT_EQ(response->more(), after == 0);
  }
}

TEST_F(FeedTest, AShardOfLargeRecordsLeavesRoomForTheOthers) {
  Offsets positions;
  std::vector<int> quiet;
  for (int i = 0; positions.size() < 4; ++i) {
    const std::string name = absl::StrCat("n", i);
    const int shard = ShardOf("acme", name);
    if (std::any_of(positions.begin(), positions.end(),
                    [&](const auto& p) { return p.first == shard; })) {
      continue;
    }
    for (int n = 0; n < (positions.empty() ? 40 : 1); ++n) {
      ASSERT_THAT(Add(lanes_, {.name = name}), IsOk());
    }
    if (!positions.empty()) quiet.push_back(shard);
    positions.emplace_back(shard, 0);
  }
  Feed whole({pool_.get(), &heads_});
  const int64_t bytes = whole.Read({positions[1]}, 1)->shards(0).records(0).event().size();
  // Room for eight.
  Feed feed({pool_.get(), &heads_, absl::Milliseconds(200), 8 * bytes + 20});
  for (int round = 0; round < 8; ++round) {
    const auto response = feed.Read(positions, 100);
    ASSERT_THAT(response, IsOk());
    auto offsets = OffsetsOf(*response);
    for (const int shard : quiet) EXPECT_THAT(offsets[shard], ElementsAre(1));
    EXPECT_TRUE(response->more());
  }
  // With room for one, each has its turn.
  Feed narrow({pool_.get(), &heads_, absl::Milliseconds(200), 1});
  std::set<int> served;
  for (size_t round = 0; round < positions.size(); ++round) {
    const auto response = narrow.Read(positions, 100);
    ASSERT_THAT(response, IsOk());
    for (const auto& [shard, _] : OffsetsOf(*response)) served.insert(shard);
  }
  EXPECT_EQ(served.size(), positions.size());
}

// Lanes that remember what they commit, and a feed that reads it. Rows are taken out of the
// database behind their backs, so that where a record comes from can be told.
class RecentFeedTest : public FeedTest {
 protected:
  RecentFeedTest() {
    Lanes::Options options = CounterLanes(pool_.get(), &clock_);
    options.recent = &recent_;
    options.on_commit = [this](const Offsets& heads) { heads_.Raise(heads); };
    near_ = std::make_unique<Lanes>(std::move(options));
  }

  void EmptyTheDatabase() {
    CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn, "DELETE FROM journal"));
  }

  static std::vector<int64_t> OffsetsIn(const event::v1::FetchResponse& response, int shard) {
    std::vector<int64_t> offsets;
    for (const auto& records : response.shards()) {
      if (records.shard() != shard) continue;
      for (const auto& record : records.records()) offsets.push_back(record.offset());
    }
    return offsets;
  }

  RecentRecords recent_;
  std::unique_ptr<Lanes> near_;
  const int other_ = ShardOf("acme", "m");
};

TEST_F(RecentFeedTest, WhatThisProcessCommittedIsNotReadBack) {
  Feed feed({.pool = pool_.get(), .heads = &heads_, .recent = &recent_});
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Add(*near_, {}), IsOk());
  const auto stored = Feed({pool_.get(), &heads_}).Read({{shard_, 1}}, 2);
  EmptyTheDatabase();
  const auto response = feed.Read({{shard_, 1}}, 2);
  ASSERT_THAT(response, IsOk());
  ASSERT_THAT(stored, IsOk());
  EXPECT_EQ(response->SerializeAsString(), stored->SerializeAsString());
  EXPECT_THAT(OffsetsIn(*response, shard_), ::testing::ElementsAre(2, 3));
  EXPECT_EQ(feed.Read({{shard_, 5}}, 10)->shards_size(), 0);
}

TEST_F(RecentFeedTest, WhatOthersCommittedIsReadFromTheDatabase) {
  Feed feed({.pool = pool_.get(), .heads = &heads_, .recent = &recent_});
  ASSERT_THAT(Add(*near_, {}), IsOk());
  ASSERT_THAT(Add(lanes_, {}), IsOk());
  ASSERT_THAT(Add(*near_, {}), IsOk());
  EXPECT_THAT(OffsetsIn(*feed.Read({{shard_, 0}}, 10), shard_), ::testing::ElementsAre(1, 2, 3));
  ASSERT_THAT(Add(lanes_, {}), IsOk());
  EXPECT_THAT(OffsetsIn(*feed.Read({{shard_, 3}}, 10), shard_), ::testing::ElementsAre(4));
}

// A doorbell that got lost, while there is always something new on another shard.
TEST_F(RecentFeedTest, ABusyShardDoesNotHideWhatOthersCommitElsewhere) {
  Feed feed(
      {.pool = pool_.get(), .heads = &heads_, .poll = absl::Milliseconds(5), .recent = &recent_});
  ASSERT_NE(shard_, other_);
  ASSERT_THAT(Add(lanes_, {.name = "m"}), IsOk());
  std::vector<int64_t> found;
  for (int64_t seen = 0; found.empty(); ++seen) {
    ASSERT_THAT(Add(*near_, {}), IsOk());
    const auto response = feed.Read({{shard_, seen}, {other_, 0}}, 1);
    ASSERT_THAT(response, IsOk());
    EXPECT_THAT(OffsetsIn(*response, shard_), ::testing::ElementsAre(seen + 1));
    found = OffsetsIn(*response, other_);
  }
  EXPECT_THAT(found, ::testing::ElementsAre(1));
}

TEST_F(RecentFeedTest, AnAnswerFromMemoryIsBoundedInBytesToo) {
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Add(*near_, {}), IsOk());
  ASSERT_THAT(Add(*near_, {.name = "m"}), IsOk());
  const int64_t bytes =
      Feed({pool_.get(), &heads_}).Read({{shard_, 0}}, 1)->shards(0).records(0).event().size();
  EmptyTheDatabase();
  Feed feed(
      {.pool = pool_.get(), .heads = &heads_, .max_bytes = 2 * bytes + 20, .recent = &recent_});
  const auto first = feed.Read({{shard_, 0}}, 100);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(OffsetsIn(*first, shard_), ::testing::ElementsAre(1, 2));
  EXPECT_TRUE(first->more());
  const auto last = feed.Read({{shard_, 2}}, 100);
  ASSERT_THAT(last, IsOk());
  EXPECT_THAT(OffsetsIn(*last, shard_), ::testing::ElementsAre(3));
  EXPECT_FALSE(last->more());
  // With room for one record, each shard has its turn.
  Feed narrow({.pool = pool_.get(), .heads = &heads_, .max_bytes = 1, .recent = &recent_});
  std::set<int> served;
  for (int round = 0; round < 2; ++round) {
    const auto response = narrow.Read({{shard_, 0}, {other_, 0}}, 100);
    ASSERT_THAT(response, IsOk());
    ASSERT_EQ(response->shards_size(), 1);
    EXPECT_TRUE(response->more());
    served.insert(response->shards(0).shard());
  }
  EXPECT_EQ(served.size(), 2);
}

// A shard that is far behind, beside one that is written without end.
TEST_F(RecentFeedTest, WhatIsInMemoryLeavesRoomForWhatIsNot) {
  for (int i = 0; i < 9; ++i) ASSERT_THAT(Add(*near_, {}), IsOk());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Add(lanes_, {.name = "m"}), IsOk());
  heads_.Raise({{other_, 2}});
  const int64_t bytes =
      Feed({pool_.get(), &heads_}).Read({{shard_, 0}}, 1)->shards(0).records(0).event().size();
  Feed feed(
      {.pool = pool_.get(), .heads = &heads_, .max_bytes = 4 * bytes + 20, .recent = &recent_});
  // By whose turn it is.
  std::set<std::vector<int64_t>> here, stored;
  for (int round = 0; round < 2; ++round) {
    const auto response = feed.Read({{shard_, 0}, {other_, 0}}, 100);
    ASSERT_THAT(response, IsOk());
    EXPECT_TRUE(response->more());
    here.insert(OffsetsIn(*response, shard_));
    stored.insert(OffsetsIn(*response, other_));
  }
  EXPECT_THAT(here, ElementsAre(ElementsAre(1, 2), ElementsAre(1, 2, 3, 4)));
  EXPECT_THAT(stored, ElementsAre(::testing::IsEmpty(), ElementsAre(1, 2)));
}

TEST_F(RecentFeedTest, AReaderByTypesLooksIntoEveryShard) {
  Feed feed({.pool = pool_.get(), .heads = &heads_, .poll = absl::Hours(1), .recent = &recent_});
  ASSERT_THAT(Add(lanes_, {.name = "m"}), IsOk());
  ASSERT_THAT(Add(*near_, {}), IsOk());
  const auto response = feed.Read({{shard_, 0}, {other_, 0}}, 10, {"test.Added"});
  ASSERT_THAT(response, IsOk());
  EXPECT_THAT(OffsetsIn(*response, shard_), ::testing::ElementsAre(1));
  EXPECT_THAT(OffsetsIn(*response, other_), ::testing::ElementsAre(1));
}

TEST_F(FeedTest, AWaiterIsWokenByTheNextCommitWithoutADoorbell) {
  // Nobody raises the heads here: the poll of the database finds the event.
  Feed feed({pool_.get(), &heads_, absl::Milliseconds(5)});
  absl::Notification woken;
  bool something = false;
  feed.Wait({{shard_, 0}}, absl::Now() + absl::Minutes(5), [&](bool found) {
    something = found;
    woken.Notify();
  });
  ASSERT_THAT(Add(lanes_, {}), IsOk());
  woken.WaitForNotification();
  EXPECT_TRUE(something);
}

TEST_F(FeedTest, AWaitEndsWithNothingWhenItsTimeIsOver) {
  Feed feed({pool_.get(), &heads_});
  absl::Notification over;
  bool something = true;
  feed.Wait({{shard_, 0}}, absl::Now() + absl::Milliseconds(1), [&](bool found) {
    something = found;
    over.Notify();
  });
  over.WaitForNotification();
  EXPECT_FALSE(something);
}

TEST_F(FeedTest, ADyingFeedAnswersItsWaiters) {
  int answers = 0;
  {
    Feed feed({pool_.get(), &heads_});
    feed.Wait({{shard_, 0}}, absl::InfiniteFuture(), [&](bool found) {
      EXPECT_FALSE(found);
      ++answers;
    });
  }
  EXPECT_EQ(answers, 1);
}

}  // namespace
}  // namespace clm::journal
