// The commands about customers' stages: stages, explain.
#ifndef CLM_TOOLS_CLM_STAGES_COMMAND_H_
#define CLM_TOOLS_CLM_STAGES_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddStagesCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_STAGES_COMMAND_H_
