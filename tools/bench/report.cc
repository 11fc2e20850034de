#include "tools/bench/report.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace clm::bench {

absl::string_view ReachedText(Reached reached) {
  switch (reached) {
    case Reached::kNotMeasured:
      return "not measured";
    case Reached::kNo:
      return "no";
    case Reached::kAtLeast:
      return "at least";
    case Reached::kAim:
      return "aim";
  }
  return "";
}

Reached Judge(double value, const Target& target) {
  const auto enough = [&](double bound) {
    return target.less_is_better ? value <= bound : value >= bound;
  };
  if (enough(target.aim)) return Reached::kAim;
  return enough(target.at_least) ? Reached::kAtLeast : Reached::kNo;
}

CpuTimes MedianCpu(const Rounds& rounds, size_t side) {
  std::vector<CpuTimes> times;
  for (const auto& samples : rounds.samples) times.push_back(samples[side].cpu_us);
  std::sort(times.begin(), times.end(),
            [](const CpuTimes& a, const CpuTimes& b) { return a.total() < b.total(); });
  return times[times.size() / 2];
}

void AddNote(Row* row, absl::string_view note) {
  absl::StrAppend(&row->note, row->note.empty() ? "" : "; ", note);
}

void AddRounds(const Rounds& rounds, Row* row) {
  row->rounds = static_cast<int64_t>(rounds.samples.size());
  row->disturbed = rounds.disturbed;
  for (const auto& samples : rounds.samples) {
    for (const Sample& sample : samples) {
      if (sample.failures > 0 && row->failed == 0) AddNote(row, sample.failure);
      row->failed += sample.failures;
    }
  }
  if (rounds.counts_disturbed) AddNote(row, "the machine was disturbed");
}

Row RatioRow(std::string figure, std::string work, std::string against, const Target& target,
             const Rounds& rounds) {
  Row row;
  row.figure = std::move(figure);
  row.work = std::move(work);
  row.against = std::move(against);
  row.unit = "ratio";
  row.at_least = absl::StrFormat("%.2f", target.at_least);
  row.aim = absl::StrFormat("%.2f", target.aim);
  AddRounds(rounds, &row);
  if (rounds.samples.empty()) return row;
  const auto of = [&](const std::function<double(const std::vector<Sample>&)>& figure_of,
                      double q = 0.5) { return Quantile(OfRounds(rounds, figure_of), q); };
  const auto ratio = [](const std::vector<Sample>& s) {
    return s[1].rate > 0 ? s[0].rate / s[1].rate : 0;
  };
  row.value = of(ratio);
  row.low = of(ratio, 0.25);
  row.high = of(ratio, 0.75);
  row.rate = of([](const auto& s) { return s[0].rate; });
  row.ceiling_rate = of([](const auto& s) { return s[1].rate; });
  row.p50_ms = of([](const auto& s) { return s[0].p50_us / 1e3; });
  row.p99_ms = of([](const auto& s) { return s[0].p99_us / 1e3; });
  row.cpu_us = MedianCpu(rounds, 0);
  row.ceiling_cpu_us = MedianCpu(rounds, 1);
  row.cpu_ratio = of([](const std::vector<Sample>& s) {
    const double ours = s[0].cpu_us.total();
    return ours > 0 ? s[1].cpu_us.total() / ours : 0;
  });
  row.reached = Judge(*row.value, target);
  // A claim needs both: rates alone may come from an idle processor or from a neighbour.
  if (const Reached by_cpu = Judge(*row.cpu_ratio, target); by_cpu < row.reached) {
    AddNote(&row, absl::StrFormat("by processor time: %s", ReachedText(by_cpu)));
  }
  if (row.failed > 0) row.reached = Reached::kNo;
  return row;
}

}  // namespace clm::bench
