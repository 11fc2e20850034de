// Identifiers of people, devices and cards on the command line.
#ifndef CLM_TOOLS_CLM_LOYALTY_IDENTIFIERS_H_
#define CLM_TOOLS_CLM_LOYALTY_IDENTIFIERS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clm/loyalty/v1/referral.pb.h"

namespace clm::cli {

// "email=ada@example.com", "device=8f2c". INVALID_ARGUMENT on --identifier for others.
absl::Status AddIdentifiers(
    const std::vector<std::string>& texts,
    google::protobuf::RepeatedPtrField<loyalty::v1::ReferralIdentifier>* identifiers);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_LOYALTY_IDENTIFIERS_H_
