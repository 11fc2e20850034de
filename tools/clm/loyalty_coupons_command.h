// The commands about coupons and what they may cost: loyalty coupons, loyalty budgets.
#ifndef CLM_TOOLS_CLM_LOYALTY_COUPONS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_COUPONS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyCouponsCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_COUPONS_COMMAND_H_
