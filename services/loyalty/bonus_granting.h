// How a bonus run changes: each step of it decided under the lock of what it touches.
#ifndef CLM_SERVICES_LOYALTY_BONUS_GRANTING_H_
#define CLM_SERVICES_LOYALTY_BONUS_GRANTING_H_

#include "absl/status/status.h"
#include "clm/loyalty/v1/bonus.pb.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/bonuses.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {

// The shard of a run.
int ShardOfRun(const BonusRunKey& key);

// Saves the run and tells of it.
v1::BonusRun KeepBonusRun(LoyaltyWork& work, journal::Recorder& recorder, BonusRun run);

// Somebody who was picked, and who they are by now.
struct BonusGrant {
  Uuid picked;
  Uuid payee;
};
void NeedBonusGrant(LoyaltyWork& work, const BonusRun& run, const BonusGrant& grant);
// Gives the bonus to the payee, unless the run was stopped, or that person has got it. Not OK: it
// cannot be given; Moved.
absl::Status GrantBonus(LoyaltyWork& work, journal::Recorder& recorder, const BonusRun& run,
                        const BonusGrant& grant);
// It never can be, for `why`.
void RefuseBonus(LoyaltyWork& work, const BonusRun& run, const BonusGrant& grant,
                 const absl::Status& why);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_GRANTING_H_
