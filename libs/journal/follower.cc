#include "libs/journal/follower.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "libs/base/failpoint.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(50);
constexpr absl::Duration kLongestBackoff = absl::Milliseconds(500);

pg::TxOptions ForSuite() { return {pg::Scope::Suite(), absl::Now() + absl::Seconds(10)}; }

}  // namespace

Follower::Follower(Options options)
    : options_(std::move(options)),
      leases_(options_.pool, options_.name, Uuid::V7(absl::Now()), options_.lease_ttl),
      limit_(options_.max_records),
      backoff_(kFirstBackoff) {}

Follower::~Follower() { Stop(); }

void Follower::Start() {
  loop_ = std::thread([this] { Loop(); });
}

void Follower::Stop() {
  {
    absl::MutexLock lock(&bell_->mu);
    bell_->stop = true;
  }
  if (!loop_.joinable()) return;
  loop_.join();
  PassOver();
  absl::Status left = Store();
  left.Update(leases_.Leave());
  if (!left.ok() && options_.on_trouble) options_.on_trouble(left);
}

Follower::Stats Follower::stats() const {
  absl::MutexLock lock(&mu_);
  Stats stats{.told = told_, .passed = passed_};
  for (const auto& [number, shard] : shards_) {
    if (shard.fence == 0) continue;
    ++stats.owned;
    stats.not_due += shard.due > shard.reached ? 1 : 0;
    stats.lag += std::max<int64_t>(0, options_.heads->Get(number) - shard.reached);
  }
  return stats;
}

void Follower::Loop() {
  for (;;) {
    const std::optional<absl::Duration> pause = Round();
    if (!pause) WaitForMore();
    if (!Pause(pause.value_or(absl::ZeroDuration()))) return;
  }
}

std::optional<absl::Duration> Follower::Round() {
  if (!adopted_) {
    if (const absl::Status status = Adopt(); !status.ok()) return Failed(status);
    adopted_ = true;
  }
  Refresh();
  if (absl::Now() >= next_poll_) {
    if (const absl::Status status = ReadHeads(); !status.ok()) return Failed(status);
  }
  const bool passed = PassOver();
  const absl::StatusOr<Telling> told = Tell();
  if (!told.ok()) return Failed(told.status());
  if (absl::Now() >= next_store_) {
    if (const absl::Status status = Store(); !status.ok()) return Failed(status);
  }
  // Also what needs no telling wakes this thread at each commit; ten times a second is enough.
  if (*told == Telling::kNothing && !passed) return std::nullopt;
  if (*told != Telling::kTold) return options_.pause;
  troubled_ = false;
  limit_ = std::min(options_.max_records, limit_ * 8);
  backoff_ = kFirstBackoff;
  return options_.pause;
}

absl::Duration Follower::Failed(const absl::Status& status) {
  if (!std::exchange(troubled_, true) && options_.on_trouble) options_.on_trouble(status);
  limit_ = 1;
  return std::exchange(backoff_, std::min(kLongestBackoff, backoff_ * 2));
}

bool Follower::Pause(absl::Duration duration) {
  absl::MutexLock lock(&bell_->mu);
  return !bell_->mu.AwaitWithTimeout(absl::Condition(&bell_->stop), duration);
}

void Follower::WaitForMore() {
  Offsets positions;
  bool unstored = false;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [number, shard] : shards_) {
      if (shard.fence == 0) continue;
      positions.emplace_back(number, shard.reached);
      unstored = unstored || shard.reached > shard.stored;
    }
  }
  absl::Time until = std::min(next_refresh_, next_poll_);
  if (unstored) until = std::min(until, next_store_);
  {
    absl::MutexLock lock(&bell_->mu);
    bell_->rung = false;
  }
  const int64_t id = options_.heads->Wait(std::move(positions), [bell = bell_] {
    absl::MutexLock lock(&bell->mu);
    bell->rung = true;
  });
  {
    absl::MutexLock lock(&bell_->mu);
    const auto called = [bell = bell_.get()]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(bell->mu) {
      return bell->rung || bell->stop;
    };
    bell_->mu.AwaitWithDeadline(absl::Condition(&called), until);
  }
  options_.heads->Cancel(id);
}

absl::Status Follower::ReadHeads() {
  next_poll_ = absl::Now() + options_.poll;
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, options_.pool->Query(ForSuite(), kHeads));
  Offsets heads;
  for (int i = 0; i < rows.size(); ++i) {
    heads.emplace_back(static_cast<int>(rows[i].Int(0)), rows[i].Int(1));
  }
  options_.heads->Raise(heads);
  return absl::OkStatus();
}

absl::Status Follower::Adopt() {
  std::vector<int64_t> all;
  for (int s = 0; s < kShards; ++s) all.push_back(s);
  pg::Args args;
  args.AddArray(std::vector<std::string>{options_.name}).AddArray(all);
  CLM_ASSIGN_OR_RETURN(const pg::Result stored, options_.pool->Query(ForSuite(), kPositions, args));
  CLM_RETURN_IF_ERROR(ReadHeads());
  absl::MutexLock lock(&mu_);
  for (int s = 0; s < kShards; ++s) shards_[s].until = options_.heads->Get(s);
  for (int i = 0; i < stored.size(); ++i) {
    Shard& shard = shards_[static_cast<int>(stored[i].Int(1))];
    shard.stored = shard.reached = stored[i].Int(2);
  }
  DropFinished();
  return absl::OkStatus();
}

void Follower::Refresh() {
  const absl::Time now = absl::Now();
  if (now < next_refresh_) return;
  const auto owned = leases_.Refresh();
  next_refresh_ = now + options_.lease_ttl / 4;
  if (!owned.ok()) {
    if (options_.on_trouble) options_.on_trouble(owned.status());
    return;
  }
  absl::MutexLock lock(&mu_);
  std::erase_if(shards_, [&](const auto& one) {
    const auto& [number, shard] = one;
    const auto mine = owned->find(number);
    return shard.fence != 0 && (mine == owned->end() || mine->second.fence != shard.fence);
  });
  for (const auto& [number, lease] : *owned) {
    Shard& shard = shards_[number];
    if (shard.fence != 0) continue;
    shard.fence = lease.fence;
    shard.stored = lease.off;
    shard.reached = std::max(shard.reached, lease.off);
  }
}

bool Follower::PassOver() {
  if (options_.told == nullptr) return false;
  absl::MutexLock lock(&mu_);
  const int64_t before = passed_;
  for (auto& [number, shard] : shards_) {
    const int64_t beyond = options_.told->Beyond(number, shard.reached);
    passed_ += beyond - shard.reached;
    shard.reached = beyond;
  }
  DropFinished();
  return passed_ > before;
}

void Follower::DropFinished() {
  std::erase_if(shards_, [](const auto& one) {
    return one.second.fence == 0 && one.second.reached >= one.second.until;
  });
}

absl::StatusOr<Follower::Telling> Follower::Tell() {
  Offsets positions;
  bool waiting = false;
  {
    absl::MutexLock lock(&mu_);
    for (auto& [number, shard] : shards_) {
      const int64_t end = shard.fence == 0 ? shard.until : options_.heads->Get(number);
      if (shard.reached >= end) continue;
      if (options_.told != nullptr && shard.reached >= std::max(shard.until, shard.due)) {
        shard.due = end;
        waiting = true;
      } else {
        positions.emplace_back(number, shard.reached);
      }
    }
  }
  if (positions.empty()) return waiting ? Telling::kNotDue : Telling::kNothing;
  // Any one, so that a shard whose next event is the trouble does not keep the others waiting.
  if (limit_ == 1) {
    absl::BitGen random;
    positions = {positions[absl::Uniform<size_t>(random, 0, positions.size())]};
  }
  CLM_ASSIGN_OR_RETURN(const event::v1::FetchResponse read, options_.feed->Read(positions, limit_));
  const absl::Time oldest = options_.clock->Now() - options_.horizon;
  std::vector<Placed> events;
  int64_t old = 0;
  for (const auto& records : read.shards()) {
    for (const auto& record : records.records()) {
      Placed placed{.shard = records.shard(), .off = record.offset()};
      // What this program cannot read, it has cached nothing of.
      if (!placed.event.ParseFromString(record.event()) ||
          FromProto(placed.event.record_time()) < oldest) {
        ++old;
      } else {
        events.push_back(std::move(placed));
      }
    }
  }
  if (!events.empty()) CLM_RETURN_IF_ERROR(options_.tell(events));
  {
    absl::MutexLock lock(&mu_);
    for (const auto& records : read.shards()) {
      if (records.records().empty()) continue;
      Shard& shard = shards_[records.shard()];
      shard.reached = std::max(shard.reached, records.records(records.records_size() - 1).offset());
    }
    told_ += static_cast<int64_t>(events.size());
    passed_ += old;
    DropFinished();
  }
  if (events.empty() && old > 0) CLM_RETURN_IF_ERROR(PassHorizon(oldest));
  return Telling::kTold;
}

absl::Status Follower::PassHorizon(absl::Time oldest) {
  // In this order: what is committed in between is younger, and beyond these heads.
  CLM_ASSIGN_OR_RETURN(const pg::Result heads, options_.pool->Query(ForSuite(), kHeads));
  pg::Args args;
  args.Add(oldest);
  CLM_ASSIGN_OR_RETURN(const pg::Result since, options_.pool->Query(ForSuite(), kSince, args));
  std::map<int, int64_t> begin;
  for (int i = 0; i < heads.size(); ++i) {
    begin[static_cast<int>(heads[i].Int(0))] = heads[i].Int(1);
  }
  for (int i = 0; i < since.size(); ++i) {
    begin[static_cast<int>(since[i].Int(0))] = since[i].Int(1);
  }
  absl::MutexLock lock(&mu_);
  for (auto& [number, shard] : shards_) {
    const int64_t reached = std::max(shard.reached, begin[number]);
    passed_ += reached - shard.reached;
    shard.reached = reached;
  }
  DropFinished();
  return absl::OkStatus();
}

absl::Status Follower::Store() {
  next_store_ = absl::Now() + options_.store_interval;
  std::vector<std::string> names;
  std::vector<int64_t> shards, offs, fences;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [number, shard] : shards_) {
      if (shard.fence == 0 || shard.reached <= shard.stored) continue;
      names.push_back(options_.name);
      shards.push_back(number);
      offs.push_back(shard.reached);
      fences.push_back(shard.fence);
    }
  }
  if (names.empty()) return absl::OkStatus();
  Failpoint("follower.told");
  pg::Args args;
  args.AddArray(names).AddArray(shards).AddArray(offs).AddArray(fences);
  CLM_RETURN_IF_ERROR(options_.pool->Transact(
      ForSuite(), [&](pg::Tx& tx) { return tx.Exec(kAdvance, args).status(); }));
  // Of a shard that was lost meanwhile nothing was stored; the next Refresh drops it.
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < shards.size(); ++i) {
    shards_[static_cast<int>(shards[i])].stored = offs[i];
  }
  return absl::OkStatus();
}

}  // namespace clm::journal
