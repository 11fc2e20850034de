#include "libs/rpc/heartbeat.h"

namespace clm::rpc {

Heartbeat::Heartbeat(Workers* workers, const Clock* clock, absl::Duration lifeless)
    : workers_(workers), clock_(clock), lifeless_(lifeless), since_(clock->Now()) {}

bool Heartbeat::Beat() {
  const absl::Time now = clock_->Now();
  const int64_t taken = workers_->stats().taken;
  if (taken != taken_) {
    taken_ = taken;
    since_ = now;
    // Where the queue is full there is something to take anyway.
    static_cast<void>(workers_->Post([] {}));
  }
  return now - since_ < lifeless_;
}

}  // namespace clm::rpc
