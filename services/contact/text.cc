#include "services/contact/text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "simdjson.h"

namespace clm::contact {

bool IsUtf8(absl::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

absl::Status CheckText(absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return error::InvalidField("", absl::StrCat("longer than ", max_bytes, " bytes"));
  }
  if (!IsUtf8(text)) return error::InvalidField("", "is not UTF-8");
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls U+0080 to U+009F are C2 80 to C2 9F.
    const bool c1 = byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (byte < 0x20 || byte == 0x7F || c1) {
      return error::InvalidField("", "contains a control character");
    }
  }
  return absl::OkStatus();
}

absl::string_view TrimText(absl::string_view text) {
  constexpr absl::string_view kNoBreakSpace = "\xC2\xA0";
  constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";
  for (size_t before = text.size() + 1; text.size() < before;) {
    before = text.size();
    text = absl::StripAsciiWhitespace(text);
    for (absl::string_view blank : {kNoBreakSpace, kByteOrderMark}) {
      while (absl::ConsumePrefix(&text, blank)) {
      }
      while (absl::ConsumeSuffix(&text, blank)) {
      }
    }
  }
  return text;
}

}  // namespace clm::contact
