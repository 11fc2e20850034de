// Drops from the near cache what other processes have made old, as their doorbells tell. Best
// effort: a lost ring leaves an answer until it is too old for its callers.
#ifndef CLM_LIBS_CACHE_NEAR_WATCH_H_
#define CLM_LIBS_CACHE_NEAR_WATCH_H_

#include <functional>
#include <memory>

#include "libs/journal/heads.h"
#include "libs/journal/told_offsets.h"

namespace clm::cache {

// Thread-safe.
class NearWatch {
 public:
  // Calls `changed` for each shard whose head grows by more than this process has committed and
  // told, on the thread that raises the head; from now on, and no more once the watch is gone.
  // `told` may be null: then each growth counts as somebody else's. Both must outlive the watch and
  // the last raise of the heads.
  NearWatch(journal::Heads* heads, const journal::ToldOffsets* told,
            std::function<void(int shard)> changed);
  ~NearWatch();
  NearWatch(const NearWatch&) = delete;
  NearWatch& operator=(const NearWatch&) = delete;

 private:
  struct State;
  static void Look(const std::shared_ptr<State>& state);
  const std::shared_ptr<State> state_;
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_NEAR_WATCH_H_
