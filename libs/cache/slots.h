// What the two caches share: entries in slots of a store, judged by a clock, counted.
#ifndef CLM_LIBS_CACHE_SLOTS_H_
#define CLM_LIBS_CACHE_SLOTS_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/cache/cache.h"
#include "libs/cache/entry.h"
#include "libs/cache/seal.h"
#include "libs/cache/store.h"
#include "libs/cache/untold.h"

namespace clm::cache {

struct Counters {
  std::atomic<int64_t> hits{0};
  std::atomic<int64_t> misses{0};
  std::atomic<int64_t> loads{0};
  std::atomic<int64_t> fills{0};
  std::atomic<int64_t> refused_fills{0};
  std::atomic<int64_t> unreadable{0};
  std::atomic<int64_t> unavailable{0};
  std::atomic<int64_t> sampled{0};
  std::atomic<int64_t> stale{0};
  Stats Read() const;
};

// Thread-safe.
class Slots {
 public:
  // Either owns the store or borrows it.
  Slots(std::unique_ptr<Store> owned, Store* store, Options options);
  // Waits for the calls between Enter and Leave.
  ~Slots();

  // Around whatever the store will call back, so that it finds its caller alive.
  void Enter();
  void Leave();

  // What the bytes of a slot are worth.
  struct Seen {
    std::optional<Entry> usable;  // A live payload or negative entry.
    std::string bytes;
    // There are bytes that nobody can use, whatever their version says, or that may be older than a
    // change of this process that was not heard: they may be replaced.
    bool worthless = false;
  };
  Seen Look(const Slot& slot, const Store::Bytes& bytes);
  // Seen::usable alone.
  std::optional<Entry> Usable(const Slot& slot, absl::string_view bytes);

  // The right to fill a slot.
  struct Lease {
    Seen seen;
    std::string token;  // Empty: another reader has it.
  };
  // `seen` is what the caller found before. nullopt when the store did not answer.
  std::optional<Lease> Take(const Slot& slot, const Seen& seen);
  // For slots that nobody has looked at, in one round trip; the answers in their order.
  std::vector<std::optional<Lease>> TakeAll(const std::vector<Slot>& slots);

  struct Filling {
    Slot slot;
    Lease lease;
    Entry entry;
  };
  // In one round trip.
  void Fill(const std::vector<Filling>& fillings);

  struct Write {
    Slot slot;
    Entry entry;
    bool only_over = false;  // Store::Change::only_over.
  };
  // Together, as many at a time as Redis can run within one command's timeout. The first failure,
  // after which no more are sent. What was not heard, this process does not read from the store
  // any more.
  absl::Status Apply(const std::vector<Write>& writes);

  Entry Payload(int64_t version, int64_t note, std::string payload) const;
  Entry Negative(int64_t note, std::string payload) const;
  Entry Tombstone(int64_t version) const;

  absl::Time Now() const { return clock_.Now(); }
  Store& store() { return store_; }
  const Options& options() const { return options_; }
  Counters& counters() { return counters_; }

 private:
  // nullopt, and counted, for bytes that are no entry of this slot; not even one that has ended.
  std::optional<Entry> Decode(const Slot& slot, absl::string_view bytes);
  bool IsLive(const Entry& entry) const;
  std::optional<Lease> LeaseFrom(const Slot& slot, const std::string& token,
                                 const absl::StatusOr<Store::Leased>& leased);

  const Options options_;
  const std::unique_ptr<Store> owned_;
  Store& store_;
  const SystemClock machine_{};
  const Clock& clock_;
  const Sealer sealer_;
  Untold untold_;
  Counters counters_;
  absl::Mutex mu_;
  int inside_ ABSL_GUARDED_BY(mu_) = 0;
};

// In (0, 1). Thread-safe.
double RandomShare();

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_SLOTS_H_
