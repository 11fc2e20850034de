#include "tools/clm/feedback_command.h"

#include "tools/clm/feedback_answer_command.h"
#include "tools/clm/feedback_cases_command.h"
#include "tools/clm/feedback_reviews_command.h"
#include "tools/clm/feedback_scores_command.h"
#include "tools/clm/feedback_surveys_command.h"

namespace clm::cli {

void AddFeedbackCommands(Cli& cli) {
  const Command group = cli.AddGroup(
      "feedback", "What customers say: surveys and scores, complaints and questions, reviews");
  AddFeedbackSurveysCommands(cli, group);
  AddFeedbackAnswerCommand(cli, group);
  AddFeedbackScoresCommands(cli, group);
  AddFeedbackCasesCommands(cli, group);
  AddFeedbackReviewsCommands(cli, group);
}

}  // namespace clm::cli
