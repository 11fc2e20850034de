// `clm bench`: how fast the suite is, against what the machine can do.
#ifndef CLM_TOOLS_CLM_BENCH_COMMAND_H_
#define CLM_TOOLS_CLM_BENCH_COMMAND_H_

#include "tools/clm/cli.h"

namespace clm::cli {

void AddBenchCommand(Command top, Cli& cli);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_BENCH_COMMAND_H_
