// The logs of a data folder, as `clm logs` shows them: several files as one stream of records in
// the order of their times, whether or not they are still being written.
#ifndef CLM_TOOLS_CLM_LOG_VIEW_H_
#define CLM_TOOLS_CLM_LOG_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/terminal/screen.h"

namespace clm::cli {

// Not thread-safe.
class LogView {
 public:
  // Files that do not exist yet are waited for.
  explicit LogView(const std::vector<std::string>& files);

  // The last `count` lines of all files together; 0: every line.
  std::vector<std::string> Last(size_t count);
  // The lines that were completed since the call before.
  std::vector<std::string> New();

 private:
  struct File {
    std::string path;
    int64_t offset = 0;
    std::string rest;  // Of a line that is not complete.
  };
  std::vector<File> files_;
};

// A line of a log for people: "08:30:00.123 warn clm-contact lease lost shard=3". What is not one
// of the suite's records stays as it is, made printable.
std::string LogLine(const terminal::Screen& screen, absl::string_view record);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOG_VIEW_H_
