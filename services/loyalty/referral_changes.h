// What happens to referrals within the unit of work: by what friends do, by time, by merges and
// erasures.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_CHANGES_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_CHANGES_H_

#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/event_earning.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/referral_keys.h"

namespace clm::loyalty {

// Saves a referral, with its next version, and tells of it. Under the friend's shard.
void SaveReferral(LoyaltyWork& work, journal::Recorder& recorder, StoredReferral referral);

// A friend's event in a programme, which was needed by LoyaltyWork::NeedEvent.
absl::Status ApplyToReferrals(LoyaltyWork& work, journal::Recorder& recorder,
                              const Program& program, const CustomerEvent& event);

// Before Load: what the two below change of a referral that was read as `known`.
void NeedReferralSides(LoyaltyWork& work, const StoredReferral& known);
// Does what is due of it, for both sides or neither. Nothing when it has changed since it was read
// as `known`. Moved when one of the two was merged, and the merge has yet to be done. Under the
// shards of both.
absl::Status SettleReferral(LoyaltyWork& work, journal::Recorder& recorder,
                            const StoredReferral& known);
// Ends it by hand; what was given is taken back. FAILED_PRECONDITION, reason REFERRAL_ENDED.
absl::Status CancelReferral(LoyaltyWork& work, journal::Recorder& recorder,
                            const StoredReferral& known);

// Under both shards; both contacts were needed.
void MergeReferrals(LoyaltyWork& work, journal::Recorder& recorder, const EntityKey& merged,
                    const EntityKey& survivor);
// The contact was needed.
void ForgetReferrals(LoyaltyWork& work, journal::Recorder& recorder, const EntityKey& contact);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_CHANGES_H_
