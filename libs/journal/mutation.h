// What a mutation is to the journal: something that is decided under the lock of its shards, writes
// its rows together with others, and leaves exactly one journal row per aggregate it changed.
#ifndef CLM_LIBS_JOURNAL_MUTATION_H_
#define CLM_LIBS_JOURNAL_MUTATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/shard.h"
#include "libs/base/uuid.h"
#include "libs/journal/heads.h"
#include "libs/pg/pg.h"

namespace clm::journal {

// The unit of work of one transaction: an identity map of the rows its mutations read and change.
// Each service has its own. Used by one thread.
class Work {
 public:
  virtual ~Work() = default;
  // The shards are locked; `heads` are their offsets before this transaction, all of them given.
  virtual void Locked(const absl::flat_hash_map<int, int64_t>& heads) { static_cast<void>(heads); }
  // Reads everything that was declared, one statement per kind of thing. The shards are locked.
  virtual absl::Status Load(pg::Tx& tx) = 0;
  // The mutation (or consumed event) before this call is accepted: its staged changes stay.
  virtual void Keep() = 0;
  // It is refused: its staged changes go, those of others stay.
  virtual void Discard() = 0;
  // Writes all that stayed, set-based.
  virtual absl::Status Flush(pg::Tx& tx) = 0;
  // Last in the transaction, after journal rows and answers are written: the moment to remove what
  // must not outlive it though it may have written it itself.
  virtual absl::Status Sweep(pg::Tx& tx) {
    static_cast<void>(tx);
    return absl::OkStatus();
  }
  // The shards of whose journal Sweep has rewritten rows, also of earlier transactions.
  virtual ShardSet Rewritten() const { return {}; }
  // After the commit, also one that was proved only afterwards, and before any Done, on the lane's
  // thread: the moment to refresh caches, briefly. `heads` are the new offsets of the shards that
  // changed: a version that grows with every change of anything on the shard. Not OK when somebody
  // who has to know did not hear it: a Follower says it again.
  virtual absl::Status Committed(const Offsets& heads) {
    static_cast<void>(heads);
    return absl::OkStatus();
  }
};

// A fact for the journal.
struct Entry {
  int shard = 0;
  std::string tenant;
  std::string subject;                   // Resource name.
  std::string type;                      // Full name of the payload's message.
  int64_t subject_version = 0;           // After the change.
  std::optional<absl::Time> occur_time;  // Default: now.
  std::string cause;                     // Default: the mutation's.
  std::string payload;
};

// What a decision may do beside staging changes. Valid during Apply.
class Recorder {
 public:
  virtual ~Recorder() = default;
  // The instant of the transaction: the `now` of every rule. Not earlier than that of an earlier
  // transaction of this process.
  virtual absl::Time now() const = 0;
  virtual void Record(Entry entry) = 0;
};

// What the mutations of a Consumer may do besides, those with MutationInfo::source; about that
// source. Not for handlers of events: what they record counts only if they succeed.
class ConsumingRecorder : public Recorder {
 public:
  struct Position {
    int64_t off = 0;    // Last offset applied.
    int64_t fence = 0;  // Of the present lease.
  };
  virtual std::optional<Position> Consumed(const std::string& source, int shard) const = 0;
  // An earlier event of the subject is parked.
  virtual bool Blocked(const std::string& source, const std::string& tenant,
                       const std::string& subject) const = 0;
  // The source's shard is applied up to and including `off`. The transaction fails, reason FENCED,
  // if the lease changes hands before it commits.
  virtual void Advance(const std::string& source, int shard, int64_t off) = 0;
  struct Parked {
    std::string source;
    int shard = 0;
    int64_t off = 0;
    std::string tenant;
    std::string event_id;
    std::string subject;
    std::string event;  // Serialized.
    std::string error_reason;
    std::string error_message;
    bool waiting = false;  // Not itself at fault.
  };
  // Puts an event aside; later events of the subject are Blocked from now on.
  virtual void Park(Parked parked) = 0;
  // Takes a parked event off the list, after it has been applied or given up.
  virtual void Unpark(const std::string& source, int shard, int64_t off,
                      const std::string& tenant) = 0;
};

struct MutationInfo {
  // Whose rows it touches; empty: several tenants' (consumers, timers), on behalf of the suite.
  std::string tenant;
  // Shards of the aggregates it changes; locked in ascending order before it is applied.
  ShardSet shards;
  // Identifies the request for repeats; empty: the caller opted out.
  std::string request_id;
  // rpc::Fingerprint of the request; compared on a repeat.
  std::string fingerprint;
  // The aggregate that an erase would have to find the stored answer by, if there is one.
  std::optional<Uuid> aggregate;
  std::string actor;
  std::string cause;
  std::string traceparent;
  absl::Time deadline = absl::InfiniteFuture();
  // For consumed events: whose. Makes Recorder::Consumed and Blocked answer.
  std::string source;
  // How much it counts towards the size of a batch: the number of items it holds.
  int weight = 1;
};

struct Answer {
  std::string response;   // Serialized response message.
  bool replayed = false;  // The request had taken effect before.
};

// Declare and Apply may run more than once (a batch that fails is split and run again), so they
// keep no state of their own between runs; Done runs exactly once. All run on a lane's thread.
class Mutation {
 public:
  explicit Mutation(MutationInfo info) : info_(std::move(info)) {}
  virtual ~Mutation() = default;
  const MutationInfo& info() const { return info_; }

  // Tells `work` what to load.
  virtual void Declare(Work& work) = 0;
  // Decides: stages changes in `work`, records entries, returns the serialized response; or returns
  // why not. A refusal affects nobody else in the batch.
  virtual absl::StatusOr<std::string> Apply(Work& work, ConsumingRecorder& recorder) = 0;
  // The outcome; the effect is durable when it is OK.
  virtual void Done(absl::StatusOr<Answer> answer) = 0;

 private:
  MutationInfo info_;
};

// A mutation of a service whose unit of work is `W`, from three functions.
template <class W>
class MutationOf : public Mutation {
 public:
  using DeclareFn = absl::AnyInvocable<void(W&)>;
  using ApplyFn = absl::AnyInvocable<absl::StatusOr<std::string>(W&, ConsumingRecorder&)>;
  using DoneFn = absl::AnyInvocable<void(absl::StatusOr<Answer>)>;

  MutationOf(MutationInfo info, DeclareFn declare, ApplyFn apply, DoneFn done)
      : Mutation(std::move(info)),
        declare_(std::move(declare)),
        apply_(std::move(apply)),
        done_(std::move(done)) {}

  void Declare(Work& work) override { declare_(static_cast<W&>(work)); }
  absl::StatusOr<std::string> Apply(Work& work, ConsumingRecorder& recorder) override {
    return apply_(static_cast<W&>(work), recorder);
  }
  void Done(absl::StatusOr<Answer> answer) override { done_(std::move(answer)); }

 private:
  DeclareFn declare_;
  ApplyFn apply_;
  DoneFn done_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_MUTATION_H_
