#include "services/contact/known_standings.h"

namespace clm::contact {

std::vector<std::optional<Standing>> KnownStandings::Find(
    absl::Span<const EntityKey> keys, const absl::flat_hash_map<int, int64_t>& heads,
    const MergeCounts& merge_counts) const {
  std::vector<std::optional<Standing>> found(keys.size());
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < keys.size(); ++i) {
    const int number = ShardOf(keys[i].tenant, keys[i].id);
    const Shard& shard = shards_[number];
    if (shard.head != heads.at(number)) continue;
    const auto tenant = shard.tenants.find(keys[i].tenant);
    if (tenant == shard.tenants.end()) continue;
    if (tenant->second.merge_count != merge_counts.at(keys[i].tenant)) continue;
    const auto known = tenant->second.contacts.find(keys[i].id);
    if (known == tenant->second.contacts.end()) continue;
    found[i] = Standing{known->second.status, std::nullopt, known->second.version};
  }
  return found;
}

void KnownStandings::Learn(const std::vector<Passage>& passages, absl::Span<const Seen> seen,
                           const MergeCounts& merge_counts) {
  absl::MutexLock lock(&mu_);
  std::array<bool, kShards> newest = {};
  for (const Passage& passage : passages) {
    Shard& shard = shards_[passage.shard];
    // A later transaction may have been faster in coming here.
    if (shard.head > passage.before) continue;
    if (shard.head < passage.before) Forget(shard);
    shard.head = passage.after;
    newest[passage.shard] = true;
  }
  for (const auto& [key, standing] : seen) {
    const int number = ShardOf(key.tenant, key.id);
    if (!newest[number]) continue;
    Shard& shard = shards_[number];
    const auto merge_count = merge_counts.find(key.tenant);
    if (merge_count != merge_counts.end() && standing && !standing->merged_into &&
        standing->status != ContactStatus::kErased) {
      Put(shard, key, *standing, merge_count->second);
    } else if (const auto tenant = shard.tenants.find(key.tenant); tenant != shard.tenants.end()) {
      size_ -= tenant->second.contacts.erase(key.id);
    }
  }
}

void KnownStandings::Forget(Shard& shard) {
  for (const auto& [name, tenant] : shard.tenants) size_ -= tenant.contacts.size();
  shard.tenants.clear();
}

void KnownStandings::Put(Shard& shard, const EntityKey& key, const Standing& standing,
                         int64_t merge_count) {
  if (size_ >= capacity_) {
    for (Shard& full : shards_) Forget(full);
  }
  Tenant& tenant = shard.tenants[key.tenant];
  // Other shards' transactions come in any order.
  if (merge_count < tenant.merge_count) return;
  if (merge_count > tenant.merge_count) {
    size_ -= tenant.contacts.size();
    tenant.contacts.clear();
    tenant.merge_count = merge_count;
  }
  size_ += tenant.contacts.insert_or_assign(key.id, Known{standing.version, standing.status}).second
               ? 1
               : 0;
}

}  // namespace clm::contact
