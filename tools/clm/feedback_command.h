// clm feedback: surveys, invitations, answers and scores.
#ifndef CLM_TOOLS_CLM_FEEDBACK_COMMAND_H_
#define CLM_TOOLS_CLM_FEEDBACK_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddFeedbackCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FEEDBACK_COMMAND_H_
