// Whether a member may use a coupon for an order now, and what it takes off.
//
// Counters are read and written by the caller under one lock; a reservation counts as a use until
// it is released, so two parallel redemptions never use the last one twice. Reservations that have
// timed out are not in the counters that are given here.
//
// Values and pure functions; thread-safe. Money is in minor units of one currency, at most
// 2^53 - 1.
#ifndef CLM_SERVICES_LOYALTY_COUPONS_H_
#define CLM_SERVICES_LOYALTY_COUPONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace clm::loyalty {

inline constexpr int64_t kMaxCouponMinor = (int64_t{1} << 53) - 1;
inline constexpr int64_t kMaxCouponUses = (int64_t{1} << 53) - 1;

struct Coupon {
  enum class Kind { kPercent, kAmount };
  // Of a percentage; an amount is exact.
  enum class Rounding { kFloor, kHalfUp };

  Kind kind = Kind::kPercent;
  int64_t basis_points = 0;  // kPercent: 1 to 10,000, which is all of it.
  int64_t amount_minor = 0;  // kAmount.
  Rounding rounding = Rounding::kFloor;
  std::string currency;           // ISO 4217. Only a percentage without limits may lack it.
  int64_t minimum_minor = 0;      // What the order must amount to.
  int64_t most_minor = 0;         // Taken off one order. 0: no limit.
  int64_t value_limit_minor = 0;  // Taken off all orders, as of a gift card. 0: no limit.
  int64_t usage_limit = 0;        // Uses by all members. 0: no limit.
  int64_t member_limit = 0;       // Uses by one member; with a limit, by members only. 0: no limit.
  int64_t reservation_limit = 0;  // Reservations at a time. 0: no limit.
  absl::Time start = absl::InfinitePast();
  absl::Time end = absl::InfiniteFuture();  // Exclusive.
  std::string member;                       // The only one who may use it. Empty: everybody.
  bool enabled = true;

  friend bool operator==(const Coupon&, const Coupon&) = default;
};

// Refuses with every bad field at once; paths are relative to the coupon.
absl::Status ValidateCoupon(const Coupon& coupon);

// Uses that have been made and uses that are reserved.
struct CouponCounters {
  int64_t used = 0;
  int64_t reserved = 0;
  int64_t used_by_member = 0;
  int64_t reserved_by_member = 0;
  // Taken off so far, reservations included. At most kMaxCouponMinor; no discount goes beyond it.
  int64_t value_minor = 0;
};

// The ceiling of a campaign over all of its coupons, and what of it is gone, reservations included.
struct CouponBudget {
  int64_t use_limit = 0;  // 0: no limit.
  int64_t uses = 0;
  int64_t value_limit_minor = 0;  // 0: no limit.
  int64_t value_minor = 0;
  std::string currency;  // Of the value. Orders in others count among the uses alone.
};

struct CouponOrder {
  std::string member;  // Empty: somebody who is none.
  std::string currency;
  int64_t amount_minor = 0;  // What the discount is taken off: after other discounts.
};

enum class CouponAct {
  kReserve,  // Hold a use and its value for the member.
  kRedeem,   // Use it.
};

// What a use takes off the order, 0 to order.amount_minor: the percentage or the amount, at most
// most_minor and what is left of value_limit_minor. A redemption that follows a reservation is
// asked with counters and budget in which that reservation is released.
//
// FAILED_PRECONDITION with a reason of its own for each refusal, the first that applies of
//   COUPON_DISABLED, COUPON_NOT_STARTED, COUPON_EXPIRED, COUPON_OF_ANOTHER_MEMBER,
//   COUPON_MEMBER_NEEDED (it counts per member), COUPON_CURRENCY,
//   COUPON_MINIMUM (metadata shortfall_minor), COUPON_USED_UP,
//   COUPON_MEMBER_LIMIT, COUPON_RESERVATION_LIMIT, COUPON_VALUE_USED_UP,
//   COUPON_NO_DISCOUNT (it would take off nothing), COUPON_BUDGET_USES, COUPON_BUDGET_CURRENCY,
//   COUPON_BUDGET_VALUE (metadata shortfall_minor; a budget never cuts a discount).
// INVALID_ARGUMENT for an order amount that is negative or beyond the limit.
absl::StatusOr<int64_t> DiscountOf(const Coupon& coupon, const CouponCounters& counters,
                                   const std::optional<CouponBudget>& budget,
                                   const CouponOrder& order, CouponAct act, absl::Time now);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPONS_H_
