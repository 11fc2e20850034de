// A consumer that keeps its place in memory: reads the contact journal to its end through whatever
// happens to the server, and notes what it was given.
#ifndef CLM_TESTS_CHAOS_FEED_FOLLOWER_H_
#define CLM_TESTS_CHAOS_FEED_FOLLOWER_H_

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "clm/event/v1/event_feed_service.grpc.pb.h"
#include "libs/base/shard.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {

class FeedFollower {
 public:
  // `caller` must outlive the follower.
  explicit FeedFollower(Caller* caller);
  ~FeedFollower();

  // Waits until it stands at the heads of the database's journal, and compares: the same events at
  // the same offsets, the versions of each contact in order and without a gap.
  void ExpectWholeJournal(const clm::testing::Database& database);

 private:
  void Follow();
  std::string Text() const;

  Caller* const caller_;
  mutable absl::Mutex mu_;
  std::array<std::vector<event::v1::Event>, kShards> seen_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace clm::chaos

#endif  // CLM_TESTS_CHAOS_FEED_FOLLOWER_H_
