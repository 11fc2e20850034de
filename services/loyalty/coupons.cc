#include "services/loyalty/coupons.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/coupon_products.h"

namespace clm::loyalty {
namespace {

bool IsCurrency(absl::string_view text) {
  return text.size() == 3 &&
         std::all_of(text.begin(), text.end(), [](char c) { return 'A' <= c && c <= 'Z'; });
}

// 0 as a limit means none.
bool Reached(int64_t limit, int64_t count) { return limit != 0 && count >= limit; }

// What cannot be counted is not taken off.
int64_t ValueLimit(const Coupon& coupon) {
  return coupon.value_limit_minor == 0 ? kMaxCouponMinor : coupon.value_limit_minor;
}

absl::Status Refuse(absl::string_view reason, absl::string_view what,
                    const error::Metadata& metadata = {}) {
  return error::Precondition(reason, absl::StrCat("the coupon ", what), metadata);
}

absl::Status CheckCoupon(const Coupon& coupon, const CouponOrder& order, absl::Time now) {
  if (!coupon.enabled) return Refuse("COUPON_DISABLED", "is disabled");
  if (now < coupon.start) return Refuse("COUPON_NOT_STARTED", "is not valid yet");
  if (now >= coupon.end) return Refuse("COUPON_EXPIRED", "has expired");
  if (!coupon.member.empty() && coupon.member != order.member) {
    return Refuse("COUPON_OF_ANOTHER_MEMBER", "belongs to another member");
  }
  if (coupon.member_limit != 0 && order.member.empty()) {
    return Refuse("COUPON_MEMBER_NEEDED", "is for members only");
  }
  if (!coupon.currency.empty() && coupon.currency != order.currency) {
    return Refuse("COUPON_CURRENCY", absl::StrCat("is for orders in ", coupon.currency));
  }
  if (order.amount_minor < coupon.minimum_minor) {
    return Refuse("COUPON_MINIMUM", "is for larger orders",
                  {{"shortfall_minor", absl::StrCat(coupon.minimum_minor - order.amount_minor)}});
  }
  return absl::OkStatus();
}

absl::Status CheckCounters(const Coupon& coupon, const CouponCounters& counters, CouponAct act) {
  if (Reached(coupon.usage_limit, counters.used + counters.reserved)) {
    return Refuse("COUPON_USED_UP", "has been used as often as it may be");
  }
  if (Reached(coupon.member_limit, counters.used_by_member + counters.reserved_by_member)) {
    return Refuse("COUPON_MEMBER_LIMIT", "has been used by this member as often as it may be");
  }
  if (act == CouponAct::kReserve && Reached(coupon.reservation_limit, counters.reserved)) {
    return Refuse("COUPON_RESERVATION_LIMIT", "is reserved as often as it may be");
  }
  if (Reached(ValueLimit(coupon), counters.value_minor)) {
    return Refuse("COUPON_VALUE_USED_UP", "has no value left");
  }
  return absl::OkStatus();
}

absl::Status CheckBudget(const CouponBudget& budget, const CouponOrder& order, int64_t discount) {
  if (Reached(budget.use_limit, budget.uses)) {
    return Refuse("COUPON_BUDGET_USES", "belongs to a campaign whose uses are spent");
  }
  if (budget.currency != order.currency) {
    // Then it does not count their value.
    if (budget.value_limit_minor == 0) return absl::OkStatus();
    return Refuse("COUPON_BUDGET_CURRENCY",
                  absl::StrCat("belongs to a campaign with a budget in ", budget.currency));
  }
  const int64_t limit = budget.value_limit_minor == 0 ? kMaxCouponMinor : budget.value_limit_minor;
  const int64_t left = std::max<int64_t>(0, limit - budget.value_minor);
  if (discount > left) {
    return Refuse("COUPON_BUDGET_VALUE", "belongs to a campaign whose budget is spent",
                  {{"shortfall_minor", absl::StrCat(discount - left)}});
  }
  return absl::OkStatus();
}

// Before the limits in money.
absl::StatusOr<int64_t> WholeDiscount(const Coupon& coupon, const CouponOrder& order) {
  switch (coupon.kind) {
    case Coupon::Kind::kPercent:
      return ShareOf(order.amount_minor, coupon.basis_points, coupon.rounding);
    case Coupon::Kind::kAmount:
      return coupon.amount_minor;
    case Coupon::Kind::kFreeProduct:
    case Coupon::Kind::kBuyXGetY:
      return ProductDiscount(coupon, order.lines);
  }
  return 0;
}

}  // namespace

// amount * basis points stays below 2^53 * 2^14 = 2^67, so whole ten-thousands are taken first.
int64_t ShareOf(int64_t amount_minor, int64_t basis_points, Coupon::Rounding rounding) {
  const int64_t rest = amount_minor % kWholeBasisPoints * basis_points;
  const int64_t up = rounding == Coupon::Rounding::kHalfUp ? kWholeBasisPoints / 2 : 0;
  return amount_minor / kWholeBasisPoints * basis_points + (rest + up) / kWholeBasisPoints;
}

absl::Status ValidateCoupon(const Coupon& coupon) {
  error::FieldErrors errors;
  const auto check = [&](absl::string_view field, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) {
      errors.Add(field, absl::StrCat("must be ", least, " to ", most));
    }
  };
  const bool percent = coupon.kind == Coupon::Kind::kPercent;
  const bool amount = coupon.kind == Coupon::Kind::kAmount;
  check("basis_points", coupon.basis_points, percent ? 1 : 0, amount ? 0 : kWholeBasisPoints);
  check("amount_minor", coupon.amount_minor, amount ? 1 : 0, amount ? kMaxCouponMinor : 0);
  check("minimum_minor", coupon.minimum_minor, 0, kMaxCouponMinor);
  check("most_minor", coupon.most_minor, 0, kMaxCouponMinor);
  check("value_limit_minor", coupon.value_limit_minor, 0, kMaxCouponMinor);
  check("usage_limit", coupon.usage_limit, 0, kMaxCouponUses);
  check("member_limit", coupon.member_limit, 0, kMaxCouponUses);
  check("reservation_limit", coupon.reservation_limit, 0, kMaxCouponUses);
  errors.AddStatus("", ValidateProducts(coupon));
  const bool about_money = amount || coupon.minimum_minor != 0 || coupon.most_minor != 0 ||
                           coupon.value_limit_minor != 0;
  if ((about_money || !coupon.currency.empty()) && !IsCurrency(coupon.currency)) {
    errors.Add("currency", "must be an ISO 4217 code, as EUR");
  }
  if (coupon.start >= coupon.end) errors.Add("end_time", "must be after the start");
  return errors.ToStatus();
}

absl::StatusOr<int64_t> DiscountOf(const Coupon& coupon, const CouponCounters& counters,
                                   const std::optional<CouponBudget>& budget,
                                   const CouponOrder& order, CouponAct act, absl::Time now) {
  if (order.amount_minor < 0 || order.amount_minor > kMaxCouponMinor) {
    return error::InvalidField("order.amount_minor", "must be 0 to 2^53 - 1");
  }
  error::FieldErrors errors;
  errors.AddStatus("order", ValidateLines(order.lines));
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  CLM_RETURN_IF_ERROR(CheckCoupon(coupon, order, now));
  CLM_RETURN_IF_ERROR(CheckCounters(coupon, counters, act));
  CLM_ASSIGN_OR_RETURN(int64_t discount, WholeDiscount(coupon, order));
  discount = std::min(discount, order.amount_minor);
  if (coupon.most_minor != 0) discount = std::min(discount, coupon.most_minor);
  discount = std::min(discount, ValueLimit(coupon) - counters.value_minor);
  if (discount == 0) return Refuse("COUPON_NO_DISCOUNT", "would take nothing off this order");
  if (budget) CLM_RETURN_IF_ERROR(CheckBudget(*budget, order, discount));
  return discount;
}

}  // namespace clm::loyalty
