// How referrals, their codes and terms look in the API. Thread-safe.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_PROTO_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_PROTO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/loyalty/v1/referral.pb.h"
#include "libs/base/error.h"
#include "services/loyalty/referral_keys.h"

namespace clm::loyalty {

absl::StatusOr<ReferralKey> ParseReferralName(absl::string_view field, absl::string_view name);
absl::StatusOr<ReferralCodeKey> ParseReferralCodeName(absl::string_view field,
                                                      absl::string_view name);
std::string NameOf(const ReferralKey& key);
std::string NameOf(const ReferralCodeKey& key);

// `prefix` goes before the paths of what is wrong with its durations.
ReferralTerms FromProto(absl::string_view prefix, const v1::ReferralTerms& wire,
                        error::FieldErrors& errors);
v1::ReferralTerms ToProto(const ReferralTerms& terms);

v1::ReferralCode ToProto(const StoredReferralCode& code);
v1::Referral ToProto(const StoredReferral& referral);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_PROTO_H_
