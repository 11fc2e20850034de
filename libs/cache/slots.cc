#include "libs/cache/slots.h"

#include <algorithm>

#include "absl/random/random.h"

namespace clm::cache {
namespace {

// Writes that Redis is given together: it must have run them all within one command's timeout.
constexpr size_t kAtOnce = 256;
// Of these as many run as one script, during which Redis serves nobody else.
constexpr size_t kInScript = 32;
// Some megabytes of what was not heard.
constexpr size_t kMostUntold = 20000;
// Entries made together shall not end together.
constexpr double kTtlSpread = 0.1;

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
      sealer_(options_.secret),
      untold_(options_.ttl * (1 + kTtlSpread), kMostUntold) {}

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

std::optional<Entry> Slots::Decode(const Slot& slot, absl::string_view bytes) {
  std::optional<Entry> entry = DecodeEntry(sealer_, slot, bytes);
  if (!entry) ++counters_.unreadable;
  return entry;
}

bool Slots::IsLive(const Entry& entry) const {
  return entry.kind != EntryKind::kTombstone && entry.expiry > Now();
}

std::optional<Entry> Slots::Usable(const Slot& slot, absl::string_view bytes) {
  std::optional<Entry> entry = Decode(slot, bytes);
  if (entry && (!IsLive(*entry) || untold_.Hides(slot, *entry, Now()))) entry.reset();
  return entry;
}

Slots::Seen Slots::Look(const Slot& slot, const Store::Bytes& bytes) {
  Seen seen;
  if (!bytes) return seen;
  seen.bytes = *bytes;
  std::optional<Entry> entry = Decode(slot, *bytes);
  if (!entry || (IsLive(*entry) && untold_.Hides(slot, *entry, Now()))) {
    seen.worthless = true;
  } else if (IsLive(*entry)) {
    seen.usable = std::move(entry);
  }
  return seen;
}

std::optional<Slots::Lease> Slots::Take(const Slot& slot, const Seen& seen) {
  const std::string token = NewToken();
  const absl::StatusOr<Store::Leased> leased =
      Await<Store::Leased>([&](Store::Done<Store::Leased> done) {
        store_.Lease(slot, token, seen.bytes, Now(), std::move(done));
      });
  std::optional<Lease> lease = LeaseFrom(slot, token, leased);
  // Bytes that only now turned out to be worthless may be replaced: once more, having seen them.
  const bool again =
      lease && lease->token.empty() && lease->seen.worthless && lease->seen.bytes != seen.bytes;
  return again ? Take(slot, lease->seen) : lease;
}

std::vector<std::optional<Slots::Lease>> Slots::TakeAll(const std::vector<Slot>& slots) {
  std::vector<std::string> tokens(slots.size());
  for (std::string& token : tokens) token = NewToken();
  const absl::Time now = Now();
  const std::vector<absl::StatusOr<Store::Leased>> leased =
      AwaitAll<Store::Leased>(slots.size(), [&](size_t i, Store::Done<Store::Leased> done) {
        store_.Lease(slots[i], tokens[i], "", now, std::move(done));
      });
  std::vector<std::optional<Lease>> leases;
  for (size_t i = 0; i < slots.size(); ++i) {
    std::optional<Lease>& lease = leases.emplace_back(LeaseFrom(slots[i], tokens[i], leased[i]));
    if (lease && lease->token.empty() && lease->seen.worthless) {
      lease = Take(slots[i], lease->seen);
    }
  }
  return leases;
}

std::optional<Slots::Lease> Slots::LeaseFrom(const Slot& slot, const std::string& token,
                                             const absl::StatusOr<Store::Leased>& leased) {
  if (!leased.ok()) {
    ++counters_.unavailable;
    return std::nullopt;
  }
  return Lease{Look(slot, leased->bytes), leased->granted ? token : ""};
}

void Slots::Fill(const std::vector<Filling>& fillings) {
  const absl::Time now = Now();
  const std::vector<absl::StatusOr<bool>> filled =
      AwaitAll<bool>(fillings.size(), [&](size_t i, Store::Done<bool> done) {
        const auto& [slot, lease, entry] = fillings[i];
        store_.Fill(slot, lease.token, EncodeEntry(sealer_, slot, entry),
                    lease.seen.worthless ? lease.seen.bytes : "", entry.expiry - now, now,
                    std::move(done));
      });
  for (const absl::StatusOr<bool>& one : filled) {
    if (!one.ok()) {
      ++counters_.unavailable;
    } else {
      ++(*one ? counters_.fills : counters_.refused_fills);
    }
  }
}

absl::Status Slots::Apply(const std::vector<Write>& writes) {
  const absl::Time now = Now();
  absl::Status first;
  for (size_t begin = 0; begin < writes.size() && first.ok();) {
    std::vector<std::vector<Store::Change>> scripts;
    for (const size_t end = std::min(writes.size(), begin + kAtOnce); begin < end; ++begin) {
      const auto& [slot, entry, only_over] = writes[begin];
      if (scripts.empty() || scripts.back().size() == kInScript ||
          scripts.back().back().slot.tenant != slot.tenant) {
        scripts.emplace_back();
      }
      scripts.back().push_back(
          {slot, EncodeEntry(sealer_, slot, entry), entry.expiry - now, only_over});
    }
    const std::vector<absl::StatusOr<int64_t>> written =
        AwaitAll<int64_t>(scripts.size(), [&](size_t i, Store::Done<int64_t> done) {
          store_.Write(std::move(scripts[i]), now, std::move(done));
        });
    for (const absl::StatusOr<int64_t>& one : written) first.Update(one.status());
  }
  if (first.ok()) {
    for (const Write& write : writes) untold_.Settle(write.slot, write.entry.version);
  } else {
    ++counters_.unavailable;
    for (const Write& write : writes) untold_.Add(write.slot, write.entry.version, now);
  }
  return first;
}

Entry Slots::Payload(int64_t version, int64_t note, std::string payload) const {
  const absl::Duration ttl = options_.ttl * (1 - kTtlSpread + 2 * kTtlSpread * RandomShare());
  return {version, EntryKind::kPayload, Now() + ttl, note, std::move(payload)};
}

Entry Slots::Negative(int64_t note, std::string payload) const {
  return {0, EntryKind::kNegative, Now() + options_.negative_ttl, note, std::move(payload)};
}

Entry Slots::Tombstone(int64_t version) const {
  return {version, EntryKind::kTombstone, Now() + options_.tombstone_ttl, 0, ""};
}

}  // namespace clm::cache
