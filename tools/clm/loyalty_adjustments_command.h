// The commands `clm loyalty adjustments ...`.
#ifndef CLM_TOOLS_CLM_LOYALTY_ADJUSTMENTS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_ADJUSTMENTS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyAdjustmentsCommands(Cli& cli, Command loyalty);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_ADJUSTMENTS_COMMAND_H_
