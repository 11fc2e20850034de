// The commands about contacts: contacts, export.
#ifndef CLM_TOOLS_CLM_CONTACTS_COMMAND_H_
#define CLM_TOOLS_CLM_CONTACTS_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddContactsCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_CONTACTS_COMMAND_H_
