// Whether the workers of a process still get work done.
#ifndef CLM_LIBS_RPC_HEARTBEAT_H_
#define CLM_LIBS_RPC_HEARTBEAT_H_

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "libs/rpc/workers.h"

namespace clm::rpc {

// Used by one thread.
class Heartbeat {
 public:
  // The workers are lifeless when none of them has taken a task for `lifeless`, by `clock`, though
  // there was one. Neither is owned.
  Heartbeat(Workers* workers, const Clock* clock, absl::Duration lifeless);

  // To be called again and again: gives the workers something to take. False when they have taken
  // nothing for too long; true again once they do.
  bool Beat();

 private:
  Workers* const workers_;
  const Clock* const clock_;
  const absl::Duration lifeless_;
  int64_t taken_ = -1;  // By the workers, when a task was last offered.
  absl::Time since_;    // When that was.
};

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_HEARTBEAT_H_
