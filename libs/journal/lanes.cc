#include "libs/journal/lanes.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/status_macros.h"
#include "libs/journal/statements.h"
#include "libs/journal/transcript.h"

namespace clm::journal {
namespace {

// How far an executor looks down the queue for mutations whose shards are free.
constexpr size_t kMaxScan = 8192;
// How often a mutation that lost a race for a unique key is run again.
constexpr int kOvertaken = 3;

}  // namespace

struct Lanes::Outcome {
  absl::StatusOr<Answer> answer = absl::UnknownError("not run");
  // Where the batch's first entry went, in the first outcome only: proof of a lost commit.
  std::optional<Transcript::Place> proof;
};

// What one transaction came to.
struct Lanes::Attempt {
  std::vector<Outcome> outcomes;
  std::vector<Growth> grown;
  std::vector<FreshRecord> records;  // Only if somebody wants them.
  std::unique_ptr<Work> work;
};

Lanes::Lanes(Options options) : options_(std::move(options)) {
  for (int i = 0; i < options_.executors; ++i) {
    executors_.emplace_back([this] { Execute(); });
  }
}

Lanes::~Lanes() {
  Drain();
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    ++changes_;
  }
  for (auto& thread : executors_) thread.join();
}

void Lanes::Submit(std::unique_ptr<Mutation> mutation) {
  std::vector<std::unique_ptr<Mutation>> one;
  one.push_back(std::move(mutation));
  Submit(std::move(one));
}

void Lanes::Submit(std::vector<std::unique_ptr<Mutation>> mutations) {
  absl::Status refused;
  size_t taken = 0;
  {
    absl::MutexLock lock(&mu_);
    for (; taken < mutations.size(); ++taken) {
      if (draining_) {
        refused = error::Unavailable("SHUTTING_DOWN", "this replica is stopping; try another one",
                                     absl::ZeroDuration());
        break;
      }
      if (waiting_weight_ >= options_.max_waiting) {
        refused = error::Make(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                              "too many changes are waiting; slow down and try again");
        break;
      }
      waiting_weight_ += mutations[taken]->info().weight;
      waiting_.push_back(std::move(mutations[taken]));
      ++changes_;
    }
  }
  for (size_t i = taken; i < mutations.size(); ++i) mutations[i]->Done(refused);
}

void Lanes::Drain() {
  absl::MutexLock lock(&mu_);
  draining_ = true;
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return waiting_.empty() && running_ == 0;
  };
  mu_.Await(absl::Condition(&idle));
}

absl::Time Lanes::Now() {
  const absl::Time now = options_.clock->Now();
  absl::MutexLock lock(&mu_);
  last_now_ = std::max(last_now_, now);
  return last_now_;
}

Lanes::Batch Lanes::Take(ShardSet& taken) {
  // The free shards are shared out between the executors that have nothing to do, so that two
  // transactions overlap their waits for the disk instead of one taking all.
  ShardSet wanted;
  size_t scanned = 0;
  for (const auto& m : waiting_) {
    if (++scanned > kMaxScan) break;
    if (m->info().shards.count() == 1) wanted |= m->info().shards;
  }
  const size_t idle = std::max(1, options_.executors - running_);
  const size_t quota = std::max<size_t>(1, ((wanted & ~busy_).count() + idle - 1) / idle);

  Batch batch;
  // Shards of mutations passed over: nothing behind them may overtake.
  ShardSet passed;
  int weight = 0;
  scanned = 0;
  for (auto it = waiting_.begin(); it != waiting_.end() && ++scanned <= kMaxScan;) {
    const MutationInfo& info = (*it)->info();
    const bool narrow = info.shards.count() == 1;
    const bool blocked = (info.shards & (busy_ | passed)).any();
    // Of mutations over several shards, those that share nothing with what is taken can run beside
    // it.
    const bool for_others =
        narrow ? (info.shards & ~taken).any() : idle > 1 && (info.shards & taken).none();
    const bool beyond_quota = for_others && taken.count() >= quota;
    const bool beyond_size = !batch.empty() && weight + info.weight > options_.max_batch;
    if (blocked || beyond_quota || beyond_size) {
      passed |= info.shards;
      ++it;
      if (passed.all()) break;
      continue;
    }
    taken |= info.shards;
    weight += info.weight;
    batch.push_back(std::move(*it));
    it = waiting_.erase(it);
  }
  waiting_weight_ -= weight;
  return batch;
}

void Lanes::Execute() {
  for (;;) {
    Batch batch;
    ShardSet taken;
    {
      absl::MutexLock lock(&mu_);
      for (;;) {
        batch = Take(taken);
        if (!batch.empty() || stopped_) break;
        const int64_t seen = changes_;
        const auto changed = [this, seen]()
                                 ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return changes_ != seen; };
        mu_.Await(absl::Condition(&changed));
      }
      if (batch.empty()) return;
      busy_ |= taken;
      ++running_;
    }
    RunBatch(std::move(batch), taken);
    absl::MutexLock lock(&mu_);
    --running_;
    ++changes_;
  }
}

void Lanes::Free(const ShardSet& shards) {
  absl::MutexLock lock(&mu_);
  busy_ &= ~shards;
  ++changes_;
}

void Lanes::RunBatch(Batch batch, ShardSet shards) {
  auto free_shards = absl::MakeCleanup([&] { Free(shards); });
  const absl::Time started = absl::Now();
  int items = 0;
  // Whoever has stopped waiting is not worth a row lock.
  Batch live;
  for (auto& m : batch) {
    if (m->info().deadline <= started) {
      m->Done(error::Make(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                          "the deadline passed before the change was begun; nothing happened"));
    } else {
      items += m->info().weight;
      live.push_back(std::move(m));
    }
  }
  if (live.empty()) return;

  Attempt attempt;
  absl::Status status = Transact(live, attempt);
  // A unique key that somebody took while this transaction ran: run again, it finds the row now and
  // can say whose it is (a twin's answer, the owner of an address).
  for (int again = 0; again < kOvertaken && live.size() == 1 && pg::SqlState(status) == "23505";
       ++again) {
    status = Transact(live, attempt);
  }
  if (error::Reason(status) == "COMMIT_UNKNOWN") {
    const absl::StatusOr<bool> committed = Committed(attempt.outcomes);
    if (committed.ok()) {
      status = *committed
                   ? absl::OkStatus()
                   : error::Unavailable("DATABASE_UNAVAILABLE",
                                        "the database broke the connection; nothing happened",
                                        absl::Milliseconds(100));
    }
  }
  if (status.ok()) {
    Failpoint("lane.committed");
    Offsets heads;
    for (const Growth& growth : attempt.grown) heads.emplace_back(growth.shard, growth.last);
    if (options_.recent != nullptr) {
      options_.recent->Add(attempt.grown, std::move(attempt.records), attempt.work->Rewritten());
    }
    if (options_.free_at_commit) std::move(free_shards).Invoke();
    const bool heard = attempt.work->Committed(heads).ok();
    attempt.work.reset();
    if (heard && options_.told != nullptr) options_.told->Add(attempt.grown);
    Failpoint("lane.told");
    if (options_.on_commit && !heads.empty()) options_.on_commit(heads);
    if (options_.on_batch) options_.on_batch(items, absl::Now() - started);
    for (size_t i = 0; i < live.size(); ++i) live[i]->Done(std::move(attempt.outcomes[i].answer));
    return;
  }
  // A database that is away fails everybody alike; anything else may be the fault of one.
  const bool split = live.size() > 1 &&
                     (!error::IsTransient(status) || status.code() == absl::StatusCode::kAborted ||
                      status.code() == absl::StatusCode::kDeadlineExceeded);
  if (!split) {
    for (auto& m : live) m->Done(status);
    return;
  }
  const size_t half = live.size() / 2;
  Batch second;
  for (size_t i = half; i < live.size(); ++i) second.push_back(std::move(live[i]));
  live.resize(half);
  // What the second half needs may be busy until then.
  RunBatch(std::move(live), ShardSet());
  std::move(free_shards).Cancel();
  RunBatch(std::move(second), shards);
}

// Twins whose aggregates the server names stand on different shards, so that one may commit between
// two statements of the other: which then finds its own effect, and takes it for somebody else's.
// Who is refused asks once more for an answer.
absl::Status Lanes::AnswerOvertaken(pg::Tx& tx, const Batch& batch,
                                    std::vector<Outcome>& outcomes) {
  std::vector<const MutationInfo*> refused;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!outcomes[i].answer.ok()) refused.push_back(&batch[i]->info());
  }
  SeenRequests seen;
  CLM_RETURN_IF_ERROR(LoadSeen(tx, refused, seen));
  for (size_t i = 0; i < batch.size() && !seen.empty(); ++i) {
    const MutationInfo& info = batch[i]->info();
    const auto it = seen.find({info.tenant, info.request_id});
    if (!outcomes[i].answer.ok() && it != seen.end()) outcomes[i].answer = Repeat(it->second, info);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Lanes::Committed(const std::vector<Outcome>& outcomes) {
  const auto& proof = outcomes.empty() ? std::optional<Transcript::Place>() : outcomes[0].proof;
  // Without a journal row nothing durable was decided that running again would not decide alike.
  if (!proof) return false;
  bool found = false;
  absl::Status status;
  for (int attempt = 0; attempt < 5; ++attempt) {
    status = options_.pool->Transact(
        {pg::Scope::Suite(), absl::Now() + absl::Seconds(5)}, [&](pg::Tx& tx) {
          // Taking the lock waits for the old session, should it still be committing.
          pg::Args lock;
          lock.AddArray(std::vector<int64_t>{proof->shard});
          CLM_RETURN_IF_ERROR(tx.Exec(kLockHeads, lock).status());
          pg::Args place;
          place.Add(proof->shard).Add(proof->off);
          CLM_ASSIGN_OR_RETURN(const pg::Result at, tx.Exec(kEventAt, place));
          found = !at.empty() && at[0].Uuid(0) == proof->event_id;
          return absl::OkStatus();
        });
    if (status.ok()) return found;
    absl::SleepFor(absl::Milliseconds(100 << attempt));
  }
  return status;
}

absl::Status Lanes::Transact(const Batch& batch, Attempt& attempt) {
  ShardSet shards;
  absl::flat_hash_set<std::string> tenants;
  absl::Time deadline = absl::InfinitePast();
  bool suite = false;
  for (const auto& m : batch) {
    shards |= m->info().shards;
    if (m->info().tenant.empty()) {
      suite = true;
    } else {
      tenants.insert(m->info().tenant);
    }
    // Batch mates wait together: the statement timeout is that of the most patient one.
    deadline = std::max(deadline, m->info().deadline);
  }
  pg::TxOptions tx_options;
  tx_options.scope =
      suite ? pg::Scope::Suite()
            : pg::Scope::Tenants(std::vector<std::string>(tenants.begin(), tenants.end()));
  tx_options.deadline = deadline;

  std::vector<int64_t> shard_list;
  for (int s = 0; s < kShards; ++s) {
    if (shards[s]) shard_list.push_back(s);
  }

  return options_.pool->Transact(tx_options, [&](pg::Tx& tx) -> absl::Status {
    attempt.work = options_.new_work();
    attempt.grown.clear();
    std::unique_ptr<Work>& work = attempt.work;
    std::vector<Outcome>& outcomes = attempt.outcomes;
    outcomes.assign(batch.size(), Outcome());

    pg::Args lock;
    lock.AddArray(shard_list);
    CLM_ASSIGN_OR_RETURN(const pg::Result locked, tx.Exec(kLockHeads, lock));
    if (locked.size() != static_cast<int>(shard_list.size())) {
      return error::Internal("the database has not the shards this program was built for");
    }
    absl::flat_hash_map<int, int64_t> head_offsets;
    for (int i = 0; i < locked.size(); ++i) {
      head_offsets[static_cast<int>(locked[i].Int(0))] = locked[i].Int(1);
    }
    work->Locked(head_offsets);
    Failpoint("lane.locked");

    SeenRequests seen;
    std::vector<const MutationInfo*> infos;
    for (const auto& m : batch) infos.push_back(&m->info());
    CLM_RETURN_IF_ERROR(LoadSeen(tx, infos, seen));

    for (const auto& m : batch) m->Declare(*work);
    CLM_RETURN_IF_ERROR(work->Load(tx));

    Transcript transcript(Now(), std::move(head_offsets));
    std::set<std::string> sources;
    for (const auto& m : batch) {
      if (!m->info().source.empty()) sources.insert(m->info().source);
    }
    if (!sources.empty()) {
      CLM_RETURN_IF_ERROR(transcript.LoadConsumers(
          tx, std::vector<std::string>(sources.begin(), sources.end()), shard_list));
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      const MutationInfo& info = batch[i]->info();
      const RequestKey key{info.tenant, info.request_id};
      if (!info.request_id.empty()) {
        // Also finds a twin that stands earlier in this very batch.
        if (const auto it = seen.find(key); it != seen.end()) {
          outcomes[i].answer = Repeat(it->second, info);
          continue;
        }
      }
      absl::StatusOr<std::string> response = batch[i]->Apply(*work, transcript);
      if (response.ok()) {
        if (absl::Status fits = transcript.Fits(); !fits.ok()) response = std::move(fits);
      }
      if (!response.ok()) {
        work->Discard();
        transcript.Discard();
        // A failure of the database in the middle of a decision fails the transaction.
        if (!pg::SqlState(response.status()).empty()) return response.status();
        outcomes[i].answer = std::move(response).status();
        continue;
      }
      work->Keep();
      CLM_RETURN_IF_ERROR(transcript.Keep(info));
      if (!info.request_id.empty()) {
        transcript.Remember(info, *response);
        seen[key] = {info.fingerprint, *response};
      }
      outcomes[i].answer = Answer{*std::move(response), false};
    }
    CLM_RETURN_IF_ERROR(AnswerOvertaken(tx, batch, outcomes));
    Failpoint("lane.applied");
    CLM_RETURN_IF_ERROR(work->Flush(tx));
    Failpoint("lane.flushed");
    CLM_RETURN_IF_ERROR(transcript.Write(tx));
    CLM_RETURN_IF_ERROR(work->Sweep(tx));
    outcomes[0].proof = transcript.first();
    attempt.grown = transcript.Grown();
    if (options_.recent != nullptr) attempt.records = transcript.TakeRecords();
    Failpoint("lane.appended");
    return absl::OkStatus();
  });
}

}  // namespace clm::journal
