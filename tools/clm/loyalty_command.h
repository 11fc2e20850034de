// The commands about loyalty programmes, their members and their points: loyalty.
#ifndef CLM_TOOLS_CLM_LOYALTY_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddLoyaltyCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_COMMAND_H_
