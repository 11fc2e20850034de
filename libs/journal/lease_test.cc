#include "libs/journal/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "libs/base/shard.h"
#include "libs/journal/test_work.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::IsOk;

class LeaseTest : public ::testing::Test {
 protected:
  LeaseTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        pool_(pg::NewPool({.dsn = database_.app_dsn})) {}
  Leases Member(absl::Duration ttl = absl::Minutes(5)) {
    return Leases(pool_.get(), "contact", Uuid::V7(absl::Now()), ttl);
  }
  clm::testing::Database database_;
  std::unique_ptr<pg::Pool> pool_;
};

TEST_F(LeaseTest, OneMemberOwnsAllAndTwoShare) {
  Leases one = Member();
  Leases two = Member();
  EXPECT_EQ(one.Refresh()->size(), static_cast<size_t>(kShards));
  // The second finds nothing free and is counted; the first gives half away; the second takes it.
  EXPECT_EQ(two.Refresh()->size(), 0u);
  EXPECT_EQ(one.Refresh()->size(), static_cast<size_t>(kShards / 2));
  EXPECT_EQ(two.Refresh()->size(), static_cast<size_t>(kShards / 2));
}

TEST_F(LeaseTest, WhoLeavesIsReplacedAtOnceUnderANewFence) {
  Leases one = Member();
  Leases two = Member();
  const auto before = *one.Refresh();
  EXPECT_THAT(one.Leave(), IsOk());
  const auto after = *two.Refresh();
  ASSERT_EQ(after.size(), static_cast<size_t>(kShards));
  for (const auto& [shard, owned] : after) EXPECT_GT(owned.fence, before.at(shard).fence);
}

TEST_F(LeaseTest, ALeaseMovesWhenItsOwnerDies) {
  Leases dead = Member(absl::Milliseconds(1));
  ASSERT_THAT(dead.Refresh(), IsOk());
  Leases heir = Member();
  // The dead one's lease ends by the database's clock; asking again is all it takes.
  std::map<int, OwnedShard> owned;
  while (owned.size() < static_cast<size_t>(kShards)) owned = *heir.Refresh();
  EXPECT_EQ(owned.size(), static_cast<size_t>(kShards));
}

}  // namespace
}  // namespace clm::journal
