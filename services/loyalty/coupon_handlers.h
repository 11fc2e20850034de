// What the RPCs of CouponService do, in which order. Decisions are in the pure rules (coupons.h,
// codes.h), SQL is in coupon_work and coupon_reader.
#ifndef CLM_SERVICES_LOYALTY_COUPON_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_COUPON_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/coupon_service.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/coupon_guesses.h"
#include "services/loyalty/coupon_reader.h"

namespace clm::loyalty {

// Thread-safe.
class CouponHandlers {
 public:
  // All of it outlives the handlers.
  struct Parts {
    journal::Lanes* lanes = nullptr;  // Of CouponWork.
    CouponReader* reader = nullptr;
    CouponGuesses* guesses = nullptr;
    const PageTokens* tokens = nullptr;
    const Clock* clock = nullptr;
  };
  explicit CouponHandlers(const Parts& parts) : parts_(parts) {}

  void CreateCoupon(const rpc::Call& call, const v1::CreateCouponRequest& request,
                    rpc::Reply<v1::Coupon> reply);
  void BatchCreateCoupons(const rpc::Call& call, const v1::BatchCreateCouponsRequest& request,
                          rpc::Reply<v1::BatchCreateCouponsResponse> reply);
  void UpdateCoupon(const rpc::Call& call, const v1::UpdateCouponRequest& request,
                    rpc::Reply<v1::Coupon> reply);
  absl::StatusOr<v1::Coupon> GetCoupon(const rpc::Call& call, const v1::GetCouponRequest& request);
  absl::StatusOr<v1::ListCouponsResponse> ListCoupons(const rpc::Call& call,
                                                      const v1::ListCouponsRequest& request);
  absl::StatusOr<v1::Coupon> LookupCoupon(const rpc::Call& call,
                                          const v1::LookupCouponRequest& request);

  absl::StatusOr<v1::CheckCouponResponse> CheckCoupon(const rpc::Call& call,
                                                      const v1::CheckCouponRequest& request);
  void ReserveCoupon(const rpc::Call& call, const v1::ReserveCouponRequest& request,
                     rpc::Reply<v1::CouponUse> reply);
  void RedeemCoupon(const rpc::Call& call, const v1::RedeemCouponRequest& request,
                    rpc::Reply<v1::CouponUse> reply);
  void RedeemReservedCoupon(const rpc::Call& call, const v1::RedeemReservedCouponRequest& request,
                            rpc::Reply<v1::CouponUse> reply);
  void ReleaseCoupon(const rpc::Call& call, const v1::ReleaseCouponRequest& request,
                     rpc::Reply<v1::CouponUse> reply);
  void CancelCouponRedemption(const rpc::Call& call,
                              const v1::CancelCouponRedemptionRequest& request,
                              rpc::Reply<v1::CouponUse> reply);
  absl::StatusOr<v1::CouponUse> GetCouponUse(const rpc::Call& call,
                                             const v1::GetCouponUseRequest& request);
  absl::StatusOr<v1::ListCouponUsesResponse> ListCouponUses(
      const rpc::Call& call, const v1::ListCouponUsesRequest& request);

  void CreateCouponBudget(const rpc::Call& call, const v1::CreateCouponBudgetRequest& request,
                          rpc::Reply<v1::CouponBudget> reply);
  void UpdateCouponBudget(const rpc::Call& call, const v1::UpdateCouponBudgetRequest& request,
                          rpc::Reply<v1::CouponBudget> reply);
  absl::StatusOr<v1::CouponBudget> GetCouponBudget(const rpc::Call& call,
                                                   const v1::GetCouponBudgetRequest& request);
  absl::StatusOr<v1::ListCouponBudgetsResponse> ListCouponBudgets(
      const rpc::Call& call, const v1::ListCouponBudgetsRequest& request);

 private:
  const Parts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_HANDLERS_H_
