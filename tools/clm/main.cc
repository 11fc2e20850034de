#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "tools/clm/access_command.h"
#include "tools/clm/bench_command.h"
#include "tools/clm/cli.h"
#include "tools/clm/contacts_command.h"
#include "tools/clm/demo_command.h"
#include "tools/clm/events_command.h"
#include "tools/clm/import_command.h"
#include "tools/clm/insights_command.h"
#include "tools/clm/live_values.h"
#include "tools/clm/models_command.h"
#include "tools/clm/operate_command.h"
#include "tools/clm/rules_command.h"
#include "tools/clm/stages_command.h"
#include "tools/clm/up_command.h"
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
  clm::cli::AddUpCommands(app, cli);
  clm::cli::AddDemoCommand(app, cli);
  clm::cli::AddOperateCommands(app, cli);
  clm::cli::AddBenchCommand(app, cli);
  clm::cli::AddContactsCommands(cli);
  clm::cli::AddEventsCommands(cli);
  clm::cli::AddImportCommands(cli);
  clm::cli::AddModelsCommands(cli);
  clm::cli::AddRulesCommands(cli);
  clm::cli::AddStagesCommands(cli);
  clm::cli::AddInsightsCommands(cli);
  clm::cli::AddAccessCommands(cli);
  std::string shell;
  cli.AddCommand(&app, "completion", "Print a script that completes clm's words in a shell",
                 {"source <(clm completion bash)", "clm completion zsh > ~/.zsh/_clm",
                  "clm completion fish > ~/.config/fish/completions/clm.fish"},
                 [&app, &shell]() -> absl::Status {
                   const auto script =
                       clm::terminal::CompletionScript(app, "clm", shell, clm::cli::LiveNames());
                   if (script.ok()) std::cout << *script;
                   return script.status();
                 })
      ->add_option("SHELL", shell, "bash, zsh or fish")
      ->required();
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
