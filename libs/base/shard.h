// Which journal shard an aggregate belongs to. Every service uses this one function for what
// belongs to a customer, so that a consumer's batch from one source shard touches one shard of its
// own.
#ifndef CLM_LIBS_BASE_SHARD_H_
#define CLM_LIBS_BASE_SHARD_H_

#include "absl/strings/string_view.h"
#include "libs/base/uuid.h"

namespace clm {

// Fixed at the creation of a database; part of the on-disk format.
inline constexpr int kShards = 64;

// In [0, kShards). A written-down format: XXH64, seed 0, over tenant, a zero byte, the 16 id bytes.
int ShardOf(absl::string_view tenant, const Uuid& id);
// For aggregates that are named by text rather than by UUID (a tenant's registry, a model).
int ShardOf(absl::string_view tenant, absl::string_view name);

}  // namespace clm

#endif  // CLM_LIBS_BASE_SHARD_H_
