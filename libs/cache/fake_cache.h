// The caches without Redis, for tests of what stands on them: the same code on a store in memory,
// held to the same contract suite.
#ifndef CLM_LIBS_CACHE_FAKE_CACHE_H_
#define CLM_LIBS_CACHE_FAKE_CACHE_H_

#include <memory>

#include "libs/cache/cache.h"
#include "libs/cache/customer_hash.h"
#include "libs/cache/store.h"

namespace clm::cache {

// One store may serve several caches: they are then like processes that share one Redis. It must
// outlive them.
std::unique_ptr<Cache> NewFakeCache(MemoryStore* store, Options options);
std::unique_ptr<CustomerHash> NewFakeCustomerHash(MemoryStore* store, Options options);

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_FAKE_CACHE_H_
