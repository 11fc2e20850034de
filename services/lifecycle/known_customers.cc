#include "services/lifecycle/known_customers.h"

namespace clm::lifecycle {

std::vector<bool> KnownCustomers::Find(
    const std::vector<EntityKey>& keys,
    const absl::flat_hash_map<std::string, int64_t>& merge_counts) const {
  std::vector<bool> known(keys.size());
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto tenant = tenants_.find(keys[i].tenant);
    known[i] = tenant != tenants_.end() &&
               tenant->second.merge_count == merge_counts.at(keys[i].tenant) &&
               tenant->second.contacts.contains(keys[i].id);
  }
  return known;
}

void KnownCustomers::Add(const std::vector<EntityKey>& keys,
                         const absl::flat_hash_map<std::string, int64_t>& merge_counts) {
  absl::MutexLock lock(&mu_);
  for (const EntityKey& key : keys) {
    if (size_ >= capacity_) {
      tenants_.clear();
      size_ = 0;
    }
    const int64_t merge_count = merge_counts.at(key.tenant);
    Tenant& tenant = tenants_[key.tenant];
    // An older transaction may come late.
    if (merge_count < tenant.merge_count) continue;
    if (merge_count > tenant.merge_count) {
      size_ -= tenant.contacts.size();
      tenant.contacts.clear();
      tenant.merge_count = merge_count;
    }
    size_ += tenant.contacts.insert(key.id).second ? 1 : 0;
  }
}

}  // namespace clm::lifecycle
