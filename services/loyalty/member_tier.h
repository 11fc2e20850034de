// The tier of a member during a mutation: what counts for it, and what becomes of it.
#ifndef CLM_SERVICES_LOYALTY_MEMBER_TIER_H_
#define CLM_SERVICES_LOYALTY_MEMBER_TIER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/loyalty.pb.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {

// Lets count for the member's tier what happened at `at`; taken back with a value below 0. The
// member is one; UpdateTier has to follow.
void CountForTier(LoyaltyWork& work, const Program& program, const MemberKey& key, absl::Time at,
                  int64_t value);

// The same for what no posting tells of, money and events, and records it; a value of 0 is none.
// The tier is updated, also by what else has counted in this mutation.
absl::Status ProgressTier(LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                          const MemberKey& key, absl::Time at, int64_t value);

// Lets everything happen that is due of the member's tier: climbs, drops, warnings; records them,
// and gives points for tiers that are entered. Nothing for who is no member, or in no programme
// with tiers.
absl::Status UpdateTier(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& key,
                        absl::Time now);

// What happens first when the tier is looked at at `now`, by what is kept of the member. `program`
// has tiers.
absl::StatusOr<TierChange> NextTierChange(const Program& program, const Member& member,
                                          const TierBasisSums& sums, int64_t active,
                                          absl::Time now);

// The tier that the member is in, by the programme's rules or by hand; empty: none. Nothing of it
// is due.
std::string TierOf(const ProgramTiers& tiers, const TierState& state);

// How a member stands once everything due by `now` has happened. `active`: the settled active
// points of the tiers' wallet. `program` has tiers.
absl::StatusOr<v1::TierStanding> StandingOf(const LoyaltyWork& work, const Program& program,
                                            const MemberKey& key, int64_t active, absl::Time now);

// What counted for one member's tier counts for the other's, and of two tiers given by hand the
// higher one stays. Both are members.
absl::Status MoveTier(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& from,
                      const MemberKey& into);

// Gives a member a tier until then, or takes away what was given by hand, for an empty one.
// INVALID_ARGUMENT on `tier` when the programme, which has tiers, has not that one.
absl::StatusOr<v1::TierStanding> SetTierByHand(LoyaltyWork& work, journal::Recorder& recorder,
                                               const Program& program, const MemberKey& key,
                                               const std::string& tier,
                                               std::optional<absl::Time> until);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MEMBER_TIER_H_
