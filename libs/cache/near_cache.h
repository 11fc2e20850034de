// Answers that this process gave and may give again to callers who allow some staleness: in front
// of the shared cache, in the form in which they are sent.
//
// Whoever fills takes a Ticket before it reads, and hands it in with what it read. A ticket dies
// with everything that is dropped from its shard meanwhile, so that no slow fill brings back what
// was dropped. Drop after the shared cache has been told: then whoever takes a ticket later reads
// what is new.
#ifndef CLM_LIBS_CACHE_NEAR_CACHE_H_
#define CLM_LIBS_CACHE_NEAR_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/obs/metrics.h"

namespace clm::cache {

// Thread-safe; no call waits for anything but other calls. A shard here is a shard of the journals
// (libs/base/shard.h), whose heads tell that customers of it have changed.
class NearCache {
 public:
  // Kinds of answers about one customer: 0 and 1.
  static constexpr int kKinds = 2;

  // `max_bytes` of all answers together with what holding them takes, about. 0: holds nothing.
  // Counts in `metrics`, which must outlive it.
  NearCache(size_t max_bytes, obs::Metrics& metrics);

  // The right to Put an answer that is read from now on.
  struct Ticket {
    int64_t generation = 0;
    absl::Time taken;
  };
  Ticket Begin(const EntityKey& customer, int kind, absl::Time now) const;

  // Keeps `answer`, which counts as confirmed when the ticket was taken, unless the ticket is dead.
  void Put(const EntityKey& customer, int kind, const Ticket& ticket, std::string answer);

  // The answer, when it was confirmed no longer than `max_staleness` before `now`. What was
  // confirmed after `now`, by a clock that was set back since, is too old as well.
  std::optional<std::string> Get(const EntityKey& customer, int kind, absl::Time now,
                                 absl::Duration max_staleness);

  // The customer's answers are old.
  void Drop(const EntityKey& customer);
  // So are those of one kind, or of all kinds, about anybody of the shard.
  void DropShard(int shard, std::optional<int> kind = std::nullopt);

  // Now held, as `max_bytes` counts.
  size_t bytes() const;
  // Shows them in `metrics` as the memory of `service`, for as long as what is returned lives; the
  // cache outlives that.
  std::shared_ptr<void> WatchBytes(obs::Metrics& metrics, const std::string& service) const;

 private:
  struct Answer {
    EntityKey customer;
    int kind;
    absl::Time confirmed;
    // Since it was last considered for eviction.
    bool used;
    std::string bytes;
  };
  // Points into an Answer, or to what is looked for.
  struct Place {
    const EntityKey* customer;
    int kind;
    friend bool operator==(const Place& a, const Place& b) {
      return a.kind == b.kind && *a.customer == *b.customer;
    }
    template <class H>
    friend H AbslHashValue(H h, const Place& place) {
      return H::combine(std::move(h), *place.customer, place.kind);
    }
  };
  struct Shard {
    mutable absl::Mutex mu;
    // Raised by every drop.
    std::array<int64_t, kKinds> generations ABSL_GUARDED_BY(mu) = {};
    // In the order in which they are considered for eviction.
    std::list<Answer> answers ABSL_GUARDED_BY(mu);
    absl::flat_hash_map<Place, std::list<Answer>::iterator> places ABSL_GUARDED_BY(mu);
    size_t bytes ABSL_GUARDED_BY(mu) = 0;
  };

  static size_t SizeOf(const Answer& answer);
  static void Erase(Shard& shard, std::list<Answer>::iterator answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);
  void MakeRoom(Shard& shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu);

  const size_t shard_bytes_;
  std::array<Shard, kShards> shards_;
  obs::Counter& hits_;
  obs::Counter& misses_;
  obs::Counter& evictions_;
  obs::Counter& refused_puts_;
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_NEAR_CACHE_H_
