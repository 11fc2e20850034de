// Background work that one process of a service does at a time: a thread that takes turns, the
// lease that says which process works, and the end of both. What a turn does is its owner's.
#ifndef CLM_LIBS_JOURNAL_SOLE_WORK_H_
#define CLM_LIBS_JOURNAL_SOLE_WORK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/journal/lease.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Start, Stop, Rest and stopping are thread-safe; the rest is for whoever takes the turns: the
// thread, or a test.
class SoleWork {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    // Name of the lease in the database.
    std::string lease;
    // How long the work stays with a process that says nothing.
    absl::Duration lease_ttl;
    // How long what was last heard of the lease holds; less than `lease_ttl`. A turn must not go on
    // for longer than the difference without asking again.
    absl::Duration renewal;
    // One turn, in every process: it asks Fence, and ends when the work is another's. Returns how
    // long to rest.
    std::function<absl::StatusOr<absl::Duration>()> turn;
    // The rest after a turn that failed.
    absl::Duration poll;
    // Breaks off what a turn does, once `stopping` is true. May be null.
    std::function<void()> interrupt;
    // Told what keeps it from working; it goes on trying. May be null.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit SoleWork(Options options);
  ~SoleWork() { Stop(); }

  void Start();
  // Ends rests, interrupts the turn under way, waits for its end and gives the lease up.
  // Idempotent.
  void Stop();
  bool stopping() const;
  // Returns false, at once, when the work is being stopped.
  bool Rest(absl::Duration time);

  // The fencing number under which the work is this process's; none when it is another's. Asks the
  // database when the renewal is due.
  absl::StatusOr<std::optional<int64_t>> Fence();
  // Keeps the work this process's until the transaction ends. ABORTED, reason FENCED, when another
  // one has taken it over.
  absl::Status Hold(pg::Tx& tx) const;
  // Fence asks the database the next time.
  void Doubt() { renew_at_ = absl::InfinitePast(); }

 private:
  void Loop();
  // Rests between turns, and keeps the lease meanwhile.
  bool RestAndRenew(absl::Duration time);
  void Tell(const absl::Status& status) const;

  const Options options_;
  mutable absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  Leases leases_;
  std::optional<int64_t> fence_;
  absl::Time renew_at_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_SOLE_WORK_H_
