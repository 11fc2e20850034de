// What of a journal needs no telling any more, because the process that committed it was heard when
// it told the caches right after the commit.
#ifndef CLM_LIBS_JOURNAL_TOLD_OFFSETS_H_
#define CLM_LIBS_JOURNAL_TOLD_OFFSETS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/shard.h"

namespace clm::journal {

// What one transaction added to a shard: the offsets from before + 1 to last.
struct Growth {
  int shard = 0;
  int64_t before = 0;
  int64_t last = 0;
};

// Of this process. Remembers the newest unbroken run of offsets per shard and no more: what it
// forgets is told twice, which is harmless. Thread-safe.
class ToldOffsets {
 public:
  void Add(const std::vector<Growth>& grown);
  // The end of the run that the offset after `off` belongs to; `off` when that one is not known to
  // have been told.
  int64_t Beyond(int shard, int64_t off) const;

 private:
  struct Run {
    int64_t before = 0;
    int64_t last = 0;
  };
  mutable absl::Mutex mu_;
  std::array<Run, kShards> runs_ ABSL_GUARDED_BY(mu_) = {};
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_TOLD_OFFSETS_H_
