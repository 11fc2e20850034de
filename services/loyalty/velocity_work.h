// What velocity limits have counted, as part of the unit of work. A member's counts change under
// the member's shard, those of an identifier under ShardOfIdentifier.
#ifndef CLM_SERVICES_LOYALTY_VELOCITY_WORK_H_
#define CLM_SERVICES_LOYALTY_VELOCITY_WORK_H_

#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/program.h"
#include "services/loyalty/velocity.h"

namespace clm::loyalty {

// Whom a limit counts: a contact, or the hash of an identifier.
struct VelocityKey {
  ProgramKey program;
  VelocitySubject subject = VelocitySubject::kMember;
  Uuid id;
  friend auto operator<=>(const VelocityKey&, const VelocityKey&) = default;
  friend bool operator==(const VelocityKey&, const VelocityKey&) = default;
};

// Thread-compatible.
class VelocityWork {
 public:
  void Need(const VelocityKey& key) { subjects_.try_emplace(key); }
  // What has been needed since it was called last, of programmes that have limits.
  absl::Status Load(pg::Tx& tx, absl::FunctionRef<const Program*(const ProgramKey&)> find);

  // Whether the subject may, as of now, do what all limits on it are about. As CountRequest.
  // INTERNAL for who was not needed.
  absl::Status Check(const Program& program, const VelocityKey& key, VelocityOperation operation,
                     int64_t points, absl::Time now) const;
  // Counts what Check has passed.
  absl::Status Count(const Program& program, const VelocityKey& key, VelocityOperation operation,
                     int64_t points, absl::Time now);

  void Keep() { undo_.clear(); }
  void Discard();
  absl::Status Flush(pg::Tx& tx);

 private:
  struct Slot {
    bool loaded = false;
    bool dirty = false;
    std::map<std::string, VelocityCount> counts;  // By limit.
  };
  std::map<VelocityKey, Slot> subjects_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> VelocityWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_VELOCITY_WORK_H_
