#include "tools/bench/measure.h"

#include <algorithm>
#include <utility>

#include "libs/base/status_macros.h"

namespace clm::bench {
namespace {

constexpr absl::Duration kSpin = absl::Milliseconds(200);
constexpr double kMostSpeedChange = 0.05, kMostStolen = 0.03, kMostOthers = 0.05;

}  // namespace

absl::StatusOr<Rounds> Measure(const std::vector<Side>& sides, const MeasureOptions& options) {
  Rounds rounds;
  std::vector<std::vector<Sample>> disturbed;
  const int most = options.keep_disturbed ? options.rounds : 2 * options.rounds;
  for (int round = 0; round < most && static_cast<int>(rounds.samples.size()) < options.rounds;
       ++round) {
    std::vector<Sample> samples(sides.size());
    double slowest = 0, fastest = 0;
    bool quiet = true;
    for (size_t i = 0; i < sides.size(); ++i) {
      const size_t at = round % 2 == 0 ? i : sides.size() - 1 - i;
      if (sides[at].prepare) CLM_RETURN_IF_ERROR(sides[at].prepare());
      const double speed = SpinRate(kSpin);
      slowest = i == 0 ? speed : std::min(slowest, speed);
      fastest = std::max(fastest, speed);
      const MachineTimes before = ReadMachineTimes();
      const double used_before = options.used();
      CLM_ASSIGN_OR_RETURN(samples[at], sides[at].run());
      const MachineTimes after = ReadMachineTimes();
      const double used = options.used() - used_before;
      const double total = after.total - before.total;
      quiet = quiet && after.stolen - before.stolen <= kMostStolen * total &&
              after.busy - before.busy - used <= kMostOthers * total;
    }
    quiet = quiet && fastest - slowest <= kMostSpeedChange * fastest;
    if (!quiet) ++rounds.disturbed;
    (quiet || options.keep_disturbed ? rounds.samples : disturbed).push_back(std::move(samples));
  }
  // Half of what was asked for says more than a mixture; less does not.
  if (2 * static_cast<int>(rounds.samples.size()) < options.rounds) {
    rounds.counts_disturbed = true;
    for (auto& samples : disturbed) rounds.samples.push_back(std::move(samples));
  }
  if (options.keep_disturbed) rounds.counts_disturbed = rounds.disturbed > 0;
  return rounds;
}

double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (values[high] - values[low]) * (at - static_cast<double>(low));
}

std::vector<double> OfRounds(const Rounds& rounds,
                             const std::function<double(const std::vector<Sample>&)>& figure) {
  std::vector<double> values;
  values.reserve(rounds.samples.size());
  for (const auto& samples : rounds.samples) values.push_back(figure(samples));
  return values;
}

}  // namespace clm::bench
