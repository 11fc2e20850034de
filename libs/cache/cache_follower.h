// Tells the customer hash again what a service committed, from the service's own journal: whatever
// was lost between a commit and the cache (a crash, a Redis that hung or was away) is repaired
// within the feed's latency once both are there.
#ifndef CLM_LIBS_CACHE_CACHE_FOLLOWER_H_
#define CLM_LIBS_CACHE_CACHE_FOLLOWER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "libs/base/clock.h"
#include "libs/cache/customer_hash.h"
#include "libs/journal/follower.h"
#include "libs/obs/metrics.h"

namespace clm::cache {

// Thread-safe.
class CacheFollower {
 public:
  struct Options {
    std::string service;  // For metrics and logs.
    pg::Pool* pool = nullptr;
    journal::Feed* feed = nullptr;
    journal::Heads* heads = nullptr;
    const journal::ToldOffsets* told = nullptr;  // The lanes'.
    const Clock* clock = nullptr;                // The lanes'.
    CustomerHash* hash = nullptr;
    obs::Metrics* metrics = nullptr;
    // What of the cache the events make old, as tombstones. Their versions must not be beyond what
    // a fill would carry that reads after the events.
    std::function<std::vector<PartChange>(absl::Span<const journal::Placed> events)> changes;
  };
  // Begins at once.
  explicit CacheFollower(Options options);
  // Ends. The parts of the options are alive until then.
  ~CacheFollower() = default;

 private:
  std::unique_ptr<journal::Follower> follower_;
  std::shared_ptr<void> lag_;
};

// Each customer's field once, with the highest version.
class Tombstones {
 public:
  void Add(const EntityKey& customer, const std::string& field, int64_t version);
  std::vector<PartChange> Take();

 private:
  absl::flat_hash_map<std::pair<EntityKey, std::string>, int64_t> versions_;
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_CACHE_FOLLOWER_H_
