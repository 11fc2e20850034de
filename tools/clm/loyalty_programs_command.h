// The commands about loyalty programmes: loyalty programs, program, create-program, update-program.
#ifndef CLM_TOOLS_CLM_LOYALTY_PROGRAMS_COMMAND_H_
#define CLM_TOOLS_CLM_LOYALTY_PROGRAMS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddLoyaltyProgramsCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_PROGRAMS_COMMAND_H_
