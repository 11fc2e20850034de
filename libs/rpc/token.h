// The form of an API token: clm_<live|test>_<key id 12>_<secret 43><crc 6>, all base62. The
// checksum lets a scanner recognise a leaked token, and a server refuse a mistyped one without
// asking its database. Pure functions, apart from the randomness of MakeToken.
#ifndef CLM_LIBS_RPC_TOKEN_H_
#define CLM_LIBS_RPC_TOKEN_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace clm::rpc {

struct Token {
  bool live = true;
  std::string key_id;  // 12 characters; public, it names the token in lists and logs.
  std::string secret;  // 43 characters, 256 bits; known to the holder only.
};

// A new token from the system's random numbers.
Token MakeToken(bool live);
// The token that belongs to `context`, always the same: for a repeated request, whose token is not
// kept. Nobody can tell it from a random one without `key`.
Token DeriveToken(bool live, absl::string_view key, absl::string_view context);
// What the holder presents.
std::string FormatToken(const Token& token);
// nullopt unless the text has the form and its checksum fits.
std::optional<Token> ParseToken(absl::string_view text);

}  // namespace clm::rpc

#endif  // CLM_LIBS_RPC_TOKEN_H_
