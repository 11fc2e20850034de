// Configuration values as they may be shown.
#ifndef CLM_LIBS_APP_REDACT_H_
#define CLM_LIBS_APP_REDACT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace clm::app {

// The text with every password of a DSN or URL in it replaced by "***". Pure function.
std::string Redacted(absl::string_view text);

}  // namespace clm::app

#endif  // CLM_LIBS_APP_REDACT_H_
