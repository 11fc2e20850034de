// What a coupon about products takes off the lines of an order: pieces for nothing, or for less.
//
// Of the pieces that may be free the cheapest are, so that nothing depends on the order of lines,
// nor on how they are split. A share is rounded for each piece.
//
// Pure functions; thread-safe. Money is in minor units of the order's currency.
#ifndef CLM_SERVICES_LOYALTY_COUPON_PRODUCTS_H_
#define CLM_SERVICES_LOYALTY_COUPON_PRODUCTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/loyalty/coupons.h"

namespace clm::loyalty {

// Whether a coupon of that kind takes products off.
bool IsAboutProducts(Coupon::Kind kind);

// Every bad field about products at once; paths are relative to the coupon. Of other kinds: that
// none is set.
absl::Status ValidateProducts(const Coupon& coupon);

// INVALID_ARGUMENT for a line that is negative, has no piece or more than kMaxCouponPieces, and for
// lines that come to more than kMaxCouponMinor together; paths are relative to the order.
absl::Status ValidateLines(const std::vector<CouponLine>& lines);

// What a valid coupon about products takes off valid lines, 0 or more.
//   Free products: the `free_quantity` cheapest pieces of `skus`.
//   Buy X get Y: X pieces of `skus` for every Y of `free_skus`. Where those are the same products,
//   the pieces make sets of X + Y, and what begins another set counts as soon as it has X and one
//   more; where they are not, as many are free as there are, up to Y for each X.
// FAILED_PRECONDITION, reason COUPON_LINES_NEEDED without lines, COUPON_PRODUCTS (metadata
// `missing`, in pieces) when the order lacks pieces.
absl::StatusOr<int64_t> ProductDiscount(const Coupon& coupon, const std::vector<CouponLine>& lines);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_PRODUCTS_H_
