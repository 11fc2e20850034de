// Encryption of what is put into a shared cache: AES-256-GCM under a key per tenant.
#ifndef CLM_LIBS_CACHE_SEAL_H_
#define CLM_LIBS_CACHE_SEAL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace clm::cache {

// RFC 5869 with SHA-256; 32 bytes.
std::string Hkdf(absl::string_view secret, absl::string_view salt, absl::string_view info);

// Thread-safe. Nonces are random: a key per tenant keeps the number of values under one key far
// from the 2^32 where the chance of a repeated nonce reaches 2^-32 (NIST SP 800-38D 8.3).
class Sealer {
 public:
  // `secret` is the suite's; every replica must have the same one.
  explicit Sealer(absl::string_view secret) : secret_(secret) {}

  // Nonce, ciphertext and tag. `bound` is authenticated with it and must be given to open it.
  std::string Seal(absl::string_view tenant, absl::string_view bound,
                   absl::string_view plain) const;
  // nullopt for anything that was not sealed so.
  std::optional<std::string> Open(absl::string_view tenant, absl::string_view bound,
                                  absl::string_view sealed) const;

 private:
  // Lives as long as the sealer.
  const std::string& KeyOf(absl::string_view tenant) const;

  const std::string secret_;
  mutable absl::Mutex mu_;
  mutable absl::flat_hash_map<std::string, std::unique_ptr<const std::string>> keys_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_SEAL_H_
