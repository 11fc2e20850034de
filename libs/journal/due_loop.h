// The thread of whatever a service does when its time has come: it sleeps until the next thing is
// due, or until somebody announces an earlier one.
#ifndef CLM_LIBS_JOURNAL_DUE_LOOP_H_
#define CLM_LIBS_JOURNAL_DUE_LOOP_H_

#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"

namespace clm::journal {

// Thread-safe.
class DueLoop {
 public:
  struct Options {
    const Clock* clock = nullptr;
    // Longest sleep; what another process has scheduled is found after it at the latest.
    absl::Duration poll = absl::Seconds(1);
    // Does everything that is due now; ends early once `stopping` is true.
    std::function<absl::Status()> round;
    // When the next thing is due; InfiniteFuture: never.
    std::function<absl::StatusOr<absl::Time>()> next;
    // Told what keeps it from working; it goes on trying. May be null.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit DueLoop(Options options) : options_(std::move(options)) {}
  ~DueLoop() { Stop(); }

  void Start();
  // Waits for the end of the round under way. Idempotent.
  void Stop();
  bool stopping() const;

  // Something falls due at `due`.
  void Expect(absl::Time due);

 private:
  void Run();
  // Returns at `wake`, when something is announced for before then and has come, or when stopped.
  void Sleep(absl::Time wake);

  const Options options_;
  mutable absl::Mutex mu_;
  absl::Time expected_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_DUE_LOOP_H_
