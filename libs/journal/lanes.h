// Lanes: mutations wait per shard, and whatever waits when a transaction ends runs together in the
// next one. No timer: an idle system answers at once, a busy one batches by itself.
#ifndef CLM_LIBS_JOURNAL_LANES_H_
#define CLM_LIBS_JOURNAL_LANES_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/clock.h"
#include "libs/journal/heads.h"
#include "libs/journal/mutation.h"
#include "libs/journal/recent_records.h"
#include "libs/journal/told_offsets.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// Runs the mutations of one database. Thread-safe.
//
// Order: mutations of one shard take effect in the order they were submitted to this process; the
// row lock on journal_head makes transactions of one shard serial between processes. Outcome: each
// mutation has its own. A refusal by Apply affects nobody else; when the transaction itself fails,
// the batch is split in halves and run again until the failure belongs to one mutation alone.
class Lanes {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    const Clock* clock = nullptr;
    // A fresh unit of work for each transaction.
    std::function<std::unique_ptr<Work>()> new_work;
    // Transactions at the same time; each needs a connection of the pool.
    int executors = 2;
    // Most items (MutationInfo::weight) in one transaction.
    int max_batch = 1024;
    // Most items waiting; beyond it Submit refuses with RESOURCE_EXHAUSTED, reason OVERLOADED.
    int max_waiting = 20'000;
    // Told what each commit added when Work::Committed was heard; may be null.
    ToldOffsets* told = nullptr;
    // Given what each commit added, before the next transaction of its shards begins; may be null.
    RecentRecords* recent = nullptr;
    // The shards of a transaction are free for the next one as soon as it has committed, while
    // Work::Committed and the answers are still under way. Only for units of work whose Committed
    // may run in any order with that of the next.
    bool free_at_commit = false;
    // Told the new heads after each commit, on the executor's thread. Must not block.
    std::function<void(const Offsets&)> on_commit;
    // Told the size of each batch and how long its transaction took.
    std::function<void(int items, absl::Duration took)> on_batch;
  };

  explicit Lanes(Options options);
  // Drains.
  ~Lanes();

  // Queues the mutation; its Done is called later, or at once when it is refused.
  void Submit(std::unique_ptr<Mutation> mutation);
  // The same for several that arrive together: no transaction starts with the first of them alone.
  void Submit(std::vector<std::unique_ptr<Mutation>> mutations);

  // Submit for callers that may block: returns the outcome. Not for use on a lane's thread.
  template <class W>
  absl::StatusOr<Answer> Run(MutationInfo info, typename MutationOf<W>::DeclareFn declare,
                             typename MutationOf<W>::ApplyFn apply);

  // Refuses new mutations with UNAVAILABLE and returns when those that wait have run.
  void Drain();

 private:
  using Batch = std::vector<std::unique_ptr<Mutation>>;
  struct Outcome;
  struct Attempt;

  void Execute();
  // Takes what may run now; empty when nothing may.
  Batch Take(ShardSet& taken) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Frees `shards` when it is done with them.
  void RunBatch(Batch batch, ShardSet shards);
  void Free(const ShardSet& shards);
  // One transaction. Fills an outcome per mutation; the status is that of the transaction.
  absl::Status Transact(const Batch& batch, Attempt& attempt);
  static absl::Status AnswerOvertaken(pg::Tx& tx, const Batch& batch,
                                      std::vector<Outcome>& outcomes);
  // Whether a commit whose answer got lost took place.
  absl::StatusOr<bool> Committed(const std::vector<Outcome>& outcomes);
  absl::Time Now();

  const Options options_;
  mutable absl::Mutex mu_;
  std::deque<std::unique_ptr<Mutation>> waiting_ ABSL_GUARDED_BY(mu_);
  int waiting_weight_ ABSL_GUARDED_BY(mu_) = 0;
  ShardSet busy_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time last_now_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  // Counts changes of waiting_ and busy_, so that an executor that found nothing sleeps until one.
  int64_t changes_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::thread> executors_;
};

template <class W>
absl::StatusOr<Answer> Lanes::Run(MutationInfo info, typename MutationOf<W>::DeclareFn declare,
                                  typename MutationOf<W>::ApplyFn apply) {
  struct Waiting {
    absl::Mutex mu;
    bool done = false;
    absl::StatusOr<Answer> answer;
  };
  auto waiting = std::make_shared<Waiting>();
  Submit(std::make_unique<MutationOf<W>>(std::move(info), std::move(declare), std::move(apply),
                                         [waiting](absl::StatusOr<Answer>&& answer) {
                                           absl::MutexLock lock(&waiting->mu);
                                           waiting->answer = std::move(answer);
                                           waiting->done = true;
                                         }));
  absl::MutexLock lock(&waiting->mu);
  waiting->mu.Await(absl::Condition(&waiting->done));
  return std::move(waiting->answer);
}

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_LANES_H_
