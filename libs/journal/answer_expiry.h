// Forgets the stored answers to requests that are older than their retention: by small batches in
// the background, in one process of a service at a time. Journal rows stay.
#ifndef CLM_LIBS_JOURNAL_ANSWER_EXPIRY_H_
#define CLM_LIBS_JOURNAL_ANSWER_EXPIRY_H_

#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/lease.h"
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
  ~AnswerExpiry() { Stop(); }

  void Start();
  // Gives the lease up and returns when nothing runs any more. Idempotent.
  void Stop();

  // One pass without the thread and without rests, for tests. Returns how many answers went; 0 when
  // the work is another process's.
  absl::StatusOr<int64_t> RunOnce();

  // By how much the oldest answer has outlived its retention, as of the last pass; zero in a
  // process that does not hold the lease.
  absl::Duration overdue() const;

 private:
  void Loop();
  // Whether the work is this process's; asks the database when the lease is to be renewed.
  absl::StatusOr<bool> Owner();
  absl::StatusOr<int64_t> Pass(absl::Duration rest);
  // Returns false, at once, when the object is being stopped.
  bool Sleep(absl::Duration time);

  const Options options_;
  mutable absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration overdue_ ABSL_GUARDED_BY(mu_);
  // Of whoever runs the passes: the thread, or a test.
  Leases leases_;
  bool owner_ = false;
  absl::Time renew_at_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_ANSWER_EXPIRY_H_
