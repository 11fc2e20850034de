#include "libs/app/redact.h"

#include <re2/re2.h>

namespace clm::app {

std::string Redacted(absl::string_view text) {
  static const RE2* const keyword =
      new RE2(R"((?i)\b((?:ssl)?password|pass)\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s&]*))");
  static const RE2* const url = new RE2(R"(://([^:@/\s]*):[^@/\s]*@)");
  std::string result(text);
  RE2::GlobalReplace(&result, *keyword, R"(\1=***)");
  RE2::GlobalReplace(&result, *url, R"(://\1:***@)");
  return result;
}

}  // namespace clm::app
