// Who is told what a transaction has changed of members and programmes, once it has committed.
#ifndef CLM_SERVICES_LOYALTY_MEMBERSHIP_OBSERVER_H_
#define CLM_SERVICES_LOYALTY_MEMBERSHIP_OBSERVER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/journal/heads.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

struct CommittedMembers {
  // Whose memberships may be others now: those of them whose shard is in `heads`.
  std::vector<EntityKey> contacts;
  // Whose memberships are another contact's from now on.
  std::vector<EntityKey> merged;
  struct ProgramVersion {
    ProgramKey program;
    int64_t version = 0;
  };
  std::vector<ProgramVersion> programs;
  journal::Offsets heads;
};

// Thread-safe.
class MembershipObserver {
 public:
  virtual ~MembershipObserver() = default;
  // Before the callers have their answers. Not OK when somebody could not be told, who is then told
  // again from the journal.
  virtual absl::Status MembersCommitted(const CommittedMembers& committed) = 0;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MEMBERSHIP_OBSERVER_H_
