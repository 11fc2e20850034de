#include "tools/clm/bench_command.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/base/error.h"
#include "tools/bench/echo_server.h"
#include "tools/bench/figures.h"
#include "tools/bench/traffic.h"

namespace clm::cli {
namespace {

using bench::Reached;
using bench::Row;

struct BenchFlags {
  bench::Options options;
  std::string client = "h2";
  bool scale = false;
  std::vector<std::string> settings;
  std::string serve_echo, serve_echo_folder;
};

terminal::Tone ToneOf(Reached reached) {
  switch (reached) {
    case Reached::kNotMeasured:
      return terminal::Tone::kMuted;
    case Reached::kNo:
      return terminal::Tone::kBad;
    case Reached::kAtLeast:
      return terminal::Tone::kWarn;
    case Reached::kAim:
      return terminal::Tone::kGood;
  }
  return terminal::Tone::kPlain;
}

terminal::Cell NumberCell(const std::optional<double>& value) {
  return value ? terminal::Cell(*value) : terminal::Cell();
}

// Rounded: more digits than can be measured only hide the others.
terminal::Cell RoundedCell(const std::optional<double>& value) {
  if (!value) return {};
  double rounded = 0;
  return absl::SimpleAtod(absl::StrFormat("%.3g", *value), &rounded) ? terminal::Cell(rounded)
                                                                     : NumberCell(value);
}

terminal::Table TableOf(const std::vector<Row>& rows) {
  terminal::Table table({{"figure"},
                         {"value"},
                         {"unit"},
                         {"at_least"},
                         {"aim"},
                         {"reached"},
                         {"rate", "RATE/S"},
                         {"ceiling_rate", "CEILING/S"},
                         {"cpu_us", "CPU US"},
                         {"ceiling_cpu_us", "CEILING CPU US"},
                         {"cpu_ratio", "CPU RATIO"},
                         {"p50_ms", "P50 MS"},
                         {"p99_ms", "P99 MS"},
                         {"failed"},
                         {"low", "", true},
                         {"high", "", true},
                         {"cpu_us_client", "CLIENT US", true},
                         {"cpu_us_suite", "SUITE US", true},
                         {"cpu_us_lifecycle", "LIFECYCLE US", true},
                         {"cpu_us_echo", "ECHO US", true},
                         {"cpu_us_postgres", "POSTGRES US", true},
                         {"cpu_us_redis", "REDIS US", true},
                         {"ceiling_cpu_us_client", "CEILING CLIENT US", true},
                         {"ceiling_cpu_us_echo", "CEILING ECHO US", true},
                         {"ceiling_cpu_us_postgres", "CEILING POSTGRES US", true},
                         {"rounds", "", true},
                         {"disturbed", "", true},
                         {"work", "", true},
                         {"against", "", true},
                         {"note"}});
  const auto text = [](const std::string& value) {
    return value.empty() ? terminal::Cell() : terminal::Cell(value);
  };
  for (const Row& row : rows) {
    const auto cpu = [](const std::optional<bench::CpuTimes>& times,
                        double(bench::CpuTimes::*part)) {
      return times ? RoundedCell((*times).*part) : terminal::Cell();
    };
    const auto total = [](const std::optional<bench::CpuTimes>& times) {
      return times ? RoundedCell(times->total()) : terminal::Cell();
    };
    using bench::CpuTimes;
    table.Add(
        {row.figure,
         RoundedCell(row.value),
         text(row.unit),
         text(row.at_least),
         text(row.aim),
         terminal::Cell(std::string(bench::ReachedText(row.reached)), ToneOf(row.reached)),
         RoundedCell(row.rate),
         RoundedCell(row.ceiling_rate),
         total(row.cpu_us),
         total(row.ceiling_cpu_us),
         RoundedCell(row.cpu_ratio),
         RoundedCell(row.p50_ms),
         RoundedCell(row.p99_ms),
         terminal::Cell(row.failed, row.failed > 0 ? terminal::Tone::kBad : terminal::Tone::kPlain),
         RoundedCell(row.low),
         RoundedCell(row.high),
         cpu(row.cpu_us, &CpuTimes::client),
         cpu(row.cpu_us, &CpuTimes::suite),
         cpu(row.cpu_us, &CpuTimes::lifecycle),
         cpu(row.cpu_us, &CpuTimes::echo),
         cpu(row.cpu_us, &CpuTimes::postgres),
         cpu(row.cpu_us, &CpuTimes::redis),
         cpu(row.ceiling_cpu_us, &CpuTimes::client),
         cpu(row.ceiling_cpu_us, &CpuTimes::echo),
         cpu(row.ceiling_cpu_us, &CpuTimes::postgres),
         row.rounds,
         row.disturbed,
         row.work,
         text(row.against),
         text(row.note)});
  }
  return table;
}

// A row as soon as it is known.
std::string Line(const Row& row) {
  std::string line = absl::StrCat(row.figure, ": ");
  if (row.value) {
    absl::StrAppendFormat(&line, "%.3g %s", *row.value, row.unit);
    if (row.low && row.rounds > 1)
      absl::StrAppendFormat(&line, " (%.3g-%.3g)", *row.low, *row.high);
    absl::StrAppend(&line, ", reached: ", bench::ReachedText(row.reached));
  } else {
    absl::StrAppend(&line, bench::ReachedText(row.reached));
  }
  if (!row.note.empty()) absl::StrAppend(&line, "; ", row.note);
  return line;
}

absl::Status Bench(Cli& cli, BenchFlags flags) {
  CLM_RETURN_IF_ERROR(cli.Format().status());
  std::error_code failed;
  flags.options.binaries =
      std::filesystem::read_symlink("/proc/self/exe", failed).parent_path().string();
  flags.options.client = flags.client == "grpc" ? bench::Client::kGrpc : bench::Client::kH2;
  for (const std::string& setting : flags.settings) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(setting, absl::MaxSplits('=', 1));
    if (pair.first.empty() || pair.second.empty()) {
      return error::InvalidField("--pg-setting", absl::StrCat(setting, ": must be NAME=VALUE"));
    }
    flags.options.settings.insert(pair);
  }
  for (size_t i = 1; i < flags.options.sizes.size(); ++i) {
    if (flags.options.sizes[i] <= flags.options.sizes[i - 1]) {
      return error::InvalidField("--sizes", "must ascend");
    }
  }
  if (!flags.options.cdnow.empty()) {
    flags.options.cdnow = std::filesystem::absolute(flags.options.cdnow).string();
  }
  std::vector<Row> rows;
  const bench::Tell tell = [&](const Row& row) {
    cli.Note(Line(row));
    rows.push_back(row);
  };
  const absl::Status ran =
      flags.scale ? bench::RunScale(flags.options, tell)
                  : bench::RunFigures(flags.options, tell,
                                      [&](const std::string& text) { cli.Note(text); });
  // What is known is worth telling, also when the rest could not be measured.
  CLM_RETURN_IF_ERROR(cli.PrintTable(TableOf(rows)));
  CLM_RETURN_IF_ERROR(ran);
  for (const Row& row : rows) {
    if (row.failed > 0) {
      return error::Precondition("CALLS_FAILED",
                                 absl::StrCat(row.figure, ": ", row.failed, " calls failed"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddBenchCommand(Command top, Cli& cli) {
  auto flags = std::make_shared<BenchFlags>();
  flags->options.sizes = {10'000, 100'000, 1'000'000};
  Command command = cli.AddCommand(
      top, "bench", "Measure the suite against ceilings of this machine in the same run",
      {"clm bench --cdnow CDNOW_master.txt", "clm bench --only create,events --seconds 10 -o wide",
       "clm bench --only earn,earn-hot --accounts 20000", "clm bench --pairs 3 --seconds 1 -o json",
       "clm bench --scale"},
      [&cli, flags]() -> absl::Status {
        if (flags->serve_echo.empty()) return Bench(cli, *flags);
        std::_Exit(bench::ServeEcho(flags->serve_echo, flags->serve_echo_folder));
      });
  bench::Options& options = flags->options;
  command.AddOption("--seconds", options.seconds, "length of a slice")
      .Between(1, 600)
      .ShowDefault();
  command
      .AddOption("--pairs", options.pairs,
                 "slices of the suite and of the ceiling, alternating; the result is the median")
      .Between(1, 101)
      .ShowDefault();
  command.AddOption("--contacts", options.contacts, "contacts made beforehand")
      .Between(bench::kMaxInFlight, 10'000'000)
      .ShowDefault();
  command.AddOption("--accounts", options.accounts, "accounts of points made beforehand")
      .Between(bench::kMaxInFlight, 100'000'000)
      .ShowDefault();
  command
      .AddOption("--entries", options.entries,
                 "postings of one account, for balance-long; ten millions take minutes to make")
      .Between(1, 100'000'000)
      .ShowDefault();
  command
      .AddOption("--only", options.only,
                 absl::StrCat("figures: ", absl::StrJoin(bench::FigureNames(), ", ")))
      .Delimiter(',')
      .TypeName("NAMES")
      .OneOf(bench::FigureNames());
  command.AddOption("--cdnow", options.cdnow, "the purchase log of CDNOW, for that figure")
      .ExistingFile();
  command.AddFlag("--scale", flags->scale, "instead: how costs grow with the number of contacts");
  command.AddOption("--sizes", options.sizes, "of --scale, the first one is compared with")
      .Delimiter(',')
      .Between(bench::kMaxInFlight, 10'000'000)
      .ShowDefault();
  command
      .AddOption("--client", flags->client,
                 "h2: a cheap load generator; grpc: gRPC's own client, which costs more than the "
                 "server")
      .OneOf({"h2", "grpc"})
      .ShowDefault();
  command.AddFlag("--keep-disturbed", options.keep_disturbed,
                  "count also what was measured while others used the machine");
  command.AddOption("--pg-setting", flags->settings, "of the private PostgreSQL")
      .TypeName("NAME=VALUE");
  command.AddOption("--serve-echo", flags->serve_echo).Hide();
  command.AddOption("--serve-echo-folder", flags->serve_echo_folder).Hide();
}

}  // namespace clm::cli
