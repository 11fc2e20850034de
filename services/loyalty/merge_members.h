// Members whose contacts were merged: all that the one had becomes the other's.
#ifndef CLM_SERVICES_LOYALTY_MERGE_MEMBERS_H_
#define CLM_SERVICES_LOYALTY_MERGE_MEMBERS_H_

#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {

// Under the shards of both, after NeedMerge. Somebody who is a member once of the two stays one;
// what was due before has happened. Does nothing the second time.
absl::Status MergeMembers(LoyaltyWork& work, journal::Recorder& recorder, const EntityKey& merged,
                          const EntityKey& survivor);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MERGE_MEMBERS_H_
