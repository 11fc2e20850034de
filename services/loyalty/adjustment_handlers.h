// What the RPCs of AdjustmentService do, in which order. Decisions are in the pure rules
// (adjustments.h, ledger.h), SQL is in adjustment_work and adjustment_reader.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTMENT_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_ADJUSTMENT_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/adjustment_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/adjustment_reader.h"

namespace clm::loyalty {

// Thread-safe.
class AdjustmentHandlers {
 public:
  // All of it outlives the handlers.
  struct Parts {
    journal::Lanes* lanes = nullptr;  // Of LoyaltyWork.
    AdjustmentReader* reader = nullptr;
    const PageTokens* tokens = nullptr;
  };
  explicit AdjustmentHandlers(const Parts& parts) : parts_(parts) {}

  void ProposeAdjustment(const rpc::Call& call, const v1::ProposeAdjustmentRequest& request,
                         rpc::Reply<v1::Adjustment> reply);
  absl::StatusOr<v1::Adjustment> GetAdjustment(const rpc::Call& call,
                                               const v1::GetAdjustmentRequest& request);
  absl::StatusOr<v1::ListAdjustmentsResponse> ListAdjustments(
      const rpc::Call& call, const v1::ListAdjustmentsRequest& request);
  void ApproveAdjustment(const rpc::Call& call, const v1::ApproveAdjustmentRequest& request,
                         rpc::Reply<v1::Adjustment> reply);
  void RejectAdjustment(const rpc::Call& call, const v1::RejectAdjustmentRequest& request,
                        rpc::Reply<v1::Adjustment> reply);

 private:
  const Parts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTMENT_HANDLERS_H_
