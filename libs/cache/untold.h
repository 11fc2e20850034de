// What a process told the store without being heard. Until everybody knows, the process itself at
// least does not take an entry from before its own change for the truth.
#ifndef CLM_LIBS_CACHE_UNTOLD_H_
#define CLM_LIBS_CACHE_UNTOLD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/cache/entry.h"

namespace clm::cache {

// Thread-safe. Holds nothing longer than entries live, and of at most `most` slots: of more it only
// remembers when the last was added, and hides whatever may be older than that.
class Untold {
 public:
  // `longest_ttl`: no entry that is stored now ends later than that from now.
  Untold(absl::Duration longest_ttl, size_t most) : longest_ttl_(longest_ttl), most_(most) {}

  // A change of `slot` to `version` was not heard.
  void Add(const Slot& slot, int64_t version, absl::Time now);
  // A change of `slot` to `version` was heard.
  void Settle(const Slot& slot, int64_t version);
  // True when `entry`, found in `slot`, may be older than a change that was added.
  bool Hides(const Slot& slot, const Entry& entry, absl::Time now);

 private:
  using Place = std::pair<std::string, std::string>;  // Key and field.
  struct Change {
    int64_t version = 0;
    absl::Time added;
  };

  void Forget(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const absl::Duration longest_ttl_;
  const size_t most_;
  // So that who has been heard all along takes no lock.
  std::atomic<bool> any_{false};
  absl::Mutex mu_;
  absl::flat_hash_map<Place, Change> changes_ ABSL_GUARDED_BY(mu_);
  // In the order in which they were added; also such as were settled or added again since.
  std::deque<std::pair<absl::Time, Place>> order_ ABSL_GUARDED_BY(mu_);
  // Entries that end before this are hidden, whatever slot they are in.
  absl::Time hide_until_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_UNTOLD_H_
