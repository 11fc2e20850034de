#include "libs/cache/seal.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace clm::cache {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Fetched once: EVP_aes_256_gcm() would be looked up again at every use.
const EVP_CIPHER* Aes256Gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

// A context per thread and direction, which keeps its last key: making one, or giving it a key,
// costs more than sealing a small value.
class Keyed {
 public:
  explicit Keyed(bool seals) : seals_(seals) {}

  // Ready for a value under `key` with this nonce; null when that failed.
  EVP_CIPHER_CTX* For(const std::string& key, const unsigned char* nonce) {
    if (key != key_) {
      key_.clear();
      if (EVP_CipherInit_ex(context_.get(), Aes256Gcm(), nullptr, Bytes(key), nullptr, seals_) !=
          1) {
        return nullptr;
      }
      key_ = key;
    }
    const bool ready =
        EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce, seals_) == 1;
    return ready ? context_.get() : nullptr;
  }

 private:
  const bool seals_;
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context_{
      EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};
  std::string key_;
};

}  // namespace

std::string Hkdf(absl::string_view secret, absl::string_view salt, absl::string_view info) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr), &EVP_PKEY_CTX_free);
  std::string key(kKeyBytes, '\0');
  size_t size = key.size();
  EVP_PKEY_derive_init(context.get());
  EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256());
  EVP_PKEY_CTX_set1_hkdf_salt(context.get(), Bytes(salt), static_cast<int>(salt.size()));
  EVP_PKEY_CTX_set1_hkdf_key(context.get(), Bytes(secret), static_cast<int>(secret.size()));
  EVP_PKEY_CTX_add1_hkdf_info(context.get(), Bytes(info), static_cast<int>(info.size()));
  if (EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(key.data()), &size) != 1) {
    // A known key would be worse than a cache that nobody can read: this one is never seen again.
    RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kKeyBytes);
  }
  return key;
}

const std::string& Sealer::KeyOf(absl::string_view tenant) const {
  {
    absl::ReaderMutexLock lock(&mu_);
    const auto it = keys_.find(tenant);
    if (it != keys_.end()) return *it->second;
  }
  auto key = std::make_unique<const std::string>(Hkdf(secret_, "clm cache 1", tenant));
  absl::MutexLock lock(&mu_);
  return *keys_.try_emplace(std::string(tenant), std::move(key)).first->second;
}

std::string Sealer::Seal(absl::string_view tenant, absl::string_view bound,
                         absl::string_view plain) const {
  thread_local Keyed sealing(/*seals=*/true);
  std::string out(kNonceBytes + plain.size() + kTagBytes, '\0');
  auto* nonce = reinterpret_cast<unsigned char*>(out.data());
  unsigned char* body = nonce + kNonceBytes;
  unsigned char* tag = body + plain.size();
  int written = 0;
  EVP_CIPHER_CTX* context = nullptr;
  const bool sealed = RAND_bytes(nonce, kNonceBytes) == 1 &&
                      (context = sealing.For(KeyOf(tenant), nonce)) != nullptr &&
                      EVP_CipherUpdate(context, nullptr, &written, Bytes(bound),
                                       static_cast<int>(bound.size())) == 1 &&
                      EVP_CipherUpdate(context, body, &written, Bytes(plain),
                                       static_cast<int>(plain.size())) == 1 &&
                      EVP_CipherFinal_ex(context, tag, &written) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTagBytes, tag) == 1;
  // Nothing in clear text ever leaves; an empty value is one that nobody can open: a miss.
  return sealed ? out : std::string();
}

std::optional<std::string> Sealer::Open(absl::string_view tenant, absl::string_view bound,
                                        absl::string_view sealed) const {
  if (sealed.size() < kNonceBytes + kTagBytes) return std::nullopt;
  thread_local Keyed opening(/*seals=*/false);
  const absl::string_view body =
      sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string plain(body.size(), '\0');
  auto* out = reinterpret_cast<unsigned char*>(plain.data());
  int written = 0;
  EVP_CIPHER_CTX* const context = opening.For(KeyOf(tenant), Bytes(sealed));
  const bool opened =
      context != nullptr &&
      EVP_CipherUpdate(context, nullptr, &written, Bytes(bound), static_cast<int>(bound.size())) ==
          1 &&
      EVP_CipherUpdate(context, out, &written, Bytes(body), static_cast<int>(body.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_CipherFinal_ex(context, out + body.size(), &written) == 1;
  if (!opened) return std::nullopt;
  return plain;
}

}  // namespace clm::cache
