// The rows of the report: what was measured, against what, and whether it is enough.
#ifndef CLM_TOOLS_BENCH_REPORT_H_
#define CLM_TOOLS_BENCH_REPORT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "tools/bench/machine.h"
#include "tools/bench/measure.h"

namespace clm::bench {

enum class Reached { kNotMeasured, kNo, kAtLeast, kAim };

// "aim", "at least", "no", "not measured".
absl::string_view ReachedText(Reached reached);

// What a figure should be. `at_least` is a bound above when less is better.
struct Target {
  double at_least = 0;
  double aim = 0;
  bool less_is_better = false;
};
Reached Judge(double value, const Target& target);

struct Row {
  std::string figure;   // "create"
  std::string work;     // "CreateContact durable, 256 in flight"
  std::string against;  // The ceiling: "pgbench, the same rows one per transaction"
  std::string unit;     // "ratio", "ms", "s", "MB"
  std::optional<double> value, low, high;  // Median and quartiles.
  std::string at_least, aim;               // As people write them: "0.80", "p99 100 ms".
  Reached reached = Reached::kNotMeasured;
  std::optional<double> rate, ceiling_rate;  // Operations per second, medians.
  // Microseconds of processor time per operation; of the round with the median total.
  std::optional<CpuTimes> cpu_us, ceiling_cpu_us;
  // The ceiling's processor time per operation by the suite's, the client's included. Survives
  // neighbours better than the ratio of rates does.
  std::optional<double> cpu_ratio;
  std::optional<double> p50_ms, p99_ms;  // Of the suite's calls.
  int64_t rounds = 0;                    // That the figures come from.
  int64_t disturbed = 0;                 // Rounds in which somebody else used the machine.
  int64_t failed = 0;                    // Calls; a figure with failures is worth nothing.
  std::string note;
};

using Tell = std::function<void(const Row&)>;

// The row of a comparison by rates: samples[0] of each round is the suite, samples[1] the ceiling.
Row RatioRow(std::string figure, std::string work, std::string against, const Target& target,
             const Rounds& rounds);

// The sample of the round with the median processor time per operation; rounds are not empty.
CpuTimes MedianCpu(const Rounds& rounds, size_t side);

// Adds to the row's note.
void AddNote(Row* row, absl::string_view note);
// What every row says of its rounds: how many, failures, disturbances.
void AddRounds(const Rounds& rounds, Row* row);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_REPORT_H_
