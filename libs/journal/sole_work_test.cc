#include "libs/journal/sole_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "absl/synchronization/notification.h"
#include "libs/base/error.h"
#include "libs/journal/test_work.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::Eventually;
using ::clm::testing::IsOk;
using ::clm::testing::IsOkAndHolds;
using ::clm::testing::ReasonIs;
using ::testing::Eq;
using ::testing::Optional;

class SoleWorkTest : public ::testing::Test {
 protected:
  SoleWorkTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        pool_(pg::NewPool({.dsn = database_.app_dsn})) {}

  // One turn, and then a rest that no test waits for.
  SoleWork::Options Options() {
    return {.pool = pool_.get(),
            .lease = "chores",
            .lease_ttl = absl::Hours(1),
            .renewal = absl::Minutes(1),
            .turn = [this]() -> absl::StatusOr<absl::Duration> {
              ++turns_;
              return absl::Hours(1);
            },
            .poll = absl::Hours(1)};
  }
  absl::Status Hold(const SoleWork& work) {
    return pool_->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) { return work.Hold(tx); });
  }
  absl::Time LeaseEnd() {
    absl::Time end;
    EXPECT_THAT(pool_->Read({pg::Scope::Suite()},
                            [&](pg::Tx& tx) {
                              const auto rows = tx.ExecDynamic(
                                  "SELECT lease_until FROM consumer_shard WHERE source = 'chores'");
                              if (rows.ok() && !rows->empty()) end = (*rows)[0].Time(0);
                              return rows.status();
                            }),
                IsOk());
    return end;
  }

  clm::testing::Database database_;
  std::unique_ptr<pg::Pool> pool_;
  std::atomic<int> turns_ = 0;
};

TEST_F(SoleWorkTest, OneProcessHasTheWorkUntilItStops) {
  SoleWork one(Options());
  const auto fence = one.Fence();
  ASSERT_THAT(fence, IsOkAndHolds(Optional(::testing::Gt(0))));
  SoleWork two(Options());
  EXPECT_THAT(two.Fence(), IsOkAndHolds(Eq(std::nullopt)));
  EXPECT_THAT(Hold(one), IsOk());
  one.Start();
  EXPECT_TRUE(Eventually([&] { return turns_ == 1; }));
  one.Stop();
  two.Doubt();
  EXPECT_THAT(two.Fence(), IsOkAndHolds(Optional(::testing::Gt(**fence))));
  EXPECT_THAT(Hold(one), ReasonIs("FENCED"));
}

TEST_F(SoleWorkTest, WhatIsKnownOfTheLeaseIsAskedAgainOnlyWhenItsRenewalIsDue) {
  SoleWork one(Options());
  ASSERT_THAT(one.Fence(), IsOk());
  const absl::Time end = LeaseEnd();
  ASSERT_THAT(one.Fence(), IsOk());
  EXPECT_EQ(LeaseEnd(), end);
  one.Doubt();
  ASSERT_THAT(one.Fence(), IsOk());
  EXPECT_GT(LeaseEnd(), end);
}

TEST_F(SoleWorkTest, TheLeaseIsKeptDuringALongRest) {
  SoleWork::Options options = Options();
  options.renewal = absl::Milliseconds(1);
  SoleWork work(options);
  ASSERT_THAT(work.Fence(), IsOk());
  const absl::Time end = LeaseEnd();
  work.Start();
  EXPECT_TRUE(Eventually([&] { return LeaseEnd() > end; }));
  work.Stop();
  EXPECT_EQ(turns_, 1);
}

TEST_F(SoleWorkTest, StopInterruptsATurnAndWhatRestsInIt) {
  absl::Notification begun, interrupted;
  SoleWork* self = nullptr;
  bool rested = true;
  SoleWork::Options options = Options();
  options.turn = [&]() -> absl::StatusOr<absl::Duration> {
    begun.Notify();
    interrupted.WaitForNotification();
    EXPECT_TRUE(self->stopping());
    rested = self->Rest(absl::Hours(1));
    return absl::ZeroDuration();
  };
  options.interrupt = [&] {
    if (!interrupted.HasBeenNotified()) interrupted.Notify();
  };
  SoleWork work(options);
  self = &work;
  work.Start();
  begun.WaitForNotification();
  work.Stop();
  EXPECT_FALSE(rested);
}

TEST_F(SoleWorkTest, ATurnThatFailsIsToldAndTakenAgain) {
  std::atomic<int> told = 0;
  SoleWork::Options options = Options();
  options.poll = absl::ZeroDuration();
  options.turn = [&]() -> absl::StatusOr<absl::Duration> {
    if (++turns_ < 3) return error::Internal("not yet");
    return absl::Hours(1);
  };
  options.on_trouble = [&](const absl::Status&) { ++told; };
  SoleWork work(options);
  work.Start();
  EXPECT_TRUE(Eventually([&] { return turns_ == 3; }));
  work.Stop();
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace clm::journal
