// `clm contacts identity-policy`: by which rules identifiers tell who a person is.
#ifndef CLM_TOOLS_CLM_IDENTITY_POLICY_COMMAND_H_
#define CLM_TOOLS_CLM_IDENTITY_POLICY_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddIdentityPolicyCommands(Cli& cli, Command contacts);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_IDENTITY_POLICY_COMMAND_H_
