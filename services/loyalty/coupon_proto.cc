#include "services/loyalty/coupon_proto.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

absl::StatusOr<Uuid> ParseId(absl::string_view field, absl::string_view collection,
                             const std::string& text) {
  const std::optional<Uuid> id = Uuid::Parse(text);
  if (id) return *id;
  return error::InvalidField(field, absl::StrCat(collection, "/ must be followed by a UUID"));
}

v1::Coupon::Kind ToProto(Coupon::Kind kind) {
  switch (kind) {
    case Coupon::Kind::kPercent:
      return v1::Coupon::KIND_PERCENT;
    case Coupon::Kind::kAmount:
      return v1::Coupon::KIND_AMOUNT;
    case Coupon::Kind::kFreeProduct:
      return v1::Coupon::KIND_FREE_PRODUCT;
    case Coupon::Kind::kBuyXGetY:
      return v1::Coupon::KIND_BUY_X_GET_Y;
  }
  return v1::Coupon::KIND_UNSPECIFIED;
}

Coupon::Kind FromProto(v1::Coupon::Kind kind) {
  switch (kind) {
    case v1::Coupon::KIND_AMOUNT:
      return Coupon::Kind::kAmount;
    case v1::Coupon::KIND_FREE_PRODUCT:
      return Coupon::Kind::kFreeProduct;
    case v1::Coupon::KIND_BUY_X_GET_Y:
      return Coupon::Kind::kBuyXGetY;
    default:
      return Coupon::Kind::kPercent;
  }
}

// Only what TermsFromProto reads.
v1::Coupon TermsToProto(const StoredCoupon& coupon) {
  v1::Coupon out;
  const Coupon& terms = coupon.terms;
  out.set_display_name(coupon.display_name);
  out.set_kind(ToProto(terms.kind));
  out.set_basis_points(static_cast<int32_t>(terms.basis_points));
  out.set_amount_minor(terms.amount_minor);
  if (terms.rounding == Coupon::Rounding::kHalfUp) out.set_rounding(v1::Coupon::ROUNDING_HALF_UP);
  out.set_currency(terms.currency);
  out.set_minimum_minor(terms.minimum_minor);
  out.set_most_minor(terms.most_minor);
  out.set_value_limit_minor(terms.value_limit_minor);
  out.set_usage_limit(terms.usage_limit);
  out.set_member_limit(terms.member_limit);
  out.set_reservation_limit(terms.reservation_limit);
  if (terms.start > absl::InfinitePast()) clm::ToProto(terms.start, out.mutable_start_time());
  if (terms.end < absl::InfiniteFuture()) clm::ToProto(terms.end, out.mutable_end_time());
  out.set_disabled(!terms.enabled);
  for (const std::string& sku : terms.skus) out.add_skus(sku);
  for (const std::string& sku : terms.free_skus) out.add_free_skus(sku);
  out.set_buy_quantity(static_cast<int32_t>(terms.buy_quantity));
  out.set_free_quantity(static_cast<int32_t>(terms.free_quantity));
  out.set_most_applications(static_cast<int32_t>(terms.most_applications));
  return out;
}

v1::CouponBudget CeilingsToProto(const StoredCouponBudget& budget) {
  v1::CouponBudget out;
  out.set_display_name(budget.display_name);
  out.set_use_limit(budget.budget.use_limit);
  out.set_value_limit_minor(budget.budget.value_limit_minor);
  out.set_currency(budget.budget.currency);
  return out;
}

}  // namespace

absl::StatusOr<CouponKey> ParseCouponName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/coupons/*", name));
  CLM_ASSIGN_OR_RETURN(const Uuid id, ParseId(field, "coupons", segments[2]));
  return CouponKey{std::move(segments[0]), std::move(segments[1]), id};
}

absl::StatusOr<CouponUseKey> ParseCouponUseName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/coupons/*/uses/*", name));
  CLM_ASSIGN_OR_RETURN(const Uuid coupon, ParseId(field, "coupons", segments[2]));
  CLM_ASSIGN_OR_RETURN(const Uuid id, ParseId(field, "uses", segments[3]));
  return CouponUseKey{{std::move(segments[0]), std::move(segments[1]), coupon}, id};
}

absl::StatusOr<CouponBudgetKey> ParseCouponBudgetName(absl::string_view field,
                                                      absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/couponBudgets/*", name));
  return CouponBudgetKey{std::move(segments[0]), std::move(segments[1]), std::move(segments[2])};
}

std::string NameOf(const CouponKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/coupons/",
                      key.id.ToString());
}

std::string NameOf(const CouponUseKey& key) {
  return absl::StrCat(NameOf(key.coupon), "/uses/", key.id.ToString());
}

std::string NameOf(const CouponBudgetKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/couponBudgets/", key.id);
}

void TermsFromProto(const v1::Coupon& coupon, StoredCoupon& out) {
  out.display_name = coupon.display_name();
  Coupon terms;
  terms.kind = FromProto(coupon.kind());
  terms.basis_points = coupon.basis_points();
  terms.amount_minor = coupon.amount_minor();
  if (coupon.rounding() == v1::Coupon::ROUNDING_HALF_UP) terms.rounding = Coupon::Rounding::kHalfUp;
  terms.currency = coupon.currency();
  terms.minimum_minor = coupon.minimum_minor();
  terms.most_minor = coupon.most_minor();
  terms.value_limit_minor = coupon.value_limit_minor();
  terms.usage_limit = coupon.usage_limit();
  terms.member_limit = coupon.member_limit();
  terms.reservation_limit = coupon.reservation_limit();
  if (coupon.has_start_time()) terms.start = clm::FromProto(coupon.start_time());
  if (coupon.has_end_time()) terms.end = clm::FromProto(coupon.end_time());
  terms.enabled = !coupon.disabled();
  terms.skus.assign(coupon.skus().begin(), coupon.skus().end());
  terms.free_skus.assign(coupon.free_skus().begin(), coupon.free_skus().end());
  terms.buy_quantity = coupon.buy_quantity();
  terms.free_quantity = coupon.free_quantity();
  terms.most_applications = coupon.most_applications();
  out.terms = std::move(terms);
}

v1::CouponCounts CountsToProto(const StoredCoupon& coupon) {
  v1::CouponCounts out;
  out.set_used(coupon.used);
  out.set_reserved(coupon.reserved);
  out.set_value_minor(coupon.value_minor);
  return out;
}

v1::Coupon ToProto(const StoredCoupon& coupon) {
  v1::Coupon out = TermsToProto(coupon);
  out.set_name(NameOf(coupon.key));
  out.set_code(coupon.shown_code);
  if (const auto member = Uuid::Parse(coupon.terms.member)) {
    out.set_member(NameOf(MemberKey{coupon.key.tenant, coupon.key.program, *member}));
  }
  if (!coupon.budget.empty()) {
    out.set_budget(NameOf(CouponBudgetKey{coupon.key.tenant, coupon.key.program, coupon.budget}));
  }
  out.set_batch(coupon.batch);
  *out.mutable_counts() = CountsToProto(coupon);
  out.set_member_erased(coupon.member_erased);
  clm::ToProto(coupon.create_time, out.mutable_create_time());
  clm::ToProto(coupon.update_time, out.mutable_update_time());
  out.set_etag(Etag(coupon.version));
  return out;
}

std::string BodyOf(const StoredCoupon& coupon) { return TermsToProto(coupon).SerializeAsString(); }

absl::Status ReadBody(const std::string& body, StoredCoupon& coupon) {
  v1::Coupon terms;
  if (!terms.ParseFromString(body)) {
    return error::Internal("a coupon is stored in an unknown form");
  }
  TermsFromProto(terms, coupon);
  return absl::OkStatus();
}

void CeilingsFromProto(const v1::CouponBudget& budget, StoredCouponBudget& out) {
  out.display_name = budget.display_name();
  out.budget.use_limit = budget.use_limit();
  out.budget.value_limit_minor = budget.value_limit_minor();
  out.budget.currency = budget.currency();
}

v1::CouponBudget ToProto(const StoredCouponBudget& budget) {
  v1::CouponBudget out = CeilingsToProto(budget);
  out.set_name(NameOf(budget.key));
  out.set_uses(budget.budget.uses);
  out.set_value_minor(budget.budget.value_minor);
  clm::ToProto(budget.create_time, out.mutable_create_time());
  clm::ToProto(budget.update_time, out.mutable_update_time());
  out.set_etag(Etag(budget.version));
  return out;
}

std::string BodyOf(const StoredCouponBudget& budget) {
  return CeilingsToProto(budget).SerializeAsString();
}

absl::Status ReadBody(const std::string& body, StoredCouponBudget& budget) {
  v1::CouponBudget ceilings;
  if (!ceilings.ParseFromString(body)) {
    return error::Internal("a budget of coupons is stored in an unknown form");
  }
  CeilingsFromProto(ceilings, budget);
  return absl::OkStatus();
}

v1::CouponUse ToProto(const CouponUse& use) {
  v1::CouponUse out;
  out.set_name(NameOf(use.key));
  if (use.person) {
    out.set_member(NameOf(MemberKey{use.key.coupon.tenant, use.key.coupon.program, *use.person}));
  }
  out.set_state(static_cast<v1::CouponUse::State>(use.state));
  out.mutable_order()->set_currency(use.currency);
  out.mutable_order()->set_amount_minor(use.order_minor);
  out.set_discount_minor(use.discount_minor);
  out.set_source(use.source);
  out.set_external_id(use.external_id);
  clm::ToProto(use.create_time, out.mutable_create_time());
  if (use.expire_time < absl::InfiniteFuture()) {
    clm::ToProto(use.expire_time, out.mutable_expire_time());
  }
  if (use.redeem_time) clm::ToProto(*use.redeem_time, out.mutable_redeem_time());
  if (use.end_time) clm::ToProto(*use.end_time, out.mutable_end_time());
  return out;
}

CodeFormat FromProto(const v1::CodeFormat& format) {
  CodeFormat out;
  out.prefix = format.prefix();
  if (format.random_characters() != 0) out.random_characters = format.random_characters();
  return out;
}

CouponOrder FromProto(const v1::CouponOrder& order) {
  CouponOrder out;
  out.currency = order.currency();
  out.amount_minor = order.amount_minor();
  for (const v1::CouponOrderLine& line : order.lines()) {
    out.lines.push_back({line.sku(), line.quantity(), line.unit_price_minor()});
  }
  return out;
}

}  // namespace clm::loyalty
