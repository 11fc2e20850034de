// Waiting in tests for what must happen in the end.
#ifndef CLM_LIBS_TESTING_EVENTUALLY_H_
#define CLM_LIBS_TESTING_EVENTUALLY_H_

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace clm::testing {

// Longer than anything takes on a busy machine. Never the subject of a test.
inline constexpr absl::Duration kPatience = absl::Seconds(120);

// Waits until `condition` holds; false when it did not within kPatience.
inline bool Eventually(absl::FunctionRef<bool()> condition) {
  const absl::Time until = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() >= until) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

}  // namespace clm::testing

#endif  // CLM_LIBS_TESTING_EVENTUALLY_H_
