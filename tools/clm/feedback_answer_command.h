// feedback answer TOKEN: asks the questions of a survey in the terminal.
#ifndef CLM_TOOLS_CLM_FEEDBACK_ANSWER_COMMAND_H_
#define CLM_TOOLS_CLM_FEEDBACK_ANSWER_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddFeedbackAnswerCommand(Cli& cli, Command group);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FEEDBACK_ANSWER_COMMAND_H_
