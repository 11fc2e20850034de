// The background of the loyalty service: points that become active or expire, warnings before they
// do, holds whose time is over, tiers that end, and members whose contacts were merged. All of them
// are found by an index and done in the lanes like everything else, so that a crash loses nothing;
// several processes may do it at once: the second one finds nothing to do.
#ifndef CLM_SERVICES_LOYALTY_DUE_POINTS_H_
#define CLM_SERVICES_LOYALTY_DUE_POINTS_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/due_loop.h"
#include "libs/journal/lanes.h"
#include "services/loyalty/loyalty_reader.h"

namespace clm::loyalty {

// Thread-safe.
class DuePoints {
 public:
  struct Options {
    LoyaltyReader* reader = nullptr;
    journal::Lanes* lanes = nullptr;
    const Clock* clock = nullptr;
    // Wallets per scan.
    int batch = 1000;
    // Longest sleep; what another process has scheduled is found after it at the latest.
    absl::Duration poll = absl::Seconds(1);
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit DuePoints(Options options);

  void Start() { loop_.Start(); }
  // Lets what is under way finish. Idempotent.
  void Stop() { loop_.Stop(); }

  // Something falls due at `due`: for LoyaltyWork.
  void Expect(absl::Time due) { loop_.Expect(due); }

  // One round without the thread, for tests: does everything that is due now. Returns how many
  // wallets and members that were.
  absl::StatusOr<int> RunOnce();

 private:
  absl::StatusOr<int> SettleDue();
  absl::StatusOr<int> WarnDue();
  absl::StatusOr<int> UpdateTiers();
  // After changes of tiers.
  absl::StatusOr<int> SweepTiers();
  absl::StatusOr<int> MoveMerged();

  const Options options_;
  journal::DueLoop loop_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_DUE_POINTS_H_
