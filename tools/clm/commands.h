// All commands of clm.
#ifndef CLM_TOOLS_CLM_COMMANDS_H_
#define CLM_TOOLS_CLM_COMMANDS_H_

#include "tools/clm/cli.h"

namespace clm::cli {

// Adds them to `app`, which `cli` was made for.
void AddCommands(CLI::App& app, Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_COMMANDS_H_
