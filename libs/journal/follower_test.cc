#include "libs/journal/follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/clock.h"
#include "libs/journal/test_work.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class FollowerTest : public ::testing::Test {
 protected:
  FollowerTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        pool_(pg::NewPool({.dsn = database_.app_dsn})),
        feed_({pool_.get(), &heads_, absl::Hours(1)}) {}

  // As those of a process whose tellings are heard, or of one that tells nobody.
  std::unique_ptr<Lanes> NewLanes(bool heard) {
    Lanes::Options options = CounterLanes(pool_.get(), &clock_);
    if (heard) options.told = &told_;
    options.on_commit = [this](const Offsets& heads) { heads_.Raise(heads); };
    return std::make_unique<Lanes>(std::move(options));
  }

  Follower::Options Options() {
    Follower::Options options;
    options.name = "test";
    options.pool = pool_.get();
    options.feed = &feed_;
    options.heads = &heads_;
    options.told = &told_;
    options.clock = &clock_;
    options.tell = [this](absl::Span<const Placed> events) {
      absl::MutexLock lock(&mu_);
      sizes_.push_back(static_cast<int>(events.size()));
      if (deaf_) return absl::UnavailableError("nobody hears");
      for (const Placed& placed : events) {
        heard_[placed.shard].push_back(placed.off);
        ++count_;
      }
      return absl::OkStatus();
    };
    options.pause = absl::Milliseconds(1);
    options.store_interval = absl::Milliseconds(1);
    return options;
  }

  void AddSome(Lanes& lanes, int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(Add(lanes, {.name = absl::StrCat("n", i % 5)}), IsOk());
    }
  }

  // Waits until `count` events were heard.
  void AwaitHeard(int count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return count_ >= count; };
    mu_.Await(absl::Condition(&enough));
  }
  void AwaitAttempts(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return sizes_.size() >= count; };
    mu_.Await(absl::Condition(&enough));
  }
  void SetDeaf(bool deaf) {
    absl::MutexLock lock(&mu_);
    deaf_ = deaf;
  }
  std::map<int, std::vector<int64_t>> Heard() {
    absl::MutexLock lock(&mu_);
    return heard_;
  }

  int64_t Sum(const char* table) {
    const std::string sql = absl::StrCat("SELECT coalesce(sum(off), 0)::bigint FROM ", table);
    int64_t sum = -1;
    EXPECT_THAT(pool_->Read({pg::Scope::Suite()},
                            [&](pg::Tx& tx) {
                              const auto rows = tx.ExecDynamic(sql);
                              if (rows.ok()) sum = (*rows)[0].Int(0);
                              return rows.status();
                            }),
                IsOk());
    return sum;
  }
  int64_t Stored() { return Sum("consumer_shard"); }
  void AwaitStored(int64_t sum) {
    while (Stored() < sum) std::this_thread::yield();
    EXPECT_EQ(Stored(), sum);
  }

  ManualClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  clm::testing::Database database_;
  std::unique_ptr<pg::Pool> pool_;
  Heads heads_;
  Feed feed_;
  ToldOffsets told_;
  absl::Mutex mu_;
  std::map<int, std::vector<int64_t>> heard_ ABSL_GUARDED_BY(mu_);
  std::vector<int> sizes_ ABSL_GUARDED_BY(mu_);  // Of the attempts.
  int count_ ABSL_GUARDED_BY(mu_) = 0;
  bool deaf_ ABSL_GUARDED_BY(mu_) = false;
};

TEST_F(FollowerTest, WhatNobodyIsKnownToHaveHeardIsToldOnceAndInOrder) {
  auto lanes = NewLanes(/*heard=*/false);
  AddSome(*lanes, 20);
  Follower follower(Options());
  follower.Start();
  AddSome(*lanes, 20);
  AwaitHeard(40);
  AwaitStored(40);
  for (const auto& [shard, offs] : Heard()) {
    for (size_t i = 0; i < offs.size(); ++i) EXPECT_EQ(offs[i], static_cast<int64_t>(i) + 1);
  }
  EXPECT_EQ(follower.stats().told, 40);
  EXPECT_EQ(follower.stats().lag, 0);
  EXPECT_EQ(follower.stats().owned, kShards);
}

TEST_F(FollowerTest, WhatWasHeardAtTheCommitIsPassedOverUnread) {
  auto lanes = NewLanes(/*heard=*/true);
  AddSome(*lanes, 20);
  auto options = Options();
  // Whoever looks into the database may see a commit before the lane has heard its answer.
  options.poll = absl::Hours(1);
  Follower follower(std::move(options));
  follower.Start();
  AwaitStored(20);
  AddSome(*lanes, 20);
  AwaitStored(40);
  EXPECT_EQ(follower.stats().passed, 40);
  EXPECT_THAT(Heard(), ::testing::IsEmpty());
}

TEST_F(FollowerTest, WhatIsNewIsLeftToTheLanesForAPause) {
  Follower::Options options = Options();
  options.pause = absl::Hours(1);
  Follower follower(std::move(options));
  follower.Start();
  ASSERT_TRUE(clm::testing::Eventually([&] { return follower.stats().owned == kShards; }));
  // Its head is known before its lane has told it.
  const auto lanes = NewLanes(false);
  AddSome(*lanes, 1);
  const auto told = [&] {
    absl::MutexLock lock(&mu_);
    return !sizes_.empty();
  };
  EXPECT_TRUE(clm::testing::Eventually([&] { return follower.stats().not_due > 0 || told(); }));
  follower.Stop();
  EXPECT_FALSE(told());
}

TEST_F(FollowerTest, AsLongAsNobodyHearsTheOffsetStaysAndOneAtATimeIsTried) {
  auto lanes = NewLanes(/*heard=*/false);
  AddSome(*lanes, 20);
  SetDeaf(true);
  Follower follower(Options());
  follower.Start();
  AwaitAttempts(3);
  EXPECT_EQ(Stored(), 0);
  EXPECT_EQ(follower.stats().lag, 20);
  SetDeaf(false);
  AwaitHeard(20);
  AwaitStored(20);
  EXPECT_EQ(follower.stats().told, 20);
  absl::MutexLock lock(&mu_);
  EXPECT_EQ(sizes_[0], 20);
  EXPECT_EQ(sizes_[1], 1);
  EXPECT_EQ(sizes_[2], 1);
}

TEST_F(FollowerTest, ARestartGoesOnWhereItStood) {
  auto lanes = NewLanes(/*heard=*/false);
  AddSome(*lanes, 20);
  {
    Follower follower(Options());
    follower.Start();
    AwaitHeard(20);
  }
  EXPECT_EQ(Stored(), 20);
  AddSome(*lanes, 5);
  Follower follower(Options());
  follower.Start();
  AwaitStored(25);
  EXPECT_EQ(follower.stats().told, 5);
}

TEST_F(FollowerTest, WhoStartsTellsWhatADeadProcessLeftThoughItHoldsTheLeases) {
  auto lanes = NewLanes(/*heard=*/false);
  Leases dead(pool_.get(), "test", Uuid::V7(absl::Now()), absl::Hours(1));
  ASSERT_THAT(dead.Refresh(), IsOk());
  AddSome(*lanes, 20);
  Follower::Options options = Options();
  options.lease_ttl = absl::Hours(1);
  Follower follower(std::move(options));
  follower.Start();
  AwaitHeard(20);
  EXPECT_EQ(follower.stats().owned, 0);
  EXPECT_EQ(Stored(), 0) << "the offsets belong to whoever holds the leases";
}

TEST_F(FollowerTest, WhatAnotherProcessCommittedWithoutRingingIsFound) {
  Follower::Options options = Options();
  options.poll = absl::Milliseconds(5);
  Follower follower(std::move(options));
  follower.Start();
  while (follower.stats().owned == 0) std::this_thread::yield();
  // Neither rings nor shares what it knows.
  Lanes other(CounterLanes(pool_.get(), &clock_));
  AddSome(other, 5);
  AwaitHeard(5);
  AwaitStored(5);
}

TEST_F(FollowerTest, WhatIsBeyondTheHorizonIsPassedOver) {
  auto lanes = NewLanes(/*heard=*/false);
  AddSome(*lanes, 200);
  clock_.Advance(absl::Hours(1));
  AddSome(*lanes, 3);
  Follower::Options options = Options();
  options.horizon = absl::Minutes(15);
  // So that it takes several steps, unless the old ones are jumped over.
  options.max_records = 2;
  Follower follower(std::move(options));
  follower.Start();
  AwaitStored(203);
  EXPECT_EQ(follower.stats().told, 3);
  EXPECT_EQ(follower.stats().passed, 200);
  absl::MutexLock lock(&mu_);
  EXPECT_THAT(sizes_, ElementsAre(3));
}

TEST_F(FollowerTest, TwoShareTheWorkAndLeaveNothingOut) {
  auto lanes = NewLanes(/*heard=*/false);
  Follower one(Options());
  one.Start();
  while (one.stats().owned == 0) std::this_thread::yield();
  Follower::Options options = Options();
  options.lease_ttl = absl::Milliseconds(200);
  Follower two(std::move(options));
  two.Start();
  AddSome(*lanes, 40);
  AwaitHeard(40);
  AwaitStored(40);
  for (const auto& [shard, offs] : Heard()) {
    const std::set<int64_t> each(offs.begin(), offs.end());
    EXPECT_THAT(each, SizeIs(heads_.Get(shard))) << shard;
  }
}

}  // namespace
}  // namespace clm::journal
