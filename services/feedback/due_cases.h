// The background of cases: warnings and breaches of their clocks, and points that are granted.
// Found by an index and settled each in a transaction of its own: a crash loses nothing and raises
// nothing twice, and several processes may do it at once.
#ifndef CLM_SERVICES_FEEDBACK_DUE_CASES_H_
#define CLM_SERVICES_FEEDBACK_DUE_CASES_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/journal/due_loop.h"
#include "services/feedback/case_reader.h"
#include "services/feedback/module_part.h"

namespace clm::feedback {

// Points that are to be granted.
struct PointsGrant {
  std::string member;  // Resource name.
  std::string wallet;
  int64_t points = 0;
  std::string reason;
  // Of the same values for ever, so that the loyalty service grants them once.
  std::string request_id;
  std::string external_id;
};

// Thread-safe.
class DueCases {
 public:
  // The posting; a transient status when the loyalty service does not answer, any other one when it
  // refuses.
  using Grant = std::function<absl::StatusOr<std::string>(const PointsGrant&)>;
  struct Options {
    CaseReader* reader = nullptr;
    Grant grant;
    // Cases per scan.
    int batch = 100;
    // Longest sleep; what was scheduled meanwhile is found after it at the latest.
    absl::Duration poll = absl::Seconds(1);
    // Told what keeps it from working; it goes on trying.
    std::function<void(const absl::Status&)> on_trouble;
  };
  // `shared` outlives it.
  DueCases(const FeedbackParts& shared, Options options);

  void Start() { loop_.Start(); }
  // Lets what is under way finish. Idempotent.
  void Stop() { loop_.Stop(); }

  // One round without the thread, for tests: everything that is due now. Returns how many cases
  // that were.
  absl::StatusOr<int> RunOnce();

 private:
  absl::Status Settle(const Case& known, bool& silent);

  const FeedbackParts& shared_;
  const Options options_;
  journal::DueLoop loop_;
};

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_DUE_CASES_H_
