// The commands about scores: feedback nps, csat, ces, rqi, funnel, recount.
#ifndef CLM_TOOLS_CLM_FEEDBACK_SCORES_COMMAND_H_
#define CLM_TOOLS_CLM_FEEDBACK_SCORES_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddFeedbackScoresCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FEEDBACK_SCORES_COMMAND_H_
