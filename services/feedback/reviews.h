// Reviews, testimonials and case studies: what customers say in public, and whether the company may
// share it. It may if somebody has approved what it says, and the customer lets the company share
// it; neither stays true of something that says something else.
//
// Rules only: each tells the review afterwards, or why it does not come to that.
// FAILED_PRECONDITION, reason REVIEW_ERASED, of one whose person was erased. Pure and thread-safe.
#ifndef CLM_SERVICES_FEEDBACK_REVIEWS_H_
#define CLM_SERVICES_FEEDBACK_REVIEWS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"

namespace clm::feedback {

// The numbers are those of the API.
enum class ReviewKind { kReview = 1, kTestimonial = 2, kCaseStudy = 3 };
enum class ReviewState { kRequested = 1, kReceived = 2, kApproved = 3, kRejected = 4 };
enum class ReviewPermission { kNotSaid = 0, kGranted = 1, kWithdrawn = 2 };

// What it says.
struct ReviewContent {
  int rating = 0;  // 1 to rating_max; 0: not said.
  int rating_max = 5;
  std::string title;
  std::string text;
  std::string url;
  std::string author;
  friend bool operator==(const ReviewContent&, const ReviewContent&) = default;
};

struct Review {
  EntityKey key;
  int shard = 0;  // Of the journal, for ever.
  std::optional<Uuid> contact;
  bool erased = false;
  ReviewKind kind = ReviewKind::kReview;
  std::string platform;
  ReviewContent content;
  ReviewState state = ReviewState::kReceived;
  ReviewPermission permission = ReviewPermission::kNotSaid;
  std::string permission_evidence;
  std::optional<absl::Time> permission_time;
  std::string decided_by;
  std::optional<absl::Time> decide_time;
  std::string reject_reason;
  std::optional<absl::Time> request_time;
  std::optional<absl::Time> receive_time;
  absl::Time create_time;
  absl::Time update_time;
  int64_t version = 0;
  friend bool operator==(const Review&, const Review&) = default;
};

bool IsPublishable(const Review& review);

// INVALID_ARGUMENT with every bad field, with paths below "review": says nothing, or a rating that
// is more than the best.
absl::Status ValidateContent(const ReviewContent& content);

// `fresh`: key, shard, contact, kind and platform, and what it says.
Review RequestedReview(Review fresh, absl::Time now);
absl::StatusOr<Review> ReceivedReview(Review fresh, absl::Time now);

// It comes, if it was asked for, or says something else from now on.
absl::StatusOr<Review> ChangeContent(const Review& before, const ReviewContent& content,
                                     absl::Time now);
absl::StatusOr<Review> GrantPermission(const Review& before, const std::string& evidence,
                                       absl::Time now);
absl::StatusOr<Review> WithdrawPermission(const Review& before, absl::Time now);
// FAILED_PRECONDITION, reason REVIEW_STATE while it has not come, REVIEW_NO_PERMISSION while the
// customer does not let the company share it.
absl::StatusOr<Review> ApproveReview(const Review& before, const std::string& actor,
                                     absl::Time now);
absl::StatusOr<Review> RejectReview(const Review& before, const std::string& actor,
                                    const std::string& reason, absl::Time now);

// What is left of one whose person was erased: what it counts for.
Review ErasedReview(const Review& before, absl::Time now);

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_REVIEWS_H_
