// How rewards and their redemptions are read from their rows.
#ifndef CLM_SERVICES_LOYALTY_REWARD_ROW_H_
#define CLM_SERVICES_LOYALTY_REWARD_ROW_H_

#include "absl/status/statusor.h"
#include "libs/pg/pg.h"
#include "services/loyalty/reward_work.h"

// The columns of ReadStoredReward, of a reward `r`.
#define CLM_REWARD_COLUMNS                                                              \
  "r.tenant_id, r.program_id, r.id, r.body, r.redeemed, r.create_time, r.update_time, " \
  "r.version"

// The columns of ReadRedemption, of a redemption `d` with its details.
#define CLM_REDEMPTION_COLUMNS                                                       \
  "d.tenant_id, d.program_id, d.reward_id, d.id, d.contact_id, "                     \
  "coalesce(a.merged_into, d.contact_id), d.state, d.cost, d.wallet_id, d.posting, " \
  "d.coupon_id, d.source, d.external_id, d.create_time, d.cancel_time, d.version"
#define CLM_REDEMPTION_DETAILS \
  "LEFT JOIN contact_alias a ON a.tenant_id = d.tenant_id AND a.contact_id = d.contact_id"

namespace clm::loyalty {

// The first column is at `column`. INTERNAL for a row that no version of this program wrote.
absl::StatusOr<StoredReward> ReadStoredReward(const pg::Row& row, int column);
StoredRedemption ReadRedemption(const pg::Row& row, int column);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARD_ROW_H_
