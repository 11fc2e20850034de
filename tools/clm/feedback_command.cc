#include "tools/clm/feedback_command.h"

#include "tools/clm/feedback_answer_command.h"
#include "tools/clm/feedback_scores_command.h"
#include "tools/clm/feedback_surveys_command.h"

namespace clm::cli {

void AddFeedbackCommands(Cli& cli) {
  const Command group = cli.AddGroup("feedback", "Surveys, who is asked, answers and their scores");
  AddFeedbackSurveysCommands(cli, group);
  AddFeedbackAnswerCommand(cli, group);
  AddFeedbackScoresCommands(cli, group);
}

}  // namespace clm::cli
