#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "tools/clm/cli.h"
#include "tools/clm/commands.h"
#include "tools/clm/live_values.h"
#include "tools/terminal/completion.h"
#include "tools/terminal/outcome.h"

namespace {

using clm::terminal::Exit;

constexpr char kDescription[] =
    "Customer lifecycle management: people, what they do, their stages, and what follows from it.";

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
  CLI::App app(kDescription, "clm");
  app.footer(
      "Exit codes: 0 done, 1 failure, 2 wrong usage, 3 not found, 4 conflict, 5 unavailable (worth "
      "a retry), 6 not permitted.\nclm COMMAND --help shows examples.");
  clm::cli::Cli cli(app);
  clm::cli::AddCommands(app, cli);
  std::vector<std::string> words(argv + 1, argv + argc);
  // What completion scripts ask: the values that the last word can have.
  const bool completing = !words.empty() && words.front() == "__complete";
  if (completing) {
    words = clm::cli::ListingOf(app, {words.begin() + 1, words.end()});
    if (words.empty()) return 0;
    // Nobody waits for the Tab key.
    alarm(2);
  }
  try {
    // The parser wants the last word first.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    const std::string unknown = clm::terminal::UnknownWordText(app, words);
    std::cerr << "clm: " << (unknown.empty() ? e.what() : unknown)
              << "\nclm --help lists the commands, clm COMMAND --help its options.\n";
    return static_cast<int>(Exit::kUsage);
  }
  return Finish(cli, cli.Run());
}
