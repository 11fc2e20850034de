// The workloads of `clm bench`: each the suite against a ceiling of the same machine in the same
// run, in alternating slices; the result is the median of the ratios.
#ifndef CLM_TOOLS_BENCH_WORKLOADS_H_
#define CLM_TOOLS_BENCH_WORKLOADS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tools/bench/stand.h"

namespace clm::bench {

struct Options {
  int seconds = 3;                // Of a slice.
  int pairs = 5;                  // Slices of the suite and of the ceiling, alternating.
  int contacts = 10'000;          // Made beforehand.
  std::vector<std::string> only;  // Names; empty: all.
};

struct Outcome {
  std::string name;
  std::string ceiling;
  double rate = 0;          // Of the suite, median, operations per second.
  double ceiling_rate = 0;  // Median.
  double ratio = 0;         // Median of the pairs' ratios.
  double ratio_low = 0;     // Quartiles.
  double ratio_high = 0;
  int64_t p50_us = 0;
  int64_t p99_us = 0;
  int64_t failures = 0;
  CpuTimes cpu;         // Microseconds per operation of the suite's slices, by process.
  double at_least = 0;  // What the suite must reach, and aims for; 0: nothing is said.
  double aim = 0;
};

// Runs them and tells each outcome as soon as it is known. The lag of an event (commit to stage
// changed) has no ceiling: its ratios are 0.
absl::Status RunWorkloads(Stand& stand, const Options& options,
                          const std::function<void(const Outcome&)>& tell);

std::vector<std::string> WorkloadNames();

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_WORKLOADS_H_
