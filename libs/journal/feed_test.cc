#include "libs/journal/feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "absl/synchronization/notification.h"
#include "libs/base/clock.h"
#include "libs/journal/test_work.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::IsOk;

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
