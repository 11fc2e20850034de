// Progress of long work. On a terminal one line that is redrawn; elsewhere a plain line every five
// seconds; with -o json or ndjson a JSON object per line every five seconds. Goes to the error
// stream, so that standard output stays the answer. Not thread-safe.
#ifndef CLM_TOOLS_TERMINAL_PROGRESS_H_
#define CLM_TOOLS_TERMINAL_PROGRESS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "libs/base/clock.h"
#include "tools/terminal/screen.h"
#include "tools/terminal/table.h"

namespace clm::terminal {

class Progress {
 public:
  // Named counts beside the bar: {"created", 10}, {"failed", 2}.
  using Counts = std::vector<std::pair<std::string, int64_t>>;

  // `total` in the unit of `done`; 0: unknown, no bar and no remaining time. `screen` is that of
  // `out`.
  Progress(std::string title, int64_t total, Format format, const Screen& screen,
           const Clock& clock, std::ostream& out);
  // Finishes.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // May be called as often as liked; draws at most ten times a second on a terminal.
  void Update(int64_t done, Counts counts = {});
  void set_total(int64_t total) { total_ = total; }
  // Writes the last state, whatever the time, and ends the line. Later calls do nothing.
  void Finish();

 private:
  void Draw();
  std::string Plain() const;
  std::string JsonLine() const;
  double PerSecond() const;
  // Infinite when unknown.
  absl::Duration Left() const;

  const std::string title_;
  int64_t total_;
  const bool json_;
  const Screen screen_;
  const Clock& clock_;
  std::ostream& out_;
  const absl::Time start_;
  absl::Time next_;
  int64_t done_ = 0;
  Counts counts_;
  bool finished_ = false;
};

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_PROGRESS_H_
