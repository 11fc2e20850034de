// The versioned cache for single rows. Cache-aside with leases and versions: what it answers is the
// row as it is now or was within the coherence window, never a row older than a change that was
// told to the cache, whatever happens in between (a slow fill, a flush, a crash). When Redis is
// gone, hung or full of rubbish, the loader answers.
//
// Every row has a version that grows with each change and begins at 1. After every commit the
// service calls Apply (or Put, Invalidate), and once more from its own feed, which repairs what a
// crash between commit and Apply left undone; saying it twice is harmless. There is no deletion of
// entries: a DEL would let a slow fill resurrect the old row. Reads that decide a write bypass the
// cache.
#ifndef CLM_LIBS_CACHE_CACHE_H_
#define CLM_LIBS_CACHE_CACHE_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/base/clock.h"
#include "libs/redis/redis.h"

namespace clm::cache {

struct Key {
  std::string tenant;
  std::string type;  // "contact".
  std::string id;
  int schema = 1;  // Of the payload: another number is another entry.
};

struct Row {
  int64_t version = 0;
  std::string payload;
  friend bool operator==(const Row&, const Row&) = default;
};

// Of a change after which nothing will ever be cached there: greater than any version.
inline constexpr int64_t kFinalVersion = std::numeric_limits<int64_t>::max();

// No entry lives that long, on clocks that agree within minutes.
inline constexpr absl::Duration kLongestLife = absl::Minutes(15);

// What a read is about: the row, or that there is none.
using Found = std::optional<Row>;
// Reads the truth. Takes less than the lease time of one second; must not ask the cache for the
// same key.
using Loader = absl::FunctionRef<absl::StatusOr<Found>()>;

struct Change {
  Key key;
  // Of the row after the commit; of a deletion too, where it is higher than any before.
  int64_t version = 0;
  // Empty: the entry becomes a tombstone and the next reader loads.
  std::optional<std::string> payload;
};

struct Stats {
  int64_t hits = 0;
  int64_t misses = 0;
  int64_t loads = 0;
  int64_t fills = 0;
  int64_t refused_fills = 0;  // The token was gone or the entry was newer: the lease did its work.
  int64_t unreadable = 0;     // Entries that could not be opened.
  int64_t unavailable = 0;    // Reads and changes that Redis did not answer.
  int64_t sampled = 0;
  int64_t stale = 0;  // Must stay 0: entries that were older than the truth and stayed so.
};

struct Options {
  // The suite's secret, of which the keys that seal payloads are derived. Not empty.
  std::string secret;
  absl::Duration ttl = absl::Seconds(300);  // +-10 %.
  absl::Duration negative_ttl = absl::Seconds(5);
  absl::Duration tombstone_ttl = absl::Seconds(60);
  // How often, and after which waits, a reader without the token looks again before it loads.
  int polls = 3;
  absl::Duration poll_interval = absl::Milliseconds(10);
  // 1 hit in `sample_every` is compared with `truth` after `sample_delay`. No truth, no samples.
  int sample_every = 1000;
  absl::Duration sample_delay = absl::Seconds(1);
  std::function<absl::StatusOr<Found>(const Key&)> truth;
  // Must outlive the cache; the machine's clock when null.
  const Clock* clock = nullptr;
};

// Thread-safe.
class Cache {
 public:
  struct Peeked {
    // The cache knows: `found` is the answer. Otherwise call Get on a thread that may block.
    bool hit = false;
    Found found;
    // The entry is about to end: some thread should call Get soon, which renews it.
    bool renew = false;
  };

  virtual ~Cache() = default;

  // Reads through the cache. The errors are the loader's.
  virtual absl::StatusOr<Found> Get(const Key& key, Loader load) = 0;

  // Looks into the cache without blocking and without loading. `done` is called once, possibly on
  // the I/O thread of Redis, where it must be short and must not call Get or Apply.
  virtual void Peek(const Key& key, absl::AnyInvocable<void(Peeked)> done) = 0;

  // Tells what has been committed, in one round trip. When it returns OK, no reader anywhere sees
  // an older row. UNAVAILABLE when Redis did not answer: the feed will tell it again.
  virtual absl::Status Apply(absl::Span<const Change> changes) = 0;

  virtual Stats stats() const = 0;

  absl::Status Put(const Key& key, const Row& row) {
    const Change change{key, row.version, row.payload};
    return Apply(absl::MakeConstSpan(&change, 1));
  }
  absl::Status Invalidate(const Key& key, int64_t version) {
    const Change change{key, version, std::nullopt};
    return Apply(absl::MakeConstSpan(&change, 1));
  }
};

// `client` must outlive the cache.
std::unique_ptr<Cache> NewCache(redis::Client* client, Options options);

// True when an entry should be renewed although it is still good (XFetch, Vattani et al., VLDB
// 2015, beta 1): the nearer the expiry and the slower the load, the likelier. `random` is in (0,
// 1).
bool ShouldRenew(absl::Time now, absl::Time expiry, absl::Duration load_time, double random);

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_CACHE_H_
