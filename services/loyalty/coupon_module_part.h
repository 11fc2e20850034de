// Everything CouponService needs within the loyalty module, put together: the module makes one
// after its pool, registers Binding(), and destroys it before them.
#ifndef CLM_SERVICES_LOYALTY_COUPON_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_COUPON_MODULE_PART_H_

#include <functional>
#include <memory>
#include <utility>

#include "clm/loyalty/v1/coupon_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/service.h"
#include "services/loyalty/coupon_guesses.h"
#include "services/loyalty/coupon_handlers.h"
#include "services/loyalty/coupon_reader.h"
#include "services/loyalty/coupon_work.h"

namespace clm::loyalty {

class CouponBinding : public rpc::Service {
 public:
  CouponBinding(rpc::Host& host, CouponHandlers& handlers)
      : Service(host, v1::CouponService::service_full_name()) {
    Bind("CreateCoupon", &handlers, &CouponHandlers::CreateCoupon);
    Bind("BatchCreateCoupons", &handlers, &CouponHandlers::BatchCreateCoupons);
    Bind("GetCoupon", &handlers, &CouponHandlers::GetCoupon);
    Bind("ListCoupons", &handlers, &CouponHandlers::ListCoupons);
    Bind("LookupCoupon", &handlers, &CouponHandlers::LookupCoupon);
    Bind("UpdateCoupon", &handlers, &CouponHandlers::UpdateCoupon);
    Bind("CheckCoupon", &handlers, &CouponHandlers::CheckCoupon);
    Bind("ReserveCoupon", &handlers, &CouponHandlers::ReserveCoupon);
    Bind("RedeemCoupon", &handlers, &CouponHandlers::RedeemCoupon);
    Bind("RedeemReservedCoupon", &handlers, &CouponHandlers::RedeemReservedCoupon);
    Bind("ReleaseCoupon", &handlers, &CouponHandlers::ReleaseCoupon);
    Bind("CancelCouponRedemption", &handlers, &CouponHandlers::CancelCouponRedemption);
    Bind("GetCouponUse", &handlers, &CouponHandlers::GetCouponUse);
    Bind("ListCouponUses", &handlers, &CouponHandlers::ListCouponUses);
    Bind("CreateCouponBudget", &handlers, &CouponHandlers::CreateCouponBudget);
    Bind("GetCouponBudget", &handlers, &CouponHandlers::GetCouponBudget);
    Bind("ListCouponBudgets", &handlers, &CouponHandlers::ListCouponBudgets);
    Bind("UpdateCouponBudget", &handlers, &CouponHandlers::UpdateCouponBudget);
  }
};

class CouponModulePart {
 public:
  // `on_commit` is told the new heads of the journal, as by Lanes::Options. All pointers outlive
  // it.
  CouponModulePart(pg::Pool* pool, const Clock* clock, const PageTokens* tokens,
                   std::function<void(const journal::Offsets&)> on_commit = nullptr)
      : reader_(pool),
        guesses_(pool),
        lanes_({.pool = pool,
                .clock = clock,
                .new_work = [clock] { return std::make_unique<CouponWork>(clock); },
                .executors = 1,
                .on_commit = std::move(on_commit)}),
        handlers_({.lanes = &lanes_,
                   .reader = &reader_,
                   .guesses = &guesses_,
                   .tokens = tokens,
                   .clock = clock}) {}

  std::unique_ptr<CouponBinding> Binding(rpc::Host& host) {
    return std::make_unique<CouponBinding>(host, handlers_);
  }
  CouponHandlers& handlers() { return handlers_; }
  journal::Lanes& lanes() { return lanes_; }
  void Drain() { lanes_.Drain(); }

 private:
  CouponReader reader_;
  CouponGuesses guesses_;
  journal::Lanes lanes_;
  CouponHandlers handlers_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_MODULE_PART_H_
