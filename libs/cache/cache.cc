#include "libs/cache/cache.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/status_macros.h"
#include "libs/cache/fake_cache.h"
#include "libs/cache/flights.h"
#include "libs/cache/sampler.h"
#include "libs/cache/slots.h"

namespace clm::cache {
namespace {

Slot SlotOf(const Key& key) {
  return {key.tenant,
          absl::StrCat("c:{", key.tenant, "}:", key.type, ":", key.id, ":s", key.schema), ""};
}

Found FoundIn(const Entry& entry) {
  if (entry.kind == EntryKind::kNegative) return std::nullopt;
  return Row{entry.version, entry.payload};
}

// A row that is gone is newer than any that is there.
bool IsOlder(const Found& cached, const Found& truth) {
  if (!cached) return truth.has_value();
  return !truth || cached->version < truth->version;
}

class VersionedCache final : public Cache {
 public:
  VersionedCache(std::unique_ptr<Store> owned, Store* store, Options options)
      : slots_(std::move(owned), store, std::move(options)) {
    if (slots_.options().truth) sampler_.emplace(slots_.options().sample_delay);
  }

  absl::StatusOr<Found> Get(const Key& key, Loader load) override {
    const Slot slot = SlotOf(key);
    const Slots::Seen seen = Look(slot);
    if (seen.usable) {
      ++slots_.counters().hits;
      MaybeSample(key, *seen.usable);
      if (IsRenewalDue(*seen.usable)) return Renew(slot, seen, load);
      return FoundIn(*seen.usable);
    }
    ++slots_.counters().misses;
    return flights_.Share(slot.key, [&] { return Load(slot, seen, load); });
  }

  void Peek(const Key& key, absl::AnyInvocable<void(Peeked)> done) override {
    const Slot slot = SlotOf(key);
    slots_.Enter();
    slots_.store().Get(slot.key, [this, key, slot, done = std::move(done)](
                                     absl::StatusOr<Store::Bytes> bytes) mutable {
      done(PeekInto(key, slot, bytes));
      slots_.Leave();
    });
  }

  absl::Status Apply(absl::Span<const Change> changes) override {
    std::vector<Slots::Write> writes;
    writes.reserve(changes.size());
    for (const Change& change : changes) {
      writes.push_back({SlotOf(change.key), change.payload
                                                ? slots_.Payload(change.version, 0, *change.payload)
                                                : slots_.Tombstone(change.version)});
    }
    return slots_.Apply(writes);
  }

  Stats stats() const override { return slots_.counters().Read(); }

 private:
  Peeked PeekInto(const Key& key, const Slot& slot, const absl::StatusOr<Store::Bytes>& bytes) {
    if (!bytes.ok()) {
      ++slots_.counters().unavailable;
      return {};
    }
    const Slots::Seen seen = slots_.Look(slot, *bytes);
    if (!seen.usable) return {};
    ++slots_.counters().hits;
    MaybeSample(key, *seen.usable);
    return {true, FoundIn(*seen.usable), IsRenewalDue(*seen.usable)};
  }

  // What cannot be read is not there.
  Slots::Seen Look(const Slot& slot) {
    const absl::StatusOr<Store::Bytes> bytes = Await<Store::Bytes>(
        [&](Store::Done<Store::Bytes> done) { slots_.store().Get(slot.key, std::move(done)); });
    if (bytes.ok()) return slots_.Look(slot, *bytes);
    ++slots_.counters().unavailable;
    return {};
  }

  absl::StatusOr<Found> Load(const Slot& slot, const Slots::Seen& seen, Loader load) {
    std::optional<Slots::Lease> lease = slots_.Take(slot, seen);
    for (int i = 0; lease && lease->token.empty() && i < slots_.options().polls; ++i) {
      if (lease->seen.usable) break;
      absl::SleepFor(slots_.options().poll_interval);
      lease->seen = Look(slot);
    }
    if (lease && lease->seen.usable) return FoundIn(*lease->seen.usable);
    return LoadAndFill(slot, lease ? &*lease : nullptr, load);
  }

  // One reader renews; the others, and whoever has a failing loader, keep the good entry.
  absl::StatusOr<Found> Renew(const Slot& slot, const Slots::Seen& seen, Loader load) {
    const std::optional<Slots::Lease> lease = slots_.Take(slot, seen);
    if (!lease || lease->token.empty()) return FoundIn(*seen.usable);
    absl::StatusOr<Found> found = LoadAndFill(slot, &*lease, load);
    return found.ok() ? found : FoundIn(*seen.usable);
  }

  absl::StatusOr<Found> LoadAndFill(const Slot& slot, const Slots::Lease* lease, Loader load) {
    ++slots_.counters().loads;
    const absl::Time begin = absl::Now();
    CLM_ASSIGN_OR_RETURN(Found found, load());
    if (lease == nullptr || lease->token.empty()) return found;
    // Not 0, for which no entry would ever be renewed.
    const int64_t load_micros =
        std::max(int64_t{1}, absl::ToInt64Microseconds(absl::Now() - begin));
    slots_.Fill({{slot, *lease,
                  found ? slots_.Payload(found->version, load_micros, found->payload)
                        : slots_.Negative(load_micros, "")}});
    return found;
  }

  bool IsRenewalDue(const Entry& entry) const {
    // Negative entries are short-lived as they are, and most keys without a row are asked for once.
    return entry.kind == EntryKind::kPayload &&
           ShouldRenew(slots_.Now(), entry.expiry, absl::Microseconds(entry.note), RandomShare());
  }

  void MaybeSample(const Key& key, const Entry& entry) {
    if (!sampler_ || ++sample_turn_ % slots_.options().sample_every != 0) return;
    ++slots_.counters().sampled;
    // The truth first, the cache a delay later: an entry that is behind a truth that old has missed
    // its invalidation.
    auto truth = std::make_shared<std::optional<Found>>();
    sampler_->Add([this, key, truth, cached = FoundIn(entry)] {
      if (!*truth) {
        absl::StatusOr<Found> loaded = slots_.options().truth(key);
        if (!loaded.ok() || !IsOlder(cached, *loaded)) return false;
        *truth = *std::move(loaded);
        return true;
      }
      const Slots::Seen seen = Look(SlotOf(key));
      if (seen.usable && IsOlder(FoundIn(*seen.usable), **truth)) ++slots_.counters().stale;
      return false;
    });
  }

  mutable Slots slots_;
  Flights<Found> flights_;
  std::atomic<int64_t> sample_turn_{0};
  std::optional<Sampler> sampler_;  // Last: its thread uses the others.
};

}  // namespace

bool ShouldRenew(absl::Time now, absl::Time expiry, absl::Duration load_time, double random) {
  return now - load_time * std::log(random) >= expiry;
}

std::unique_ptr<Cache> NewCache(redis::Client* client, Options options) {
  return std::make_unique<VersionedCache>(NewRedisStore(client), nullptr, std::move(options));
}

std::unique_ptr<Cache> NewFakeCache(MemoryStore* store, Options options) {
  return std::make_unique<VersionedCache>(nullptr, store, std::move(options));
}

}  // namespace clm::cache
