// Between the wire, the rows and the rules: corrections that two persons decide about.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTMENT_PROTO_H_
#define CLM_SERVICES_LOYALTY_ADJUSTMENT_PROTO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/adjustment.pb.h"
#include "libs/pg/pg.h"
#include "services/loyalty/adjustments.h"

// The columns of ReadAdjustment, of an adjustment `d` with its details.
#define CLM_ADJUSTMENT_COLUMNS                                                            \
  "d.tenant_id, d.program_id, d.id, d.contact_id, d.member_erased, a.merged_into, "       \
  "d.wallet_id, d.amount, d.expiry, d.reason, d.state, d.proposed_by, d.propose_time, "   \
  "d.lapse_time, d.decided_by, d.decide_time, d.reject_reason, d.posted_for, d.posting, " \
  "d.version"
#define CLM_ADJUSTMENT_DETAILS \
  "LEFT JOIN contact_alias a ON a.tenant_id = d.tenant_id AND a.contact_id = d.contact_id"

namespace clm::loyalty {

absl::StatusOr<AdjustmentKey> ParseAdjustmentName(absl::string_view field, absl::string_view name);
std::string NameOf(const AdjustmentKey& key);

// As it is by `now`.
v1::Adjustment ToProto(const Adjustment& adjustment, absl::Time now);

// The first column is at `column`.
Adjustment ReadAdjustment(const pg::Row& row, int column);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTMENT_PROTO_H_
