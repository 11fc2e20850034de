// Checks of free text that hold for every field a caller can write. Pure.
#ifndef CLM_SERVICES_CONTACT_TEXT_H_
#define CLM_SERVICES_CONTACT_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace clm::contact {

bool IsUtf8(absl::string_view text);

// Well-formed UTF-8 of at most `max_bytes` without control characters: what may stand in one line
// of a mail header, a log of an auditor or a spreadsheet cell. The message has no field path.
absl::Status CheckText(absl::string_view text, size_t max_bytes);

// Without white space at both ends, the no-break space U+00A0 and a byte order mark included.
absl::string_view TrimText(absl::string_view text);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_TEXT_H_
