// Tells something outside the database what this very database's journal holds, for effects that
// cannot commit with it: caches of the rows, bells, other systems. At least once and in order per
// shard; the offset is stored after the telling. For effects inside a database, see Consumer.
#ifndef CLM_LIBS_JOURNAL_FOLLOWER_H_
#define CLM_LIBS_JOURNAL_FOLLOWER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/clock.h"
#include "libs/journal/feed.h"
#include "libs/journal/lease.h"
#include "libs/journal/told_offsets.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// An event with its place.
struct Placed {
  int shard = 0;
  int64_t off = 0;
  event::v1::Event event;
};

// Follows the journal of one database. Several processes share its shards by leases, to save work
// and not for truth: after a crash, or when a lease moves, things are told again.
//
// What this process has told already (ToldOffsets) is passed over without reading it, and what is
// new is left to its lanes for one pause, so that in good times nothing is read and one small
// statement a second stores the offsets of a busy journal; an idle one costs the leases and a look
// at the heads once a second. As long as nobody hears, the
// offset stays, one event at a time is tried at growing intervals, and nothing is kept in memory:
// the journal is the queue. A process that starts first goes through what all others left behind,
// whoever holds the leases. Thread-safe.
class Follower {
 public:
  struct Options {
    std::string name;  // Of its offsets, unique in the database: "cache".
    pg::Pool* pool = nullptr;
    Feed* feed = nullptr;
    Heads* heads = nullptr;             // The feed's.
    const ToldOffsets* told = nullptr;  // May be null: then everything is told by this alone.
    const Clock* clock = nullptr;       // By which the events were recorded.
    // Must be harmless to repeat. Not OK: the same will be told again, and nothing later of its
    // shard before.
    std::function<absl::Status(absl::Span<const Placed> events)> tell;
    // What was recorded longer ago need not be told any more.
    absl::Duration horizon = absl::InfiniteDuration();
    absl::Duration lease_ttl = absl::Seconds(15);
    // Between two tellings, so that a busy journal is told in batches.
    absl::Duration pause = absl::Milliseconds(100);
    // Between two storings of offsets.
    absl::Duration store_interval = absl::Seconds(1);
    // How often the heads are read from the database: the longest delay for what a process that
    // died, or whose bell got lost, has committed.
    absl::Duration poll = absl::Seconds(1);
    // Events per shard and telling.
    int max_records = 128;
    // Told when it is kept from working, and not again until it has worked.
    std::function<void(const absl::Status&)> on_trouble;
  };

  explicit Follower(Options options);
  ~Follower();

  void Start();
  // Stores the offsets and gives the leases up. Idempotent.
  void Stop();

  struct Stats {
    int64_t told = 0;    // Events read and told, since the start.
    int64_t passed = 0;  // Passed over: told before, or beyond the horizon.
    int64_t lag = 0;     // Events known to exist and neither; shards of this process.
    int owned = 0;       // Shards.
    int not_due = 0;     // Shards whose news is left to the lanes for a pause.
  };
  Stats stats() const;

 private:
  struct Shard {
    int64_t fence = 0;  // 0: somebody else's, which is followed up to `until` only.
    int64_t stored = 0;
    int64_t reached = 0;
    int64_t until = 0;
    int64_t due = 0;  // Its head a round ago: what came since, its lane may be telling right now.
  };

  // May be rung when the follower is gone.
  struct Bell {
    absl::Mutex mu;
    bool rung ABSL_GUARDED_BY(mu) = false;
    bool stop ABSL_GUARDED_BY(mu) = false;
  };

  void Loop();
  // One round: returns how long to pause before the next; nullopt: until there is more.
  std::optional<absl::Duration> Round();
  // What there was when this process started, in all shards.
  absl::Status Adopt();
  void Refresh();
  // False when there was nothing to pass over.
  bool PassOver();
  void DropFinished() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  enum class Telling { kNothing, kNotDue, kTold };
  // Reads and tells once what is due.
  absl::StatusOr<Telling> Tell();
  // Moves all shards to where the horizon is.
  absl::Status PassHorizon(absl::Time oldest);
  absl::Status Store();
  void WaitForMore();
  absl::Status ReadHeads();
  // False when it is to end.
  bool Pause(absl::Duration duration);
  absl::Duration Failed(const absl::Status& status);

  const Options options_;
  Leases leases_;
  mutable absl::Mutex mu_;
  std::map<int, Shard> shards_ ABSL_GUARDED_BY(mu_);
  int64_t told_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t passed_ ABSL_GUARDED_BY(mu_) = 0;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
  // Of the thread.
  bool adopted_ = false;
  bool troubled_ = false;
  int limit_;  // Records per shard; after a failure, of one shard only.
  absl::Duration backoff_;
  absl::Time next_refresh_ = absl::InfinitePast();
  absl::Time next_store_ = absl::InfinitePast();
  absl::Time next_poll_ = absl::InfinitePast();
  std::thread loop_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_FOLLOWER_H_
