// Continuous observation of the customer hash: some of what it answers is compared with the truth a
// while later. An entry that is wrong and stays so has missed its invalidation.
#ifndef CLM_LIBS_CACHE_SAMPLED_HASH_H_
#define CLM_LIBS_CACHE_SAMPLED_HASH_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/cache/customer_hash.h"

namespace clm::cache {

struct SampleOptions {
  // 1 answer in so many.
  int every = 1000;
  absl::Duration delay = absl::Seconds(1);
  // Whether the part agrees with its owner now; not OK when that cannot be said. May block: it is
  // called on a thread of its own.
  std::function<absl::StatusOr<bool>(const EntityKey& customer, const std::string& field,
                                     const Part& part)>
      holds;
  // Told each entry that disagreed with its owner and was still there a delay later.
  std::function<void(const EntityKey& customer, const std::string& field)> on_stale;
};

// The same hash, observed; its stats count samples and stale entries.
std::unique_ptr<CustomerHash> Sampled(std::unique_ptr<CustomerHash> hash, SampleOptions options);

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_SAMPLED_HASH_H_
