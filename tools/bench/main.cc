// clm-bench: measures the suite against ceilings of the same machine in the same run.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "tools/bench/stand.h"
#include "tools/bench/workloads.h"

int main(int argc, char** argv) {
  // As in the suite's servers: the ceiling must not be lower than it can be.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app(
      "Measures the suite against ceilings of the same machine in the same run.\n"
      "Starts a private PostgreSQL (fsync on), Redis and suite of its own.\n\n"
      "  clm-bench\n  clm-bench --only create,events --pairs 7 --seconds 5");
  clm::bench::Options options;
  std::string echo;
  app.add_option("--seconds", options.seconds, "length of a slice")->check(CLI::Range(1, 600));
  app.add_option("--pairs", options.pairs, "slices of the suite and of the ceiling, alternating")
      ->check(CLI::Range(1, 101));
  app.add_option("--contacts", options.contacts, "contacts made beforehand")
      ->check(CLI::Range(100, 10'000'000));
  app.add_option("--only", options.only,
                 "workloads: " + absl::StrJoin(clm::bench::WorkloadNames(), ", "))
      ->delimiter(',')
      ->check(CLI::IsMember(clm::bench::WorkloadNames()));
  std::vector<std::string> settings;
  app.add_option("--pg-setting", settings, "of the private PostgreSQL: name=value");
  app.add_option("--echo", echo, "serve the raw echo on this socket instead")->group("");
  CLI11_PARSE(app, argc, argv);
  if (!echo.empty()) return clm::bench::ServeEcho(echo);

  const std::string folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  std::map<std::string, std::string> postgres;
  for (const std::string& setting : settings) {
    postgres.insert(absl::StrSplit(setting, absl::MaxSplits('=', 1)));
  }
  auto stand = clm::bench::Stand::Start(folder, std::move(postgres));
  if (!stand.ok()) {
    std::cerr << "clm-bench: " << stand.status().message() << "\n";
    return 1;
  }
  std::cout << absl::StrFormat("idle memory of the suite: %.1f MB\n",
                               static_cast<double>((*stand)->SuiteMemory()) / 1e6);
  std::cout << absl::StrFormat("%-15s %-28s %10s %10s %7s %15s %9s %9s %9s %6s  %s\n", "work",
                               "ceiling", "ours/s", "ceiling/s", "ratio", "quartiles", "at least",
                               "p50 ms", "p99 ms", "failed",
                               "cpu us = client + suite + postgres + redis");
  const absl::Status status =
      clm::bench::RunWorkloads(**stand, options, [](const clm::bench::Outcome& o) {
        std::cout << absl::StrFormat(
                         "%-15s %-28s %10.0f %10.0f %7.2f %7.2f-%-7.2f %9.2f %9.2f %9.2f %6d  "
                         "%5.1f = %.1f + %.1f + %.1f + %.1f\n",
                         o.name, o.ceiling, o.rate, o.ceiling_rate, o.ratio, o.ratio_low,
                         o.ratio_high, o.at_least, static_cast<double>(o.p50_us) / 1e3,
                         static_cast<double>(o.p99_us) / 1e3, o.failures, o.cpu.total(),
                         o.cpu.client, o.cpu.suite, o.cpu.postgres, o.cpu.redis)
                  << std::flush;
      });
  std::cout << absl::StrFormat("memory of the suite afterwards: %.1f MB\n",
                               static_cast<double>((*stand)->SuiteMemory()) / 1e6);
  if (!status.ok()) {
    std::cerr << "clm-bench: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
