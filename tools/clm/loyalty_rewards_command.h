// The commands about the catalogue of rewards and who has got what: loyalty rewards.
#ifndef CLM_TOOLS_CLM_LOYALTY_REWARDS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_REWARDS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyRewardsCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_REWARDS_COMMAND_H_
