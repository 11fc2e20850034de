#include "libs/journal/told_offsets.h"

#include <algorithm>

namespace clm::journal {

void ToldOffsets::Add(const std::vector<Growth>& grown) {
  absl::MutexLock lock(&mu_);
  for (const Growth& growth : grown) {
    Run& run = runs_[growth.shard];
    if (growth.before == run.last) {
      run.last = growth.last;
    } else if (growth.last == run.before) {
      // The next transaction was faster in being heard.
      run.before = growth.before;
    } else if (growth.last > run.last) {
      // Somebody else's, or something unheard, lies in between.
      run = {growth.before, growth.last};
    }
  }
}

int64_t ToldOffsets::Beyond(int shard, int64_t off) const {
  absl::MutexLock lock(&mu_);
  const Run& run = runs_[shard];
  return off >= run.before ? std::max(off, run.last) : off;
}

}  // namespace clm::journal
