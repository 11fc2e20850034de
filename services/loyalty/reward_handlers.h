// What the RPCs of RewardService do, in which order. Decisions are in the pure rules (rewards.h,
// ledger.h, codes.h), SQL is in reward_work, coupon_work, loyalty_work and reward_reader.
#ifndef CLM_SERVICES_LOYALTY_REWARD_HANDLERS_H_
#define CLM_SERVICES_LOYALTY_REWARD_HANDLERS_H_

#include "absl/status/statusor.h"
#include "clm/loyalty/v1/reward_service.pb.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/reward_reader.h"

namespace clm::loyalty {

// Thread-safe.
class RewardHandlers {
 public:
  // All of it outlives the handlers.
  struct Parts {
    journal::Lanes* lanes = nullptr;  // Of RewardWork.
    RewardReader* reader = nullptr;
    const PageTokens* tokens = nullptr;
  };
  explicit RewardHandlers(const Parts& parts) : parts_(parts) {}

  void CreateReward(const rpc::Call& call, const v1::CreateRewardRequest& request,
                    rpc::Reply<v1::Reward> reply);
  void UpdateReward(const rpc::Call& call, const v1::UpdateRewardRequest& request,
                    rpc::Reply<v1::Reward> reply);
  absl::StatusOr<v1::Reward> GetReward(const rpc::Call& call, const v1::GetRewardRequest& request);
  absl::StatusOr<v1::ListRewardsResponse> ListRewards(const rpc::Call& call,
                                                      const v1::ListRewardsRequest& request);
  void RedeemReward(const rpc::Call& call, const v1::RedeemRewardRequest& request,
                    rpc::Reply<v1::RedeemRewardResponse> reply);
  void CancelRewardRedemption(const rpc::Call& call,
                              const v1::CancelRewardRedemptionRequest& request,
                              rpc::Reply<v1::RewardRedemption> reply);
  absl::StatusOr<v1::RewardRedemption> GetRewardRedemption(
      const rpc::Call& call, const v1::GetRewardRedemptionRequest& request);
  absl::StatusOr<v1::ListRewardRedemptionsResponse> ListRewardRedemptions(
      const rpc::Call& call, const v1::ListRewardRedemptionsRequest& request);

 private:
  const Parts parts_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARD_HANDLERS_H_
