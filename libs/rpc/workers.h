// A fixed number of threads and a bounded queue: work that may block runs here, never on gRPC's own
// threads. When the queue is full, Post refuses, and the caller sheds.
#ifndef CLM_LIBS_RPC_WORKERS_H_
#define CLM_LIBS_RPC_WORKERS_H_

#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace clm::rpc {

// Thread-safe.
class Workers {
 public:
  using Task = absl::AnyInvocable<void() &&>;

  // `name` shows in debuggers, 15 characters at most. `queue` tasks wait at most, beyond those that
  // an idle thread is about to take.
  Workers(const std::string& name, int threads, int queue);
  // Runs what is queued, then ends the threads.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False when the queue is full or the pool is stopping; `task` is then destroyed unrun.
  bool Post(Task task);

  // Refuses new tasks, runs the queued ones, returns when all threads have ended. Idempotent; not
  // to be called by a task.
  void Stop();

  int threads() const { return thread_count_; }
  struct Stats {
    int busy = 0;
    int queued = 0;
    int64_t taken = 0;  // Tasks begun since the start.
  };
  Stats stats() const;

 private:
  void Loop();

  const int thread_count_;
  const int queue_limit_;
  mutable absl::Mutex mu_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mu_);
  int busy_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t taken_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Mutex join_mu_;
  std::vector<std::thread> threads_;
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_WORKERS_H_
