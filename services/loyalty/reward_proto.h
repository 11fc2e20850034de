// Between the wire and the rules: rewards and their redemptions.
#ifndef CLM_SERVICES_LOYALTY_REWARD_PROTO_H_
#define CLM_SERVICES_LOYALTY_REWARD_PROTO_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/loyalty/v1/reward.pb.h"
#include "services/loyalty/reward_work.h"

namespace clm::loyalty {

// INVALID_ARGUMENT naming `field` for anything that is not such a name.
absl::StatusOr<RewardKey> ParseRewardName(absl::string_view field, absl::string_view name);
absl::StatusOr<RedemptionKey> ParseRedemptionName(absl::string_view field, absl::string_view name);

std::string NameOf(const RewardKey& key);
std::string NameOf(const RedemptionKey& key);

// What callers set.
void TermsFromProto(const v1::Reward& reward, StoredReward& out);
v1::Reward ToProto(const StoredReward& reward);
// What is stored of the terms, and read again.
std::string BodyOf(const StoredReward& reward);
absl::Status ReadBody(const std::string& body, StoredReward& reward);

v1::RewardRedemption ToProto(const StoredRedemption& redemption);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARD_PROTO_H_
