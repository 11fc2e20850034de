#include "libs/cache/untold.h"

#include <algorithm>

namespace clm::cache {

void Untold::Add(const Slot& slot, int64_t version, absl::Time now) {
  absl::MutexLock lock(&mu_);
  Forget(now);
  any_ = true;
  const Place place(slot.key, slot.field);
  if (order_.size() >= most_) {
    changes_.clear();
    order_.clear();
    hide_until_ = now + longest_ttl_;
  }
  Change& change = changes_[place];
  change.version = std::max(change.version, version);
  change.added = now;
  order_.emplace_back(now, place);
}

void Untold::Settle(const Slot& slot, int64_t version) {
  if (!any_) return;
  absl::MutexLock lock(&mu_);
  const auto it = changes_.find(Place(slot.key, slot.field));
  if (it != changes_.end() && it->second.version <= version) changes_.erase(it);
}

bool Untold::Hides(const Slot& slot, const Entry& entry, absl::Time now) {
  if (!any_) return false;
  absl::MutexLock lock(&mu_);
  Forget(now);
  if (entry.expiry <= hide_until_) return true;
  const auto it = changes_.find(Place(slot.key, slot.field));
  return it != changes_.end() && entry.version < it->second.version;
}

void Untold::Forget(absl::Time now) {
  while (!order_.empty() && order_.front().first + longest_ttl_ < now) {
    const auto it = changes_.find(order_.front().second);
    if (it != changes_.end() && it->second.added == order_.front().first) changes_.erase(it);
    order_.pop_front();
  }
  // Those that were settled keep their places in the order only.
  if (changes_.empty()) order_.clear();
  any_ = !changes_.empty() || now < hide_until_;
}

}  // namespace clm::cache
