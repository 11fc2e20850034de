// The loyalty programme of the demo shop: made before its history, so that the purchases earn, and
// used after it.
#ifndef CLM_TOOLS_CLM_DEMO_LOYALTY_H_
#define CLM_TOOLS_CLM_DEMO_LOYALTY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tools/clm/cli.h"

namespace clm::cli {

// The id of the programme.
inline constexpr char kDemoProgram[] = "beans";

// Rules, tiers and coupons. What is there already stays. Fine where no loyalty service runs.
absl::Status MakeDemoProgram(Cli& cli);

// Lets some of `contacts`, which are names in a lasting order, spend points and use a coupon, once
// the loyalty service has taken in their purchases. A repeat changes nothing.
absl::Status UseDemoProgram(Cli& cli, const std::vector<std::string>& contacts);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_DEMO_LOYALTY_H_
