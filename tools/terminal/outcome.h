// How a command ends: its exit code, and what it says when it fails. Codes are part of the
// interface: scripts rely on them. Thread-safe: functions without state.
#ifndef CLM_TOOLS_TERMINAL_OUTCOME_H_
#define CLM_TOOLS_TERMINAL_OUTCOME_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tools/terminal/screen.h"

namespace clm::terminal {

enum class Exit {
  kOk = 0,
  kFailure = 1,      // Anything without a code of its own.
  kUsage = 2,        // The command line or a value in it is wrong: INVALID_ARGUMENT, OUT_OF_RANGE.
  kNotFound = 3,     // NOT_FOUND.
  kConflict = 4,     // ALREADY_EXISTS, ABORTED, FAILED_PRECONDITION.
  kUnavailable = 5,  // UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED: worth a retry.
  kPermission = 6,   // PERMISSION_DENIED, UNAUTHENTICATED.
};

Exit ExitFor(const absl::Status& status);

// Lines for people, each ended: message and reason, every bad field on its own line, a hint when
// the reason has one. Empty for OK.
//   error: not found: tenants/acme/contacts/7 (NOT_FOUND)
//   hint: ...
std::string ErrorText(const Screen& screen, const absl::Status& status);

// One JSON object in one line, ended: {"error":{"code":"NOT_FOUND","exit_code":3,"reason":...,
// "message":...,"fields":[{"field":...,"description":...}],"trace":...,"hint":...}}. The trace is
// that of a server's error. Empty for OK.
std::string ErrorJson(const absl::Status& status);

// The candidate most like `word`: by insertions, deletions, changes and swaps of neighbours, at
// most a third of its length (one at least), the first of equals; or the only one that begins with
// it.
std::optional<std::string> Nearest(absl::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace clm::terminal

#endif  // CLM_TOOLS_TERMINAL_OUTCOME_H_
