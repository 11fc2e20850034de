// The commands about tenants and tokens.
#ifndef CLM_TOOLS_CLM_ACCESS_COMMAND_H_
#define CLM_TOOLS_CLM_ACCESS_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddAccessCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_ACCESS_COMMAND_H_
