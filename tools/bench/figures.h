// The figures of the suite: each against a ceiling of the same machine in the same run, or in
// seconds or megabytes where there is none.
#ifndef CLM_TOOLS_BENCH_FIGURES_H_
#define CLM_TOOLS_BENCH_FIGURES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tools/bench/closed_loop.h"
#include "tools/bench/points.h"
#include "tools/bench/report.h"

namespace clm::bench {

struct Options {
  std::string binaries;  // The folder of clm and the servers.
  int seconds = 5;       // Of a slice.
  int pairs = 7;         // Slices of the suite and of the ceiling, alternating.
  bool keep_disturbed = false;
  int64_t contacts = 10'000;                    // Made beforehand, kMaxInFlight at least.
  int64_t accounts = 1'000'000;                 // Of points, made beforehand.
  int64_t entries = 1'000'000;                  // Of one account.
  Client client = Client::kH2;                  // Of the closed loops.
  std::vector<std::string> only;                // Names of figures; empty: all.
  std::string cdnow;                            // The purchase log; empty: not measured.
  std::vector<int64_t> sizes;                   // Of RunScale, ascending.
  std::map<std::string, std::string> settings;  // More of postgresql.conf.
};

// In the order of the report.
std::vector<std::string> FigureNames();

// Measures and tells each row as soon as it is known, and says how far preparations are that take
// long. An error means that it could not go on; figures that are not reached are rows.
absl::Status RunFigures(const Options& options, const Tell& tell, const Say& say);

// How costs grow with the number of contacts: a stand of its own per size, the slices of all of
// them alternating. Rows are named by what and how many, "get-fresh 100000"; the value is the
// growth since the first size.
absl::Status RunScale(const Options& options, const Tell& tell);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_FIGURES_H_
