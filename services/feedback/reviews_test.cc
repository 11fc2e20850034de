#include "services/feedback/reviews.h"

#include <gtest/gtest.h>

#include <string>

#include "libs/base/error.h"
#include "libs/testing/status_matchers.h"

namespace clm::feedback {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

Review Fresh() {
  Review fresh;
  fresh.key = {"acme", Uuid::V5(Uuid(), "review")};
  fresh.contact = Uuid::V5(Uuid(), "ada");
  fresh.platform = "own_site";
  fresh.content.text = "a fine mug";
  fresh.content.rating = 5;
  return fresh;
}

Review Received() { return *ReceivedReview(Fresh(), kNow); }
Review Granted() { return *GrantPermission(Received(), "mail of 12 May", kNow); }
Review Approved() { return *ApproveReview(Granted(), "bea", kNow); }

TEST(ReviewsTest, ItMayBeSharedOnlyIfApprovedAndAllowed) {
  EXPECT_FALSE(IsPublishable(Received()));
  EXPECT_FALSE(IsPublishable(Granted()));
  EXPECT_EQ(error::Reason(ApproveReview(Received(), "bea", kNow).status()), "REVIEW_NO_PERMISSION");
  EXPECT_TRUE(IsPublishable(Approved()));
  EXPECT_EQ(Approved().decided_by, "bea");
  const auto withdrawn = WithdrawPermission(Approved(), kNow);
  CLM_ASSERT_OK(withdrawn);
  EXPECT_FALSE(IsPublishable(*withdrawn));
  // Nor does the permission alone bring it back.
  EXPECT_FALSE(IsPublishable(*GrantPermission(*withdrawn, "again", kNow)));
  EXPECT_FALSE(IsPublishable(*RejectReview(Approved(), "bea", "too long", kNow)));
}

TEST(ReviewsTest, WhatSaysSomethingElseHasToBeApprovedAnew) {
  ReviewContent content = Approved().content;
  EXPECT_EQ(*ChangeContent(Approved(), content, kNow + absl::Hours(1)), Approved());
  content.text = "a bad mug";
  const auto changed = ChangeContent(Approved(), content, kNow);
  CLM_ASSERT_OK(changed);
  EXPECT_EQ(changed->state, ReviewState::kReceived);
  EXPECT_FALSE(IsPublishable(*changed));
  EXPECT_EQ(changed->decided_by, "");
}

TEST(ReviewsTest, OneThatWasAskedForIsDecidedAboutOnceItHasCome) {
  Review fresh = Fresh();
  fresh.content = {};
  const Review requested = RequestedReview(fresh, kNow);
  EXPECT_EQ(requested.state, ReviewState::kRequested);
  const auto granted = GrantPermission(requested, "ticked the box", kNow);
  CLM_ASSERT_OK(granted);
  EXPECT_EQ(error::Reason(ApproveReview(*granted, "bea", kNow).status()), "REVIEW_STATE");
  EXPECT_EQ(error::Reason(RejectReview(*granted, "bea", "", kNow).status()), "REVIEW_STATE");
  EXPECT_FALSE(ChangeContent(*granted, {}, kNow).ok());
  const auto came = ChangeContent(*granted, {.rating = 4}, kNow + absl::Hours(1));
  CLM_ASSERT_OK(came);
  EXPECT_EQ(came->receive_time, kNow + absl::Hours(1));
  EXPECT_TRUE(IsPublishable(*ApproveReview(*came, "bea", kNow)));
}

TEST(ReviewsTest, RatingsAreOfTheirScale) {
  EXPECT_FALSE(ValidateContent({.rating = 6}).ok());
  CLM_EXPECT_OK(ValidateContent({.rating = 6, .rating_max = 10}));
  EXPECT_FALSE(ValidateContent({.title = "nothing else"}).ok());
}

TEST(ReviewsTest, NothingThatWasSaidIsLeftOfAnErasedPerson) {
  Review before = Approved();
  before.content.title = before.content.url = before.content.author = before.reject_reason = "x";
  const Review erased = ErasedReview(before, kNow);
  EXPECT_EQ(erased.content, ReviewContent({.rating = 5}));
  EXPECT_EQ(erased.permission_evidence + erased.reject_reason, "");
  EXPECT_FALSE(IsPublishable(erased));
  EXPECT_EQ(error::Reason(GrantPermission(erased, "x", kNow).status()), "REVIEW_ERASED");
  EXPECT_EQ(error::Reason(ApproveReview(erased, "x", kNow).status()), "REVIEW_ERASED");
}

}  // namespace
}  // namespace clm::feedback
