// The commands `clm loyalty bonuses ...`.
#ifndef CLM_TOOLS_CLM_LOYALTY_BONUSES_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_BONUSES_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyBonusesCommands(Cli& cli, Command loyalty);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_BONUSES_COMMAND_H_
