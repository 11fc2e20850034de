// Bulk work against the suite: several requests in flight, each repeated until it is answered.
#ifndef CLM_TOOLS_CLM_SENDER_H_
#define CLM_TOOLS_CLM_SENDER_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "clm/contact/v1/contact_service.pb.h"
#include "clm/contact/v1/timeline_service.pb.h"
#include "google/rpc/status.pb.h"
#include "tools/clm/cli.h"

namespace clm::cli {

// Lanes of work: what is posted to one lane runs in the order posted, lanes run side by side. After
// the first failure nothing more is run. One thread posts.
class Sender {
 public:
  explicit Sender(size_t lanes);
  ~Sender();  // Drops what waits.

  size_t lanes() const { return lanes_.size(); }
  // Waits while the lane is full. Returns the failure, if there was one, so that a producer stops.
  absl::Status Post(size_t lane, std::function<absl::Status()> work);
  // Waits for everything posted so far.
  absl::Status Wait();

 private:
  struct Lane {
    std::deque<std::function<absl::Status()>> waiting;
    bool busy = false;
    std::thread thread;
  };
  void Run(Lane& lane);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::vector<Lane> lanes_;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
};

// Repeats what failed for a passing reason, with growing pauses, for a minute since it last worked.
absl::Status Persist(const Cli& cli, const std::function<absl::Status()>& call);

absl::Status StatusOf(const google::rpc::Status& status);

// At most 1000 each. Outcomes in order; the same request ids and event ids over all repeats.
absl::StatusOr<contact::v1::BatchUpsertContactsResponse> UpsertContacts(
    Cli& cli, contact::v1::BatchUpsertContactsRequest request);
absl::StatusOr<contact::v1::IngestEventsResponse> IngestEvents(
    Cli& cli, const contact::v1::IngestEventsRequest& request);

// Makes the tenant unless it is there.
absl::Status EnsureTenant(Cli& cli);

// Purchases of the tenant that the lifecycle service has taken in; 0 when it cannot tell.
int64_t CountPurchases(Cli& cli);

// Waits until the lifecycle service has taken in `purchases` purchases of the tenant at least. OK
// with a note when it cannot tell; DEADLINE_EXCEEDED when nothing moves for a minute.
absl::Status AwaitLifecycle(Cli& cli, int64_t purchases);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_SENDER_H_
