#include "libs/base/shard.h"

#include <xxhash.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace clm {

int ShardOf(absl::string_view tenant, const Uuid& id) { return ShardOf(tenant, id.ToBytes()); }

int ShardOf(absl::string_view tenant, absl::string_view name) {
  const std::string input = absl::StrCat(tenant, absl::string_view("\0", 1), name);
  return static_cast<int>(XXH64(input.data(), input.size(), 0) % kShards);
}

}  // namespace clm
