#include "services/lifecycle/totals_check.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "libs/testing/eventually.h"
#include "services/lifecycle/insights_fixture.h"

namespace clm::lifecycle {
namespace {

using ::clm::testing::IsOkAndHolds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TotalsCheckTest : public InsightsTest {
 protected:
  TotalsCheckTest() {
    for (const char* tenant : {"acme", "other"}) {
      InstallShop(tenant);
      CLM_EXPECT_OK(
          Deliver({Created(Contact(1, tenant), 1), Behaved(Contact(1, tenant), {{1, 10}})}));
    }
  }

  TotalsCheck::Options Options() {
    TotalsCheck::Options options;
    options.pool = node_->pool.get();
    options.store = &insights_.store();
    options.clock = &clock_;
    options.on_difference = [this](const std::string& tenant, const Recount& recount) {
      told_.push_back(absl::StrCat(tenant, " ", recount.differences.size()));
    };
    options.on_failure = [this](const std::string& tenant, const absl::Status&) {
      told_.push_back(absl::StrCat(tenant, " failed"));
    };
    return options;
  }
  void Execute(const std::string& sql) { CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn, sql)); }

  std::vector<std::string> told_;
};

TEST_F(TotalsCheckTest, EveryStatementPreparesAgainstTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(TotalsCheckStatements()));
}

TEST_F(TotalsCheckTest, EveryTenantIsComparedOnceInAnInterval) {
  TotalsCheck check(Options());
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(2));
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(0));
  clock_.Advance(absl::Hours(24) - absl::Seconds(1));
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(0));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(2));
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(check.differing(), 0);
}

TEST_F(TotalsCheckTest, ADifferenceIsToldAndCountedUntilAComparisonFindsNone) {
  Execute("UPDATE stage_day SET entered = entered + 5 WHERE tenant_id = 'other'");
  TotalsCheck check(Options());
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(2));
  EXPECT_THAT(told_, ElementsAre("other 1"));
  EXPECT_EQ(check.differing(), 1);
  Execute("UPDATE stage_day SET entered = entered - 5 WHERE tenant_id = 'other'");
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(0));
  EXPECT_EQ(check.differing(), 1);
  clock_.Advance(absl::Hours(24));
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(2));
  EXPECT_EQ(check.differing(), 0);
}

TEST_F(TotalsCheckTest, ATenantWhoseRecountFailsKeepsNoOtherWaitingAndIsTriedAgain) {
  Execute(
      "CREATE POLICY broken ON stage_day AS RESTRICTIVE "
      "USING (1 / CASE tenant_id WHEN 'acme' THEN 0 ELSE 1 END = 1)");
  TotalsCheck check(Options());
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(1));
  EXPECT_THAT(told_, ElementsAre("acme failed"));
  EXPECT_EQ(Count("SELECT count(*) FROM totals_check WHERE tenant_id = 'other'"), 1);
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(0));
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(0));
  EXPECT_THAT(told_, ElementsAre("acme failed", "acme failed"));
  Execute("DROP POLICY broken ON stage_day");
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(0));
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(check.RunOnce(), IsOkAndHolds(1));
  EXPECT_EQ(Count("SELECT count(*) FROM totals_check"), 2);
}

TEST_F(TotalsCheckTest, OneProcessComparesAndAnotherGoesOnWithWhatItFound) {
  Execute("UPDATE stage_day SET entered = entered + 5 WHERE tenant_id = 'other'");
  TotalsCheck first(Options());
  EXPECT_THAT(first.RunOnce(), IsOkAndHolds(2));
  TotalsCheck second(Options());
  EXPECT_THAT(second.RunOnce(), IsOkAndHolds(0));
  EXPECT_EQ(second.differing(), 0);
  // Whoever takes over knows what was found, and does not compare again before its time.
  Execute(
      "DELETE FROM consumer_shard WHERE source = 'totals-check'; "
      "DELETE FROM consumer_member WHERE source = 'totals-check'");
  TotalsCheck third(Options());
  EXPECT_THAT(third.RunOnce(), IsOkAndHolds(0));
  EXPECT_EQ(third.differing(), 1);
}

TEST_F(TotalsCheckTest, TheThreadComparesByItselfAndStopBreaksARecountOff) {
  // A lock that the recount waits for.
  auto holder = pg::NewPool({.dsn = database_.admin_dsn});
  TotalsCheck check(Options());
  CLM_ASSERT_OK(holder->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    if (auto status = tx.ExecDynamic("LOCK TABLE stage_day").status(); !status.ok()) {
      return status;
    }
    check.Start();
    EXPECT_TRUE(clm::testing::Eventually([&] {
      return Count(
                 "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
                 "'stage_day'::regclass") > 0;
    }));
    check.Stop();
    return absl::OkStatus();
  }));
  EXPECT_EQ(Count("SELECT count(*) FROM totals_check"), 0);
}

// As between two statements, where a cancellation reaches nobody.
TEST_F(TotalsCheckTest, StopBreaksARecountOffThatHasNotHeardIt) {
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{2, 20}, {3, 30}})}));
  Execute(R"sql(
    CREATE FUNCTION deaf() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_advisory_xact_lock_shared(77);
      RETURN true;
    EXCEPTION WHEN query_canceled THEN
      RETURN true;
    END $$;
    CREATE POLICY deaf ON stage_day AS RESTRICTIVE USING (deaf()))sql");
  auto holder = pg::NewPool({.dsn = database_.admin_dsn});
  TotalsCheck check(Options());
  std::thread stop;
  absl::Notification stopped;
  CLM_EXPECT_OK(holder->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    CLM_EXPECT_OK(tx.ExecDynamic("SELECT pg_advisory_xact_lock(77)").status());
    check.Start();
    EXPECT_TRUE(clm::testing::Eventually([&] {
      return Count("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'") > 0;
    }));
    stop = std::thread([&] {
      check.Stop();
      stopped.Notify();
    });
    EXPECT_TRUE(stopped.WaitForNotificationWithTimeout(clm::testing::kPatience));
    return absl::OkStatus();
  }));
  if (stop.joinable()) stop.join();
}

}  // namespace
}  // namespace clm::lifecycle
