#include "libs/cache/near_watch.h"

#include <array>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/shard.h"

namespace clm::cache {

struct NearWatch::State {
  journal::Heads* heads;
  const journal::ToldOffsets* told;
  std::function<void(int shard)> changed;
  absl::Mutex mu;
  bool ended ABSL_GUARDED_BY(mu) = false;
  std::array<int64_t, kShards> seen ABSL_GUARDED_BY(mu) = {};
};

NearWatch::NearWatch(journal::Heads* heads, const journal::ToldOffsets* told,
                     std::function<void(int shard)> changed)
    : state_(std::make_shared<State>()) {
  state_->heads = heads;
  state_->told = told;
  state_->changed = std::move(changed);
  Look(state_);
}

NearWatch::~NearWatch() {
  absl::MutexLock lock(&state_->mu);
  state_->ended = true;
}

void NearWatch::Look(const std::shared_ptr<State>& state) {
  journal::Offsets positions;
  {
    absl::MutexLock lock(&state->mu);
    if (state->ended) return;
    for (int shard = 0; shard < kShards; ++shard) {
      const int64_t head = state->heads->Get(shard);
      int64_t& seen = state->seen[shard];
      if (head > seen) {
        const bool ours = state->told != nullptr && state->told->Beyond(shard, seen) >= head;
        if (!ours) state->changed(shard);
        seen = head;
      }
      positions.emplace_back(shard, seen);
    }
  }
  // The heads keep what waits for them; once the watch has ended, it does nothing.
  state->heads->Wait(std::move(positions), [state] { Look(state); });
}

}  // namespace clm::cache
