// The commands about behaviour events.
#ifndef CLM_TOOLS_CLM_EVENTS_COMMAND_H_
#define CLM_TOOLS_CLM_EVENTS_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddEventsCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_EVENTS_COMMAND_H_
