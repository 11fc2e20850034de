// The slots of the cache, with the three moves that keep them coherent: lease, fill, write. Two
// implementations, Redis and memory, held to the same contract suite through the caches on top.
#ifndef CLM_LIBS_CACHE_STORE_H_
#define CLM_LIBS_CACHE_STORE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "libs/cache/entry.h"
#include "libs/redis/redis.h"

namespace clm::cache {

// How long a token is good: longer than any load may take.
inline constexpr absl::Duration kLeaseTime = absl::Seconds(1);

// Thread-safe. No call blocks; `done` is called exactly once, possibly on the store's own thread.
// Entries are judged by their headers: dead after their expiry, and when they are no entries.
class Store {
 public:
  template <class T>
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;
  using Bytes = std::optional<std::string>;
  using Fields = std::vector<std::pair<std::string, std::string>>;

  struct Leased {
    Bytes bytes;           // What is in the slot.
    bool granted = false;  // The token is in place: load, then Fill.
  };

  virtual ~Store() = default;

  virtual void Get(const std::string& key, Done<Bytes> done) = 0;
  virtual void GetAll(const std::string& key, Done<Fields> done) = 0;
  // Those of `fields` that are there.
  virtual void GetSome(const std::string& key, const std::vector<std::string>& fields,
                       Done<Fields> done) = 0;

  // Puts `token` in place unless there is one, or the slot holds a live entry other than a
  // tombstone and other than `seen`.
  virtual void Lease(const Slot& slot, const std::string& token, const std::string& seen,
                     absl::Time now, Done<Leased> done) = 0;
  // Stores `bytes` and takes the token away, if that very token is still in place and the slot does
  // not hold a live entry of a higher version other than `replace`. Tells whether it did. A flush,
  // an eviction, an expiry and every Write take tokens away.
  virtual void Fill(const Slot& slot, const std::string& token, const std::string& bytes,
                    const std::string& replace, absl::Duration ttl, absl::Time now,
                    Done<bool> done) = 0;
  struct Change {
    Slot slot;
    std::string bytes;
    absl::Duration ttl;
    // Only where there is a live entry other than a tombstone.
    bool only_over = false;
  };
  // For each of `changes`, at least one, in their order: takes any token away, then stores the
  // bytes unless the slot holds a live entry of a higher version, or of the same version when the
  // bytes are a tombstone. Tells how many it stored. They are of one tenant.
  virtual void Write(std::vector<Change> changes, absl::Time now, Done<int64_t> done) = 0;
};

// `client` must outlive the store.
std::unique_ptr<Store> NewRedisStore(redis::Client* client);

// Of this process only. Entries end by their headers; nothing is ever evicted. For tests.
class MemoryStore : public Store {
 public:
  // Forgets everything, tokens included: FLUSHALL.
  virtual void Flush() = 0;
  // Changes the bytes of a slot behind everybody's back.
  virtual void Overwrite(const Slot& slot, std::string bytes) = 0;
  // While true, every Write is UNAVAILABLE and changes nothing.
  virtual void RefuseWrites(bool refuse) = 0;
};
std::unique_ptr<MemoryStore> NewMemoryStore();

// Calls start(done) and waits for what `done` is given.
template <class T, class Start>
absl::StatusOr<T> Await(Start start) {
  absl::Notification answered;
  absl::StatusOr<T> result;
  start([&](absl::StatusOr<T> answer) {
    result = std::move(answer);
    answered.Notify();
  });
  answered.WaitForNotification();
  return result;
}

// Calls start(i, done) for each i below `size` and waits for all; the answers in their order.
template <class T, class Start>
std::vector<absl::StatusOr<T>> AwaitAll(size_t size, Start start) {
  std::vector<absl::StatusOr<T>> results(size);
  if (size == 0) return results;
  std::atomic<size_t> waiting{size};
  absl::Notification answered;
  for (size_t i = 0; i < size; ++i) {
    start(i, [&, i](absl::StatusOr<T> answer) {
      results[i] = std::move(answer);
      if (--waiting == 0) answered.Notify();
    });
  }
  answered.WaitForNotification();
  return results;
}

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_STORE_H_
