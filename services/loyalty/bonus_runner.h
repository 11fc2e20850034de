// The background that carries bonus runs out, a page of members at a time. How far a run is is kept
// with what it has done, so whoever goes on after a crash, or at the same time, does nothing twice.
#ifndef CLM_SERVICES_LOYALTY_BONUS_RUNNER_H_
#define CLM_SERVICES_LOYALTY_BONUS_RUNNER_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/due_loop.h"
#include "libs/journal/lanes.h"
#include "services/loyalty/bonus_granting.h"
#include "services/loyalty/bonus_reader.h"
#include "services/loyalty/loyalty_reader.h"

namespace clm::loyalty {

// Thread-safe.
class BonusRunner {
 public:
  struct Options {
    BonusReader* reader = nullptr;
    LoyaltyReader* members = nullptr;
    journal::Lanes* lanes = nullptr;  // Of LoyaltyWork.
    const Clock* clock = nullptr;
    // Members of a page.
    int batch = 500;
    // Longest sleep; what another process has begun is found after it at the latest.
    absl::Duration poll = absl::Seconds(1);
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
    // For tests: called between a page of grants and the note that it was given.
    std::function<absl::Status()> after_grants;
  };
  explicit BonusRunner(Options options);

  void Start() { loop_.Start(); }
  // Lets the page under way finish. Idempotent.
  void Stop() { loop_.Stop(); }
  // A run was made.
  void Wake() { loop_.Expect(options_.clock->Now()); }

  // Carries all runs out to their ends, or until it is stopped. Trouble with one does not hold up
  // the others; the first is returned.
  absl::Status RunOnce();
  // The next page of a run that is not over.
  absl::Status Step(const BonusRun& run);

 private:
  absl::Status Collect(const BonusRun& run);
  absl::Status Rank(const BonusRun& run);
  absl::Status Grant(const BonusRun& run);
  absl::Status GrantAll(const BonusRun& run, const std::vector<BonusGrant>& grants);
  // Changes the run, unless it has gone on, or was stopped, since it was read.
  absl::Status Advance(
      const BonusRun& run,
      std::function<void(LoyaltyWork&, journal::Recorder&, const BonusRun& stored)> apply);
  absl::Status EndState(const BonusRun& run);

  const Options options_;
  journal::DueLoop loop_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_RUNNER_H_
