// The commands that move points: loyalty earn, redeem, hold, capture, release, cancel, return,
// activate, adjust, transfer.
#ifndef CLM_TOOLS_CLM_LOYALTY_POINTS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_POINTS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyPointsCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_POINTS_COMMAND_H_
