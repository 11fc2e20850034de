// The background of referrals: those that expire, and points that are given or taken back. Each in
// one transaction for both sides, found by an index: a crash loses nothing and leaves no half, and
// several processes may do it at once.
#ifndef CLM_SERVICES_LOYALTY_DUE_REFERRALS_H_
#define CLM_SERVICES_LOYALTY_DUE_REFERRALS_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/due_loop.h"
#include "libs/journal/lanes.h"
#include "services/loyalty/referral_reader.h"

namespace clm::loyalty {

// Thread-safe.
class DueReferrals {
 public:
  struct Options {
    ReferralReader* reader = nullptr;
    journal::Lanes* lanes = nullptr;  // Of LoyaltyWork.
    const Clock* clock = nullptr;
    // Referrals per scan.
    int batch = 100;
    // Longest sleep; what was scheduled meanwhile is found after it at the latest.
    absl::Duration poll = absl::Seconds(1);
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  explicit DueReferrals(Options options);

  void Start() { loop_.Start(); }
  // Lets what is under way finish. Idempotent.
  void Stop() { loop_.Stop(); }

  // One round without the thread, for tests: everything that is due now. Returns how many that
  // were.
  absl::StatusOr<int> RunOnce();

 private:
  const Options options_;
  journal::DueLoop loop_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_DUE_REFERRALS_H_
