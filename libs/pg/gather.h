// Reads by key that concurrent callers share: while one read runs, keys gather, and the next read
// fetches them all in one statement. No timer: an idle system reads at once, a busy one batches by
// itself. A further read begins beside one that is under way only when at least as many callers
// wait as are still to be answered: a reader that took every key as it came would make statements
// of a few keys, which cost nearly as much as those of many.
#ifndef CLM_LIBS_PG_GATHER_H_
#define CLM_LIBS_PG_GATHER_H_

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "libs/base/error.h"

namespace clm::pg {

// Thread-safe. A read serves one group (a tenant) only, so that its transaction sees no more than
// one caller may see; groups take turns.
template <class Key, class Value>
class Gather {
 public:
  struct Options {
    // Reads all keys of one group: an answer per key, in their order; keys are distinct.
    std::function<absl::StatusOr<std::vector<Value>>(
        const std::string& group, const std::vector<Key>& keys, absl::Time deadline)>
        read;
    // Reads at the same time; each is a thread and needs a connection. The second reads while the
    // first hands out its answers.
    int readers = 2;
    int max_keys = 256;
    // Most callers waiting; beyond it Get refuses with RESOURCE_EXHAUSTED, reason OVERLOADED.
    int max_waiting = 20'000;
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<Value>)>;

  explicit Gather(Options options) : options_(std::move(options)) {
    for (int i = 0; i < options_.readers; ++i) {
      threads_.emplace_back([this] { Run(); });
      pthread_setname_np(threads_.back().native_handle(), "clm-gather");
    }
  }

  // Answers all who wait.
  ~Gather() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    for (auto& thread : threads_) thread.join();
  }

  // `done` runs on a reader's thread, or at once when the call is refused.
  void Get(const std::string& group, Key key, absl::Time deadline, Done done) {
    {
      absl::MutexLock lock(&mu_);
      if (waiting_ < options_.max_waiting) {
        ++waiting_;
        auto& callers = groups_[group];
        if (callers.empty()) turns_.push_back(group);
        callers.push_back({std::move(key), deadline, std::move(done)});
        return;
      }
    }
    done(error::Make(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                     "too many reads are waiting; slow down and try again"));
  }

 private:
  struct Caller {
    Key key;
    absl::Time deadline;
    Done done;
  };

  void Run() {
    const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return stopping_ ||
             (!turns_.empty() && waiting_ >= unanswered_.load(std::memory_order_relaxed));
    };
    for (;;) {
      std::string group;
      std::vector<Caller> callers;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(&wanted));
        if (turns_.empty()) return;
        group = std::move(turns_.front());
        turns_.pop_front();
        callers = Take(group);
        unanswered_.fetch_add(static_cast<int>(callers.size()), std::memory_order_relaxed);
      }
      Serve(group, std::move(callers));
    }
  }

  std::vector<Caller> Take(const std::string& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto found = groups_.find(group);
    std::vector<Caller> callers = std::move(found->second);
    const size_t most = options_.max_keys;
    if (callers.size() > most) {
      found->second.assign(std::make_move_iterator(callers.begin() + most),
                           std::make_move_iterator(callers.end()));
      callers.resize(most);
      turns_.push_back(group);
    } else {
      groups_.erase(found);
    }
    waiting_ -= static_cast<int>(callers.size());
    return callers;
  }

  void Serve(const std::string& group, std::vector<Caller> callers) {
    const absl::Time now = absl::Now();
    std::vector<Key> keys;
    absl::flat_hash_map<Key, size_t> places;
    // Mates wait together, so the most patient one says for how long.
    absl::Time deadline = absl::InfinitePast();
    for (const Caller& caller : callers) {
      if (caller.deadline <= now) continue;
      deadline = std::max(deadline, caller.deadline);
      if (places.try_emplace(caller.key, keys.size()).second) keys.push_back(caller.key);
    }
    absl::StatusOr<std::vector<Value>> values = std::vector<Value>();
    if (!keys.empty()) values = options_.read(group, keys, deadline);
    for (Caller& caller : callers) {
      if (caller.deadline <= now) {
        caller.done(error::Make(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                                "the deadline passed before the database was asked"));
      } else if (!values.ok()) {
        caller.done(values.status());
      } else {
        caller.done((*values)[places.at(caller.key)]);
      }
      // Whoever asks next looks whether the other reader may begin; at the end this one does.
      unanswered_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  const Options options_;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::vector<Caller>> groups_ ABSL_GUARDED_BY(mu_);
  // Groups that have callers, each once.
  std::deque<std::string> turns_ ABSL_GUARDED_BY(mu_);
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Callers whose read is under way or being handed out.
  std::atomic<int> unanswered_{0};
  std::vector<std::thread> threads_;
};

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_GATHER_H_
