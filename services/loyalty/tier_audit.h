// Computes what counts for the tiers of members again, from what happened, and says where it
// differs from what is kept.
#ifndef CLM_SERVICES_LOYALTY_TIER_AUDIT_H_
#define CLM_SERVICES_LOYALTY_TIER_AUDIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/base/clock.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/program.h"
#include "services/loyalty/rule_work.h"

namespace clm::loyalty {

// Something that counts for a tier, or, below 0, counts no more.
struct Counted {
  absl::Time at;
  int64_t value = 0;
};

// One finding per local day on which what is kept is not what was counted. Pure.
std::vector<std::string> AuditBasis(const TierBasisSums& kept, absl::Span<const Counted> counted,
                                    const absl::TimeZone& zone);

// Of one member, who is neither merged nor erased, in the snapshot of `tx`: what counts, and
// whether they are in the tier that follows from it. `merged` are those who were merged into them;
// `program` has tiers. While the programme's members are being looked at after a change of its
// tiers (`sweeping`), only what counts.
absl::StatusOr<std::vector<std::string>> AuditTier(pg::Tx& tx, const Clock& clock,
                                                   const Program& program, const MemberKey& key,
                                                   const std::vector<Uuid>& merged, bool sweeping);

std::vector<const pg::Statement*> TierAuditStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_TIER_AUDIT_H_
