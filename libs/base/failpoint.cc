#include "libs/base/failpoint.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace clm {
namespace {

struct Armed {
  std::string name;
  std::string about;  // Empty: it is passes that count.
  std::atomic<int> passes_left{0};
};

// Null unless CLM_FAILPOINT is set and well formed. A malformed value ends the process: a chaos
// test that kills nothing proves nothing.
Armed* ReadEnvironment() {
  const char* text = std::getenv("CLM_FAILPOINT");
  if (text == nullptr || *text == '\0') return nullptr;
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  int passes = 0;
  const bool about =
      parts.size() == 2 && absl::StartsWith(parts[1], "kill=") && parts[1].size() > 5;
  if (!about && (parts.size() != 2 || !absl::StartsWith(parts[1], "kill@") ||
                 !absl::SimpleAtoi(parts[1].substr(5), &passes) || passes < 1)) {
    std::abort();
  }
  auto* armed = new Armed;
  armed->name = parts[0];
  if (about) armed->about = parts[1].substr(5);
  armed->passes_left = passes;
  return armed;
}

}  // namespace

void Failpoint(const char* name, absl::string_view about) {
  static Armed* const armed = ReadEnvironment();
  if (armed == nullptr) return;
  const bool listed =
      std::any_of(kFailpoints.begin(), kFailpoints.end(),
                  [name](const char* known) { return std::strcmp(known, name) == 0; });
  if (!listed) std::abort();
  if (armed->name != name) return;
  const bool now = armed->about.empty() ? armed->passes_left.fetch_sub(1) == 1
                                        : absl::StrContains(about, armed->about);
  if (now) kill(getpid(), SIGKILL);
}

}  // namespace clm
