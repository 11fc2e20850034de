// The journal as others read it: by shard and offset, waiting for what is not there yet.
#ifndef CLM_LIBS_JOURNAL_FEED_H_
#define CLM_LIBS_JOURNAL_FEED_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/journal/heads.h"
#include "libs/journal/recent_records.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Reads one database's journal. Thread-safe.
class Feed {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    // Raised by this process's lanes and by doorbells of other processes; not owned.
    Heads* heads = nullptr;
    // How often the heads are read from the database while somebody waits: the longest delay for
    // an event whose doorbell got lost.
    absl::Duration poll = absl::Milliseconds(200);
    // Bytes of events in one answer, well below what channels take.
    int64_t max_bytes = 2 << 20;
    // What this process's lanes have just committed; may be null, not owned. The feed ages it.
    RecentRecords* recent = nullptr;
  };
  explicit Feed(Options options);
  ~Feed();

  // The records after `positions`, at most `max_records` per shard; empty when there are none.
  // No more than `max_bytes` together, but always one record. Every shard gets its turn, however
  // large the records of others are. `more` tells when something was left out for its size.
  // Blocks on the database, unless all that is known to be there is in memory. Then shards of which
  // nothing new is known are not looked into; whoever goes on asking gets what another process
  // committed there after `poll` at the latest.
  absl::StatusOr<event::v1::FetchResponse> Read(const Offsets& positions, int max_records);
  // The same for who needs only events of some types (full message names): the records of others
  // are there and empty. Looks into every shard.
  absl::StatusOr<event::v1::FetchResponse> Read(const Offsets& positions, int max_records,
                                                const std::vector<std::string>& types);

  // Calls `ready(true)` when there is something after `positions`, `ready(false)` when `until` has
  // passed; once, from some thread, possibly at once. The callee then reads.
  void Wait(Offsets positions, absl::Time until, absl::AnyInvocable<void(bool)> ready);

 private:
  struct Waiting {
    int64_t id;
    absl::Time until;
    std::shared_ptr<absl::AnyInvocable<void(bool)>> ready;
  };
  absl::StatusOr<event::v1::FetchResponse> Fetch(const Offsets& positions, int max_records,
                                                 const std::vector<std::string>* types);
  // Moves the records that are in memory to `response`, and leaves in `positions` where the
  // database has to be asked.
  void TakeRecent(int max_records, const std::vector<std::string>* types, Offsets* positions,
                  ByteBudget* budget, event::v1::FetchResponse* response);
  absl::Status FetchStored(const Offsets& positions, int max_records,
                           const std::vector<std::string>* types, ByteBudget* budget,
                           event::v1::FetchResponse* response);
  void Poll();

  const Options options_;
  std::atomic<uint32_t> turn_ = 0;
  // A shard was passed over because nothing new of it was known; the poll makes that true.
  std::atomic<bool> passed_over_ = false;
  absl::Mutex mu_;
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread poller_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_FEED_H_
