#include "libs/base/page_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm {
namespace {

constexpr size_t kSignature = 16;
constexpr size_t kMaxToken = 2048;
constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;

void AppendPart(std::string& out, absl::string_view part) {
  const uint32_t size = static_cast<uint32_t>(part.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof(size));
  out.append(part.data(), part.size());
}

std::string Pack(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) AppendPart(out, part);
  return out;
}

bool Unpack(absl::string_view in, std::vector<std::string>& parts) {
  while (!in.empty()) {
    uint32_t size = 0;
    if (in.size() < sizeof(size)) return false;
    std::memcpy(&size, in.data(), sizeof(size));
    in.remove_prefix(sizeof(size));
    if (in.size() < size) return false;
    parts.emplace_back(in.substr(0, size));
    in.remove_prefix(size);
  }
  return true;
}

std::string Hmac(absl::string_view key, absl::string_view data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest, &size);
  return std::string(reinterpret_cast<char*>(digest), size);
}

}  // namespace

absl::StatusOr<int> PageSize(int32_t requested) {
  if (requested < 0) return error::InvalidField("page_size", "must not be negative");
  if (requested == 0) return kDefaultPage;
  return requested > kMaxPage ? kMaxPage : requested;
}

PageTokens::PageTokens(absl::string_view secret) : key_(Hmac(secret, "clm page token v1")) {}

std::string PageTokens::Sign(const std::vector<std::string>& list, absl::string_view body) const {
  std::string input = Pack(list);
  AppendPart(input, body);
  return Hmac(key_, input).substr(0, kSignature);
}

std::string PageTokens::Encode(const std::vector<std::string>& list,
                               const std::vector<std::string>& key) const {
  const std::string body = Pack(key);
  return absl::WebSafeBase64Escape(absl::StrCat(Sign(list, body), body));
}

absl::StatusOr<std::vector<std::string>> PageTokens::Decode(const std::vector<std::string>& list,
                                                            absl::string_view token) const {
  std::vector<std::string> key;
  if (token.empty()) return key;
  const absl::Status bad = error::InvalidField(
      "page_token", "was not issued for this list; ask for the first page again");
  std::string raw;
  if (token.size() > kMaxToken || !absl::WebSafeBase64Unescape(token, &raw) ||
      raw.size() < kSignature) {
    return bad;
  }
  const absl::string_view body = absl::string_view(raw).substr(kSignature);
  if (CRYPTO_memcmp(raw.data(), Sign(list, body).data(), kSignature) != 0) return bad;
  if (!Unpack(body, key)) return bad;
  return key;
}

}  // namespace clm
