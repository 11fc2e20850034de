#include "libs/journal/answer_expiry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

constexpr char kLease[] = "answer-expiry";
constexpr absl::Duration kBatchTimeout = absl::Seconds(10);

pg::TxOptions SuiteTx() { return {pg::Scope::Suite(), absl::Now() + kBatchTimeout}; }

}  // namespace

AnswerExpiry::AnswerExpiry(Options options)
    : options_(std::move(options)),
      leases_(options_.pool, kLease, Uuid::V7(absl::Now()), options_.lease_ttl, 1) {}

void AnswerExpiry::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void AnswerExpiry::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (!thread_.joinable()) return;
  thread_.join();
  // Without the database the lease ends by itself.
  leases_.Leave().IgnoreError();
}

absl::StatusOr<int64_t> AnswerExpiry::RunOnce() { return Pass(absl::ZeroDuration()); }

absl::Duration AnswerExpiry::overdue() const {
  absl::MutexLock lock(&mu_);
  return overdue_;
}

absl::StatusOr<bool> AnswerExpiry::Owner() {
  if (absl::Now() < renew_at_) return owner_;
  owner_ = false;
  CLM_ASSIGN_OR_RETURN(const auto owned, leases_.Refresh());
  owner_ = !owned.empty();
  renew_at_ = absl::Now() + options_.lease_ttl / 4;
  return owner_;
}

absl::StatusOr<int64_t> AnswerExpiry::Pass(absl::Duration rest) {
  const absl::Time end = options_.clock->Now() - options_.keep;
  // Goes up, so that no batch looks again at what the ones before it have left of their rows.
  absl::Time begin = absl::InfinitePast();
  int64_t expired = 0;
  for (int count = options_.batch; count == options_.batch;) {
    CLM_ASSIGN_OR_RETURN(const bool owner, Owner());
    if (!owner) {
      absl::MutexLock lock(&mu_);
      overdue_ = absl::ZeroDuration();
      return expired;
    }
    pg::Args args;
    args.Add(begin).Add(end).Add(options_.batch);
    CLM_RETURN_IF_ERROR(options_.pool->Transact(SuiteTx(), [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(const pg::Result gone, tx.Exec(kExpireAnswers, args));
      count = static_cast<int>(gone[0].Int(0));
      begin = gone[0].OptTime(1).value_or(begin);
      return absl::OkStatus();
    }));
    expired += count;
    if (options_.on_expired) options_.on_expired(count);
    if (!Sleep(rest)) return expired;
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result left, options_.pool->Query(SuiteTx(), kOldestAnswer));
  const auto oldest = left[0].OptTime(0);
  absl::MutexLock lock(&mu_);
  overdue_ = oldest ? std::max(absl::ZeroDuration(), end - *oldest) : absl::ZeroDuration();
  return expired;
}

bool AnswerExpiry::Sleep(absl::Duration time) {
  absl::MutexLock lock(&mu_);
  const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_; };
  return !mu_.AwaitWithTimeout(absl::Condition(&stopped), time);
}

void AnswerExpiry::Loop() {
  absl::Time next_pass = absl::InfinitePast();
  for (;;) {
    absl::Status status;
    if (absl::Now() >= next_pass) {
      status = Pass(options_.rest).status();
      next_pass = absl::Now() + options_.poll;
    } else {
      status = Owner().status();
    }
    if (!status.ok() && options_.on_trouble) options_.on_trouble(status);
    if (!Sleep(std::min(options_.poll, options_.lease_ttl / 4))) return;
  }
}

}  // namespace clm::journal
