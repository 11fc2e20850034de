// What this process knows of the newest offsets of a journal, and who waits for newer ones.
#ifndef CLM_LIBS_JOURNAL_HEADS_H_
#define CLM_LIBS_JOURNAL_HEADS_H_

#include <array>
#include <bitset>
#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/shard.h"

namespace clm::journal {

using ShardSet = std::bitset<kShards>;

// (shard, offset) pairs.
using Offsets = std::vector<std::pair<int, int64_t>>;

// The form in which offsets travel in a doorbell message: "3=17,60=2". Parse skips what it does not
// understand: a doorbell is a hint.
std::string FormatOffsets(const Offsets& offsets);
Offsets ParseOffsets(absl::string_view text);

// Thread-safe. Heads only ever grow; a lost update costs a poll interval, never an event.
class Heads {
 public:
  // Raises the known heads and wakes whoever waited for them, on the calling thread.
  void Raise(const Offsets& offsets);
  int64_t Get(int shard) const;

  // Calls `wake` once: at once if a head is beyond its position already, else when one is. Returns
  // an id for Cancel, 0 when it has been called already.
  int64_t Wait(Offsets positions, absl::AnyInvocable<void()> wake);
  // True if `wake` has not been called and never will be.
  bool Cancel(int64_t id);
  bool HasWaiters() const;

 private:
  struct Waiter {
    int64_t id;
    Offsets positions;
    absl::AnyInvocable<void()> wake;
  };
  bool Beyond(const Offsets& positions) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::array<int64_t, kShards> heads_ ABSL_GUARDED_BY(mu_) = {};
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
  int64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_HEADS_H_
