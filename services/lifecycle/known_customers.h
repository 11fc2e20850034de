// Which customers a process has seen in the database, so that recording what no rule names need not
// look them up again.
#ifndef CLM_SERVICES_LIFECYCLE_KNOWN_CUSTOMERS_H_
#define CLM_SERVICES_LIFECYCLE_KNOWN_CUSTOMERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"

namespace clm::lifecycle {

// Customers are never deleted; only a merge takes one away, and every merge changes the tenant's
// merge count. A transaction that has read the count, and that no merge can run beside, may believe
// what was added under the same count. Thread-safe.
class KnownCustomers {
 public:
  // Keeps at most `capacity` customers, about 24 bytes each; forgets all when there are more.
  explicit KnownCustomers(size_t capacity = size_t{1} << 18) : capacity_(capacity) {}

  // Whether each of `keys` is known, when `merge_counts` holds the count of each key's tenant.
  std::vector<bool> Find(const std::vector<EntityKey>& keys,
                         const absl::flat_hash_map<std::string, int64_t>& merge_counts) const;
  // `keys` are there and not merged, as a transaction found that read these counts.
  void Add(const std::vector<EntityKey>& keys,
           const absl::flat_hash_map<std::string, int64_t>& merge_counts);

 private:
  struct Tenant {
    int64_t merge_count = 0;
    absl::flat_hash_set<Uuid> contacts;
  };

  const size_t capacity_;
  mutable absl::Mutex mu_;
  size_t size_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<std::string, Tenant> tenants_ ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_KNOWN_CUSTOMERS_H_
