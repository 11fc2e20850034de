// Programmes whose tiers were changed, until all their members have been looked at by the new ones.
#ifndef CLM_SERVICES_LOYALTY_TIER_SWEEP_H_
#define CLM_SERVICES_LOYALTY_TIER_SWEEP_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

struct TierSweep {
  ProgramKey program;
  int64_t version = 0;  // Of the programme.
  // Who comes next, by contact id; neither merged nor erased ones.
  std::vector<MemberKey> members;
  bool last = false;  // Nobody comes after them.
};

struct TierSweepStep {
  enum class Kind { kStart, kAdvance };
  ProgramKey program;
  int64_t version = 0;
  Kind kind = Kind::kStart;
  std::optional<Uuid> after;  // kAdvance: the last who has been looked at. Absent: all have.
};

// In their order. A step forward does nothing in a sweep that was started anew since.
absl::Status SaveTierSweeps(pg::Tx& tx, const std::vector<TierSweepStep>& steps);

// One of those under way, with up to `limit` members; nullopt: there is none.
absl::StatusOr<std::optional<TierSweep>> NextTierSweep(pg::Tx& tx, int limit);
// Whether that programme's is under way.
absl::StatusOr<bool> IsSweeping(pg::Tx& tx, const ProgramKey& program);

std::vector<const pg::Statement*> TierSweepStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_TIER_SWEEP_H_
