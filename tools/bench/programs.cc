#include "tools/bench/programs.h"

#include <stdlib.h>

#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/stack/child_process.h"

namespace clm::bench {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(5);

// Runs `clm` with a user's environment put aside; what it printed and how long it took.
absl::StatusOr<std::pair<std::string, absl::Duration>> RunClm(const std::string& binaries,
                                                              std::vector<std::string> arguments) {
  stack::Command command;
  command.argv = {binaries + "/clm"};
  for (std::string& argument : arguments) command.argv.push_back(std::move(argument));
  for (const char* name : {"CLM_ADDRESS", "CLM_TOKEN", "CLM_DATA"}) command.env[name] = "";
  command.env["CLM_TENANT"] = "demo";
  const absl::Time started = absl::Now();
  CLM_ASSIGN_OR_RETURN(std::string output, stack::Output(std::move(command), kPatience));
  return std::make_pair(std::move(output), absl::Now() - started);
}

}  // namespace

absl::StatusOr<absl::Duration> TimeCdnowImport(Stand& stand, const std::string& file,
                                               const std::string& tenant) {
  CLM_ASSIGN_OR_RETURN(
      const auto ran,
      RunClm(stand.binaries(), {"--address", absl::StrCat("unix:", stand.contact_socket()),
                                "--tenant", tenant, "import", "cdnow", file}));
  if (!absl::StrContains(ran.first, "cohort")) {
    return error::Internal("the import printed no cohort table");
  }
  return ran.second;
}

absl::StatusOr<UpTimes> TimeUp(const std::string& binaries) {
  std::string folder = (std::filesystem::temp_directory_path() / "clm-up-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return error::Precondition("NO_FOLDER", "no temporary folder can be made");
  }
  // PostgreSQL runs as a user of its own when this runs as root.
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all |
                                           std::filesystem::perms::group_exec |
                                           std::filesystem::perms::others_exec);
  // What runs in the background must not outlive a failure.
  const auto cleanup = absl::MakeCleanup([&] {
    RunClm(binaries, {"--data", folder, "down"}).status().IgnoreError();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  });
  const std::vector<std::string> up = {"--data", folder,           "up", "--detach", "--port",
                                       "0",      "--metrics-port", "0"};
  UpTimes times;
  CLM_ASSIGN_OR_RETURN(const auto first, RunClm(binaries, up));
  times.first = first.second;
  CLM_RETURN_IF_ERROR(RunClm(binaries, {"--data", folder, "down"}).status());
  CLM_ASSIGN_OR_RETURN(const auto later, RunClm(binaries, up));
  times.later = later.second;
  return times;
}

}  // namespace clm::bench
