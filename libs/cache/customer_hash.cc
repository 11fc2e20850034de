#include "libs/cache/customer_hash.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/status_macros.h"
#include "libs/cache/fake_cache.h"
#include "libs/cache/flights.h"
#include "libs/cache/slots.h"

namespace clm::cache {
namespace {

std::string HashKey(const EntityKey& customer) {
  return absl::StrCat("h:{", customer.tenant, "}:", customer.id.ToString());
}

Slot SlotOf(const EntityKey& customer, const std::string& field) {
  return {customer.tenant, HashKey(customer), field};
}

Part PartIn(Entry entry) {
  return {.version = entry.version,
          .as_of = absl::FromUnixMicros(entry.note),
          .payload = std::move(entry.payload)};
}

bool HasAll(const Parts& parts, const std::vector<std::string>& fields) {
  return std::all_of(fields.begin(), fields.end(),
                     [&](const std::string& field) { return parts.contains(field); });
}

class SlottedCustomerHash final : public CustomerHash {
 public:
  SlottedCustomerHash(std::unique_ptr<Store> owned, Store* store, Options options)
      : slots_(std::move(owned), store, std::move(options)) {}

  absl::StatusOr<Parts> Read(const EntityKey& customer) override {
    return PartsIn(customer, Await<Store::Fields>([&](auto done) {
                     slots_.store().GetAll(HashKey(customer), std::move(done));
                   }));
  }

  void ReadAsync(const EntityKey& customer, const std::vector<std::string>& fields,
                 absl::AnyInvocable<void(absl::StatusOr<Parts>)> done) override {
    slots_.Enter();
    slots_.store().GetSome(
        HashKey(customer), fields,
        [this, customer, done = std::move(done)](absl::StatusOr<Store::Fields> found) mutable {
          done(PartsIn(customer, std::move(found)));
          slots_.Leave();
        });
  }

  absl::StatusOr<Parts> ReadThrough(const EntityKey& customer,
                                    const std::vector<std::string>& fields,
                                    PartsLoader load) override {
    absl::StatusOr<Parts> parts = Read(customer);
    if (parts.ok() && HasAll(*parts, fields)) {
      ++slots_.counters().hits;
      return parts;
    }
    ++slots_.counters().misses;
    // Callers that want the same fields share.
    std::string flight = HashKey(customer);
    for (const std::string& field : fields) absl::StrAppend(&flight, "\n", field);
    return flights_.Share(flight, [&] { return Complete(customer, fields, load); });
  }

  absl::Status Apply(absl::Span<const PartChange> changes) override {
    std::vector<Slots::Write> writes;
    writes.reserve(changes.size());
    for (const PartChange& change : changes) {
      if (change.payload && change.hold_until <= slots_.Now()) continue;
      writes.push_back(
          {SlotOf(change.customer, change.field), EntryOf(change), change.only_filled});
    }
    return slots_.Apply(writes);
  }

  Stats stats() const override { return slots_.counters().Read(); }

 private:
  using Leases = std::vector<std::pair<std::string, Slots::Lease>>;

  absl::StatusOr<Parts> PartsIn(const EntityKey& customer, absl::StatusOr<Store::Fields> fields) {
    if (!fields.ok()) {
      ++slots_.counters().unavailable;
      return fields.status();
    }
    Parts parts;
    Slot slot = SlotOf(customer, "");
    for (auto& [field, bytes] : *fields) {
      slot.field = std::move(field);
      std::optional<Entry> entry = slots_.Usable(slot, bytes);
      if (entry) parts.try_emplace(std::move(slot.field), PartIn(*std::move(entry)));
    }
    return parts;
  }

  Entry EntryOf(const PartChange& change) const {
    if (!change.payload) return slots_.Tombstone(change.version);
    return EntryOf(Part{.version = change.version,
                        .as_of = change.as_of,
                        .payload = *change.payload,
                        .hold_until = change.hold_until});
  }
  Entry EntryOf(const Part& part) const {
    Entry entry = slots_.Payload(part.version, absl::ToUnixMicros(part.as_of), part.payload);
    entry.expiry = std::min(entry.expiry, part.hold_until);
    return entry;
  }

  absl::StatusOr<Parts> Complete(const EntityKey& customer, const std::vector<std::string>& fields,
                                 PartsLoader load) {
    Parts parts;
    const Leases leases = TakeLeases(customer, fields, &parts);
    std::vector<std::string> missing;
    for (const std::string& field : fields) {
      if (!parts.contains(field)) missing.push_back(field);
    }
    if (missing.empty()) return parts;
    ++slots_.counters().loads;
    CLM_ASSIGN_OR_RETURN(Parts loaded, load(missing));
    std::vector<Slots::Filling> fillings;
    for (const auto& [field, lease] : leases) {
      const auto it = loaded.find(field);
      if (it == loaded.end() || it->second.hold_until <= slots_.Now()) continue;
      fillings.push_back({SlotOf(customer, field), lease, EntryOf(it->second)});
    }
    slots_.Fill(fillings);
    for (auto& [field, part] : loaded) parts.try_emplace(field, std::move(part));
    return parts;
  }

  // The tokens for what is missing, after waiting a little for what others are loading. What turns
  // up goes to `parts`.
  Leases TakeLeases(const EntityKey& customer, const std::vector<std::string>& fields,
                    Parts* parts) {
    std::vector<Slot> slots;
    for (const std::string& field : fields) slots.push_back(SlotOf(customer, field));
    std::vector<std::optional<Slots::Lease>> taken = slots_.TakeAll(slots);
    Leases leases;
    bool others = false;
    for (size_t i = 0; i < fields.size(); ++i) {
      std::optional<Slots::Lease>& lease = taken[i];
      if (!lease) continue;
      if (lease->seen.usable) {
        parts->try_emplace(fields[i], PartIn(*std::move(lease->seen.usable)));
      } else if (lease->token.empty()) {
        others = true;
      } else {
        leases.emplace_back(fields[i], *std::move(lease));
      }
    }
    // Who holds tokens loads at once: waiting would keep others waiting.
    for (int i = 0; others && leases.empty() && i < slots_.options().polls; ++i) {
      absl::SleepFor(slots_.options().poll_interval);
      absl::StatusOr<Parts> present = Read(customer);
      if (!present.ok()) break;
      *parts = *std::move(present);
      others = !HasAll(*parts, fields);
    }
    return leases;
  }

  mutable Slots slots_;
  Flights<Parts> flights_;
};

}  // namespace

std::unique_ptr<CustomerHash> NewCustomerHash(redis::Client* client, Options options) {
  return std::make_unique<SlottedCustomerHash>(NewRedisStore(client), nullptr, std::move(options));
}

std::unique_ptr<CustomerHash> NewFakeCustomerHash(MemoryStore* store, Options options) {
  return std::make_unique<SlottedCustomerHash>(nullptr, store, std::move(options));
}

}  // namespace clm::cache
