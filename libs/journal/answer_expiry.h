// Forgets the stored answers to requests that are older than their retention: by small batches in
// the background, in one process of a service at a time. Journal rows stay.
#ifndef CLM_LIBS_JOURNAL_ANSWER_EXPIRY_H_
#define CLM_LIBS_JOURNAL_ANSWER_EXPIRY_H_

#include <cstdint>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/sole_work.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Thread-safe.
class AnswerExpiry {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    const Clock* clock = nullptr;
    // How long an answer is kept from the moment its request took effect.
    absl::Duration keep = absl::Hours(7 * 24);
    // Answers per transaction, and the rest after each, which leaves the database to others.
    int batch = 1000;
    absl::Duration rest = absl::Milliseconds(50);
    // From one pass to the next.
    absl::Duration poll = absl::Minutes(1);
    // How long the work stays with a process that says nothing.
    absl::Duration lease_ttl = absl::Minutes(1);
    // Told how many answers each batch has forgotten.
    std::function<void(int64_t)> on_expired;
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit AnswerExpiry(Options options);

  void Start() { work_.Start(); }
  // Gives the lease up and returns when nothing runs any more. Idempotent.
  void Stop() { work_.Stop(); }

  // One pass without the thread and without rests, for tests. Returns how many answers went; 0 when
  // the work is another process's.
  absl::StatusOr<int64_t> RunOnce();

  // By how much the oldest answer has outlived its retention, as of the last pass; zero in a
  // process that does not hold the lease.
  absl::Duration overdue() const;

 private:
  absl::StatusOr<int64_t> Pass(absl::Duration rest);

  const Options options_;
  mutable absl::Mutex mu_;
  absl::Duration overdue_ ABSL_GUARDED_BY(mu_);
  SoleWork work_;  // Last: its thread uses the others.
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_ANSWER_EXPIRY_H_
