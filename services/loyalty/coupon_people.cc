#include "services/loyalty/coupon_people.h"

#include "libs/base/status_macros.h"
#include "services/loyalty/coupon_guesses.h"

namespace clm::loyalty {
namespace {

// A coupon that was for somebody does not become one for everybody.
constexpr pg::Statement kForgetCoupons{"coupon.forget_coupons", R"sql(
  UPDATE coupon SET (contact_id, member_erased) = (NULL, true)
  WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid || ARRAY(
    SELECT x.contact_id FROM contact_alias x
    WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid)))sql"};

constexpr pg::Statement kForgetUses{"coupon.forget_uses", R"sql(
  UPDATE coupon_use SET contact_id = NULL
  WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid || ARRAY(
    SELECT x.contact_id FROM contact_alias x
    WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid)))sql"};

}  // namespace

absl::Status ForgetInCoupons(pg::Tx& tx, const EntityKey& contact) {
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id);
  CLM_RETURN_IF_ERROR(tx.Exec(kForgetCoupons, args).status());
  CLM_RETURN_IF_ERROR(tx.Exec(kForgetUses, args).status());
  return ForgetGuesses(tx, contact);
}

std::vector<const pg::Statement*> CouponPeopleStatements() {
  return {&kForgetCoupons, &kForgetUses};
}

}  // namespace clm::loyalty
