// The syntaxes that a field may promise (clm.options.v1.FieldRule.Format). Pure functions, and
// thread-safe. None of them quotes the value: it may be personal.
#ifndef CLM_LIBS_RPC_FORMATS_H_
#define CLM_LIBS_RPC_FORMATS_H_

#include "absl/strings/string_view.h"
#include "clm/options/v1/options.pb.h"

namespace clm::rpc {

// nullptr when `value` has the format, else what it must be, as in "must be an e-mail address".
const char* FormatProblem(options::v1::FieldRule::Format format, absl::string_view value);

// True for a zone of the machine's time zone database. Names never reach a loader, which would
// open files and remember every name it was given.
bool KnownTimeZone(absl::string_view name);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_FORMATS_H_
