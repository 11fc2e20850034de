// How contacts stand, as a process has seen it, so that taking in the next event of somebody need
// not look it up again.
#ifndef CLM_SERVICES_CONTACT_KNOWN_STANDINGS_H_
#define CLM_SERVICES_CONTACT_KNOWN_STANDINGS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/uuid.h"
#include "services/contact/contact.h"

namespace clm::contact {

// What events have to know of a contact.
struct Standing {
  ContactStatus status = ContactStatus::kActive;
  std::optional<Uuid> merged_into;
  int64_t version = 0;
  friend bool operator==(const Standing&, const Standing&) = default;
};

// Whoever changes a contact moves the head of its shard in the same transaction; who is merged into
// another does not, but changes the tenant's merge count. So a transaction that holds the lock of
// the shard, has then read both, and finds them as they were when something was learnt, may believe
// it. Only contacts that are neither merged nor erased are remembered. Thread-safe.
class KnownStandings {
 public:
  using MergeCounts = absl::flat_hash_map<std::string, int64_t>;  // By tenant.
  // nullopt: nothing is known, or what was is no longer to be believed.
  using Seen = std::pair<EntityKey, std::optional<Standing>>;

  // What a transaction did to a shard that it had locked.
  struct Passage {
    int shard = 0;
    int64_t before = 0;  // Its head when it was locked.
    int64_t after = 0;   // And at the commit.
  };

  // Keeps at most `capacity` contacts, about 48 bytes each; forgets all when there are more.
  explicit KnownStandings(size_t capacity = size_t{1} << 18) : capacity_(capacity) {}

  // Whoever is known when their shards' heads are `heads`, all of them given, and their tenants'
  // merge counts `merge_counts`; in the order of `keys`.
  std::vector<std::optional<Standing>> Find(absl::Span<const EntityKey> keys,
                                            const absl::flat_hash_map<int, int64_t>& heads,
                                            const MergeCounts& merge_counts) const;

  // After the commit of a transaction: `seen` is how it left contacts of the shards it passed
  // through, all that it changed among them. `merge_counts` are those it had read; whom it has seen
  // of other tenants is forgotten. What was known of those shards and is not in `seen` stays, if
  // nobody else was there in between.
  void Learn(const std::vector<Passage>& passages, absl::Span<const Seen> seen,
             const MergeCounts& merge_counts);

 private:
  struct Known {
    int64_t version = 0;
    ContactStatus status = ContactStatus::kActive;
  };
  struct Tenant {
    int64_t merge_count = 0;
    absl::flat_hash_map<Uuid, Known> contacts;
  };
  struct Shard {
    int64_t head = 0;
    absl::flat_hash_map<std::string, Tenant> tenants;
  };

  void Forget(Shard& shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Put(Shard& shard, const EntityKey& key, const Standing& standing, int64_t merge_count)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t capacity_;
  mutable absl::Mutex mu_;
  size_t size_ ABSL_GUARDED_BY(mu_) = 0;
  std::array<Shard, kShards> shards_ ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_KNOWN_STANDINGS_H_
