// When to stop asking a server that does not answer, and when to ask again.
#ifndef CLM_LIBS_REDIS_BREAKER_H_
#define CLM_LIBS_REDIS_BREAKER_H_

#include <deque>

#include "absl/time/time.h"

namespace clm::redis {

// Closed, or open with one probe per interval. Times are of any one clock that never goes back. Not
// thread-safe.
class Breaker {
 public:
  Breaker(int errors, absl::Duration window, absl::Duration probe_interval)
      : limit_(errors), window_(window), probe_interval_(probe_interval) {}

  // True when this error opened the breaker. While it is open, an error puts off the next probe.
  bool OnError(absl::Time now);
  // A probe succeeded: closed, and the errors so far are forgotten.
  void Close();
  bool open() const { return open_; }
  // Only while open.
  absl::Time next_probe() const { return next_probe_; }

 private:
  const int limit_;
  const absl::Duration window_;
  const absl::Duration probe_interval_;
  std::deque<absl::Time> errors_;
  bool open_ = false;
  absl::Time next_probe_;
};

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_BREAKER_H_
