#include "services/loyalty/coupon_mutation.h"

#include <openssl/rand.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/coupon_event.pb.h"
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

absl::StatusOr<std::vector<NewCode>> MakeCodes(const CodeFormat& format, int count) {
  std::vector<NewCode> codes;
  uint8_t random[kMaxCodeRandom];
  for (int i = 0; i < count; ++i) {
    if (RAND_bytes(random, kMaxCodeRandom) != 1) std::abort();
    CLM_ASSIGN_OR_RETURN(std::string shown, MakeCode(format, random));
    CLM_ASSIGN_OR_RETURN(std::string folded, FoldCode("code", shown));
    codes.push_back({std::move(shown), std::move(folded)});
  }
  return codes;
}

v1::Coupon KeepCoupon(CouponWork& work, journal::Recorder& recorder, const StoredCoupon& coupon) {
  work.SaveCoupon(coupon);
  v1::CouponChanged changed;
  *changed.mutable_coupon() = ToProto(coupon);
  changed.mutable_coupon()->clear_code();
  recorder.Record({.shard = ShardOfCoupon(coupon.key),
                   .tenant = coupon.key.tenant,
                   .subject = NameOf(coupon.key),
                   .type = v1::CouponChanged::descriptor()->full_name(),
                   .subject_version = coupon.version,
                   .payload = changed.SerializeAsString()});
  return ToProto(coupon);
}

absl::Status CheckBudgetOf(const CouponWork& work, const StoredCoupon& coupon,
                           const ProgramKey& program) {
  if (coupon.budget.empty()) return absl::OkStatus();
  const CouponBudgetKey key{program.tenant, program.program, coupon.budget};
  const StoredCouponBudget* budget = work.FindBudget(key);
  if (budget == nullptr) return error::NotFound(NameOf(key));
  const std::string& currency = coupon.terms.currency;
  if (budget->budget.value_limit_minor != 0 && !currency.empty() &&
      currency != budget->budget.currency) {
    return error::InvalidField(
        "coupon.currency", absl::StrCat("must be that of the budget, ", budget->budget.currency));
  }
  return absl::OkStatus();
}

}  // namespace clm::loyalty
