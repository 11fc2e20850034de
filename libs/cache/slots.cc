#include "libs/cache/slots.h"

#include "absl/random/random.h"

namespace clm::cache {
namespace {

absl::BitGen& Random() {
  thread_local absl::BitGen random;
  return random;
}

// 128 random bits: no two readers have the same.
std::string NewToken() {
  const auto half = [] { return static_cast<int64_t>(absl::Uniform<uint64_t>(Random())); };
  return BigEndian(half()) + BigEndian(half());
}

}  // namespace

double RandomShare() { return absl::Uniform(absl::IntervalOpenOpen, Random(), 0.0, 1.0); }

Stats Counters::Read() const {
  return {.hits = hits,
          .misses = misses,
          .loads = loads,
          .fills = fills,
          .refused_fills = refused_fills,
          .unreadable = unreadable,
          .unavailable = unavailable,
          .sampled = sampled,
          .stale = stale};
}

Slots::Slots(std::unique_ptr<Store> owned, Store* store, Options options)
    : options_(std::move(options)),
      owned_(std::move(owned)),
      store_(owned_ ? *owned_ : *store),
      clock_(options_.clock != nullptr ? *options_.clock : machine_),
      sealer_(options_.secret) {}

Slots::~Slots() {
  absl::MutexLock lock(&mu_);
  const auto left = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return inside_ == 0; };
  mu_.Await(absl::Condition(&left));
}

void Slots::Enter() {
  absl::MutexLock lock(&mu_);
  ++inside_;
}

void Slots::Leave() {
  absl::MutexLock lock(&mu_);
  --inside_;
}

Slots::Seen Slots::Look(const Slot& slot, const Store::Bytes& bytes) {
  Seen seen;
  if (!bytes) return seen;
  seen.bytes = *bytes;
  std::optional<Entry> entry = DecodeEntry(sealer_, slot, *bytes);
  if (!entry) {
    ++counters_.unreadable;
    seen.worthless = true;
  } else if (entry->kind != EntryKind::kTombstone && entry->expiry > Now()) {
    seen.usable = std::move(entry);
  }
  return seen;
}

std::optional<Slots::Lease> Slots::Take(const Slot& slot, const Seen& seen) {
  Lease lease{.seen = seen, .token = NewToken()};
  // Twice at most: the first look may find bytes that turn out to be worthless.
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<Store::Leased> leased =
        Await<Store::Leased>([&](Store::Done<Store::Leased> done) {
          store_.Lease(slot, lease.token, lease.seen.bytes, Now(), std::move(done));
        });
    if (!leased.ok()) {
      ++counters_.unavailable;
      return std::nullopt;
    }
    lease.seen = Look(slot, leased->bytes);
    if (leased->granted) return lease;
    if (!lease.seen.worthless) break;
  }
  lease.token.clear();
  return lease;
}

void Slots::Fill(const Slot& slot, const Lease& lease, Entry entry) {
  const absl::Time now = Now();
  const absl::StatusOr<bool> filled = Await<bool>([&](Store::Done<bool> done) {
    store_.Fill(slot, lease.token, EncodeEntry(sealer_, slot, entry),
                lease.seen.worthless ? lease.seen.bytes : "", entry.expiry - now, now,
                std::move(done));
  });
  if (!filled.ok()) {
    ++counters_.unavailable;
  } else {
    ++(*filled ? counters_.fills : counters_.refused_fills);
  }
}

absl::Status Slots::Apply(const std::vector<Write>& writes) {
  if (writes.empty()) return absl::OkStatus();
  struct Pending {
    absl::Mutex mu;
    size_t waiting;
    absl::Status first;
  } pending{.waiting = writes.size()};
  const absl::Time now = Now();
  for (const Write& write : writes) {
    store_.Write(write.slot, EncodeEntry(sealer_, write.slot, write.entry),
                 write.entry.expiry - now, now, [&](absl::StatusOr<bool> written) {
                   absl::MutexLock lock(&pending.mu);
                   --pending.waiting;
                   if (pending.first.ok() && !written.ok()) pending.first = written.status();
                 });
  }
  absl::MutexLock lock(&pending.mu);
  const auto answered = [&] { return pending.waiting == 0; };
  pending.mu.Await(absl::Condition(&answered));
  if (!pending.first.ok()) ++counters_.unavailable;
  return pending.first;
}

Entry Slots::Payload(int64_t version, int64_t note, std::string payload) const {
  // Entries made together shall not end together.
  const absl::Duration ttl = options_.ttl * (0.9 + 0.2 * RandomShare());
  return {version, EntryKind::kPayload, Now() + ttl, note, std::move(payload)};
}

Entry Slots::Negative(int64_t note, std::string payload) const {
  return {0, EntryKind::kNegative, Now() + options_.negative_ttl, note, std::move(payload)};
}

Entry Slots::Tombstone(int64_t version) const {
  return {version, EntryKind::kTombstone, Now() + options_.tombstone_ttl, 0, ""};
}

}  // namespace clm::cache
