// The background of the lifecycle service: customers whose time has come, customers that were given
// facts by another shard, and customers to be folded again because a model changed. All of them are
// found by an index or a cursor, never by looking at every customer, and are folded in the lanes
// like everything else. Several processes may do it at once: the second fold of a customer finds
// nothing to do.
#ifndef CLM_SERVICES_LIFECYCLE_DUE_TIMERS_H_
#define CLM_SERVICES_LIFECYCLE_DUE_TIMERS_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/due_loop.h"
#include "libs/journal/lanes.h"
#include "services/lifecycle/pg_lifecycle_store.h"

namespace clm::lifecycle {

// Thread-safe.
class DueTimers {
 public:
  struct Options {
    LifecycleReader* reader = nullptr;
    journal::Lanes* lanes = nullptr;
    const Clock* clock = nullptr;
    // Customers per scan.
    int batch = 1000;
    // Longest sleep; what another process has scheduled is found after it at the latest.
    absl::Duration poll = absl::Seconds(1);
    // How long a claimed model job is left to the process that works on it.
    absl::Duration lease = absl::Seconds(30);
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit DueTimers(Options options);

  void Start() { loop_.Start(); }
  // Lets the folds under way finish. Idempotent.
  void Stop() { loop_.Stop(); }

  // Something falls due at `due`: for LifecycleWork::Context::on_due.
  void Expect(absl::Time due) { loop_.Expect(due); }

  // One round without the thread, for tests: folds everything that is due now. Returns how many
  // customers were folded.
  absl::StatusOr<int> RunOnce();

 private:
  absl::StatusOr<int> FireDue(absl::Time now);
  absl::StatusOr<int> RefoldMarked();
  absl::StatusOr<int> WorkOnJob(absl::Time now);

  const Options options_;
  journal::DueLoop loop_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_DUE_TIMERS_H_
