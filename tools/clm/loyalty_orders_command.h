// The commands about orders of shops: loyalty orders.
#ifndef CLM_TOOLS_CLM_LOYALTY_ORDERS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_ORDERS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyOrdersCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_ORDERS_COMMAND_H_
