#include "libs/cache/cache_follower.h"

#include <algorithm>
#include <utility>

#include "libs/obs/log.h"

namespace clm::cache {

CacheFollower::CacheFollower(Options options) {
  const obs::Labels labels = {{"service", options.service}};
  obs::Counter& again = options.metrics->GetCounter(
      "clm_cache_told_again_total",
      "Events told to the cache a second time, as nobody is known to have heard them.", labels);
  journal::Follower::Options follower;
  follower.name = "cache";
  follower.pool = options.pool;
  follower.feed = options.feed;
  follower.heads = options.heads;
  follower.told = options.told;
  follower.clock = options.clock;
  follower.horizon = kLongestLife;
  follower.tell = [hash = options.hash, changes = std::move(options.changes),
                   &again](absl::Span<const journal::Placed> events) {
    const absl::Status told = hash->Apply(changes(events));
    if (told.ok()) again.Add(events.size());
    return told;
  };
  follower.on_trouble = [service = options.service](const absl::Status& status) {
    obs::Warn("the cache cannot be told", {{"service", service}, {"error", status}});
  };
  follower_ = std::make_unique<journal::Follower>(std::move(follower));
  lag_ = options.metrics->WatchGauge(
      "clm_cache_untold_events",
      "Events that the cache may not have been told; shards of this process.", labels,
      [follower = follower_.get()] { return static_cast<double>(follower->stats().lag); });
  follower_->Start();
}

void Tombstones::Add(const EntityKey& customer, const std::string& field, int64_t version) {
  int64_t& highest = versions_[{customer, field}];
  highest = std::max(highest, version);
}

std::vector<PartChange> Tombstones::Take() {
  std::vector<PartChange> changes;
  changes.reserve(versions_.size());
  for (const auto& [place, version] : versions_) {
    changes.push_back({place.first, place.second, version, absl::UnixEpoch(), std::nullopt, false});
  }
  versions_.clear();
  return changes;
}

}  // namespace clm::cache
