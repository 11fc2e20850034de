// What the RPCs of LedgerService do, in which order. Decisions are in the pure rules (ledger.h),
// SQL is in loyalty_load, loyalty_flush and loyalty_reader.
#ifndef CLM_SERVICES_LOYALTY_LEDGER_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_LEDGER_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/ledger_service.pb.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/loyalty_parts.h"

namespace clm::loyalty {

// Thread-safe.
class LedgerHandlers {
 public:
  explicit LedgerHandlers(const LoyaltyParts& parts) : parts_(parts) {}

  void EarnPoints(const rpc::Call& call, const v1::EarnPointsRequest& request,
                  rpc::Reply<v1::PostingResponse> reply);
  void BatchEarnPoints(const rpc::Call& call, const v1::BatchEarnPointsRequest& request,
                       rpc::Reply<v1::BatchEarnPointsResponse> reply);
  void ActivatePoints(const rpc::Call& call, const v1::ActivatePointsRequest& request,
                      rpc::Reply<v1::PostingResponse> reply);
  void RedeemPoints(const rpc::Call& call, const v1::RedeemPointsRequest& request,
                    rpc::Reply<v1::PostingResponse> reply);
  void CancelRedemption(const rpc::Call& call, const v1::CancelRedemptionRequest& request,
                        rpc::Reply<v1::PostingResponse> reply);
  void HoldPoints(const rpc::Call& call, const v1::HoldPointsRequest& request,
                  rpc::Reply<v1::HoldResponse> reply);
  void CaptureHold(const rpc::Call& call, const v1::CaptureHoldRequest& request,
                   rpc::Reply<v1::HoldResponse> reply);
  void ReleaseHold(const rpc::Call& call, const v1::ReleaseHoldRequest& request,
                   rpc::Reply<v1::HoldResponse> reply);
  void ReturnPoints(const rpc::Call& call, const v1::ReturnPointsRequest& request,
                    rpc::Reply<v1::ReturnPointsResponse> reply);
  void AdjustPoints(const rpc::Call& call, const v1::AdjustPointsRequest& request,
                    rpc::Reply<v1::PostingResponse> reply);
  void TransferPoints(const rpc::Call& call, const v1::TransferPointsRequest& request,
                      rpc::Reply<v1::PostingResponse> reply);
  absl::StatusOr<v1::Hold> GetHold(const rpc::Call& call, const v1::GetHoldRequest& request);
  absl::StatusOr<v1::Posting> GetPosting(const rpc::Call& call,
                                         const v1::GetPostingRequest& request);
  absl::StatusOr<v1::ListPostingsResponse> ListPostings(const rpc::Call& call,
                                                        const v1::ListPostingsRequest& request);
  absl::StatusOr<v1::Liability> GetLiability(const rpc::Call& call,
                                             const v1::GetLiabilityRequest& request);
  absl::StatusOr<v1::AuditProgramResponse> AuditProgram(const rpc::Call& call,
                                                        const v1::AuditProgramRequest& request);

 private:
  const LoyaltyParts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LEDGER_HANDLERS_H_
