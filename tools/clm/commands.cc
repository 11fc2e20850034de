#include "tools/clm/commands.h"

#include <iostream>
#include <memory>
#include <string>

#include "tools/clm/access_command.h"
#include "tools/clm/bench_command.h"
#include "tools/clm/consent_command.h"
#include "tools/clm/contacts_command.h"
#include "tools/clm/demo_command.h"
#include "tools/clm/events_command.h"
#include "tools/clm/feedback_command.h"
#include "tools/clm/import_command.h"
#include "tools/clm/insights_command.h"
#include "tools/clm/live_values.h"
#include "tools/clm/loyalty_command.h"
#include "tools/clm/models_command.h"
#include "tools/clm/operate_command.h"
#include "tools/clm/rules_command.h"
#include "tools/clm/stages_command.h"
#include "tools/clm/up_command.h"
#include "tools/terminal/completion.h"

namespace clm::cli {

void AddCommands(CLI::App& app, Cli& cli) {
  const Command top(&app);
  AddUpCommands(top, cli);
  AddDemoCommand(top, cli);
  AddOperateCommands(top, cli);
  AddBenchCommand(top, cli);
  AddContactsCommands(cli);
  AddConsentCommands(cli);
  AddEventsCommands(cli);
  AddImportCommands(cli);
  AddModelsCommands(cli);
  AddRulesCommands(cli);
  AddStagesCommands(cli);
  AddLoyaltyCommands(cli);
  AddFeedbackCommands(cli);
  AddInsightsCommands(cli);
  AddAccessCommands(cli);
  auto shell = std::make_shared<std::string>();
  cli.AddCommand(top, "completion", "Print a script that completes clm's words in a shell",
                 {"source <(clm completion bash)", "clm completion zsh > ~/.zsh/_clm",
                  "clm completion fish > ~/.config/fish/completions/clm.fish"},
                 [&app, shell]() -> absl::Status {
                   const auto script = terminal::CompletionScript(app, "clm", *shell, LiveNames());
                   if (script.ok()) std::cout << *script;
                   return script.status();
                 })
      .AddOption("SHELL", *shell, "bash, zsh or fish")
      .Required();
}

}  // namespace clm::cli
