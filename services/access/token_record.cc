#include "services/access/token_record.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::access {
namespace {

constexpr absl::Duration kMaxLifetime = absl::Hours(24 * 365);

}  // namespace

absl::StatusOr<TokenRecord> GrantToken(const TokenWish& wish, const rpc::Caller& grantor,
                                       absl::Time now) {
  error::FieldErrors errors;
  if (wish.scopes.empty()) errors.Add("token.scopes", "is required");
  const absl::Time expires = wish.expire_time.value_or(now + kMaxLifetime);
  if (expires <= now || expires > now + kMaxLifetime) {
    errors.Add("token.expire_time", "must lie within the next 365 days");
  }
  if (!errors.empty()) return errors.ToStatus();
  for (const std::string& scope : wish.scopes) {
    if (!grantor.HasScope(scope)) {
      return error::Make(
          absl::StatusCode::kPermissionDenied, "SCOPE_MISSING",
          absl::StrCat("token.scopes: you cannot grant ", scope, ", which you do not have"),
          {{"scope", scope}});
    }
  }
  TokenRecord record{.tenant = wish.tenant,
                     .display_name = wish.display_name,
                     .scopes = wish.scopes,
                     .creator = grantor.actor,
                     .create_time = now,
                     .expire_time = expires};
  std::sort(record.scopes.begin(), record.scopes.end());
  record.scopes.erase(std::unique(record.scopes.begin(), record.scopes.end()), record.scopes.end());
  return record;
}

std::string HashSecret(absl::string_view suite_key, absl::string_view secret) {
  const std::string text = absl::StrCat("clm-token", suite_key, secret);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

bool Accepts(const TokenRecord& record, absl::string_view secret_hash, absl::Time now) {
  return record.secret_hash.size() == secret_hash.size() &&
         CRYPTO_memcmp(record.secret_hash.data(), secret_hash.data(), secret_hash.size()) == 0 &&
         !record.revoke_time.has_value() && now < record.expire_time;
}

}  // namespace clm::access
