// Compares every tenant's running totals with a recount of its log, one tenant after the other and
// each again after an interval, in one process of the service at a time. Totals and log change in
// one transaction, so a difference is a defect of the suite or of somebody's hand in the database:
// it is told, and stays in the count until a later comparison finds none.
#ifndef CLM_SERVICES_LIFECYCLE_TOTALS_CHECK_H_
#define CLM_SERVICES_LIFECYCLE_TOTALS_CHECK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/sole_work.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/insights_store.h"

namespace clm::lifecycle {

// Thread-safe.
class TotalsCheck {
 public:
  struct Options {
    pg::Pool* pool = nullptr;
    InsightsStore* store = nullptr;
    const Clock* clock = nullptr;
    // From one comparison of a tenant to its next; it survives restarts.
    absl::Duration interval = absl::Hours(24);
    // How often to look for tenants that are due.
    absl::Duration poll = absl::Minutes(1);
    // The longest that a recount may take.
    absl::Duration timeout = absl::Minutes(10);
    // From a recount that failed to the next of that tenant; the others do not wait for it.
    absl::Duration retry = absl::Hours(1);
    // How long the work stays with a process that says nothing; more than `timeout`.
    absl::Duration lease_ttl = absl::Minutes(15);
    // Told of a tenant whose totals differ.
    std::function<void(const std::string& tenant, const Recount&)> on_difference;
    // Told of a tenant whose recount failed. What its last comparison found stays in the count.
    std::function<void(const std::string& tenant, const absl::Status&)> on_failure;
    // Told what keeps it from working at all; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit TotalsCheck(Options options);

  void Start() { work_.Start(); }
  // Breaks a recount off, and gives the lease up. Idempotent.
  void Stop() { work_.Stop(); }

  // Compares all that is due now, without the thread, for tests. Returns how many tenants were
  // compared; 0 when the work is another process's.
  absl::StatusOr<int> RunOnce();

  // Totals of all tenants that differed at their last comparison; 0 in a process that does not hold
  // the lease.
  int64_t differing() const;

 private:
  absl::StatusOr<int> Pass();
  // The totals of a tenant that differ.
  absl::StatusOr<int64_t> Compare(const std::string& tenant);
  // Breaks off a recount.
  void Cancel();

  const Options options_;
  mutable absl::Mutex mu_;
  // The database's process that recounts right now; 0: none.
  int64_t backend_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t differing_ ABSL_GUARDED_BY(mu_) = 0;
  // Of whoever takes the turns: the thread, or a test.
  std::map<std::string, absl::Time> retry_at_;  // By tenant whose recount failed.
  journal::SoleWork work_;                      // Last: its thread uses the others.
};

// Every statement, for the test that prepares them against the schema.
std::vector<const pg::Statement*> TotalsCheckStatements();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_TOTALS_CHECK_H_
