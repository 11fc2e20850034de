// Continuous observation of the cache: some hits are compared with the truth a while later.
#ifndef CLM_LIBS_CACHE_SAMPLER_H_
#define CLM_LIBS_CACHE_SAMPLER_H_

#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace clm::cache {

// Runs checks on its own thread, each `delay` after it was added; a check that returns true is run
// once more after another delay. Keeps at most kMost and forgets further ones. Thread-safe.
class Sampler {
 public:
  using Check = std::function<bool()>;

  explicit Sampler(absl::Duration delay) : delay_(delay), thread_([this] { Run(); }) {}
  ~Sampler() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    thread_.join();
  }

  void Add(Check check) {
    absl::MutexLock lock(&mu_);
    if (checks_.size() < kMost) checks_.push_back({absl::Now() + delay_, std::move(check)});
  }

 private:
  static constexpr size_t kMost = 256;
  struct Due {
    absl::Time at;
    Check check;
  };

  void Run() {
    absl::MutexLock lock(&mu_);
    const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_; };
    const auto busy = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return stopping_ || !checks_.empty();
    };
    while (true) {
      mu_.Await(absl::Condition(&busy));
      if (!stopping_) mu_.AwaitWithDeadline(absl::Condition(&stopped), checks_.front().at);
      if (stopping_) return;
      const Check check = std::move(checks_.front().check);
      checks_.pop_front();
      mu_.Unlock();
      const bool again = check();
      mu_.Lock();
      if (again) checks_.push_back({absl::Now() + delay_, check});
    }
  }

  const absl::Duration delay_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<Due> checks_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_SAMPLER_H_
