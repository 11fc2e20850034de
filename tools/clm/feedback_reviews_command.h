// The commands about reviews, testimonials and case studies: feedback reviews.
#ifndef CLM_TOOLS_CLM_FEEDBACK_REVIEWS_COMMAND_H_
#define CLM_TOOLS_CLM_FEEDBACK_REVIEWS_COMMAND_H_

#include "tools/clm/cli.h"
#include "tools/clm/command.h"

namespace clm::cli {

void AddFeedbackReviewsCommands(Cli& cli, Command feedback);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FEEDBACK_REVIEWS_COMMAND_H_
