#include "libs/journal/feed.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/failpoint.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/statements.h"

namespace clm::journal {

Feed::Feed(Options options) : options_(options), poller_([this] { Poll(); }) {}

Feed::~Feed() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  poller_.join();
  for (auto& w : waiting_) {
    if (options_.heads->Cancel(w.id)) (*w.ready)(false);
  }
}

pg::Args Feed::FetchArgs(const Offsets& positions, int max_records) {
  // Who comes first is served whatever the size: it is another one each time.
  const size_t first = turn_.fetch_add(1, std::memory_order_relaxed) % positions.size();
  std::vector<int64_t> shards, after;
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto& [shard, off] = positions[(first + i) % positions.size()];
    shards.push_back(shard);
    after.push_back(off);
  }
  pg::Args args;
  args.AddArray(shards).AddArray(after).Add(max_records).Add(options_.max_bytes);
  return args;
}

absl::StatusOr<event::v1::FetchResponse> Feed::Read(const Offsets& positions, int max_records) {
  if (positions.empty()) return event::v1::FetchResponse();
  return Fetch(kFetch, FetchArgs(positions, max_records));
}

absl::StatusOr<event::v1::FetchResponse> Feed::Read(const Offsets& positions, int max_records,
                                                    const std::vector<std::string>& types) {
  if (positions.empty()) return event::v1::FetchResponse();
  return Fetch(kFetchTypes, FetchArgs(positions, max_records).AddArray(types));
}

absl::StatusOr<event::v1::FetchResponse> Feed::Fetch(const pg::Statement& statement,
                                                     pg::Args args) {
  event::v1::FetchResponse response;
  const pg::TxOptions tx{pg::Scope::Suite(), absl::Now() + absl::Seconds(10)};
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, options_.pool->Query(tx, statement, args));
  std::array<event::v1::ShardRecords*, kShards> by_shard = {};
  for (int i = 0; i < rows.size(); ++i) {
    if (rows[i].IsNull(2)) {
      response.set_more(true);
      continue;
    }
    const int shard = static_cast<int>(rows[i].Int(0));
    event::v1::ShardRecords*& current = by_shard.at(shard);
    if (current == nullptr) {
      current = response.add_shards();
      current->set_shard(shard);
    }
    auto* record = current->add_records();
    record->set_offset(rows[i].Int(1));
    record->set_event(rows[i].Bytes(2));
  }
  Offsets heads;
  for (auto& s : *response.mutable_shards()) {
    const int64_t last = s.records(s.records_size() - 1).offset();
    heads.emplace_back(s.shard(), last);
    s.set_head_offset(std::max(last, options_.heads->Get(s.shard())));
  }
  options_.heads->Raise(heads);
  Failpoint("feed.read");
  return response;
}

void Feed::Wait(Offsets positions, absl::Time until, absl::AnyInvocable<void(bool)> ready) {
  auto shared = std::make_shared<absl::AnyInvocable<void(bool)>>(std::move(ready));
  // The id is known only after Wait returns, when `ready` may have been called already; the poller
  // then finds an id that Cancel does not know and forgets it.
  const int64_t id = options_.heads->Wait(std::move(positions), [shared] { (*shared)(true); });
  if (id == 0) return;
  absl::MutexLock lock(&mu_);
  waiting_.push_back({id, until, std::move(shared)});
}

void Feed::Poll() {
  absl::Time next_poll = absl::Now();
  for (;;) {
    std::vector<Waiting> expired;
    bool somebody = false;
    {
      absl::MutexLock lock(&mu_);
      absl::Time wake = next_poll;
      for (const auto& w : waiting_) wake = std::min(wake, w.until);
      const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_; };
      if (mu_.AwaitWithDeadline(absl::Condition(&stopped), wake)) return;
      const absl::Time now = absl::Now();
      for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (it->until <= now) {
          expired.push_back(std::move(*it));
          it = waiting_.erase(it);
        } else {
          ++it;
        }
      }
      somebody = !waiting_.empty();
    }
    for (auto& w : expired) {
      if (options_.heads->Cancel(w.id)) (*w.ready)(false);
    }
    if (absl::Now() < next_poll) continue;
    next_poll = absl::Now() + options_.poll;
    if (!somebody || !options_.heads->HasWaiters()) continue;
    const pg::TxOptions tx{pg::Scope::Suite(), absl::Now() + absl::Seconds(2)};
    const auto rows = options_.pool->Query(tx, kHeads);
    if (!rows.ok()) continue;  // The next round tries again; readers see the error themselves.
    Offsets heads;
    for (int i = 0; i < rows->size(); ++i) {
      heads.emplace_back(static_cast<int>((*rows)[i].Int(0)), (*rows)[i].Int(1));
    }
    options_.heads->Raise(heads);
  }
}

}  // namespace clm::journal
