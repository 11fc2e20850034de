// The commands for whoever runs a suite and wants to look inside: logs, psql, redis, cheat.
#ifndef CLM_TOOLS_CLM_OPERATE_COMMAND_H_
#define CLM_TOOLS_CLM_OPERATE_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddOperateCommands(Command top, Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_OPERATE_COMMAND_H_
