// Charts in text: bars, a funnel, a cohort heat table, a sparkline and a line. Each returns lines,
// each ended, that fit the screen's width (80 columns where it is unknown) and use ASCII where the
// screen has no UTF-8. Labels are made printable here. Thread-safe: functions without state.
#ifndef CLM_TOOLS_TERMINAL_CHART_H_
#define CLM_TOOLS_TERMINAL_CHART_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tools/terminal/screen.h"

namespace clm::terminal {

struct Bar {
  std::string label;
  double value = 0;  // Not negative; drawn in proportion to the greatest.
  std::string text;  // What stands beside the bar; the value as a count when empty.
  Tone tone = Tone::kAccent;
};
std::string BarChart(const Screen& screen, const std::vector<Bar>& bars);

struct FunnelStep {
  std::string label;
  int64_t count = 0;
  // From the step before to this one; not drawn when absent.
  std::optional<absl::Duration> median_time;
};
// Per step: count, bar, share of the first step; between steps: share of those before who went on,
// and how many did not. A step may have more than the one before it ("reached at least" readings do
// not, "strict order" readings may).
std::string Funnel(const Screen& screen, const std::vector<FunnelStep>& steps);

struct CohortRow {
  std::string label;
  int64_t size = 0;
  // By age, from 0. nullopt: the period is not over, the cell stays blank. Not the same as 0.
  std::vector<std::optional<double>> shares;
};
// Shares as per cent, shaded by value where the screen has colour. `age_title`: "M" gives M0, M1,
// ... Ages that do not fit the width are left out, and a last line says so.
std::string HeatTable(const Screen& screen, const std::string& cohort_title,
                      const std::string& age_title, const std::vector<CohortRow>& rows);

// One character per value between the least and the greatest; a space where there is none.
std::string Sparkline(const Screen& screen, const std::vector<std::optional<double>>& values);

struct Line {
  std::vector<std::optional<double>> values;  // At equal distances.
  std::string first_label, last_label;        // Under the ends of the horizontal axis.
};
// With an axis from 0, or from the least value where that is negative, to the greatest.
std::string LineChart(const Screen& screen, const Line& line, int height = 8);

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_CHART_H_
