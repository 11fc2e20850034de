// The commands about complaints, disputes and inquiries: feedback cases.
#ifndef CLM_TOOLS_CLM_FEEDBACK_CASES_COMMAND_H_
#define CLM_TOOLS_CLM_FEEDBACK_CASES_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddFeedbackCasesCommands(Cli& cli, Command feedback);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FEEDBACK_CASES_COMMAND_H_
