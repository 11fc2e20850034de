// Everything ReviewService needs within the feedback module.
#ifndef CLM_SERVICES_FEEDBACK_REVIEW_MODULE_PART_H_
#define CLM_SERVICES_FEEDBACK_REVIEW_MODULE_PART_H_

#include <memory>
#include <vector>

#include "clm/feedback/v1/review_service.grpc.pb.h"
#include "libs/rpc/service.h"
#include "services/feedback/module_part.h"
#include "services/feedback/review_handlers.h"
#include "services/feedback/review_reader.h"
#include "services/feedback/review_work.h"

namespace clm::feedback {

class ReviewBinding : public rpc::Service {
 public:
  ReviewBinding(rpc::Host& host, ReviewHandlers& handlers)
      : Service(host, v1::ReviewService::service_full_name()) {
    Bind("RequestReview", &handlers, &ReviewHandlers::RequestReview);
    Bind("CreateReview", &handlers, &ReviewHandlers::CreateReview);
    Bind("GetReview", &handlers, &ReviewHandlers::GetReview);
    Bind("ListReviews", &handlers, &ReviewHandlers::ListReviews);
    Bind("UpdateReview", &handlers, &ReviewHandlers::UpdateReview);
    Bind("GrantReviewPermission", &handlers, &ReviewHandlers::GrantReviewPermission);
    Bind("WithdrawReviewPermission", &handlers, &ReviewHandlers::WithdrawReviewPermission);
    Bind("ApproveReview", &handlers, &ReviewHandlers::ApproveReview);
    Bind("RejectReview", &handlers, &ReviewHandlers::RejectReview);
  }
};

class ReviewModulePart : public ModulePart {
 public:
  explicit ReviewModulePart(const FeedbackParts& shared)
      : reader_(shared.pool), handlers_(shared, &reader_) {}

  void AddTo(FeedbackWork& work) override { work.Add(std::make_unique<ReviewWork>()); }
  absl::Status Register(app::Runtime& runtime) override {
    return runtime.Register(std::make_unique<ReviewBinding>(runtime.host(), handlers_));
  }
  std::vector<const pg::Statement*> Statements() const override {
    std::vector<const pg::Statement*> statements = ReviewWorkStatements();
    const std::vector<const pg::Statement*> of_reader = ReviewReaderStatements();
    statements.insert(statements.end(), of_reader.begin(), of_reader.end());
    return statements;
  }

  ReviewHandlers& handlers() { return handlers_; }

 private:
  ReviewReader reader_;
  ReviewHandlers handlers_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_REVIEW_MODULE_PART_H_
