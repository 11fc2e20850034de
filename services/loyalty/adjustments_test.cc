#include "services/loyalty/adjustments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {
namespace {

using clm::testing::ReasonIs;
using clm::testing::StatusIs;

Adjustment Proposed(absl::Time at) {
  Adjustment adjustment;
  adjustment.amount = 5;
  adjustment.proposed_by = "token:ada";
  adjustment.propose_time = at;
  adjustment.lapse_time = at + kAdjustmentWaits;
  return adjustment;
}

TEST(AdjustmentsTest, SomebodyElseApproves) {
  const absl::Time at = absl::UnixEpoch();
  EXPECT_THAT(Approve(Proposed(at), "token:ada", at),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Approve(Proposed(at), "token:ada", at), ReasonIs("SAME_PERSON"));
  CLM_ASSERT_OK_AND_ASSIGN(const Adjustment approved, Approve(Proposed(at), "token:bob", at));
  EXPECT_EQ(approved.state, AdjustmentState::kApproved);
  EXPECT_EQ(approved.decided_by, "token:bob");
  EXPECT_EQ(approved.decide_time, at);
}

TEST(AdjustmentsTest, WhoProposedWithdraws) {
  const absl::Time at = absl::UnixEpoch();
  CLM_ASSERT_OK_AND_ASSIGN(const Adjustment rejected,
                           Reject(Proposed(at), "token:ada", "a mistake", at));
  EXPECT_EQ(rejected.state, AdjustmentState::kRejected);
  EXPECT_EQ(rejected.reject_reason, "a mistake");
}

TEST(AdjustmentsTest, IsDecidedOnceAndInTime) {
  const absl::Time at = absl::UnixEpoch();
  Adjustment adjustment = Proposed(at);
  const absl::Time last = adjustment.lapse_time - absl::Nanoseconds(1);
  CLM_EXPECT_OK(Approve(adjustment, "token:bob", last));
  EXPECT_EQ(StateOf(adjustment, last), AdjustmentState::kProposed);
  EXPECT_EQ(StateOf(adjustment, adjustment.lapse_time), AdjustmentState::kLapsed);
  EXPECT_THAT(Approve(adjustment, "token:bob", adjustment.lapse_time),
              ReasonIs("ADJUSTMENT_STATE"));
  EXPECT_THAT(Reject(adjustment, "token:bob", "late", adjustment.lapse_time),
              ReasonIs("ADJUSTMENT_STATE"));
  for (const AdjustmentState state : {AdjustmentState::kApproved, AdjustmentState::kRejected}) {
    adjustment.state = state;
    EXPECT_EQ(StateOf(adjustment, absl::InfiniteFuture()), state);
    EXPECT_THAT(Approve(adjustment, "token:bob", at), ReasonIs("ADJUSTMENT_STATE"));
    EXPECT_THAT(Reject(adjustment, "token:bob", "late", at), ReasonIs("ADJUSTMENT_STATE"));
  }
}

TEST(AdjustmentsTest, ADaysLimitIsExact) {
  EXPECT_THAT(CorrectedWith(100, 60, 40), clm::testing::IsOkAndHolds(100));
  EXPECT_THAT(CorrectedWith(100, 60, -40), clm::testing::IsOkAndHolds(100));
  for (const int64_t amount : {41, -41}) {
    const auto more = CorrectedWith(100, 60, amount);
    EXPECT_THAT(more, StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(more, ReasonIs("SECOND_PERSON_NEEDED"));
    EXPECT_EQ(error::MetadataValue(more.status(), "limit"), "100");
    EXPECT_EQ(error::MetadataValue(more.status(), "left"), "40");
  }
  // A limit that was lowered during the day.
  const auto late = CorrectedWith(50, 60, 1);
  EXPECT_EQ(error::MetadataValue(late.status(), "left"), "0");
}

TEST(AdjustmentsTest, WithoutALimitADayNeverOverflows) {
  EXPECT_THAT(CorrectedWith(0, 60, 41), clm::testing::IsOkAndHolds(101));
  EXPECT_THAT(CorrectedWith(0, kMaxPoints, -kMaxPoints), clm::testing::IsOkAndHolds(kMaxPoints));
  // Two who were merged.
  EXPECT_THAT(CorrectedWith(0, 2 * kMaxPoints, 1), clm::testing::IsOkAndHolds(2 * kMaxPoints));
}

}  // namespace
}  // namespace clm::loyalty
