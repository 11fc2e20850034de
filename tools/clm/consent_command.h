// The commands about who may be written to, and about what finding people cost: topics, consent,
// suppressions and costs.
#ifndef CLM_TOOLS_CLM_CONSENT_COMMAND_H_
#define CLM_TOOLS_CLM_CONSENT_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddConsentCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_CONSENT_COMMAND_H_
