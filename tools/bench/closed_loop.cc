#include "tools/bench/closed_loop.h"

#include <algorithm>
#include <atomic>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace clm::bench {
namespace {

class Loop {
 public:
  Loop(int in_flight, absl::Duration length, const Issue& issue)
      : in_flight_(in_flight), length_(length), issue_(issue), latencies_(in_flight) {}

  Slice Run() {
    begin_ = absl::Now();
    end_ = begin_ + length_;
    running_ = in_flight_;
    for (int slot = 0; slot < in_flight_; ++slot) Next(slot);
    {
      absl::MutexLock lock(&mu_);
      const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return running_ == 0; };
      mu_.Await(absl::Condition(&idle));
    }
    Slice slice;
    slice.seconds = absl::ToDoubleSeconds(length_);
    slice.failures = failures_;
    for (auto& some : latencies_) {
      slice.latencies_us.insert(slice.latencies_us.end(), some.begin(), some.end());
    }
    slice.operations = static_cast<int64_t>(slice.latencies_us.size());
    std::sort(slice.latencies_us.begin(), slice.latencies_us.end());
    return slice;
  }

 private:
  void Next(int slot) {
    const absl::Time started = absl::Now();
    if (started >= end_) {
      absl::MutexLock lock(&mu_);
      --running_;
      return;
    }
    issue_(slot, [this, slot, started](bool ok) {
      const absl::Time now = absl::Now();
      if (!ok) {
        ++failures_;
      } else if (now < end_) {
        latencies_[slot].push_back(absl::ToInt64Microseconds(now - started));
      }
      Next(slot);
    });
  }

  const int in_flight_;
  const absl::Duration length_;
  const Issue& issue_;
  absl::Time begin_, end_;
  std::atomic<int64_t> failures_ = 0;
  std::vector<std::vector<int64_t>> latencies_;
  absl::Mutex mu_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace

int64_t Slice::Percentile(double p) const {
  if (latencies_us.empty()) return 0;
  const size_t at = static_cast<size_t>(p / 100 * static_cast<double>(latencies_us.size()));
  return latencies_us[std::min(at, latencies_us.size() - 1)];
}

Slice ClosedLoop(int in_flight, absl::Duration length, const Issue& issue) {
  return Loop(in_flight, length, issue).Run();
}

}  // namespace clm::bench
