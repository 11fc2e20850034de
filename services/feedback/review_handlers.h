// What the RPCs of ReviewService do, in which order. Decisions are in the pure rules (reviews.h),
// SQL is in review_work and review_reader.
#ifndef CLM_SERVICES_FEEDBACK_REVIEW_HANDLERS_H_
#define CLM_SERVICES_FEEDBACK_REVIEW_HANDLERS_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "clm/feedback/v1/review_event.pb.h"
#include "clm/feedback/v1/review_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/feedback/module_part.h"
#include "services/feedback/review_reader.h"

namespace clm::feedback {

// Thread-safe.
class ReviewHandlers {
 public:
  // `reader` outlives the handlers.
  ReviewHandlers(FeedbackParts shared, ReviewReader* reader)
      : shared_(std::move(shared)), reader_(*reader) {}

  void RequestReview(const rpc::Call& call, const v1::RequestReviewRequest& request,
                     rpc::Reply<v1::Review> reply);
  void CreateReview(const rpc::Call& call, const v1::CreateReviewRequest& request,
                    rpc::Reply<v1::Review> reply);
  absl::StatusOr<v1::Review> GetReview(const rpc::Call& call, const v1::GetReviewRequest& request);
  absl::StatusOr<v1::ListReviewsResponse> ListReviews(const rpc::Call& call,
                                                      const v1::ListReviewsRequest& request);
  void UpdateReview(const rpc::Call& call, const v1::UpdateReviewRequest& request,
                    rpc::Reply<v1::Review> reply);
  void GrantReviewPermission(const rpc::Call& call, const v1::GrantReviewPermissionRequest& request,
                             rpc::Reply<v1::Review> reply);
  void WithdrawReviewPermission(const rpc::Call& call,
                                const v1::WithdrawReviewPermissionRequest& request,
                                rpc::Reply<v1::Review> reply);
  void ApproveReview(const rpc::Call& call, const v1::ApproveReviewRequest& request,
                     rpc::Reply<v1::Review> reply);
  void RejectReview(const rpc::Call& call, const v1::RejectReviewRequest& request,
                    rpc::Reply<v1::Review> reply);

 private:
  // What a verb makes of a review.
  using Rule = std::function<absl::StatusOr<Review>(const Review& before, absl::Time now)>;
  struct Verb {
    v1::ReviewChanged::Change change = v1::ReviewChanged::CHANGE_UNSPECIFIED;
    std::string name_field = "name";
    std::string name;
    std::string etag_field = "etag";
    std::string etag;
    Rule rule;
  };
  template <class Req>
  void Run(const rpc::Call& call, const Req& request, Verb verb, rpc::Reply<v1::Review> reply);

  const FeedbackParts shared_;
  ReviewReader& reader_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_REVIEW_HANDLERS_H_
