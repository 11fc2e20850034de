// Everything RewardService needs within the loyalty module, put together: the module makes one
// after its pool, registers Binding(), and destroys it before them.
#ifndef CLM_SERVICES_LOYALTY_REWARD_MODULE_PART_H_
#define CLM_SERVICES_LOYALTY_REWARD_MODULE_PART_H_

#include <functional>
#include <memory>
#include <utility>

#include "clm/loyalty/v1/reward_service.grpc.pb.h"
#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "libs/pg/pg.h"
#include "libs/rpc/service.h"
#include "services/loyalty/reward_handlers.h"
#include "services/loyalty/reward_reader.h"
#include "services/loyalty/reward_work.h"

namespace clm::loyalty {

class RewardBinding : public rpc::Service {
 public:
  RewardBinding(rpc::Host& host, RewardHandlers& handlers)
      : Service(host, v1::RewardService::service_full_name()) {
    Bind("CreateReward", &handlers, &RewardHandlers::CreateReward);
    Bind("GetReward", &handlers, &RewardHandlers::GetReward);
    Bind("ListRewards", &handlers, &RewardHandlers::ListRewards);
    Bind("UpdateReward", &handlers, &RewardHandlers::UpdateReward);
    Bind("RedeemReward", &handlers, &RewardHandlers::RedeemReward);
    Bind("CancelRewardRedemption", &handlers, &RewardHandlers::CancelRewardRedemption);
    Bind("GetRewardRedemption", &handlers, &RewardHandlers::GetRewardRedemption);
    Bind("ListRewardRedemptions", &handlers, &RewardHandlers::ListRewardRedemptions);
  }
};

class RewardModulePart {
 public:
  // `on_due` and `observer` as for LoyaltyWork, `on_commit` and `told` as for Lanes::Options. All
  // pointers outlive it.
  RewardModulePart(pg::Pool* pool, const Clock* clock, const PageTokens* tokens,
                   std::function<void(absl::Time)> on_due = nullptr,
                   std::function<void(const journal::Offsets&)> on_commit = nullptr,
                   MembershipObserver* observer = nullptr, journal::ToldOffsets* told = nullptr)
      : reader_(pool),
        lanes_({.pool = pool,
                .clock = clock,
                .new_work =
                    [clock, on_due = std::move(on_due), observer] {
                      return std::make_unique<RewardWork>(clock, on_due, observer);
                    },
                .executors = 1,
                .told = told,
                .on_commit = std::move(on_commit)}),
        handlers_({.lanes = &lanes_, .reader = &reader_, .tokens = tokens}) {}

  std::unique_ptr<RewardBinding> Binding(rpc::Host& host) {
    return std::make_unique<RewardBinding>(host, handlers_);
  }
  RewardHandlers& handlers() { return handlers_; }
  void Drain() { lanes_.Drain(); }

 private:
  RewardReader reader_;
  journal::Lanes lanes_;
  RewardHandlers handlers_;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARD_MODULE_PART_H_
