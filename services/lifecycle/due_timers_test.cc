#include "services/lifecycle/due_timers.h"

#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "services/lifecycle/lifecycle_fixture.h"

namespace clm::lifecycle {
namespace {

using ::testing::ElementsAre;

using DueTimersTest = LifecycleTest;

StageModel WithTarget() {
  StageModel model = NonContractualModel();
  for (Stage& stage : model.stages) {
    if (stage.id == "first_purchase") stage.target_days = 30;
  }
  return model;
}

TEST_F(DueTimersTest, SilenceMovesACustomerAtItsExactInstant) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 990), Behaved(Contact(1), {{1, 999}})}));
  RunUntil(999 + 89.9);
  EXPECT_EQ(StageOf(Contact(1)), "first_purchase");
  // Nobody looks on the very day; the move is dated when it fell due all the same.
  RunUntil(999 + 95);
  EXPECT_THAT(Path(Contact(1)), ElementsAre("999 >first_purchase", "1089 first_purchase>at_risk"));
  EXPECT_EQ(Journaled("StageChanged", Contact(1)), 2);
  ExpectBalance();
}

TEST_F(DueTimersTest, WhatTimeHasDoneStaysWhenTheHistoryIsFoldedAgain) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 990), Behaved(Contact(1), {{1, 999}})}));
  RunUntil(1100);
  // The beginning of the relationship moved: a reason to fold everything again, and no more.
  CLM_ASSERT_OK(Deliver({Updated(Contact(1), 980, 1100, {})}));
  EXPECT_THAT(Path(Contact(1), true),
              ElementsAre("999 >first_purchase", "1089 first_purchase>at_risk"));
}

TEST_F(DueTimersTest, NothingIsDueTwice) {
  InstallShop();
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 990), Behaved(Contact(1), {{1, 999}})}));
  RunUntil(1200);
  const auto again = node_->timers.RunOnce();
  EXPECT_THAT(again, clm::testing::IsOkAndHolds(::testing::Eq(0)));
}

TEST_F(DueTimersTest, AnOverdueVisitIsToldOnceAlsoWhenTheHistoryIsFoldedAgain) {
  Install(WithTarget(), *NonContractualRules({}));
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 990), Behaved(Contact(1), {{1, 999}})}));
  RunUntil(1040);
  EXPECT_EQ(Journaled("StageOverdue", Contact(1)), 1);
  EXPECT_TRUE(Find(Contact(1)).PlaceIn("non-contractual").state.overdue);
  // A late fact that leaves the visit as it was.
  CLM_ASSERT_OK(Deliver({Behaved(Contact(1), {{2, 995, "visit"}})}));
  CLM_ASSERT_OK(Deliver({Updated(Contact(1), 980, 1040, {})}));  // The beginning moved.
  RunUntil(1050);
  EXPECT_EQ(Journaled("StageOverdue", Contact(1)), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM transition WHERE overdue_time IS NOT NULL"), 1);
}

TEST_F(DueTimersTest, TwoProcessesThatFireTheSameCustomerMoveItOnce) {
  InstallShop();
  Node other(database_.app_dsn, &clock_);
  std::vector<event::v1::Event> events;
  for (int i = 0; i < 40; ++i) {
    CLM_ASSERT_OK(Deliver({Created(Contact(i), 990), Behaved(Contact(i), {{1, 999}})}));
  }
  clock_.Set(Day(1100));
  clm::testing::AtOnce(2,
                       [&](int i) { CLM_EXPECT_OK((i == 0 ? *node_ : other).timers.RunOnce()); });
  for (int i = 0; i < 40; ++i) {
    EXPECT_THAT(Path(Contact(i), true),
                ElementsAre("999 >first_purchase", "1089 first_purchase>at_risk"));
  }
  ExpectBalance();
}

TEST_F(DueTimersTest, TheThreadFindsWhatIsDueByItself) {
  InstallShop();
  node_->context.on_due = [this](absl::Time due) { node_->timers.Expect(due); };
  CLM_ASSERT_OK(Deliver({Created(Contact(1), 900), Behaved(Contact(1), {{1, 905}})}));
  clock_.Advance(kSettleTime);
  node_->timers.Start();
  EXPECT_TRUE(clm::testing::Eventually([&] { return StageOf(Contact(1)) == "at_risk"; }));
  node_->timers.Stop();
}

TEST_F(DueTimersTest, AJobGoesOnWhereItsProcessDied) {
  for (int i = 0; i < 1200; i += 300) {
    std::vector<event::v1::Event> events;
    for (int k = i; k < i + 300; ++k) {
      events.push_back(Created(Contact(k), 900));
      events.push_back(Behaved(Contact(k), {{1, 990}}));
    }
    CLM_ASSERT_OK(Deliver(events));
  }
  InstallShop();
  // A process that claims the job, does one page and is gone.
  const auto job = node_->reader.ClaimJob(clock_.Now(), clock_.Now() + absl::Seconds(30));
  ASSERT_TRUE(job.ok() && job->has_value());
  ModelJob half = **job;
  const auto page = node_->reader.CustomersAfter("acme", {}, 500);
  ASSERT_TRUE(page.ok());
  half.done_up_to = page->back().id;
  ASSERT_THAT(
      node_->reader.AdvanceJob(half, 500, false, clock_.Now(), clock_.Now() + absl::Seconds(30)),
      clm::testing::IsOkAndHolds(true));
  // Its lease still holds.
  CLM_ASSERT_OK(node_->timers.RunOnce());
  EXPECT_EQ(Count("SELECT count(*) FROM transition"), 0);
  clock_.Advance(absl::Seconds(31));
  CLM_ASSERT_OK(node_->timers.RunOnce());
  // The page that was reported as done is not done again.
  EXPECT_EQ(Count("SELECT count(*) FROM transition"), 700);
  const auto progress =
      node_->reader.JobProgress("acme", "non-contractual", absl::InfiniteFuture());
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(progress->done, 1200);
  EXPECT_FALSE(progress->open);
}

}  // namespace
}  // namespace clm::lifecycle
