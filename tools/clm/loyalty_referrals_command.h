// The commands `clm loyalty referrals ...`.
#ifndef CLM_TOOLS_CLM_LOYALTY_REFERRALS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_REFERRALS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyReferralsCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_REFERRALS_COMMAND_H_
