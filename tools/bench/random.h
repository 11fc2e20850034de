// The random numbers of the load.
#ifndef CLM_TOOLS_BENCH_RANDOM_H_
#define CLM_TOOLS_BENCH_RANDOM_H_

#include "absl/random/random.h"

namespace clm::bench {

// Of the calling thread.
inline absl::BitGen& Random() {
  thread_local absl::BitGen random;
  return random;
}

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_RANDOM_H_
