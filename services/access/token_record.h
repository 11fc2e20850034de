// The rules of tokens: what may be granted, for how long, and when a token is good. Pure functions.
#ifndef CLM_SERVICES_ACCESS_TOKEN_RECORD_H_
#define CLM_SERVICES_ACCESS_TOKEN_RECORD_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/rpc/call.h"

namespace clm::access {

struct TokenRecord {
  std::string tenant;  // Empty: an operator's.
  std::string key_id;
  std::string secret_hash;
  std::string display_name;
  std::vector<std::string> scopes;  // Sorted, without repeats.
  std::string creator;
  absl::Time create_time;
  absl::Time expire_time;
  std::optional<absl::Time> revoke_time;
};

// What a caller asks for.
struct TokenWish {
  std::string tenant;
  std::string display_name;
  std::vector<std::string> scopes;
  std::optional<absl::Time> expire_time;
};

// The record of a new token, without key id and hash. INVALID_ARGUMENT when there is no scope or
// the expiry is not within the next 365 days; PERMISSION_DENIED, reason SCOPE_MISSING, when
// `grantor` does not have a scope itself.
absl::StatusOr<TokenRecord> GrantToken(const TokenWish& wish, const rpc::Caller& grantor,
                                       absl::Time now);

// What is kept of a secret: SHA-256 over the suite's key and the secret.
std::string HashSecret(absl::string_view suite_key, absl::string_view secret);

// Whether the holder of a secret with this hash is accepted. Takes the same time for every hash.
bool Accepts(const TokenRecord& record, absl::string_view secret_hash, absl::Time now);

}  // namespace clm::access

#endif  // CLM_SERVICES_ACCESS_TOKEN_RECORD_H_
