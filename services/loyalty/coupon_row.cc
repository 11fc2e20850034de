#include "services/loyalty/coupon_row.h"

#include <string>
#include <utility>

#include "libs/base/status_macros.h"
#include "services/loyalty/coupon_proto.h"

namespace clm::loyalty {

absl::StatusOr<StoredCoupon> ReadCoupon(const pg::Row& row, int column) {
  StoredCoupon coupon;
  int at = column;
  coupon.key.tenant = std::string(row.Text(at++));
  coupon.key.program = std::string(row.Text(at++));
  coupon.key.id = row.Uuid(at++);
  coupon.code = std::string(row.Text(at++));
  coupon.shown_code = std::string(row.Text(at++));
  coupon.batch = std::string(row.Text(at++));
  coupon.budget = std::string(row.Text(at++));
  coupon.contact = row.OptUuid(at++);
  const auto person = row.OptUuid(at++);
  coupon.member_erased = row.Bool(at++);
  CLM_RETURN_IF_ERROR(ReadBody(row.Bytes(at++), coupon));
  if (person) coupon.terms.member = person->ToString();
  coupon.used = row.Int(at++);
  coupon.reserved = row.Int(at++);
  coupon.value_minor = row.Int(at++);
  coupon.create_time = row.Time(at++);
  coupon.update_time = row.Time(at++);
  coupon.version = row.Int(at);
  return coupon;
}

absl::StatusOr<StoredCouponBudget> ReadCouponBudget(const pg::Row& row, int column) {
  StoredCouponBudget budget;
  int at = column;
  budget.key.tenant = std::string(row.Text(at++));
  budget.key.program = std::string(row.Text(at++));
  budget.key.id = std::string(row.Text(at++));
  CLM_RETURN_IF_ERROR(ReadBody(row.Bytes(at++), budget));
  budget.budget.uses = row.Int(at++);
  budget.budget.value_minor = row.Int(at++);
  budget.create_time = row.Time(at++);
  budget.update_time = row.Time(at++);
  budget.version = row.Int(at);
  return budget;
}

CouponUse ReadCouponUse(const pg::Row& row, int column, absl::Time as_of) {
  CouponUse use;
  int at = column;
  use.key.coupon.tenant = std::string(row.Text(at++));
  use.key.coupon.program = std::string(row.Text(at++));
  use.key.coupon.id = row.Uuid(at++);
  use.key.id = row.Uuid(at++);
  use.contact = row.OptUuid(at++);
  use.person = row.OptUuid(at++);
  use.state = static_cast<CouponUseState>(row.Int(at++));
  use.currency = std::string(row.Text(at++));
  use.order_minor = row.Int(at++);
  use.discount_minor = row.Int(at++);
  use.value_minor = row.Int(at++);
  use.budget = std::string(row.Text(at++));
  use.budget_counted = row.Bool(at++);
  use.budget_minor = row.Int(at++);
  use.source = std::string(row.Text(at++));
  use.external_id = std::string(row.Text(at++));
  use.create_time = row.Time(at++);
  use.expire_time = row.Time(at++);
  use.redeem_time = row.OptTime(at++);
  use.end_time = row.OptTime(at++);
  use.version = row.Int(at);
  if (use.state == CouponUseState::kReserved && use.expire_time <= as_of) {
    use.state = CouponUseState::kTimedOut;
    use.end_time = use.expire_time;
  }
  if (use.state == CouponUseState::kTimedOut) use.budget_counted = false;
  return use;
}

}  // namespace clm::loyalty
