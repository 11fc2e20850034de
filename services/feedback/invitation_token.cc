#include "services/feedback/invitation_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"

namespace clm::feedback {
namespace {

constexpr char kFormat = 1;
constexpr size_t kId = 16;
constexpr size_t kBody = 2 + kId;  // Format, shard, id.
constexpr size_t kSignature = 16;

std::string HmacSha256(absl::string_view key, absl::string_view data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest, &size);
  return std::string(reinterpret_cast<char*>(digest), size);
}

}  // namespace

absl::Status InvalidInvitation() {
  return error::Make(absl::StatusCode::kNotFound, "INVITATION_INVALID",
                     "token: this link is not valid; open the one from the message again, or ask "
                     "for a new one");
}

InvitationTokens::InvitationTokens(absl::string_view secret)
    : key_(HmacSha256(secret, "clm invitation token v1")) {}

std::string InvitationTokens::Sign(absl::string_view tenant, absl::string_view body) const {
  return HmacSha256(key_, absl::StrCat(tenant, "/", body)).substr(0, kSignature);
}

std::string InvitationTokens::Encode(const Content& content) const {
  std::string body(1, kFormat);
  body += static_cast<char>(content.shard);
  body += content.invitation.id.ToBytes();
  const std::string signature = Sign(content.invitation.tenant, body);
  return absl::StrCat(content.invitation.tenant, ".",
                      absl::WebSafeBase64Escape(absl::StrCat(body, signature)));
}

absl::StatusOr<InvitationTokens::Content> InvitationTokens::Decode(absl::string_view token) const {
  const size_t dot = token.find('.');
  if (dot == absl::string_view::npos) return InvalidInvitation();
  const absl::string_view tenant = token.substr(0, dot);
  std::string bytes;
  if (!ValidTenantId(tenant) || !absl::WebSafeBase64Unescape(token.substr(dot + 1), &bytes) ||
      bytes.size() != kBody + kSignature || bytes[0] != kFormat) {
    return InvalidInvitation();
  }
  const absl::string_view body = absl::string_view(bytes).substr(0, kBody);
  const std::string expected = Sign(tenant, body);
  if (CRYPTO_memcmp(expected.data(), bytes.data() + kBody, kSignature) != 0) {
    return InvalidInvitation();
  }
  const int shard = static_cast<unsigned char>(body[1]);
  const auto id = Uuid::FromBytes(body.substr(2));
  if (!id || shard >= kShards) return InvalidInvitation();
  return Content{{std::string(tenant), *id}, shard};
}

}  // namespace clm::feedback
