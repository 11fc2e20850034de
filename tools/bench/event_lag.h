// How long an event takes from one service to its effect in another.
#ifndef CLM_TOOLS_BENCH_EVENT_LAG_H_
#define CLM_TOOLS_BENCH_EVENT_LAG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/bench/stand.h"

namespace clm::bench {

struct EventLag {
  std::vector<double> lags_ms;  // Sorted.
  int64_t failures = 0;         // Calls that failed and changes that did not come.
  std::string failure;
};

// Sends each of the contacts, who have no stage yet, their first purchase, `rate` per second on
// average with Poisson arrivals, one per request. A lag lasts from the answer, when the event is
// committed, until a reader of the lifecycle service's feed has seen that the stage changed.
absl::StatusOr<EventLag> MeasureEventLag(Stand& stand, const std::vector<std::string>& contacts,
                                         double rate);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_EVENT_LAG_H_
