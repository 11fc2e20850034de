#include "services/loyalty/identifier_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

constexpr size_t kHashBytes = 16;

}  // namespace

absl::StatusOr<std::vector<HashedIdentifier>> HashIdentifiers(
    const std::string& secret, const ProgramKey& program,
    const google::protobuf::RepeatedPtrField<v1::ReferralIdentifier>& identifiers) {
  std::vector<HashedIdentifier> hashed;
  std::set<std::string> seen;
  error::FieldErrors errors;
  for (int i = 0; i < identifiers.size(); ++i) {
    const std::string value =
        absl::AsciiStrToLower(absl::StripAsciiWhitespace(identifiers[i].value()));
    if (value.empty() || identifiers[i].kind() == v1::ReferralIdentifier::KIND_UNSPECIFIED) {
      errors.Add(absl::StrCat("identifiers[", i, "]"), "must have a kind and a value");
      continue;
    }
    const std::string text = absl::StrCat("referral\n", program.tenant, "\n", program.program, "\n",
                                          static_cast<int>(identifiers[i].kind()), "\n", value);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest,
             &size) == nullptr) {
      std::abort();
    }
    std::string hash(reinterpret_cast<const char*>(digest), kHashBytes);
    if (seen.insert(hash).second) hashed.push_back({identifiers[i].kind(), std::move(hash)});
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return hashed;
}

int ShardOfIdentifier(const ProgramKey& program, const std::string& hash) {
  return ShardOf(program.tenant,
                 absl::string_view(absl::StrCat(NameOf(program), "/identifiers/", hash)));
}

}  // namespace clm::loyalty
