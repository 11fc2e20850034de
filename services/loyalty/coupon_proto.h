// Between the wire and the rules: coupons, their uses and budgets.
#ifndef CLM_SERVICES_LOYALTY_COUPON_PROTO_H_
#define CLM_SERVICES_LOYALTY_COUPON_PROTO_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/loyalty/v1/coupon.pb.h"
#include "libs/base/error.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_work.h"
#include "services/loyalty/coupons.h"

namespace clm::loyalty {

// INVALID_ARGUMENT naming `field` for anything that is not such a name.
absl::StatusOr<CouponKey> ParseCouponName(absl::string_view field, absl::string_view name);
absl::StatusOr<CouponUseKey> ParseCouponUseName(absl::string_view field, absl::string_view name);
absl::StatusOr<CouponBudgetKey> ParseCouponBudgetName(absl::string_view field,
                                                      absl::string_view name);

std::string NameOf(const CouponKey& key);
std::string NameOf(const CouponUseKey& key);
std::string NameOf(const CouponBudgetKey& key);

// The terms alone, and what people are shown; the member is none.
void TermsFromProto(const v1::Coupon& coupon, StoredCoupon& out);
// With its code.
v1::Coupon ToProto(const StoredCoupon& coupon);
v1::CouponCounts CountsToProto(const StoredCoupon& coupon);
// What is stored of the terms, and read again.
std::string BodyOf(const StoredCoupon& coupon);
absl::Status ReadBody(const std::string& body, StoredCoupon& coupon);

// The ceilings alone, and what people are shown.
void CeilingsFromProto(const v1::CouponBudget& budget, StoredCouponBudget& out);
v1::CouponBudget ToProto(const StoredCouponBudget& budget);
std::string BodyOf(const StoredCouponBudget& budget);
absl::Status ReadBody(const std::string& body, StoredCouponBudget& budget);

v1::CouponUse ToProto(const CouponUse& use);

CodeFormat FromProto(const v1::CodeFormat& format);
CouponOrder FromProto(const v1::CouponOrder& order);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_PROTO_H_
