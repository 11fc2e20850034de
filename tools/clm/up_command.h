// The commands that run a suite on this machine: up, down, status, reset, doctor, migrate.
#ifndef CLM_TOOLS_CLM_UP_COMMAND_H_
#define CLM_TOOLS_CLM_UP_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddUpCommands(Command top, Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_UP_COMMAND_H_
