// How coupons, budgets and uses are read from their rows, as of an instant: reservations whose time
// is over by then do not count, though the rows may count them still.
#ifndef CLM_SERVICES_LOYALTY_COUPON_ROW_H_
#define CLM_SERVICES_LOYALTY_COUPON_ROW_H_

#include "absl/status/statusor.h"
#include "libs/pg/pg.h"
#include "services/loyalty/coupon_work.h"

// The columns of ReadCoupon, of a coupon `c` with its details as of `instant`, a parameter.
#define CLM_COUPON_COLUMNS                                                                 \
  "c.tenant_id, c.program_id, c.id, c.code, c.shown_code, c.batch, c.budget_id, "          \
  "c.contact_id, coalesce(a.merged_into, c.contact_id), c.member_erased, c.body, c.used, " \
  "c.reserved - d.uses, c.value_minor - d.value_minor, c.create_time, c.update_time, "     \
  "c.version"
#define CLM_COUPON_DETAILS(instant)                                                         \
  "LEFT JOIN contact_alias a ON a.tenant_id = c.tenant_id AND a.contact_id = c.contact_id " \
  "CROSS JOIN LATERAL (SELECT count(*) AS uses, "                                           \
  "coalesce(sum(u.value_minor), 0)::bigint AS value_minor FROM coupon_use u "               \
  "WHERE u.coupon_id = c.id AND u.tenant_id = c.tenant_id AND u.state = 1 "                 \
  "AND u.expire_time <= " instant "::timestamptz) d"

// The columns of ReadCouponBudget, of a budget `b` with its details as of `instant`.
#define CLM_COUPON_BUDGET_COLUMNS                              \
  "b.tenant_id, b.program_id, b.id, b.body, b.uses - d.uses, " \
  "b.value_minor - d.value_minor, b.create_time, b.update_time, b.version"
#define CLM_COUPON_BUDGET_DETAILS(instant)                                                  \
  "CROSS JOIN LATERAL (SELECT count(*) AS uses, "                                           \
  "coalesce(sum(u.budget_minor), 0)::bigint AS value_minor FROM coupon_use u "              \
  "WHERE u.budget_id = b.id AND u.program_id = b.program_id AND u.tenant_id = b.tenant_id " \
  "AND u.budget_counted AND u.state IN (1, 3) AND u.expire_time <= " instant "::timestamptz) d"

// The columns of ReadCouponUse, of a use `u` with its details.
#define CLM_COUPON_USE_COLUMNS                                                         \
  "u.tenant_id, u.program_id, u.coupon_id, u.id, u.contact_id, "                       \
  "coalesce(a.merged_into, u.contact_id), u.state, u.currency, u.order_minor, "        \
  "u.discount_minor, u.value_minor, u.budget_id, u.budget_counted, u.budget_minor, "   \
  "u.source, u.external_id, u.create_time, u.expire_time, u.redeem_time, u.end_time, " \
  "u.version"
#define CLM_COUPON_USE_DETAILS \
  "LEFT JOIN contact_alias a ON a.tenant_id = u.tenant_id AND a.contact_id = u.contact_id"

namespace clm::loyalty {

// The first column is at `column`. INTERNAL for a row that no version of this program wrote.
absl::StatusOr<StoredCoupon> ReadCoupon(const pg::Row& row, int column);
absl::StatusOr<StoredCouponBudget> ReadCouponBudget(const pg::Row& row, int column);
// A reservation whose time is over at `as_of` has timed out.
CouponUse ReadCouponUse(const pg::Row& row, int column, absl::Time as_of);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_ROW_H_
