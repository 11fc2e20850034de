// The newest records of a journal, kept in memory by the process that committed them: who follows
// closely need not read back what has just been written.
#ifndef CLM_LIBS_JOURNAL_RECENT_RECORDS_H_
#define CLM_LIBS_JOURNAL_RECENT_RECORDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/shard.h"
#include "libs/journal/heads.h"
#include "libs/journal/told_offsets.h"

namespace clm::journal {

// A record as it went into the journal.
struct FreshRecord {
  int shard = 0;
  int64_t off = 0;
  std::string type;
  std::string event;  // Serialized.
};

// How many bytes of events an answer may still take. The first record fits whatever its size.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t bytes) : left_(bytes) {}
  bool Take(size_t bytes) {
    if (taken_ && std::cmp_greater(bytes, left_)) {
      refused_ = true;
      return false;
    }
    taken_ = true;
    left_ -= static_cast<int64_t>(bytes);
    return true;
  }
  int64_t left() const { return left_; }
  // Something did not fit.
  bool refused() const { return refused_; }

 private:
  int64_t left_;
  bool taken_ = false;
  bool refused_ = false;
};

// Per shard one unbroken run of committed records that ends with the newest this process has
// committed. What somebody else commits breaks the run, and the next record begins another one.
// Thread-safe.
class RecentRecords {
 public:
  // `bytes` bounds what is kept of one shard.
  explicit RecentRecords(size_t bytes = size_t{256} << 10) : limit_(bytes) {}

  // After a commit, in the order of the commits of a shard. `records` has every offset of `grown`,
  // those of a shard in their order; none of them lacks the one before. Of shards that were
  // `rewritten` by the commit, nothing is kept from before it and nothing of it.
  void Add(const std::vector<Growth>& grown, std::vector<FreshRecord> records,
           const ShardSet& rewritten = {});

  // True when the record after `after` is here.
  bool Holds(int shard, int64_t after) const;

  // Puts the records after `after` into `out`, `max_records` at most and as long as they fit into
  // `budget`; those of other types than `types` are empty, unless there is no `types`. False, and
  // nothing in `out`, when the next record is not here: only the database knows whether there is
  // one.
  bool Read(int shard, int64_t after, int max_records, const std::vector<std::string>* types,
            ByteBudget* budget, event::v1::ShardRecords* out) const;

  // Drops what was added before `time`.
  void Forget(absl::Time time);

 private:
  struct Kept {
    std::string type;
    std::string event;
    absl::Time added;
  };
  struct Run {
    mutable absl::Mutex mu;
    int64_t before ABSL_GUARDED_BY(mu) = 0;  // Offset before the first.
    std::deque<Kept> records ABSL_GUARDED_BY(mu);
    size_t bytes ABSL_GUARDED_BY(mu) = 0;
  };
  static size_t BytesOf(const Kept& kept);
  static int64_t EndOf(const Run& run) ABSL_SHARED_LOCKS_REQUIRED(run.mu);
  static bool HasNext(const Run& run, int64_t after) ABSL_SHARED_LOCKS_REQUIRED(run.mu);
  static void DropFirst(Run& run) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run.mu);
  static void Begin(Run& run, int64_t before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run.mu);

  const size_t limit_;
  std::array<Run, kShards> runs_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_RECENT_RECORDS_H_
