// Whether a member may have a reward now.
//
// What is counted is read and written by the caller under one lock, so that no stock is given out
// twice. Whether there are points enough is the ledger's to say.
//
// Values and pure functions; thread-safe.
#ifndef CLM_SERVICES_LOYALTY_REWARDS_H_
#define CLM_SERVICES_LOYALTY_REWARDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/loyalty/tiers.h"

namespace clm::loyalty {

inline constexpr int64_t kMaxRewardNumber = (int64_t{1} << 53) - 1;

struct Reward {
  int64_t cost = 0;          // In points; 0: nothing.
  std::string wallet;        // Empty: the programme's first.
  int64_t stock = 0;         // Those given out included. 0: without end.
  int64_t member_limit = 0;  // Of one member. 0: no limit.
  absl::Time start = absl::InfinitePast();
  absl::Time end = absl::InfiniteFuture();  // Exclusive.
  std::string minimum_tier;                 // Empty: for all members.
  bool archived = false;

  friend bool operator==(const Reward&, const Reward&) = default;
};

// Refuses with every bad field at once; paths are relative to the reward.
absl::Status ValidateReward(const Reward& reward);

// Given out and not given back.
struct RewardCounters {
  int64_t redeemed = 0;
  int64_t redeemed_by_member = 0;
};

// FAILED_PRECONDITION with a reason of its own for each refusal, the first that applies of
//   REWARD_ARCHIVED, REWARD_NOT_STARTED, REWARD_EXPIRED,
//   REWARD_TIER (metadata minimum_tier, tier), REWARD_OUT_OF_STOCK (metadata stock),
//   REWARD_MEMBER_LIMIT (metadata limit).
// `tiers` are the programme's, lowest first; `tier` is the member's, empty for none.
absl::Status CheckReward(const Reward& reward, const RewardCounters& counters,
                         const std::vector<Tier>& tiers, const std::string& tier, absl::Time now);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARDS_H_
