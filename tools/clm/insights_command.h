// The commands that answer questions about all customers at once.
#ifndef CLM_TOOLS_CLM_INSIGHTS_COMMAND_H_
#define CLM_TOOLS_CLM_INSIGHTS_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddInsightsCommands(Cli& cli);

// The stage board and the funnel of the demo shop's model, for the end of `clm up --demo`.
absl::Status ShowDemoOverview(Cli& cli);

// The monthly cohort table by first purchase, as it was at `end`.
absl::Status ShowCohorts(Cli& cli, absl::Time start, absl::Time end, const std::string& currency);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_INSIGHTS_COMMAND_H_
