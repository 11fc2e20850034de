#include "libs/journal/feed.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/failpoint.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

// Who is further behind reads from the database.
constexpr absl::Duration kRecent = absl::Seconds(10);

}  // namespace

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

absl::StatusOr<event::v1::FetchResponse> Feed::Read(const Offsets& positions, int max_records) {
  return Fetch(positions, max_records, nullptr);
}

absl::StatusOr<event::v1::FetchResponse> Feed::Read(const Offsets& positions, int max_records,
                                                    const std::vector<std::string>& types) {
  return Fetch(positions, max_records, &types);
}

absl::StatusOr<event::v1::FetchResponse> Feed::Fetch(const Offsets& positions, int max_records,
                                                     const std::vector<std::string>* types) {
  event::v1::FetchResponse response;
  if (positions.empty()) return response;
  // Who comes first is served whatever the size: it is another one each time.
  const size_t first = turn_.fetch_add(1, std::memory_order_relaxed) % positions.size();
  Offsets left = positions;
  std::rotate(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(first), left.end());
  ByteBudget budget(options_.max_bytes);
  if (options_.recent != nullptr) {
    // What is in memory must not take the room of a shard that is not, for as long as it grows.
    const auto [shard, after] = left[0];
    if (!options_.recent->Holds(shard, after) && options_.heads->Get(shard) > after) {
      CLM_RETURN_IF_ERROR(FetchStored({left[0]}, max_records, types, &budget, &response));
      left.erase(left.begin());
    }
    TakeRecent(max_records, types, &left, &budget, &response);
  }
  if (!left.empty() && budget.left() > 0) {
    CLM_RETURN_IF_ERROR(FetchStored(left, max_records, types, &budget, &response));
    left.clear();
  }
  if (budget.refused() || !left.empty()) response.set_more(true);
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

void Feed::TakeRecent(int max_records, const std::vector<std::string>* types, Offsets* positions,
                      ByteBudget* budget, event::v1::FetchResponse* response) {
  Offsets rest;
  event::v1::ShardRecords taken;
  for (const auto& [shard, after] : *positions) {
    if (!options_.recent->Read(shard, after, max_records, types, budget, &taken)) {
      rest.emplace_back(shard, after);
    } else if (!taken.records().empty()) {
      *response->add_shards() = std::move(taken);
      taken.Clear();
    }
  }
  if (types == nullptr && !response->shards().empty()) {
    const auto nothing_new = [this](const auto& p) {
      return options_.heads->Get(p.first) <= p.second;
    };
    if (std::erase_if(rest, nothing_new) > 0) passed_over_ = true;
  }
  *positions = std::move(rest);
}

absl::Status Feed::FetchStored(const Offsets& positions, int max_records,
                               const std::vector<std::string>* types, ByteBudget* budget,
                               event::v1::FetchResponse* response) {
  std::vector<int64_t> shards, after;
  for (const auto& [shard, off] : positions) {
    shards.push_back(shard);
    after.push_back(off);
  }
  pg::Args args;
  args.AddArray(shards).AddArray(after).Add(max_records).Add(budget->left());
  if (types != nullptr) args.AddArray(*types);
  const pg::TxOptions tx{pg::Scope::Suite(), absl::Now() + absl::Seconds(10)};
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       options_.pool->Query(tx, types == nullptr ? kFetch : kFetchTypes, args));
  std::array<event::v1::ShardRecords*, kShards> by_shard = {};
  for (int i = 0; i < rows.size(); ++i) {
    // The very first comes whatever its size, unless memory has given something before it.
    std::string event = rows[i].IsNull(2) ? "" : rows[i].Bytes(2);
    if (rows[i].IsNull(2) || !budget->Take(event.size())) {
      response->set_more(true);
      continue;
    }
    const int shard = static_cast<int>(rows[i].Int(0));
    event::v1::ShardRecords*& current = by_shard.at(shard);
    if (current == nullptr) {
      current = response->add_shards();
      current->set_shard(shard);
    }
    auto* record = current->add_records();
    record->set_offset(rows[i].Int(1));
    record->set_event(std::move(event));
  }
  return absl::OkStatus();
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
    if (options_.recent != nullptr) options_.recent->Forget(absl::Now() - kRecent);
    const bool awaited = somebody && options_.heads->HasWaiters();
    if (!passed_over_.exchange(false) && !awaited) continue;
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
