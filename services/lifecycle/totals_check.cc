#include "services/lifecycle/totals_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

constexpr absl::Duration kShort = absl::Seconds(10);
constexpr absl::Duration kCancelAgain = absl::Milliseconds(100);

// $1 what was compared before then is due, unless the tenant is in $2. Those that never were come
// first.
constexpr pg::Statement kDueTenant{"totals.due_tenant", R"sql(
  SELECT m.tenant_id FROM (SELECT DISTINCT tenant_id FROM stage_model) AS m
  LEFT JOIN totals_check c ON c.tenant_id = m.tenant_id
  WHERE (c.check_time IS NULL OR c.check_time <= $1::timestamptz)
    AND m.tenant_id <> ALL ($2::text[])
  ORDER BY c.check_time NULLS FIRST, m.tenant_id LIMIT 1)sql"};

constexpr pg::Statement kChecked{"totals.checked", R"sql(
  INSERT INTO totals_check (tenant_id, check_time, differing)
  VALUES ($1::text, $2::timestamptz, $3::bigint)
  ON CONFLICT (tenant_id) DO UPDATE SET
    (check_time, differing) = (excluded.check_time, excluded.differing))sql"};

constexpr pg::Statement kDiffering{"totals.differing", R"sql(
  SELECT coalesce(sum(differing), 0)::bigint FROM totals_check)sql"};

constexpr pg::Statement kCancel{"totals.cancel", "SELECT pg_cancel_backend($1::int)"};

pg::TxOptions SuiteTx() { return {pg::Scope::Suite(), absl::Now() + kShort}; }

}  // namespace

TotalsCheck::TotalsCheck(Options options)
    : options_(std::move(options)),
      work_({.pool = options_.pool,
             .lease = "totals-check",
             .lease_ttl = options_.lease_ttl,
             // The lease covers the longest recount that begins on it.
             .renewal = std::min(options_.poll, options_.lease_ttl - options_.timeout) / 2,
             .turn = [this]() -> absl::StatusOr<absl::Duration> {
               CLM_RETURN_IF_ERROR(Pass().status());
               return options_.poll;
             },
             .poll = options_.poll,
             .interrupt = [this] { Cancel(); },
             .on_trouble = options_.on_trouble}) {}

void TotalsCheck::Cancel() {
  absl::MutexLock lock(&mu_);
  // Under the lock, so that the recount is not over, and its connection somebody else's. Again
  // and again: between two statements nobody hears it.
  const auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return backend_ == 0; };
  while (backend_ != 0) {
    pg::Args args;
    args.Add(backend_);
    options_.pool->Query(SuiteTx(), kCancel, args).status().IgnoreError();
    mu_.AwaitWithTimeout(absl::Condition(&over), kCancelAgain);
  }
}

absl::StatusOr<int> TotalsCheck::RunOnce() { return Pass(); }

int64_t TotalsCheck::differing() const {
  absl::MutexLock lock(&mu_);
  return differing_;
}

absl::StatusOr<int64_t> TotalsCheck::Compare(const std::string& tenant) {
  Recount recount;
  CLM_RETURN_IF_ERROR(options_.store->Read(
      tenant, absl::Now() + options_.timeout, [&](InsightsQueries& queries) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const int64_t backend, queries.Backend());
        {
          absl::MutexLock lock(&mu_);
          if (work_.stopping()) {
            return error::Make(absl::StatusCode::kCancelled, "STOPPING", "the process stops");
          }
          backend_ = backend;
        }
        auto counted = queries.RecountTotals();
        absl::MutexLock lock(&mu_);
        backend_ = 0;
        CLM_ASSIGN_OR_RETURN(recount, std::move(counted));
        return absl::OkStatus();
      }));
  if (!recount.differences.empty() && options_.on_difference) {
    options_.on_difference(tenant, recount);
  }
  return static_cast<int64_t>(recount.differences.size());
}

absl::StatusOr<int> TotalsCheck::Pass() {
  for (int compared = 0;;) {
    CLM_ASSIGN_OR_RETURN(const auto fence, work_.Fence());
    int64_t differing = 0;
    std::optional<std::string> tenant;
    if (fence) {
      CLM_ASSIGN_OR_RETURN(const pg::Result sum, options_.pool->Query(SuiteTx(), kDiffering));
      differing = sum[0].Int(0);
      const absl::Time now = options_.clock->Now();
      std::erase_if(retry_at_, [now](const auto& failed) { return failed.second <= now; });
      std::vector<std::string> waiting;
      for (const auto& [failed, _] : retry_at_) waiting.push_back(failed);
      pg::Args due;
      due.Add(now - options_.interval).AddArray(waiting);
      CLM_ASSIGN_OR_RETURN(const pg::Result next, options_.pool->Query(SuiteTx(), kDueTenant, due));
      if (!next.empty()) tenant = std::string(next[0].Text(0));
    }
    {
      absl::MutexLock lock(&mu_);
      differing_ = differing;
    }
    if (!tenant || work_.stopping()) return compared;
    const absl::Time now = options_.clock->Now();
    const auto found = Compare(*tenant);
    if (!found.ok()) {
      if (work_.stopping()) return compared;
      retry_at_[*tenant] = now + options_.retry;
      if (options_.on_failure) options_.on_failure(*tenant, found.status());
      continue;
    }
    pg::Args checked;
    checked.Add(*tenant).Add(now).Add(*found);
    CLM_RETURN_IF_ERROR(options_.pool->Transact(SuiteTx(), [&](pg::Tx& tx) -> absl::Status {
      return tx.Exec(kChecked, checked).status();
    }));
    ++compared;
  }
}

std::vector<const pg::Statement*> TotalsCheckStatements() {
  return {&kDueTenant, &kChecked, &kDiffering, &kCancel};
}

}  // namespace clm::lifecycle
