// clm insights predict: models of what customers will do, and what they say.
#ifndef CLM_TOOLS_CLM_PREDICTION_COMMAND_H_
#define CLM_TOOLS_CLM_PREDICTION_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

// `insights` is the group they belong to.
void AddPredictionCommands(Cli& cli, Command insights);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_PREDICTION_COMMAND_H_
