// The background scan for records that may be the same person. It follows the service's own
// journal: every contact that was changed is compared with those that share a block key with it,
// and the pairs of that contact are replaced by what is found. So the work grows with the changes,
// a scan that is broken off at any point goes on where it stood, and nothing is ever merged. One
// process of the service does it, behind everything else. Pairs are derived data and leave no
// journal row.
#ifndef CLM_SERVICES_CONTACT_DUPLICATE_SCAN_H_
#define CLM_SERVICES_CONTACT_DUPLICATE_SCAN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/base/uuid.h"
#include "libs/journal/feed.h"
#include "libs/journal/sole_work.h"
#include "libs/pg/pg.h"
#include "services/contact/contact_reader.h"

namespace clm::contact {

// Thread-safe.
class DuplicateScan {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    ContactReader* reader = nullptr;
    journal::Feed* feed = nullptr;
    const Clock* clock = nullptr;
    // The lease that makes one process the one that scans.
    std::string lease = "duplicate-scan";
    // Journal records of each shard in one step.
    int max_records = 16;
    // A key shared by more contacts than this tells nobody apart, and is not followed.
    int max_block = 200;
    // Share of the time in which the scan works while it lags behind; it rests for the others.
    double busy_share = 0.1;
    // How often to look for changes.
    absl::Duration poll = absl::Seconds(2);
    // How long the scan stays with a process that says nothing.
    absl::Duration lease_ttl = absl::Seconds(30);
    // Told how many contacts each step has compared.
    std::function<void(int64_t)> on_compared;
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit DuplicateScan(Options options);

  void Start() { work_.Start(); }
  // Lets the step under way finish, gives the lease up. Idempotent.
  void Stop() { work_.Stop(); }

  // Works off all that is there now, without the thread and without rests, for tests. Returns how
  // many contacts were compared; 0 when the scan is another process's.
  absl::StatusOr<int64_t> RunOnce();

  // Journal records not yet looked at, as far as this process knows; 0 when it does not scan.
  int64_t lag() const;

 private:
  struct Step {
    int64_t compared = 0;
    bool more = false;  // There was more to read.
  };
  using Ids = std::vector<Uuid>;

  // One step; returns how long to rest.
  absl::StatusOr<absl::Duration> Turn();
  // Whether the scan is this process's; reads where it stands when it has become so.
  absl::StatusOr<bool> Own();
  absl::StatusOr<Step> RunStep();
  absl::StatusOr<Step> TryStep();
  absl::Status Compare(const std::string& tenant, const Ids& ids);
  absl::Status SavePlace(absl::Time scan_time);
  // One transaction under the lease.
  absl::Status Transact(const pg::Scope& scope, absl::FunctionRef<absl::Status(pg::Tx&)> body);

  const Options options_;
  mutable absl::Mutex mu_;
  int64_t lag_ ABSL_GUARDED_BY(mu_) = 0;
  // The following belong to whoever runs the steps: the thread, or a test.
  int64_t fence_ = 0;  // Under which `offs_` was read.
  std::vector<int64_t> offs_;
  absl::Time scan_time_ = absl::InfinitePast();
  journal::SoleWork work_;  // Last: its thread uses the others.
};

std::vector<const pg::Statement*> DuplicateScanStatements();

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_DUPLICATE_SCAN_H_
