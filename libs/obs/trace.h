// W3C trace context, version 00: who caused this call. Pure functions apart from the random ids.
// Thread-safe.
#ifndef CLM_LIBS_OBS_TRACE_H_
#define CLM_LIBS_OBS_TRACE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace clm::obs {

struct TraceContext {
  std::string trace_id;   // 32 lower case hex digits, not all zero.
  std::string parent_id;  // 16 lower case hex digits, not all zero.
  bool sampled = false;
};

// nullopt unless `text` is a valid traceparent. A version after 00 may have more fields behind.
std::optional<TraceContext> ParseTraceparent(absl::string_view text);
std::string FormatTraceparent(const TraceContext& context);

// A new trace, sampled or not.
std::string NewTraceparent(bool sampled = false);
// The same trace with a new parent id; a new trace when `parent` is not a valid traceparent.
std::string ChildTraceparent(absl::string_view parent);

}  // namespace clm::obs

#endif  // CLM_LIBS_OBS_TRACE_H_
