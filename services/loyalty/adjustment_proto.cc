#include "services/loyalty/adjustment_proto.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {

absl::StatusOr<AdjustmentKey> ParseAdjustmentName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/adjustments/*", name));
  const std::optional<Uuid> id = Uuid::Parse(segments[2]);
  if (!id) return error::InvalidField(field, "adjustments/ must be followed by a UUID");
  return AdjustmentKey{std::move(segments[0]), std::move(segments[1]), *id};
}

std::string NameOf(const AdjustmentKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/adjustments/",
                      key.id.ToString());
}

v1::Adjustment ToProto(const Adjustment& adjustment, absl::Time now) {
  const AdjustmentKey& key = adjustment.key;
  v1::Adjustment out;
  out.set_name(NameOf(key));
  if (adjustment.contact) {
    out.set_member(NameOf(MemberKey{key.tenant, key.program, *adjustment.contact}));
  }
  out.set_wallet(adjustment.wallet);
  out.set_amount(adjustment.amount);
  out.set_reason(adjustment.reason);
  out.set_expiry(adjustment.expiry);
  out.set_state(static_cast<v1::Adjustment::State>(StateOf(adjustment, now)));
  out.set_proposed_by(adjustment.proposed_by);
  clm::ToProto(adjustment.propose_time, out.mutable_propose_time());
  clm::ToProto(adjustment.lapse_time, out.mutable_lapse_time());
  out.set_decided_by(adjustment.decided_by);
  if (adjustment.decide_time) clm::ToProto(*adjustment.decide_time, out.mutable_decide_time());
  out.set_reject_reason(adjustment.reject_reason);
  if (adjustment.posted_for && adjustment.posting) {
    out.set_posting(NameOf(PostingKey{{key.tenant, key.program, *adjustment.posted_for},
                                      adjustment.wallet,
                                      *adjustment.posting}));
  }
  out.set_member_erased(adjustment.erased);
  return out;
}

Adjustment ReadAdjustment(const pg::Row& row, int column) {
  Adjustment adjustment;
  int at = column;
  adjustment.key.tenant = std::string(row.Text(at++));
  adjustment.key.program = std::string(row.Text(at++));
  adjustment.key.id = row.Uuid(at++);
  adjustment.contact = row.OptUuid(at++);
  adjustment.erased = row.Bool(at++);
  adjustment.merged_into = row.OptUuid(at++);
  adjustment.wallet = std::string(row.Text(at++));
  adjustment.amount = row.Int(at++);
  adjustment.expiry = std::string(row.Text(at++));
  adjustment.reason = std::string(row.Text(at++));
  adjustment.state = static_cast<AdjustmentState>(row.Int(at++));
  adjustment.proposed_by = std::string(row.Text(at++));
  adjustment.propose_time = row.Time(at++);
  adjustment.lapse_time = row.Time(at++);
  adjustment.decided_by = std::string(row.Text(at++));
  adjustment.decide_time = row.OptTime(at++);
  adjustment.reject_reason = std::string(row.Text(at++));
  adjustment.posted_for = row.OptUuid(at++);
  adjustment.posting = row.OptInt(at++);
  adjustment.version = row.Int(at);
  return adjustment;
}

}  // namespace clm::loyalty
