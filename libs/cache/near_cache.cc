#include "libs/cache/near_cache.h"

#include <iterator>
#include <utility>

namespace clm::cache {

NearCache::NearCache(size_t max_bytes, obs::Metrics& metrics)
    : shard_bytes_(max_bytes / kShards),
      hits_(metrics.GetCounter("clm_near_cache_hits_total",
                               "Answers from the memory of the process, to callers who allow it.")),
      misses_(metrics.GetCounter("clm_near_cache_misses_total",
                                 "Answers that callers would have taken from the memory of the "
                                 "process, and that it had not, or too old.")),
      evictions_(metrics.GetCounter("clm_near_cache_evictions_total",
                                    "Answers forgotten for want of room.")),
      refused_puts_(metrics.GetCounter(
          "clm_near_cache_refused_total",
          "Answers not kept, because something was dropped while they were read.")) {}

size_t NearCache::SizeOf(const Answer& answer) {
  // The list's two pointers, the map's entry and its share of empty ones, what the allocator adds.
  constexpr size_t kAround = 128;
  return sizeof(Answer) + kAround + answer.bytes.size() + answer.customer.tenant.size();
}

void NearCache::Erase(Shard& shard, std::list<Answer>::iterator answer) {
  shard.bytes -= SizeOf(*answer);
  shard.places.erase(Place{&answer->customer, answer->kind});
  shard.answers.erase(answer);
}

NearCache::Ticket NearCache::Begin(const EntityKey& customer, int kind, absl::Time now) const {
  const Shard& shard = shards_[ShardOf(customer.tenant, customer.id)];
  absl::MutexLock lock(&shard.mu);
  return {shard.generations[kind], now};
}

void NearCache::Put(const EntityKey& customer, int kind, const Ticket& ticket, std::string answer) {
  Answer fresh{customer, kind, ticket.taken, false, std::move(answer)};
  const size_t size = SizeOf(fresh);
  if (size > shard_bytes_) return;
  Shard& shard = shards_[ShardOf(customer.tenant, customer.id)];
  absl::MutexLock lock(&shard.mu);
  if (shard.generations[kind] != ticket.generation) {
    refused_puts_.Add();
    return;
  }
  const auto found = shard.places.find(Place{&customer, kind});
  if (found != shard.places.end()) {
    if (found->second->confirmed > ticket.taken) return;
    Erase(shard, found->second);
  }
  shard.answers.push_back(std::move(fresh));
  const auto kept = std::prev(shard.answers.end());
  shard.places.emplace(Place{&kept->customer, kind}, kept);
  shard.bytes += size;
  MakeRoom(shard);
}

// CLOCK: whoever was asked for since its last turn gets another one.
void NearCache::MakeRoom(Shard& shard) {
  while (shard.bytes > shard_bytes_) {
    const auto first = shard.answers.begin();
    if (std::exchange(first->used, false)) {
      shard.answers.splice(shard.answers.end(), shard.answers, first);
    } else {
      Erase(shard, first);
      evictions_.Add();
    }
  }
}

std::optional<std::string> NearCache::Get(const EntityKey& customer, int kind, absl::Time now,
                                          absl::Duration max_staleness) {
  Shard& shard = shards_[ShardOf(customer.tenant, customer.id)];
  {
    absl::MutexLock lock(&shard.mu);
    const auto found = shard.places.find(Place{&customer, kind});
    if (found != shard.places.end() && found->second->confirmed <= now &&
        found->second->confirmed >= now - max_staleness) {
      found->second->used = true;
      hits_.Add();
      return found->second->bytes;
    }
  }
  misses_.Add();
  return std::nullopt;
}

void NearCache::Drop(const EntityKey& customer) {
  Shard& shard = shards_[ShardOf(customer.tenant, customer.id)];
  absl::MutexLock lock(&shard.mu);
  for (int kind = 0; kind < kKinds; ++kind) {
    ++shard.generations[kind];
    const auto found = shard.places.find(Place{&customer, kind});
    if (found != shard.places.end()) Erase(shard, found->second);
  }
}

void NearCache::DropShard(int number, std::optional<int> kind) {
  Shard& shard = shards_[number];
  absl::MutexLock lock(&shard.mu);
  for (int k = 0; k < kKinds; ++k) {
    if (!kind || *kind == k) ++shard.generations[k];
  }
  for (auto answer = shard.answers.begin(); answer != shard.answers.end();) {
    const auto next = std::next(answer);
    if (!kind || *kind == answer->kind) Erase(shard, answer);
    answer = next;
  }
}

std::shared_ptr<void> NearCache::WatchBytes(obs::Metrics& metrics,
                                            const std::string& service) const {
  return metrics.WatchGauge(
      "clm_near_cache_bytes", "What the answers that the process remembers take.",
      {{"service", service}}, [this] { return static_cast<double>(bytes()); });
}

size_t NearCache::bytes() const {
  size_t bytes = 0;
  for (const Shard& shard : shards_) {
    absl::MutexLock lock(&shard.mu);
    bytes += shard.bytes;
  }
  return bytes;
}

}  // namespace clm::cache
