#include "libs/journal/sole_work.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"

namespace clm::journal {

SoleWork::SoleWork(Options options)
    : options_(std::move(options)),
      leases_(options_.pool, options_.lease, Uuid::V7(absl::Now()), options_.lease_ttl, 1) {}

void SoleWork::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void SoleWork::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (options_.interrupt) options_.interrupt();
  if (!thread_.joinable()) return;
  thread_.join();
  // Without the database the lease ends by itself.
  leases_.Leave().IgnoreError();
}

bool SoleWork::stopping() const {
  absl::MutexLock lock(&mu_);
  return stop_;
}

bool SoleWork::Rest(absl::Duration time) {
  absl::MutexLock lock(&mu_);
  return !mu_.AwaitWithTimeout(absl::Condition(&stop_), time);
}

absl::StatusOr<std::optional<int64_t>> SoleWork::Fence() {
  const absl::Time now = absl::Now();
  if (now < renew_at_) return fence_;
  fence_.reset();
  CLM_ASSIGN_OR_RETURN(const auto owned, leases_.Refresh());
  if (!owned.empty()) fence_ = owned.begin()->second.fence;
  renew_at_ = now + options_.renewal;
  return fence_;
}

absl::Status SoleWork::Hold(pg::Tx& tx) const { return leases_.Hold(tx, 0, fence_.value_or(0)); }

bool SoleWork::RestAndRenew(absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  while (Rest(std::min(end - absl::Now(), options_.renewal))) {
    if (absl::Now() >= end) return true;
    Tell(Fence().status());
  }
  return false;
}

void SoleWork::Tell(const absl::Status& status) const {
  if (!status.ok() && options_.on_trouble && !stopping()) options_.on_trouble(status);
}

void SoleWork::Loop() {
  absl::StatusOr<absl::Duration> rest;
  do {
    rest = options_.turn();
    Tell(rest.status());
  } while (RestAndRenew(rest.value_or(options_.poll)));
}

}  // namespace clm::journal
