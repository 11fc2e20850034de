// A request as the velocity limits of its programme count it.
#ifndef CLM_SERVICES_LOYALTY_VELOCITY_USE_H_
#define CLM_SERVICES_LOYALTY_VELOCITY_USE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/identifier_hash.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {

struct VelocityUse {
  VelocityOperation operation = VelocityOperation::kEarn;
  int64_t points = 0;
  std::vector<HashedIdentifier> identifiers;
};

// INVALID_ARGUMENT on the request's identifiers.
template <class Req>
absl::StatusOr<VelocityUse> VelocityUseOf(const std::string& secret, const MemberKey& member,
                                          VelocityOperation operation, const Req& request) {
  CLM_ASSIGN_OR_RETURN(
      std::vector<HashedIdentifier> identifiers,
      HashIdentifiers(secret, {member.tenant, member.program}, request.identifiers()));
  return VelocityUse{operation, request.amount(), std::move(identifiers)};
}

// Those of the identifiers.
void AddShards(const MemberKey& member, const VelocityUse& use, journal::ShardSet& shards);

void NeedVelocity(LoyaltyWork& work, const MemberKey& member, const VelocityUse& use);

// Whether CountVelocity would pass.
absl::Status CheckVelocity(const LoyaltyWork& work, const Program& program, const MemberKey& member,
                           const VelocityUse& use, absl::Time now);

// Counts the request for the member and for each identifier. FAILED_PRECONDITION, reason
// VELOCITY_LIMIT, when one of the limits is reached; then nothing has counted.
absl::Status CountVelocity(LoyaltyWork& work, const Program& program, const MemberKey& member,
                           const VelocityUse& use, absl::Time now);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_VELOCITY_USE_H_
