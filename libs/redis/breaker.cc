#include "libs/redis/breaker.h"

namespace clm::redis {

bool Breaker::OnError(absl::Time now) {
  if (open_) {
    next_probe_ = now + probe_interval_;
    return false;
  }
  errors_.push_back(now);
  while (errors_.front() <= now - window_) errors_.pop_front();
  if (static_cast<int>(errors_.size()) < limit_) return false;
  open_ = true;
  next_probe_ = now + probe_interval_;
  return true;
}

void Breaker::Close() {
  open_ = false;
  errors_.clear();
}

}  // namespace clm::redis
