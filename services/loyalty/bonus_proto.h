// Between the wire, the rows and the rules: bonus runs.
#ifndef CLM_SERVICES_LOYALTY_BONUS_PROTO_H_
#define CLM_SERVICES_LOYALTY_BONUS_PROTO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/bonus.pb.h"
#include "libs/pg/pg.h"
#include "services/loyalty/bonuses.h"

// The columns of ReadBonusRun, of a run `b`, and of ReadBonusMember, of a member `b`.
#define CLM_BONUS_RUN_COLUMNS                                                                 \
  "b.tenant_id, b.program_id, b.id, b.body, b.state, b.as_of, b.created_by, b.members, "      \
  "b.eligible, b.qualified, b.granted, b.merged, b.refused, b.place_contact, b.place_spend, " \
  "b.place_count, b.place_rank, b.create_time, b.end_time, b.version"
#define CLM_BONUS_MEMBER_COLUMNS                                                         \
  "b.contact_id, b.state, b.tier, b.spend_minor, b.purchases, b.last_purchase, b.rank, " \
  "b.posted_for, b.posting, b.refusal"

namespace clm::loyalty {

absl::StatusOr<BonusRunKey> ParseBonusRunName(absl::string_view field, absl::string_view name);
std::string NameOf(const BonusRunKey& key);

// What a caller sets.
BonusRun BonusRunFromProto(const v1::BonusRun& wire);
v1::BonusRun ToProto(const BonusRun& run);
// `zone` is the programme's.
v1::BonusRunMember ToProto(const BonusRun& run, const BonusMember& member,
                           const absl::TimeZone& zone);

// What was asked for, serialized.
std::string BodyOf(const BonusRun& run);
// INTERNAL for a row that no version of this program wrote.
absl::StatusOr<BonusRun> ReadBonusRun(const pg::Row& row, int column);
BonusMember ReadBonusMember(const pg::Row& row, int column);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_PROTO_H_
