#include "services/loyalty/rewards.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

absl::Status RefuseReward(absl::string_view reason, absl::string_view what,
                          const error::Metadata& metadata = {}) {
  return error::Precondition(reason, absl::StrCat("the reward ", what), metadata);
}

// Below every tier for none. A tier that the programme does not know is above all: nobody gets by
// it what was meant for few.
size_t PlaceOfTier(const std::vector<Tier>& tiers, absl::string_view id) {
  if (id.empty()) return 0;
  size_t place = 1;
  for (const Tier& tier : tiers) {
    if (tier.id == id) return place;
    ++place;
  }
  return place;
}

}  // namespace

absl::Status ValidateReward(const Reward& reward) {
  error::FieldErrors errors;
  const auto check = [&](absl::string_view field, int64_t value) {
    if (value < 0 || value > kMaxRewardNumber) {
      errors.Add(field, absl::StrCat("must be 0 to ", kMaxRewardNumber));
    }
  };
  check("cost", reward.cost);
  check("stock", reward.stock);
  check("member_limit", reward.member_limit);
  if (reward.start >= reward.end) errors.Add("end_time", "must be after the start");
  return errors.ToStatus();
}

absl::Status CheckReward(const Reward& reward, const RewardCounters& counters,
                         const std::vector<Tier>& tiers, const std::string& tier, absl::Time now) {
  if (reward.archived) return RefuseReward("REWARD_ARCHIVED", "is archived");
  if (now < reward.start) return RefuseReward("REWARD_NOT_STARTED", "is not there yet");
  if (now >= reward.end) return RefuseReward("REWARD_EXPIRED", "is not there any more");
  if (PlaceOfTier(tiers, tier) < PlaceOfTier(tiers, reward.minimum_tier)) {
    return RefuseReward(
        "REWARD_TIER",
        absl::StrCat("is for members of the tier ", reward.minimum_tier, " and those above"),
        {{"minimum_tier", reward.minimum_tier}, {"tier", tier}});
  }
  if (reward.stock != 0 && counters.redeemed >= reward.stock) {
    return RefuseReward("REWARD_OUT_OF_STOCK", "is out of stock",
                        {{"stock", absl::StrCat(reward.stock)}});
  }
  if (reward.member_limit != 0 && counters.redeemed_by_member >= reward.member_limit) {
    return RefuseReward("REWARD_MEMBER_LIMIT", "was given to this member as often as it may be",
                        {{"limit", absl::StrCat(reward.member_limit)}});
  }
  return absl::OkStatus();
}

}  // namespace clm::loyalty
