#include "libs/journal/due_loop.h"

#include <algorithm>

namespace clm::journal {

void DueLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void DueLoop::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

bool DueLoop::stopping() const {
  absl::MutexLock lock(&mu_);
  return stop_;
}

void DueLoop::Expect(absl::Time due) {
  absl::MutexLock lock(&mu_);
  expected_ = std::min(expected_, due);
}

void DueLoop::Run() {
  for (;;) {
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return;
      expected_ = absl::InfiniteFuture();
    }
    const absl::Status done = options_.round();
    if (!done.ok() && options_.on_trouble) options_.on_trouble(done);
    absl::Time wake = absl::InfiniteFuture();
    if (done.ok()) {
      const auto next = options_.next();
      if (next.ok()) wake = *next;
    }
    Sleep(wake);
  }
}

void DueLoop::Sleep(absl::Time wake) {
  absl::MutexLock lock(&mu_);
  const absl::Time now = options_.clock->Now();
  const absl::Duration pause = std::clamp(wake - now, absl::Milliseconds(1), options_.poll);
  const absl::Time end = now + pause;
  const auto ready = [this, end]()
                         ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_ || expected_ < end; };
  mu_.AwaitWithTimeout(absl::Condition(&ready), pause);
  if (stop_) return;
  // Something earlier was announced meanwhile.
  const absl::Duration rest = expected_ - options_.clock->Now();
  if (expected_ < end && rest > absl::ZeroDuration()) {
    const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_; };
    mu_.AwaitWithTimeout(absl::Condition(&stopped), std::min(rest, options_.poll));
  }
}

}  // namespace clm::journal
