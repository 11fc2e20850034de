#include "services/loyalty/coupon_mutation.h"

#include "absl/strings/str_cat.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {

int ShardOfCoupon(const CouponKey& key) { return ShardOf(key.tenant, key.id); }

int ShardOfBudget(const CouponBudgetKey& key) {
  return ShardOf(key.tenant, absl::string_view(NameOf(key)));
}

int ShardOfCodes(const ProgramKey& key) {
  return ShardOf(key.tenant, absl::string_view(absl::StrCat(NameOf(key), "/coupons")));
}

int ShardOfExternal(const CouponExternalKey& key) {
  return ShardOf(key.tenant, absl::string_view(absl::StrCat(
                                 NameOf(ProgramKey{key.tenant, key.program}), "/couponKeys/",
                                 static_cast<int>(key.kind), "/", key.source.size(), "/",
                                 key.source, "/", key.external_id)));
}

absl::Status CheckPerson(const CouponWork& work, const MemberKey& member) {
  const CouponPerson& person = work.Person(member);
  if (person.merged_into) return Moved(*person.merged_into);
  if (!person.member) return error::NotFound(NameOf(member));
  if (person.erased) return error::Precondition("MEMBER_ERASED", "member: the person was erased");
  return absl::OkStatus();
}

absl::StatusOr<int64_t> DiscountFor(const CouponWork& work, const StoredCoupon& coupon,
                                    const std::optional<Uuid>& person, CouponOrder order,
                                    CouponAct act, absl::Time at, const CouponUse* instead) {
  if (coupon.member_erased) {
    return error::Precondition("COUPON_MEMBER_ERASED",
                               "the coupon belonged to somebody who was erased");
  }
  CouponCounters counters{
      .used = coupon.used, .reserved = coupon.reserved, .value_minor = coupon.value_minor};
  if (person) {
    const CouponWork::Counts& counts = work.CountsOf(coupon.key, *person);
    counters.used_by_member = counts.used;
    counters.reserved_by_member = counts.reserved;
    order.member = counts.person.ToString();
  }
  std::optional<CouponBudget> budget;
  if (!coupon.budget.empty()) {
    budget = work.FindBudget({coupon.key.tenant, coupon.key.program, coupon.budget})->budget;
  }
  if (instead != nullptr) {
    --counters.reserved;
    counters.value_minor -= instead->value_minor;
    if (person) --counters.reserved_by_member;
    if (instead->budget_counted) {
      --budget->uses;
      budget->value_minor -= instead->budget_minor;
    }
  }
  return DiscountOf(coupon.terms, counters, budget, order, act, at);
}

void Charge(const CouponWork& work, const StoredCoupon& coupon, const CouponOrder& order,
            int64_t discount, CouponUse& use) {
  use.currency = order.currency;
  use.order_minor = order.amount_minor;
  use.discount_minor = discount;
  // Without a currency there is no sum of several.
  use.value_minor = coupon.terms.currency.empty() ? 0 : discount;
  use.budget = coupon.budget;
  use.budget_counted = !coupon.budget.empty();
  use.budget_minor = 0;
  if (!use.budget_counted) return;
  const CouponBudget& budget =
      work.FindBudget({coupon.key.tenant, coupon.key.program, coupon.budget})->budget;
  if (budget.currency == order.currency) use.budget_minor = discount;
}

}  // namespace clm::loyalty
