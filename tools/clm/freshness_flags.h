// What a reader allows, of --strong and --max-staleness.
#ifndef CLM_TOOLS_CLM_FRESHNESS_FLAGS_H_
#define CLM_TOOLS_CLM_FRESHNESS_FLAGS_H_

#include <string>

#include "absl/status/status.h"
#include "libs/base/status_macros.h"
#include "tools/clm/command.h"
#include "tools/clm/values.h"

namespace clm::cli {

struct FreshnessFlags {
  bool strong = false;
  std::string max_staleness;
};

inline void AddStalenessFlag(Command command, FreshnessFlags& flags) {
  command
      .AddOption("--max-staleness", flags.max_staleness,
                 "also from the server's memory, if that was true so long ago; at most 60s")
      .TypeName("SPAN");
}

template <class Request>
absl::Status SetStaleness(const FreshnessFlags& flags, Request* request) {
  if (flags.max_staleness.empty()) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const absl::Duration span,
                       ParseSpan("--max-staleness", flags.max_staleness));
  request->mutable_max_staleness()->set_seconds(absl::ToInt64Seconds(span));
  return absl::OkStatus();
}

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_FRESHNESS_FLAGS_H_
