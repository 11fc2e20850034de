#include "libs/journal/lease.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/status_macros.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

// However long the leases are, a process that stops does not wait longer for a database that hangs.
constexpr absl::Duration kLongest = absl::Seconds(10);

}  // namespace

Leases::Leases(pg::Pool* pool, std::string source, Uuid owner, absl::Duration ttl, int shards)
    : pool_(pool), source_(std::move(source)), owner_(owner), ttl_(ttl), shards_(shards) {}

absl::StatusOr<std::map<int, OwnedShard>> Leases::Refresh() {
  std::map<int, OwnedShard> owned;
  const pg::TxOptions tx_options{pg::Scope::Suite(),
                                 absl::Now() + std::clamp(ttl_ / 2, absl::Seconds(1), kLongest)};
  const double ttl = absl::ToDoubleSeconds(ttl_);
  CLM_RETURN_IF_ERROR(pool_->Transact(tx_options, [&](pg::Tx& tx) -> absl::Status {
    owned.clear();
    if (!ensured_) {
      pg::Args args;
      args.Add(source_).Add(shards_);
      CLM_RETURN_IF_ERROR(tx.Exec(kEnsureShards, args).status());
    }
    pg::Args member;
    member.Add(source_).Add(owner_).Add(ttl);
    CLM_RETURN_IF_ERROR(tx.Exec(kHeartbeat, member).status());
    pg::Args source;
    source.Add(source_);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetMembers, source).status());
    CLM_ASSIGN_OR_RETURN(const pg::Result members, tx.Exec(kCountMembers, source));
    const int live = std::max<int>(1, static_cast<int>(members[0].Int(0)));
    const int share = (shards_ + live - 1) / live;

    CLM_ASSIGN_OR_RETURN(const pg::Result renewed, tx.Exec(kRenew, member));
    for (int i = 0; i < renewed.size(); ++i) {
      owned[static_cast<int>(renewed[i].Int(0))] = {renewed[i].Int(1), renewed[i].Int(2)};
    }
    std::vector<int64_t> surplus;
    while (static_cast<int>(owned.size()) > share) {
      surplus.push_back(owned.rbegin()->first);
      owned.erase(std::prev(owned.end()));
    }
    if (!surplus.empty()) {
      pg::Args args;
      args.Add(source_).Add(owner_).AddArray(surplus);
      CLM_RETURN_IF_ERROR(tx.Exec(kRelease, args).status());
    } else if (static_cast<int>(owned.size()) < share) {
      pg::Args args;
      args.Add(source_).Add(owner_).Add(ttl).Add(share - static_cast<int>(owned.size()));
      CLM_ASSIGN_OR_RETURN(const pg::Result claimed, tx.Exec(kClaim, args));
      for (int i = 0; i < claimed.size(); ++i) {
        owned[static_cast<int>(claimed[i].Int(0))] = {claimed[i].Int(1), claimed[i].Int(2),
                                                      claimed[i].Bool(3)};
      }
    }
    return absl::OkStatus();
  }));
  ensured_ = true;
  Failpoint("lease.claimed");
  return owned;
}

absl::Status Leases::Hold(pg::Tx& tx, int shard, int64_t fence) const {
  pg::Args args;
  args.Add(source_).Add(shard).Add(fence);
  CLM_ASSIGN_OR_RETURN(const pg::Result held, tx.Exec(kHoldLease, args));
  if (held.empty()) {
    return error::Make(absl::StatusCode::kAborted, "FENCED",
                       "another process has taken the shard over");
  }
  return absl::OkStatus();
}

absl::Status Leases::Leave() {
  const pg::TxOptions tx_options{pg::Scope::Suite(), absl::Now() + std::min(ttl_, kLongest)};
  return pool_->Transact(tx_options, [&](pg::Tx& tx) -> absl::Status {
    std::vector<int64_t> all;
    all.reserve(shards_);
    for (int s = 0; s < shards_; ++s) all.push_back(s);
    pg::Args release;
    release.Add(source_).Add(owner_).AddArray(all);
    CLM_RETURN_IF_ERROR(tx.Exec(kRelease, release).status());
    pg::Args leave;
    leave.Add(source_).Add(owner_);
    return tx.Exec(kLeave, leave).status();
  });
}

}  // namespace clm::journal
