#include "libs/journal/lanes.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/statements.h"

namespace clm::journal {
namespace {

// How far an executor looks down the queue for mutations whose shards are free.
constexpr size_t kMaxScan = 8192;
// How often a mutation that lost a race for a unique key is run again.
constexpr int kOvertaken = 3;

struct RequestKey {
  std::string tenant;
  std::string id;
  friend bool operator==(const RequestKey&, const RequestKey&) = default;
  template <class H>
  friend H AbslHashValue(H h, const RequestKey& key) {
    return H::combine(std::move(h), key.tenant, key.id);
  }
};

struct Stored {
  std::string fingerprint;
  std::string response;
};

absl::Status RequestIdReused() {
  return error::Make(absl::StatusCode::kInvalidArgument, "REQUEST_ID_REUSED",
                     "request_id: already used for a different request; make a new one");
}

using SeenRequests = absl::flat_hash_map<RequestKey, Stored>;

// What is known of these requests, as of now.
absl::Status LoadSeen(pg::Tx& tx, const std::vector<const MutationInfo*>& infos,
                      SeenRequests& seen) {
  std::vector<std::string> tenants, ids;
  for (const MutationInfo* info : infos) {
    if (info->request_id.empty()) continue;
    tenants.push_back(info->tenant);
    ids.push_back(info->request_id);
  }
  if (ids.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(tenants).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kSeenRequests, args));
  for (int i = 0; i < rows.size(); ++i) {
    seen[{std::string(rows[i].Text(0)), std::string(rows[i].Text(1))}] = {rows[i].Bytes(2),
                                                                          rows[i].Bytes(3)};
  }
  return absl::OkStatus();
}

absl::StatusOr<Answer> Repeat(const Stored& stored, const MutationInfo& info) {
  if (stored.fingerprint != info.fingerprint) return RequestIdReused();
  return Answer{stored.response, true};
}

// Collects what the mutations of one transaction record, and assigns offsets.
class Transcript : public Recorder {
 public:
  Transcript(absl::Time now, absl::flat_hash_map<int, int64_t> heads)
      : now_(now), heads_(std::move(heads)) {}

  absl::Time now() const override { return now_; }

  void Record(Entry entry) override { pending_entries_.push_back(std::move(entry)); }

  std::optional<Position> Consumed(const std::string& source, int shard) const override {
    const auto it = positions_.find({source, shard});
    if (it == positions_.end()) return std::nullopt;
    return it->second;
  }

  bool Blocked(const std::string& source, const std::string& tenant,
               const std::string& subject) const override {
    return blocked_.contains({source, tenant, subject});
  }

  void Advance(const std::string& source, int shard, int64_t off) override {
    Position& position = positions_[{source, shard}];
    undo_positions_.push_back({{source, shard}, position});
    position.off = off;
  }

  void Park(Parked parked) override {
    if (blocked_.insert({parked.source, parked.tenant, parked.subject}).second) {
      undo_blocked_.push_back({parked.source, parked.tenant, parked.subject});
    }
    pending_parked_.push_back(std::move(parked));
  }

  void Unpark(const std::string& source, int shard, int64_t off,
              const std::string& tenant) override {
    pending_unparked_.push_back({source, shard, off, tenant});
  }

  // Reads where the consumers of the batch stand.
  absl::Status LoadConsumers(pg::Tx& tx, const std::vector<std::string>& sources,
                             const std::vector<int64_t>& shards) {
    pg::Args args;
    args.AddArray(sources).AddArray(shards);
    CLM_ASSIGN_OR_RETURN(const pg::Result positions, tx.Exec(kPositions, args));
    for (int i = 0; i < positions.size(); ++i) {
      positions_[{std::string(positions[i].Text(0)), static_cast<int>(positions[i].Int(1))}] = {
          positions[i].Int(2), positions[i].Int(3)};
    }
    CLM_ASSIGN_OR_RETURN(const pg::Result blocked, tx.Exec(kBlocked, args));
    for (int i = 0; i < blocked.size(); ++i) {
      blocked_.insert({std::string(blocked[i].Text(0)), std::string(blocked[i].Text(1)),
                       std::string(blocked[i].Text(2))});
    }
    return absl::OkStatus();
  }

  // The mutation is accepted: its entries get their offsets.
  absl::Status Keep(const MutationInfo& info) {
    for (Entry& entry : pending_entries_) {
      const auto head = heads_.find(entry.shard);
      if (head == heads_.end()) return error::Internal("an entry of a shard that was not locked");
      const int64_t off = ++head->second;
      moved_.insert(entry.shard);
      const Uuid id = Uuid::V7(now_);
      event::v1::Event event;
      event.set_id(id.ToString());
      event.set_tenant(entry.tenant);
      event.set_subject(entry.subject);
      event.set_type(entry.type);
      event.set_subject_version(entry.subject_version);
      ToProto(entry.occur_time.value_or(now_), event.mutable_occur_time());
      ToProto(now_, event.mutable_record_time());
      event.set_actor(info.actor);
      event.set_cause(entry.cause.empty() ? info.cause : entry.cause);
      event.set_traceparent(info.traceparent);
      event.set_payload(std::move(entry.payload));
      if (!first_) first_ = {entry.shard, off, id};
      shards_.push_back(entry.shard);
      offsets_.push_back(off);
      tenants_.push_back(std::move(entry.tenant));
      ids_.push_back(id);
      subjects_.push_back(std::move(entry.subject));
      types_.push_back(std::move(entry.type));
      events_.push_back(event.SerializeAsString());
    }
    pending_entries_.clear();
    for (const auto& undo : undo_positions_) advanced_.insert(undo.first);
    undo_positions_.clear();
    undo_blocked_.clear();
    for (auto& parked : pending_parked_) parked_.push_back(std::move(parked));
    pending_parked_.clear();
    for (auto& unparked : pending_unparked_) unparked_.push_back(std::move(unparked));
    pending_unparked_.clear();
    return absl::OkStatus();
  }

  // The mutation is refused: nothing it recorded happened.
  void Discard() {
    pending_entries_.clear();
    for (auto it = undo_positions_.rbegin(); it != undo_positions_.rend(); ++it) {
      positions_[it->first] = it->second;
    }
    undo_positions_.clear();
    for (const auto& key : undo_blocked_) blocked_.erase(key);
    undo_blocked_.clear();
    pending_parked_.clear();
    pending_unparked_.clear();
  }

  void Remember(const MutationInfo& info, const std::string& response) {
    request_tenants_.push_back(info.tenant);
    request_ids_.push_back(info.request_id);
    fingerprints_.push_back(info.fingerprint);
    responses_.push_back(response);
    aggregates_.push_back(info.aggregate);
  }

  absl::Status Write(pg::Tx& tx) const {
    if (!shards_.empty() || !request_ids_.empty()) {
      std::vector<int64_t> head_shards, head_offsets;
      for (const int shard : moved_) {
        head_shards.push_back(shard);
        head_offsets.push_back(heads_.at(shard));
      }
      pg::Args args;
      args.AddArray(shards_).AddArray(offsets_).AddArray(tenants_).AddArray(ids_);
      args.AddArray(subjects_).AddArray(types_).AddBytesArray(events_);
      args.AddArray(request_tenants_).AddArray(request_ids_).AddBytesArray(fingerprints_);
      args.AddBytesArray(responses_).AddArray(head_shards).AddArray(head_offsets);
      args.Add(now_).AddArray(aggregates_);
      CLM_RETURN_IF_ERROR(tx.Exec(kAppend, args).status());
    }
    for (const Parked& p : parked_) {
      pg::Args args;
      args.Add(p.tenant).Add(p.source).Add(p.shard).Add(p.off).Add(p.event_id).Add(p.subject);
      args.AddBytes(p.event)
          .Add(p.error_reason)
          .Add(p.error_message)
          .Add(1)
          .Add(p.waiting)
          .Add(now_);
      CLM_RETURN_IF_ERROR(tx.Exec(kPark, args).status());
    }
    for (const auto& [source, shard, off, tenant] : unparked_) {
      pg::Args args;
      args.Add(tenant).Add(source).Add(shard).Add(off);
      CLM_RETURN_IF_ERROR(tx.Exec(kUnpark, args).status());
    }
    if (!advanced_.empty()) {
      std::vector<std::string> sources;
      std::vector<int64_t> shards, offs, fences;
      for (const auto& key : advanced_) {
        const Position& position = positions_.at(key);
        sources.push_back(key.first);
        shards.push_back(key.second);
        offs.push_back(position.off);
        fences.push_back(position.fence);
      }
      pg::Args args;
      args.AddArray(sources).AddArray(shards).AddArray(offs).AddArray(fences);
      CLM_ASSIGN_OR_RETURN(const pg::Result done, tx.Exec(kAdvance, args));
      if (done.affected() != static_cast<int64_t>(sources.size())) {
        return error::Make(absl::StatusCode::kAborted, "FENCED",
                           "another process has taken the shard over");
      }
    }
    return absl::OkStatus();
  }

  Offsets Moved() const {
    Offsets moved;
    for (const int shard : moved_) moved.emplace_back(shard, heads_.at(shard));
    return moved;
  }

  struct Place {
    int shard;
    int64_t off;
    Uuid event_id;
  };
  const std::optional<Place>& first() const { return first_; }

 private:
  using ShardOf = std::pair<std::string, int>;
  using Subject = std::tuple<std::string, std::string, std::string>;
  using Unparked = std::tuple<std::string, int, int64_t, std::string>;

  const absl::Time now_;
  absl::flat_hash_map<int, int64_t> heads_;
  absl::flat_hash_set<int> moved_;
  std::vector<Entry> pending_entries_;
  absl::flat_hash_map<ShardOf, Position> positions_;
  absl::flat_hash_set<ShardOf> advanced_;
  std::vector<std::pair<ShardOf, Position>> undo_positions_;
  absl::flat_hash_set<Subject> blocked_;
  std::vector<Subject> undo_blocked_;
  std::vector<Parked> pending_parked_, parked_;
  std::vector<Unparked> pending_unparked_, unparked_;
  std::optional<Place> first_;
  std::vector<int64_t> shards_, offsets_;
  std::vector<std::string> tenants_, subjects_, types_, events_;
  std::vector<Uuid> ids_;
  std::vector<std::string> request_tenants_, request_ids_, fingerprints_, responses_;
  std::vector<std::optional<Uuid>> aggregates_;
};

}  // namespace

struct Lanes::Outcome {
  absl::StatusOr<Answer> answer = absl::UnknownError("not run");
  // Where the batch's first entry went, in the first outcome only: proof of a lost commit.
  std::optional<Transcript::Place> proof;
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
    const bool beyond_quota = narrow && (info.shards & ~taken).any() && taken.count() >= quota;
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
    RunBatch(std::move(batch));
    absl::MutexLock lock(&mu_);
    busy_ &= ~taken;
    --running_;
    ++changes_;
  }
}

void Lanes::RunBatch(Batch batch) {
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

  std::vector<Outcome> outcomes;
  Offsets heads;
  absl::Status status = Transact(live, outcomes, heads);
  // A unique key that somebody took while this transaction ran: run again, it finds the row now and
  // can say whose it is (a twin's answer, the owner of an address).
  for (int again = 0; again < kOvertaken && live.size() == 1 && pg::SqlState(status) == "23505";
       ++again) {
    status = Transact(live, outcomes, heads);
  }
  if (error::Reason(status) == "COMMIT_UNKNOWN") {
    const absl::StatusOr<bool> committed = Committed(outcomes);
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
    if (options_.on_commit && !heads.empty()) options_.on_commit(heads);
    if (options_.on_batch) options_.on_batch(items, absl::Now() - started);
    for (size_t i = 0; i < live.size(); ++i) live[i]->Done(std::move(outcomes[i].answer));
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
  RunBatch(std::move(live));
  RunBatch(std::move(second));
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

absl::Status Lanes::Transact(const Batch& batch, std::vector<Outcome>& outcomes, Offsets& heads) {
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

  std::unique_ptr<Work> work;
  const absl::Status status = options_.pool->Transact(tx_options, [&](pg::Tx& tx) -> absl::Status {
    outcomes.assign(batch.size(), Outcome());
    heads.clear();
    work = options_.new_work();

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
    outcomes[0].proof = transcript.first();
    heads = transcript.Moved();
    Failpoint("lane.appended");
    return absl::OkStatus();
  });
  if (status.ok() && work != nullptr) work->Committed(heads);
  return status;
}

}  // namespace clm::journal
