// The commands that bring files in.
#ifndef CLM_TOOLS_CLM_IMPORT_COMMAND_H_
#define CLM_TOOLS_CLM_IMPORT_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddImportCommands(Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_IMPORT_COMMAND_H_
