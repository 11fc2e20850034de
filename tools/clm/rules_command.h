// The commands about transition rules.
#ifndef CLM_TOOLS_CLM_RULES_COMMAND_H_
#define CLM_TOOLS_CLM_RULES_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddRulesCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_RULES_COMMAND_H_
