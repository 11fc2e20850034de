// What becomes of coupons when the person behind a contact is erased: nothing tells any more whose
// they were, nor that they have guessed codes. A merge needs nothing: whose a coupon is, and what
// counts for whom, is read by the contact that a contact has become.
#ifndef CLM_SERVICES_LOYALTY_COUPON_PEOPLE_H_
#define CLM_SERVICES_LOYALTY_COUPON_PEOPLE_H_

#include <vector>

#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"

namespace clm::loyalty {

// Of the contact and of all that were merged into it. The transaction holds the contact's shard,
// and writes for the suite or the tenant; the rows of coupons may be under other shards.
// Idempotent.
absl::Status ForgetInCoupons(pg::Tx& tx, const EntityKey& contact);

std::vector<const pg::Statement*> CouponPeopleStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_PEOPLE_H_
