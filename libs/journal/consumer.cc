#include "libs/journal/consumer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/failpoint.h"
#include "libs/base/status_macros.h"
#include "libs/journal/dead_letters.h"
#include "libs/journal/statements.h"
#include "libs/journal/transcript.h"

namespace clm::journal {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(50);
constexpr absl::Duration kLongestRetry = absl::Seconds(5);
// After so many failures of one event alone, other than transient ones, it is parked.
constexpr int kAttempts = 5;
// Bytes of records in memory from which on nothing more is fetched ahead.
constexpr int64_t kMaxBytesAhead = 16 << 20;

int64_t BytesOf(const std::vector<event::v1::Record>& records) {
  int64_t bytes = 0;
  for (const auto& record : records) bytes += static_cast<int64_t>(record.event().size());
  return bytes;
}

// Records per shard and fetch while there are events that are applied alone.
constexpr int kMaxBesideTrials = 16;
// An event that was begun so often by processes that then died is parked instead.
constexpr int kTrialsUntilParked = 3;

absl::Status Deadly() {
  return error::Make(absl::StatusCode::kInternal, "HANDLER_CRASHED",
                     "the processes that applied the event died of it");
}

// Holds back what a handler records until it is known that the event counts.
class HeldRecorder final : public Recorder {
 public:
  explicit HeldRecorder(Recorder& recorder) : recorder_(recorder) {}

  absl::Time now() const override { return recorder_.now(); }
  void Record(Entry entry) override { entries_.push_back(std::move(entry)); }

  absl::Status Fits() const { return CheckSizes(entries_); }

  void Release() {
    for (Entry& entry : entries_) recorder_.Record(std::move(entry));
  }

 private:
  Recorder& recorder_;
  std::vector<Entry> entries_;
};

// Applies one event; parks it when it cannot be applied. Only transient failures are returned. What
// a failed event staged stays for the caller to discard; what it recorded is gone.
absl::Status ApplyOne(EventHandler& handler, const std::string& source, int shard,
                      const event::v1::Record& record, const event::v1::Event& event,
                      const absl::Status& verdict, Work& work, ConsumingRecorder& recorder) {
  const bool blocked = recorder.Blocked(source, event.tenant(), event.subject());
  absl::Status status = verdict;
  if (status.ok() && !blocked) {
    Failpoint("consumer.applying", event.subject());
    HeldRecorder held(recorder);
    status = handler.Apply(event, work, held);
    if (error::IsTransient(status) || !pg::SqlState(status).empty()) return status;
    if (status.ok()) status = held.Fits();
    if (status.ok()) held.Release();
  }
  if (!status.ok()) work.Discard();
  if (!status.ok() || blocked) {
    const bool waiting = status.ok();
    recorder.Park(
        {source, shard, record.offset(), event.tenant(),
         // Of a record that cannot be read nothing is known.
         event.id().empty() ? Uuid().ToString() : event.id(), event.subject(), record.event(),
         waiting ? "WAITING" : error::Reason(status),
         waiting ? "an earlier event of the same subject is parked" : std::string(status.message()),
         waiting});
  } else {
    work.Keep();
  }
  return absl::OkStatus();
}

class ConsumeMutation : public Mutation {
 public:
  using DoneFn = absl::AnyInvocable<void(const absl::StatusOr<Answer>&)>;

  ConsumeMutation(MutationInfo info, EventHandler* handler, int shard, int64_t fence,
                  std::vector<event::v1::Record> records, std::optional<absl::Status> park_because,
                  std::function<void(const event::v1::Event&, const absl::Status&)> on_parked,
                  DoneFn done)
      : Mutation(std::move(info)),
        handler_(handler),
        shard_(shard),
        fence_(fence),
        records_(std::move(records)),
        park_because_(std::move(park_because)),
        on_parked_(std::move(on_parked)),
        done_(std::move(done)) {
    events_.resize(records_.size());
    verdicts_.resize(records_.size());
    for (size_t i = 0; i < records_.size(); ++i) {
      if (events_[i].ParseFromString(records_[i].event())) continue;
      events_[i].Clear();
      verdicts_[i] = UnreadableEvent();
    }
    if (park_because_ && !verdicts_.empty()) verdicts_[0] = *park_because_;
  }

  void Declare(Work& work) override {
    for (size_t i = 0; i < events_.size(); ++i) {
      if (verdicts_[i].ok()) handler_->Declare(events_[i], work);
    }
  }

  absl::StatusOr<std::string> Apply(Work& work, ConsumingRecorder& recorder) override {
    const std::string& source = info().source;
    const auto position = recorder.Consumed(source, shard_);
    if (!position || position->fence != fence_) {
      return error::Make(absl::StatusCode::kAborted, "FENCED",
                         "another process has taken the shard over");
    }
    int64_t last = position->off;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (records_[i].offset() <= last) continue;  // Applied before; delivered again.
      if (records_[i].offset() != last + 1) {
        return error::Make(absl::StatusCode::kAborted, "FEED_GAP",
                           "the feed does not go on where this consumer stands");
      }
      const absl::Status status = ApplyOne(*handler_, source, shard_, records_[i], events_[i],
                                           verdicts_[i], work, recorder);
      if (!status.ok()) {
        // What was applied before it is kept in the unit of work, so its offset must go with it.
        if (last == position->off) return status;
        work.Discard();
        break;
      }
      last = records_[i].offset();
    }
    recorder.Advance(source, shard_, last);
    return absl::StrCat(last);
  }

  void Done(absl::StatusOr<Answer> answer) override {
    if (answer.ok() && on_parked_) {
      for (size_t i = 0; i < events_.size(); ++i) {
        if (!verdicts_[i].ok()) on_parked_(events_[i], verdicts_[i]);
      }
    }
    done_(answer);
  }

 private:
  EventHandler* const handler_;
  const int shard_;
  const int64_t fence_;
  const std::vector<event::v1::Record> records_;
  const std::optional<absl::Status> park_because_;
  const std::function<void(const event::v1::Event&, const absl::Status&)> on_parked_;
  std::vector<event::v1::Event> events_;
  std::vector<absl::Status> verdicts_;
  DoneFn done_;
};

}  // namespace

Consumer::Consumer(Options options)
    : options_(std::move(options)),
      leases_(options_.pool, options_.source, Uuid::V7(absl::Now()), options_.lease_ttl) {}

Consumer::~Consumer() { Stop(); }

void Consumer::Start() {
  loop_ = std::thread([this] { Loop(); });
}

void Consumer::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (!loop_.joinable()) return;
  if (options_.cancel_fetch) options_.cancel_fetch();
  loop_.join();
  {
    absl::MutexLock lock(&mu_);
    const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return in_flight_ == 0; };
    mu_.Await(absl::Condition(&idle));
  }
  WithdrawTrials();
  {
    absl::MutexLock lock(&mu_);
    shards_.clear();
  }
  const absl::Status left = leases_.Leave();
  if (!left.ok() && options_.on_trouble) options_.on_trouble(left);
}

Consumer::Stats Consumer::stats() const {
  absl::MutexLock lock(&mu_);
  Stats stats;
  stats.applied = applied_;
  stats.owned = static_cast<int>(shards_.size());
  for (const auto& [_, shard] : shards_)
    stats.lag += std::max<int64_t>(0, shard.head - shard.applied);
  return stats;
}

void Consumer::Loop() {
  for (;;) {
    absl::Duration pause = Round();
    if (!backlog_) pause = std::max(pause, options_.pace);
    absl::MutexLock lock(&mu_);
    const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_; };
    if (mu_.AwaitWithTimeout(absl::Condition(&stopped), pause)) return;
  }
}

void Consumer::Refresh() {
  const absl::Time now = absl::Now();
  if (now < next_refresh_) return;
  auto owned = leases_.Refresh();
  next_refresh_ = now + options_.lease_ttl / 4;
  if (!owned.ok()) {
    if (options_.on_trouble) options_.on_trouble(owned.status());
    // The leases run out by themselves; effects that come too late fail by the fence.
    return;
  }
  absl::MutexLock lock(&mu_);
  for (auto it = shards_.begin(); it != shards_.end();) {
    const auto mine = owned->find(it->first);
    const bool kept = mine != owned->end() && mine->second.fence == it->second.fence;
    it = kept ? std::next(it) : shards_.erase(it);
  }
  for (const auto& [shard, lease] : *owned) {
    if (shards_.contains(shard)) continue;
    Shard fresh;
    fresh.fence = lease.fence;
    fresh.applied = fresh.fetched = fresh.head = lease.off;
    fresh.orphaned = lease.orphaned;
    shards_[shard] = fresh;
  }
}

// While a batch is applied, what comes gathers at the source, and the next fetch brings it as one
// batch: a transaction costs much the same for one event as for fifty. Only a backlog is fetched
// ahead.
void Consumer::AwaitApplied() {
  absl::MutexLock lock(&mu_);
  if (backlog_ && alone_ < 0) return;
  const auto applied = [this]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return in_flight_ == 0 || stop_; };
  // Leases are renewed meanwhile.
  mu_.AwaitWithTimeout(absl::Condition(&applied), options_.lease_ttl / 8);
}

absl::Duration Consumer::Round() {
  AwaitApplied();
  Refresh();
  WithdrawTrials();
  event::v1::FetchRequest request;
  request.set_source(options_.source);
  request.set_max_records(options_.max_records);
  bool held_back = false;
  {
    absl::MutexLock lock(&mu_);
    if (stop_) return absl::ZeroDuration();
    const absl::Time now = absl::Now();
    for (const auto& [number, shard] : shards_) {
      const bool room = bytes_ahead_ < kMaxBytesAhead &&
                        shard.fetched - shard.applied < options_.max_ahead &&
                        ((shard.limit == 0 && !shard.orphaned && !shard.Alone()) ||
                         shard.fetched == shard.applied) &&
                        (alone_ < 0 || !shard.Alone());
      if (!room || shard.retry_at > now) {
        held_back = true;
        continue;
      }
      if (shard.Alone()) request.set_max_records(std::min(options_.max_records, kMaxBesideTrials));
      auto* position = request.add_positions();
      position->set_shard(number);
      position->set_after_offset(shard.fetched);
    }
  }
  if (request.positions().empty())
    return held_back ? absl::Milliseconds(5) : options_.lease_ttl / 8;
  absl::Duration wait = std::min(options_.wait, options_.lease_ttl / 4);
  if (held_back) wait = std::min(wait, absl::Milliseconds(20));
  request.set_wait_millis(static_cast<int32_t>(absl::ToInt64Milliseconds(wait)));

  auto response = options_.fetch(request, absl::Now() + wait + absl::Seconds(5));
  if (!response.ok()) {
    bool wanted = false;
    {
      absl::MutexLock lock(&mu_);
      wanted = !stop_;
    }
    if (wanted && options_.on_trouble) options_.on_trouble(response.status());
    return absl::Milliseconds(100);
  }
  Failpoint("consumer.fetched");
  backlog_ = response->more() ||
             std::any_of(response->shards().begin(), response->shards().end(),
                         [](const event::v1::ShardRecords& s) {
                           return !s.records().empty() &&
                                  s.head_offset() > s.records(s.records_size() - 1).offset();
                         });
  const absl::StatusOr<int> alone = BeginTrials(*response);
  if (!alone.ok()) {
    if (options_.on_trouble) options_.on_trouble(alone.status());
    return absl::Milliseconds(100);
  }
  std::vector<std::unique_ptr<Mutation>> mutations;
  for (auto& records : *response->mutable_shards()) {
    int64_t fence;
    std::optional<absl::Status> park_because;
    std::vector<event::v1::Record> batch;
    {
      absl::MutexLock lock(&mu_);
      const auto it = shards_.find(records.shard());
      if (it == shards_.end() || records.records().empty()) continue;
      Shard& shard = it->second;
      if (!GoesOn(shard, records)) {
        // Not dense: the source was restored to an earlier state, or serves another database.
        if (options_.on_trouble) {
          options_.on_trouble(error::Make(absl::StatusCode::kDataLoss, "FEED_GAP",
                                          "the feed does not go on where this consumer stands"));
        }
        shard.retry_at = absl::Now() + kLongestRetry;
        continue;
      }
      // Its turn comes.
      if (shard.Alone() && records.shard() != *alone) continue;
      size_t take = records.records_size();
      if (shard.Alone()) {
        take = 1;
        alone_ = records.shard();
        if (shard.begun >= kTrialsUntilParked) park_because = Deadly();
      }
      if (shard.limit > 0) take = std::min<size_t>(take, shard.limit);
      if (shard.park_next) {
        take = 1;
        park_because = shard.failure;
        shard.park_next = false;
      }
      for (size_t i = 0; i < take; ++i) batch.push_back(std::move(*records.mutable_records(i)));
      fence = shard.fence;
      shard.survived = false;
      shard.fetched = batch.back().offset();
      shard.head = std::max(shard.head, std::max(records.head_offset(), shard.fetched));
      ++in_flight_;
      bytes_ahead_ += BytesOf(batch);
    }
    mutations.push_back(Apply(records.shard(), fence, std::move(batch), std::move(park_because)));
  }
  options_.lanes->Submit(std::move(mutations));
  return absl::ZeroDuration();
}

bool Consumer::GoesOn(const Shard& shard, const event::v1::ShardRecords& records) {
  return !records.records().empty() && records.records(0).offset() == shard.fetched + 1;
}

// An event whose handler ends the process would end every process, one after the other: failures
// are counted in memory. So, of a shard whose owner died, it is written down that its next batch is
// begun. Who comes after another death and finds that nothing has become of it applies the events
// one at a time, one shard at a time, and counts each before it begins. An event that was counted
// kTrialsUntilParked times without getting done is parked. Whoever does not come after a death
// writes nothing.
absl::StatusOr<int> Consumer::BeginTrials(const event::v1::FetchResponse& response) {
  std::vector<int64_t> orphans;
  bool any_alone = false;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& records : response.shards()) {
      const auto it = shards_.find(records.shard());
      if (it == shards_.end() || !GoesOn(it->second, records)) continue;
      if (it->second.orphaned) orphans.push_back(records.shard());
      any_alone = any_alone || it->second.Alone();
    }
  }
  if (orphans.empty() && !any_alone) return -1;
  const pg::TxOptions tx_options{pg::Scope::Suite(), absl::Now() + absl::Seconds(5)};
  std::map<int, std::pair<int64_t, int>> before;
  if (!orphans.empty()) {
    pg::Args args;
    args.Add(options_.source).AddArray(orphans);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, options_.pool->Query(tx_options, kTrials, args));
    for (int i = 0; i < rows.size(); ++i) {
      before[static_cast<int>(rows[i].Int(0))] = {rows[i].Int(1), static_cast<int>(rows[i].Int(2))};
    }
  }
  int chosen = -1;
  std::vector<int64_t> shards, offs, begun, fences;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& records : response.shards()) {
      const auto it = shards_.find(records.shard());
      if (it == shards_.end() || !GoesOn(it->second, records)) continue;
      Shard& shard = it->second;
      const auto known = before.find(records.shard());
      if (shard.orphaned && known != before.end() && known->second.first == shard.applied &&
          known->second.second > 0) {
        shard.begun = known->second.second;
        shard.alone_until = records.records(records.records_size() - 1).offset();
      }
      if (shard.Alone()) {
        if (chosen >= 0 || alone_ >= 0) continue;
        chosen = records.shard();
        if (shard.counted || shard.begun >= kTrialsUntilParked) continue;
      } else if (!shard.orphaned) {
        continue;
      }
      shards.push_back(records.shard());
      offs.push_back(shard.applied);
      begun.push_back(shard.begun + 1);
      fences.push_back(shard.fence);
    }
  }
  if (!shards.empty()) {
    pg::Args args;
    args.Add(options_.source).AddArray(shards).AddArray(offs).AddArray(begun).AddArray(fences);
    CLM_RETURN_IF_ERROR(options_.pool->Transact(
        tx_options, [&](pg::Tx& tx) { return tx.Exec(kBeginTrials, args).status(); }));
  }
  absl::MutexLock lock(&mu_);
  for (const int64_t orphan : orphans) {
    const auto it = shards_.find(static_cast<int>(orphan));
    if (it != shards_.end()) it->second.orphaned = false;
  }
  for (const int64_t begun_shard : shards) {
    const auto it = shards_.find(static_cast<int>(begun_shard));
    if (it != shards_.end()) it->second.counted = true;
  }
  return chosen;
}

// A failure that the process survived says nothing of deaths: should it die before the next try, of
// whatever else, the event is not to blame.
void Consumer::WithdrawTrials() {
  std::vector<int64_t> shards, offs, begun, fences;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [number, shard] : shards_) {
      if (!shard.survived) continue;
      shards.push_back(number);
      offs.push_back(shard.applied);
      begun.push_back(shard.begun);
      fences.push_back(shard.fence);
    }
  }
  if (shards.empty()) return;
  pg::Args args;
  args.Add(options_.source).AddArray(shards).AddArray(offs).AddArray(begun).AddArray(fences);
  const absl::Status withdrawn =
      options_.pool->Transact({pg::Scope::Suite(), absl::Now() + absl::Seconds(5)},
                              [&](pg::Tx& tx) { return tx.Exec(kBeginTrials, args).status(); });
  if (!withdrawn.ok()) {
    if (options_.on_trouble) options_.on_trouble(withdrawn);
    return;
  }
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < shards.size(); ++i) {
    const auto it = shards_.find(static_cast<int>(shards[i]));
    if (it == shards_.end() || it->second.fence != fences[i]) continue;
    it->second.survived = it->second.counted = false;
    // The next try is counted as the first one was.
    if (!it->second.Alone()) it->second.orphaned = true;
  }
}

std::unique_ptr<Mutation> Consumer::Apply(int shard, int64_t fence,
                                          std::vector<event::v1::Record> records,
                                          std::optional<absl::Status> park_because) {
  MutationInfo info;
  info.shards.set(shard);
  info.source = options_.source;
  info.actor = options_.source;
  info.weight = static_cast<int>(records.size());
  const int64_t last = records.back().offset();
  const int count = info.weight;
  const int64_t bytes = BytesOf(records);
  return std::make_unique<ConsumeMutation>(
      std::move(info), options_.handler, shard, fence, std::move(records), std::move(park_because),
      options_.on_parked,
      [this, shard, fence, last, count, bytes](const absl::StatusOr<Answer>& answer) {
        {
          absl::MutexLock lock(&mu_);
          bytes_ahead_ -= bytes;
        }
        Finished(shard, fence, last, count, answer);
      });
}

void Consumer::Finished(int number, int64_t fence, int64_t last, int count,
                        const absl::StatusOr<Answer>& answer) {
  if (answer.ok()) Failpoint("consumer.committed");
  if (!answer.ok() && error::Reason(answer.status()) != "FENCED" && options_.on_trouble) {
    options_.on_trouble(answer.status());
  }
  absl::MutexLock lock(&mu_);
  --in_flight_;
  if (alone_ == number) alone_ = -1;
  const auto it = shards_.find(number);
  if (it == shards_.end() || it->second.fence != fence) return;
  Shard& shard = it->second;
  int64_t reached = 0;
  if (answer.ok() && absl::SimpleAtoi(answer->response, &reached)) {
    applied_ += std::max<int64_t>(0, reached - shard.applied);
    if (reached > shard.applied) {
      shard.begun = 0;
      shard.counted = shard.survived = false;
      shard.refusals = 0;
    }
    shard.applied = std::max(shard.applied, reached);
    if (reached < last) {
      shard.fetched = shard.applied;
      shard.retry_at = absl::Now() + kFirstRetry;
      return;
    }
    shard.failures = 0;
    if (shard.limit > 0) {
      shard.limit = shard.limit >= options_.max_records ? 0 : shard.limit * 2;
    }
    return;
  }
  // Whatever was fetched beyond the failure is fetched again; what had been applied is skipped.
  shard.fetched = shard.applied;
  shard.survived = shard.counted;
  ++shard.failures;
  shard.retry_at =
      absl::Now() + std::min(kLongestRetry, kFirstRetry * (1 << std::min(shard.failures, 10)));
  const std::string reason = error::Reason(answer.status());
  if (error::IsTransient(answer.status()) || reason == "FEED_GAP" || reason == "FENCED") return;
  // Not the database's mood: narrow the batch down until the event at fault stands alone.
  if (count > 1) {
    shard.limit = std::max(1, count / 2);
    shard.failures = 0;
    shard.retry_at = absl::InfinitePast();
  } else if (++shard.refusals >= kAttempts) {
    shard.failure = answer.status();
    shard.park_next = true;
    shard.retry_at = absl::InfinitePast();
  }
}

}  // namespace clm::journal
