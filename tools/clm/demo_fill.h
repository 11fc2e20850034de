// Fills a tenant with the fictional shop of tools/demo through the public API. Idempotent: the same
// options give the same ids, so a repeated or broken-off run ends in the same state.
#ifndef CLM_TOOLS_CLM_DEMO_FILL_H_
#define CLM_TOOLS_CLM_DEMO_FILL_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/clm/cli.h"
#include "tools/demo/shop.h"

namespace clm::cli {

// The stage model of the demo.
inline constexpr char kDemoModel[] = "subscription";

struct DemoOptions {
  int contacts = 5'000;
  int months = 18;
  // The day (UTC) at whose begin the history ends, 2026-11-01; empty: that of the earlier run in
  // this data folder, else today.
  std::string end;
};

struct DemoReport {
  int64_t contacts = 0;
  int64_t events = 0;
  int64_t consents = 0;
  int64_t costs = 0;
  int64_t refused = 0;
  int64_t known = 0;  // Events that were there already.
};

absl::StatusOr<DemoReport> FillDemo(Cli& cli, const DemoOptions& options);

// Sends new events of the shop until `stop`; tells what it has sent in `sent`.
absl::Status RunLoad(Cli& cli, const DemoOptions& options, double per_second,
                     const std::atomic<bool>& stop, std::atomic<int64_t>& sent);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_DEMO_FILL_H_
