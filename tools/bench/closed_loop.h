// Closed-loop load: a fixed number of calls in flight, each answered one replaced by the next.
#ifndef CLM_TOOLS_BENCH_CLOSED_LOOP_H_
#define CLM_TOOLS_BENCH_CLOSED_LOOP_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/time/time.h"

namespace clm::bench {

// Starts one operation and calls `done(ok)` when it has ended, from any thread, never from inside.
// `slot` is in [0, in_flight): what an operation needs may be kept per slot.
using Issue = std::function<void(int slot, std::function<void(bool ok)> done)>;

struct Slice {
  int64_t operations = 0;  // That ended well within the slice.
  int64_t failures = 0;
  double seconds = 0;
  std::vector<int64_t> latencies_us;  // Of the operations, sorted.
  double rate() const { return seconds > 0 ? operations / seconds : 0; }
  int64_t Percentile(double p) const;
};

// Runs for `length`, then lets what is in flight end.
Slice ClosedLoop(int in_flight, absl::Duration length, const Issue& issue);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_CLOSED_LOOP_H_
