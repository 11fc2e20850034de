#include "services/feedback/feedback_work.h"

#include "libs/base/status_macros.h"

namespace clm::feedback {

absl::Status FeedbackWork::Load(pg::Tx& tx) {
  for (const auto& part : parts_) CLM_RETURN_IF_ERROR(part->Load(tx));
  return absl::OkStatus();
}

void FeedbackWork::Keep() {
  for (const auto& part : parts_) part->Keep();
}

void FeedbackWork::Discard() {
  for (const auto& part : parts_) part->Discard();
}

absl::Status FeedbackWork::Flush(pg::Tx& tx) {
  for (const auto& part : parts_) CLM_RETURN_IF_ERROR(part->Flush(tx));
  return absl::OkStatus();
}

absl::Status FeedbackWork::Sweep(pg::Tx& tx) {
  for (const auto& part : parts_) CLM_RETURN_IF_ERROR(part->Sweep(tx));
  return absl::OkStatus();
}

}  // namespace clm::feedback
