#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "tools/clm/cli.h"
#include "tools/clm/command.h"
#include "tools/clm/commands.h"
#include "tools/clm/live_values.h"
#include "tools/terminal/completion.h"
#include "tools/terminal/outcome.h"

namespace {

using clm::terminal::Exit;

constexpr char kDescription[] =
    "Customer lifecycle management: people, what they do, their stages, and what follows from it.";
constexpr char kFooter[] =
    "Exit codes: 0 done, 1 failure, 2 wrong usage, 3 not found, 4 conflict, 5 unavailable (worth "
    "a retry), 6 not permitted.\nclm COMMAND --help shows examples.";

int Finish(const clm::cli::Cli& cli, const absl::Status& status) {
  if (status.ok()) return 0;
  const auto format = cli.Format();
  const bool program = format.ok() && clm::terminal::IsMessageFormat(*format);
  std::cerr << (program ? clm::terminal::ErrorJson(status)
                        : clm::terminal::ErrorText(cli.error_screen(), status));
  return static_cast<int>(clm::terminal::ExitFor(status));
}

}  // namespace

int main(int argc, char** argv) {
  clm::cli::CommandLine line("clm", kDescription, kFooter);
  clm::cli::Cli cli(line.app());
  clm::cli::AddCommands(line.app(), cli);
  std::vector<std::string> words(argv + 1, argv + argc);
  // What completion scripts ask: the values that the last word can have.
  const bool completing = !words.empty() && words.front() == "__complete";
  if (completing) {
    words = clm::cli::ListingOf(line.app(), {words.begin() + 1, words.end()});
    if (words.empty()) return 0;
    // Nobody waits for the Tab key.
    alarm(2);
  }
  const absl::StatusOr<bool> chosen = line.Parse(words);
  if (!chosen.ok()) {
    const std::string unknown = clm::terminal::UnknownWordText(line.app(), words);
    std::cerr << "clm: " << (unknown.empty() ? chosen.status().message() : unknown)
              << "\nclm --help lists the commands, clm COMMAND --help its options.\n";
    return static_cast<int>(Exit::kUsage);
  }
  return *chosen ? Finish(cli, cli.Run()) : 0;
}
