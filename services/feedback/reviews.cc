#include "services/feedback/reviews.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::feedback {
namespace {

absl::Status CheckReview(const Review& review) {
  return review.erased
             ? error::Precondition("REVIEW_ERASED", "name: the person of the review was erased")
             : absl::OkStatus();
}

absl::Status CheckReceived(const Review& review) {
  CLM_RETURN_IF_ERROR(CheckReview(review));
  if (review.state != ReviewState::kRequested) return absl::OkStatus();
  return error::Precondition("REVIEW_STATE",
                             "state: the review has not come yet; fill it in first (UpdateReview)");
}

void Undecide(Review& review) {
  review.state = ReviewState::kReceived;
  review.decided_by.clear();
  review.decide_time.reset();
  review.reject_reason.clear();
}

}  // namespace

bool IsPublishable(const Review& review) {
  return !review.erased && review.state == ReviewState::kApproved &&
         review.permission == ReviewPermission::kGranted;
}

absl::Status ValidateContent(const ReviewContent& content) {
  error::FieldErrors errors;
  if (content.rating == 0 && content.text.empty()) {
    errors.Add("review.text", "is required, or a rating");
  }
  if (content.rating < 0 || content.rating > content.rating_max) {
    errors.Add("review.rating", absl::StrCat("must be 1 to ", content.rating_max));
  }
  return errors.ToStatus();
}

Review RequestedReview(Review fresh, absl::Time now) {
  fresh.state = ReviewState::kRequested;
  fresh.request_time = now;
  fresh.create_time = now;
  fresh.update_time = now;
  return fresh;
}

absl::StatusOr<Review> ReceivedReview(Review fresh, absl::Time now) {
  CLM_RETURN_IF_ERROR(ValidateContent(fresh.content));
  fresh.state = ReviewState::kReceived;
  fresh.receive_time = now;
  fresh.create_time = now;
  fresh.update_time = now;
  return fresh;
}

absl::StatusOr<Review> ChangeContent(const Review& before, const ReviewContent& content,
                                     absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckReview(before));
  CLM_RETURN_IF_ERROR(ValidateContent(content));
  if (content == before.content && before.state != ReviewState::kRequested) return before;
  Review after = before;
  after.content = content;
  if (!after.receive_time) after.receive_time = now;
  Undecide(after);
  after.update_time = now;
  return after;
}

absl::StatusOr<Review> GrantPermission(const Review& before, const std::string& evidence,
                                       absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckReview(before));
  Review after = before;
  after.permission = ReviewPermission::kGranted;
  after.permission_evidence = evidence;
  after.permission_time = now;
  after.update_time = now;
  return after;
}

absl::StatusOr<Review> WithdrawPermission(const Review& before, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckReview(before));
  if (before.permission == ReviewPermission::kWithdrawn) return before;
  Review after = before;
  after.permission = ReviewPermission::kWithdrawn;
  after.permission_evidence.clear();
  after.permission_time = now;
  if (after.state == ReviewState::kApproved) Undecide(after);
  after.update_time = now;
  return after;
}

absl::StatusOr<Review> ApproveReview(const Review& before, const std::string& actor,
                                     absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckReceived(before));
  if (before.permission != ReviewPermission::kGranted) {
    return error::Precondition("REVIEW_NO_PERMISSION",
                               "permission: the customer has not said that it may be shared "
                               "(GrantReviewPermission)");
  }
  if (before.state == ReviewState::kApproved) return before;
  Review after = before;
  after.state = ReviewState::kApproved;
  after.decided_by = actor;
  after.decide_time = now;
  after.reject_reason.clear();
  after.update_time = now;
  return after;
}

absl::StatusOr<Review> RejectReview(const Review& before, const std::string& actor,
                                    const std::string& reason, absl::Time now) {
  CLM_RETURN_IF_ERROR(CheckReceived(before));
  Review after = before;
  after.state = ReviewState::kRejected;
  after.decided_by = actor;
  after.decide_time = now;
  after.reject_reason = reason;
  after.update_time = now;
  return after;
}

Review ErasedReview(const Review& before, absl::Time now) {
  Review after = before;
  after.contact.reset();
  after.erased = true;
  after.content = {.rating = before.content.rating, .rating_max = before.content.rating_max};
  after.permission_evidence.clear();
  after.reject_reason.clear();
  after.update_time = now;
  return after;
}

}  // namespace clm::feedback
