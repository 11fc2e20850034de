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
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace clm::loyalty {

inline constexpr int64_t kMaxCouponMinor = (int64_t{1} << 53) - 1;
inline constexpr int64_t kMaxCouponUses = (int64_t{1} << 53) - 1;
inline constexpr int64_t kMaxCouponPieces = 1'000'000;
inline constexpr size_t kMaxCouponSkus = 100;
inline constexpr int64_t kWholeBasisPoints = 10'000;

struct Coupon {
  // The last two are judged by coupon_products.h.
  enum class Kind { kPercent, kAmount, kFreeProduct, kBuyXGetY };
  // Of a percentage, and of the share of each piece of a product; an amount is exact.
  enum class Rounding { kFloor, kHalfUp };

  Kind kind = Kind::kPercent;
  // kPercent: 1 to 10,000, which is all of it. Of products: of their price; 0: all of it.
  int64_t basis_points = 0;
  int64_t amount_minor = 0;  // kAmount.
  Rounding rounding = Rounding::kFloor;
  std::string currency;           // ISO 4217. Only what has no amount and no limit may lack it.
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
  // kFreeProduct: what is free. kBuyXGetY: what is bought; empty: all but free_skus.
  std::vector<std::string> skus;
  std::vector<std::string> free_skus;  // kBuyXGetY: what is free. Empty: what is bought.
  int64_t buy_quantity = 0;            // kBuyXGetY: X.
  int64_t free_quantity = 0;           // kFreeProduct: how many pieces. kBuyXGetY: Y.
  int64_t most_applications = 0;       // kBuyXGetY: how often in one order. 0: no limit.

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

// So many pieces of a product.
struct CouponLine {
  std::string sku;
  int64_t quantity = 1;
  int64_t unit_price_minor = 0;  // After other discounts.
};

struct CouponOrder {
  std::string member;  // Empty: somebody who is none.
  std::string currency;
  int64_t amount_minor = 0;  // What the discount is taken off: after other discounts.
  // For coupons about products.
  std::vector<CouponLine> lines;
};

enum class CouponAct {
  kReserve,  // Hold a use and its value for the member.
  kRedeem,   // Use it.
};

// `basis_points` of an amount, both within their limits.
int64_t ShareOf(int64_t amount_minor, int64_t basis_points, Coupon::Rounding rounding);

// What a use takes off the order, 0 to order.amount_minor: the percentage, the amount, or what
// ProductDiscount says, at most most_minor and what is left of value_limit_minor. A redemption that
// follows a reservation is asked with counters and budget in which that reservation is released.
//
// FAILED_PRECONDITION with a reason of its own for each refusal, the first that applies of
//   COUPON_DISABLED, COUPON_NOT_STARTED, COUPON_EXPIRED, COUPON_OF_ANOTHER_MEMBER,
//   COUPON_MEMBER_NEEDED (it counts per member), COUPON_CURRENCY,
//   COUPON_MINIMUM (metadata shortfall_minor), COUPON_USED_UP,
//   COUPON_MEMBER_LIMIT, COUPON_RESERVATION_LIMIT, COUPON_VALUE_USED_UP,
//   COUPON_LINES_NEEDED, COUPON_PRODUCTS (metadata missing),
//   COUPON_NO_DISCOUNT (it would take off nothing), COUPON_BUDGET_USES, COUPON_BUDGET_CURRENCY,
//   COUPON_BUDGET_VALUE (metadata shortfall_minor; a budget never cuts a discount).
// INVALID_ARGUMENT for an order amount, or lines, that are negative or beyond the limit.
absl::StatusOr<int64_t> DiscountOf(const Coupon& coupon, const CouponCounters& counters,
                                   const std::optional<CouponBudget>& budget,
                                   const CouponOrder& order, CouponAct act, absl::Time now);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPONS_H_
