// The command that fills a tenant with the demo shop.
#ifndef CLM_TOOLS_CLM_DEMO_COMMAND_H_
#define CLM_TOOLS_CLM_DEMO_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddDemoCommand(Command top, Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_DEMO_COMMAND_H_
