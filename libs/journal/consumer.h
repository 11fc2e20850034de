// Applies another service's journal to this service: effect and offset in one transaction, so that
// every event takes effect exactly once, in order per shard.
#ifndef CLM_LIBS_JOURNAL_CONSUMER_H_
#define CLM_LIBS_JOURNAL_CONSUMER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/journal/lanes.h"
#include "libs/journal/lease.h"
#include "libs/journal/mutation.h"

namespace clm::journal {

// What a service does with an event. Both run under the lock of the event's shard (the same number
// in the consumer's database), on a lane's thread.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  // Tells `work` what Apply will need. Called for every event of a batch before any is applied.
  virtual void Declare(const event::v1::Event& event, Work& work) = 0;
  // Stages the effect. Unknown types are OK and change nothing. A transient status is tried again;
  // any other parks the event, and with it everything later of the same subject. What was staged
  // and recorded before an error is undone.
  virtual absl::Status Apply(const event::v1::Event& event, Work& work, Recorder& recorder) = 0;
};

// Where the events come from.
using FetchFn = std::function<absl::StatusOr<event::v1::FetchResponse>(
    const event::v1::FetchRequest& request, absl::Time deadline)>;

// Consumes one source. Several processes share its shards by leases. Thread-safe.
class Consumer {
 public:
  struct Options {
    std::string source;
    pg::Pool* pool = nullptr;  // Of the consuming service.
    Lanes* lanes = nullptr;    // Of the consuming service.
    EventHandler* handler = nullptr;
    FetchFn fetch;
    // Ends a fetch that waits for events, so that Stop need not; it may be empty.
    std::function<void()> cancel_fetch;
    absl::Duration lease_ttl = absl::Seconds(5);
    // Records per shard and fetch, and the most that are fetched ahead of what is applied.
    int max_records = 512;
    int max_ahead = 2048;
    // Longest wait for new events in one fetch.
    absl::Duration wait = absl::Seconds(1);
    // After a fetch, so long before the next one unless there is a backlog: what comes meanwhile is
    // applied together. For journals of which little concerns the service.
    absl::Duration pace = absl::ZeroDuration();
    // Told once per event that was parked.
    std::function<void(const event::v1::Event&, const absl::Status&)> on_parked;
    // Told when something keeps the consumer from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };

  explicit Consumer(Options options);
  ~Consumer();

  void Start();
  // Lets the batches under way finish and gives the leases up. Idempotent.
  void Stop();

  struct Stats {
    int64_t applied = 0;  // Events, since the start.
    int64_t lag = 0;      // Records known to exist and not applied; owned shards only.
    int owned = 0;        // Shards.
  };
  Stats stats() const;

 private:
  struct Shard {
    int64_t fence = 0;
    int64_t applied = 0;  // Offset known to be committed.
    int64_t fetched = 0;  // Offset handed to the lanes.
    int64_t head = 0;
    // While a batch keeps failing: at most so many records in one mutation.
    int limit = 0;
    int failures = 0;  // One after the other, of whatever kind: the longer, the later the next try.
    int refusals = 0;  // Of one event alone, none of them transient: from so many on it is parked.
    absl::Time retry_at = absl::InfinitePast();
    bool park_next = false;
    absl::Status failure;
    // The last owner died with it, perhaps of an event that comes next; nothing was begun since.
    bool orphaned = false;
    // Up to here events are applied alone.
    int64_t alone_until = 0;
    // How often what comes after `applied` was begun since an owner died, and whether this process
    // has added itself to that.
    int begun = 0;
    bool counted = false;
    // What was counted has failed, and this process lives.
    bool survived = false;

    bool Alone() const { return applied < alone_until; }
  };

  // Records that begin right after what was fetched.
  static bool GoesOn(const Shard& shard, const event::v1::ShardRecords& records);

  void Loop();
  void AwaitApplied();
  void Refresh();
  // One round: returns how long to wait before the next.
  absl::Duration Round();
  // Counts, durably, what may kill this process too before it is begun; see consumer.cc. Says which
  // shard may have one event applied alone now; -1: none.
  absl::StatusOr<int> BeginTrials(const event::v1::FetchResponse& response);
  // Takes back what was counted and did not kill.
  void WithdrawTrials();
  std::unique_ptr<Mutation> Apply(int shard, int64_t fence, std::vector<event::v1::Record> records,
                                  std::optional<absl::Status> park_because);
  void Finished(int number, int64_t fence, int64_t last, int count,
                const absl::StatusOr<Answer>& answer);

  const Options options_;
  Leases leases_;
  mutable absl::Mutex mu_;
  std::map<int, Shard> shards_ ABSL_GUARDED_BY(mu_);
  int64_t applied_ ABSL_GUARDED_BY(mu_) = 0;
  int in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t bytes_ahead_ ABSL_GUARDED_BY(mu_) = 0;
  int alone_ ABSL_GUARDED_BY(mu_) = -1;  // The shard of which an event is applied alone.
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time next_refresh_ = absl::InfinitePast();
  bool backlog_ = false;  // Of the loop: the source had more than the last fetch brought.
  std::thread loop_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_CONSUMER_H_
