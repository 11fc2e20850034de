// The commands about stage models.
#ifndef CLM_TOOLS_CLM_MODELS_COMMAND_H_
#define CLM_TOOLS_CLM_MODELS_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddModelsCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_MODELS_COMMAND_H_
