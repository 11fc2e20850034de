// Time as a dependency: rules take `now` as an argument, and what needs to ask gets a Clock.
#ifndef CLM_LIBS_BASE_CLOCK_H_
#define CLM_LIBS_BASE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace clm {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's clock, in whole microseconds: what PostgreSQL stores, so that a time read back is
// equal to the time written.
class SystemClock : public Clock {
 public:
  absl::Time Now() const override;
};

// A clock that stands still until it is moved. For tests and rehearsals.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time start) : now_(start) {}
  absl::Time Now() const override;
  void Set(absl::Time now);
  void Advance(absl::Duration by);

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_);
};

}  // namespace clm

#endif  // CLM_LIBS_BASE_CLOCK_H_
