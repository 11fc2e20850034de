// The versions of programmes that this process knows, so that it can tell whether what is cached of
// a member was told by the terms of today. A change made through this process is known to it at
// once, one made through another within kKnownFor and a moment.
#ifndef CLM_SERVICES_LOYALTY_KNOWN_PROGRAMS_H_
#define CLM_SERVICES_LOYALTY_KNOWN_PROGRAMS_H_

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

// Thread-safe; no call waits for anything but other calls.
class KnownPrograms {
 public:
  // How long a version is taken for the newest without looking.
  static constexpr absl::Duration kKnownFor = absl::Seconds(5);

  // Absent when somebody has to look: nothing is known, or what is known is too old. Of those who
  // come at once to one that is too old only the first is told so.
  std::optional<int64_t> Recall(const ProgramKey& program, absl::Time now);
  // It was read in the database, by a read that began at `read_time`.
  void Confirm(const ProgramKey& program, int64_t version, absl::Time read_time);
  // It was heard of, so that no older one is the newest; there may be newer ones.
  void Heard(const ProgramKey& program, int64_t version);

 private:
  struct Known {
    int64_t version = 0;
    absl::Time check_time = absl::InfinitePast();
  };

  absl::Mutex mu_;
  absl::flat_hash_map<ProgramKey, Known> known_ ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_KNOWN_PROGRAMS_H_
