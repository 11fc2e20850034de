#include "tools/clm/demo_command.h"

#include <iostream>
#include <memory>

#include "tools/clm/demo_fill.h"
#include "tools/clm/insights_command.h"

namespace clm::cli {
namespace {

absl::Status Demo(Cli& cli, const DemoOptions& options) {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, cli.Format());
  CLM_ASSIGN_OR_RETURN(const DemoReport report, FillDemo(cli, options));
  terminal::Table table({{"contacts"},
                         {"events"},
                         {"known_events", "KNOWN EVENTS"},
                         {"consents"},
                         {"costs"},
                         {"refused"},
                         {"model"}});
  table.Add({report.contacts, report.events, report.known, report.consents, report.costs,
             report.refused, kDemoModel});
  terminal::WriteOne(table, format, cli.screen(), std::cout);
  if (format != terminal::Format::kTable && format != terminal::Format::kWide) {
    return absl::OkStatus();
  }
  std::cout << "\n";
  return ShowDemoOverview(cli);
}

}  // namespace

void AddDemoCommand(Command top, Cli& cli) {
  auto options = std::make_shared<DemoOptions>();
  Command command = cli.AddCommand(
      top, "demo", "Fill the tenant with a fictional coffee shop; again changes nothing",
      {"clm demo", "clm --tenant small demo --contacts 500 --months 6"},
      [&cli, options] { return Demo(cli, *options); });
  command.AddOption("--contacts", options->contacts, "people").Between(1, 1000000).ShowDefault();
  command.AddOption("--months", options->months, "of history").Between(1, 120).ShowDefault();
  command.AddOption("--end", options->end,
                    "day at whose begin the history ends; default: as before, else today");
}

}  // namespace clm::cli
