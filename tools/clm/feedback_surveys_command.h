// The commands about surveys and who is invited: feedback surveys, invite, invitations, responses.
#ifndef CLM_TOOLS_CLM_FEEDBACK_SURVEYS_COMMAND_H_
#define CLM_TOOLS_CLM_FEEDBACK_SURVEYS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddFeedbackSurveysCommands(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FEEDBACK_SURVEYS_COMMAND_H_
