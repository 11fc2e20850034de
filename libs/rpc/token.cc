#include "libs/rpc/token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace clm::rpc {
namespace {

constexpr size_t kKeyId = 12;
constexpr size_t kSecret = 43;
constexpr size_t kChecksum = 6;
constexpr size_t kPrefix = sizeof("clm_live_") - 1;
constexpr size_t kTotal = kPrefix + kKeyId + 1 + kSecret + kChecksum;
constexpr char kAlphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

constexpr size_t kBlock = 64;
using Block = unsigned char[kBlock];

// Base62 text from blocks of random bytes that `next` fills.
template <class Next>
std::string Base62(size_t length, Next next) {
  std::string result;
  while (result.size() < length) {
    Block bytes;
    next(bytes);
    for (const unsigned char byte : bytes) {
      // 248 is the greatest multiple of 62: the rest would favour some characters.
      if (byte < 248 && result.size() < length) result.push_back(kAlphabet[byte % 62]);
    }
  }
  return result;
}

void FillRandom(Block& bytes) {
  if (RAND_bytes(bytes, kBlock) != 1) std::abort();
}

std::string Checksum(absl::string_view text) {
  uint32_t crc = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())));
  std::string result(kChecksum, '0');
  for (size_t i = kChecksum; i-- > 0; crc /= 62) result[i] = kAlphabet[crc % 62];
  return result;
}

bool IsBase62(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace

Token MakeToken(bool live) {
  return {live, Base62(kKeyId, FillRandom), Base62(kSecret, FillRandom)};
}

Token DeriveToken(bool live, absl::string_view key, absl::string_view context) {
  const auto derive = [&](char part, size_t length) {
    char counter = 0;
    return Base62(length, [&](Block& bytes) {
      const std::string text =
          absl::StrCat("clm-derive", std::string(1, part), std::string(1, counter++), context);
      if (HMAC(EVP_sha512(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes,
               nullptr) == nullptr) {
        std::abort();
      }
    });
  };
  return {live, derive('k', kKeyId), derive('s', kSecret)};
}

std::string FormatToken(const Token& token) {
  const std::string body =
      absl::StrCat(token.live ? "clm_live_" : "clm_test_", token.key_id, "_", token.secret);
  return absl::StrCat(body, Checksum(body));
}

std::optional<Token> ParseToken(absl::string_view text) {
  if (text.size() != kTotal) return std::nullopt;
  const absl::string_view prefix = text.substr(0, kPrefix);
  if (prefix != "clm_live_" && prefix != "clm_test_") return std::nullopt;
  if (text[kPrefix + kKeyId] != '_') return std::nullopt;
  const absl::string_view key_id = text.substr(kPrefix, kKeyId);
  const absl::string_view secret = text.substr(kPrefix + kKeyId + 1, kSecret);
  if (!IsBase62(key_id) || !IsBase62(secret)) return std::nullopt;
  const absl::string_view body = text.substr(0, kTotal - kChecksum);
  if (Checksum(body) != std::string(text.substr(kTotal - kChecksum))) return std::nullopt;
  return Token{prefix == "clm_live_", std::string(key_id), std::string(secret)};
}

}  // namespace clm::rpc
