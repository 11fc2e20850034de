// Identifiers of people, devices and cards as the service keeps them: as keyed hashes.
#ifndef CLM_SERVICES_LOYALTY_IDENTIFIER_HASH_H_
#define CLM_SERVICES_LOYALTY_IDENTIFIER_HASH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/referral.pb.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

struct HashedIdentifier {
  v1::ReferralIdentifier::Kind kind = v1::ReferralIdentifier::KIND_UNSPECIFIED;
  std::string hash;  // 16 bytes, another one in every programme and for every kind.
};

// In their order, without duplicates. INVALID_ARGUMENT naming what has no kind or value.
absl::StatusOr<std::vector<HashedIdentifier>> HashIdentifiers(
    const std::string& secret, const ProgramKey& program,
    const google::protobuf::RepeatedPtrField<v1::ReferralIdentifier>& identifiers);

// Under which what is counted of an identifier changes.
int ShardOfIdentifier(const ProgramKey& program, const std::string& hash);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_IDENTIFIER_HASH_H_
