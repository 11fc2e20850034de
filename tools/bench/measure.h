// The protocol: what is compared runs in alternating slices of one run, rounds during which the
// machine was disturbed do not count, and the result is a median over rounds.
#ifndef CLM_TOOLS_BENCH_MEASURE_H_
#define CLM_TOOLS_BENCH_MEASURE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/bench/machine.h"

namespace clm::bench {

// What one slice gave.
struct Sample {
  double rate = 0;  // Operations per second.
  CpuTimes cpu_us;  // Microseconds of processor time per operation.
  double p50_us = 0;
  double p99_us = 0;
  int64_t failures = 0;
  std::string failure;  // The first of them.
};

struct Side {
  // Between slices, not measured: brings the side to rest.
  std::function<absl::Status()> prepare;
  std::function<absl::StatusOr<Sample>()> run;
};

struct MeasureOptions {
  int rounds = 7;
  // Counts every round, whatever happened on the machine.
  bool keep_disturbed = false;
  // Processor seconds used so far by everybody who takes part; the rest are others.
  std::function<double()> used;
};

struct Rounds {
  std::vector<std::vector<Sample>> samples;  // By round, in the order of the sides.
  int disturbed = 0;                         // Rounds during which the machine was disturbed.
  // True when there were too few undisturbed rounds, so that the others are counted as well.
  bool counts_disturbed = false;
};

// Runs rounds of one slice per side until enough of them were undisturbed, at most twice as many.
// The order turns round with each, so that a drift of the machine hits all sides alike. A round is
// disturbed when the machine's speed (a spinning loop before each slice) differs by more than 5 %
// between its slices, when 3 % of the processors were stolen by the host, or when others used more
// than 5 % of them. (The kernel's pressure figures cannot tell others from the load itself.)
absl::StatusOr<Rounds> Measure(const std::vector<Side>& sides, const MeasureOptions& options);

// Of values in any order; `q` in [0, 1]. 0 when there is none.
double Quantile(std::vector<double> values, double q);

// One figure per round.
std::vector<double> OfRounds(const Rounds& rounds,
                             const std::function<double(const std::vector<Sample>&)>& figure);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_MEASURE_H_
