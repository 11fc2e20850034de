#include "libs/journal/answer_expiry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/status_macros.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

constexpr absl::Duration kBatchTimeout = absl::Seconds(10);

pg::TxOptions SuiteTx() { return {pg::Scope::Suite(), absl::Now() + kBatchTimeout}; }

}  // namespace

AnswerExpiry::AnswerExpiry(Options options)
    : options_(std::move(options)),
      work_({.pool = options_.pool,
             .lease = "answer-expiry",
             .lease_ttl = options_.lease_ttl,
             .renewal = options_.lease_ttl / 4,
             .turn = [this]() -> absl::StatusOr<absl::Duration> {
               CLM_RETURN_IF_ERROR(Pass(options_.rest).status());
               return options_.poll;
             },
             .poll = options_.poll,
             .on_trouble = options_.on_trouble}) {}

absl::StatusOr<int64_t> AnswerExpiry::RunOnce() { return Pass(absl::ZeroDuration()); }

absl::Duration AnswerExpiry::overdue() const {
  absl::MutexLock lock(&mu_);
  return overdue_;
}

absl::StatusOr<int64_t> AnswerExpiry::Pass(absl::Duration rest) {
  const absl::Time end = options_.clock->Now() - options_.keep;
  // Goes up, so that no batch looks again at what the ones before it have left of their rows.
  absl::Time begin = absl::InfinitePast();
  int64_t expired = 0;
  for (int count = options_.batch; count == options_.batch;) {
    CLM_ASSIGN_OR_RETURN(const auto fence, work_.Fence());
    if (!fence) {
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
    if (!work_.Rest(rest)) return expired;
  }
  CLM_ASSIGN_OR_RETURN(const pg::Result left, options_.pool->Query(SuiteTx(), kOldestAnswer));
  const auto oldest = left[0].OptTime(0);
  absl::MutexLock lock(&mu_);
  overdue_ = oldest ? std::max(absl::ZeroDuration(), end - *oldest) : absl::ZeroDuration();
  return expired;
}

}  // namespace clm::journal
