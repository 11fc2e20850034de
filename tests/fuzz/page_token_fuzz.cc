// Any text as a page token: nothing but what Encode made for this very list is taken, and what it
// made comes back whole.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "libs/base/error.h"
#include "libs/base/page_token.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const clm::PageTokens tokens("the secret of the fuzz target, 32 b");
  static const clm::PageTokens others("the secret of another suite, 32 by");
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> list = {"ListContacts", "tenants/acme"};

  const auto foreign = tokens.Decode(list, text);
  if (foreign.ok() && !text.empty()) std::abort();
  if (!foreign.ok() && clm::error::FieldViolations(foreign.status()).empty()) std::abort();

  const std::vector<std::string> key = absl::StrSplit(text, '|');
  std::string token = tokens.Encode(list, key);
  const auto own = tokens.Decode(list, token);
  if (!own.ok() || *own != key) std::abort();
  // Neither for another list nor for another suite, nor after a change of any character.
  if (tokens.Decode({"ListContacts", "tenants/globex"}, token).ok()) std::abort();
  if (others.Decode(list, token).ok()) std::abort();
  char& some = token[size % token.size()];
  some = some == 'A' ? 'B' : 'A';
  const auto forged = tokens.Decode(list, token);
  if (forged.ok() && *forged != key) std::abort();
  return 0;
}
