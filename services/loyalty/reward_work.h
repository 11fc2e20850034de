// The unit of work of rewards: the catalogue, its redemptions, and the points and coupons that they
// take and issue, in one transaction. Its lanes are its own, over the same journal as those of
// points and of coupons. What a reward counts is what its redemptions add up to: it follows from
// SaveRedemption, and is set nowhere else.
//
// A reward and its redemptions are changed under the shard of the reward, points under that of the
// member's contact. Whose a redemption is is written once.
#ifndef CLM_SERVICES_LOYALTY_REWARD_WORK_H_
#define CLM_SERVICES_LOYALTY_REWARD_WORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/reward.pb.h"
#include "libs/base/clock.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"
#include "services/loyalty/coupon_work.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/rewards.h"

namespace clm::loyalty {

struct RewardKey {
  std::string tenant;
  std::string program;
  std::string id;
  friend auto operator<=>(const RewardKey&, const RewardKey&) = default;
  friend bool operator==(const RewardKey&, const RewardKey&) = default;
};

struct RedemptionKey {
  RewardKey reward;
  Uuid id;
  friend auto operator<=>(const RedemptionKey&, const RedemptionKey&) = default;
  friend bool operator==(const RedemptionKey&, const RedemptionKey&) = default;
};

struct StoredReward {
  RewardKey key;
  std::string display_name;
  std::string description;
  Reward terms;
  std::optional<v1::RewardCoupon> coupon;  // What it issues.
  int64_t redeemed = 0;
  absl::Time create_time;
  absl::Time update_time;
  int64_t version = 0;  // Of the terms.
};

// The numbers are those of the API.
enum class RedemptionState { kRedeemed = 1, kCancelled };

struct StoredRedemption {
  RedemptionKey key;
  std::optional<Uuid> contact;  // As it was redeemed.
  std::optional<Uuid> person;   // What the contact has become.
  RedemptionState state = RedemptionState::kRedeemed;
  int64_t cost = 0;
  std::string wallet;
  int64_t posting = 0;  // Its number in the contact's wallet; 0: it cost nothing.
  std::optional<Uuid> coupon;
  std::string source;
  std::string external_id;
  absl::Time create_time;
  std::optional<absl::Time> cancel_time;
  int64_t version = 0;
};

// The caller's own id of a redemption.
struct RewardExternalKey {
  std::string tenant;
  std::string program;
  std::string source;
  std::string external_id;
  friend auto operator<=>(const RewardExternalKey&, const RewardExternalKey&) = default;
  friend bool operator==(const RewardExternalKey&, const RewardExternalKey&) = default;
};

struct RewardExternalUse {
  RedemptionKey redemption;
  std::string fingerprint;
  std::string response;  // Serialized, without the member.
  // Of the redemption.
  std::optional<Uuid> contact;
  std::string wallet;
  int64_t posting = 0;
};

// Thread-compatible.
class RewardWork : public journal::Work {
 public:
  // As for LoyaltyWork.
  RewardWork(const Clock* clock, std::function<void(absl::Time)> on_due,
             MembershipObserver* observer = nullptr)
      : points_(clock, std::move(on_due), observer), coupons_(clock) {}

  // Parts of it: what is needed and staged there is loaded and written with the rest.
  LoyaltyWork& points() { return points_; }
  CouponWork& coupons() { return coupons_; }

  // ---- Before Load.
  void NeedReward(const RewardKey& key) { rewards_.try_emplace(key); }
  void NeedRedemption(const RedemptionKey& key) { redemptions_.try_emplace(key); }
  // How many of a reward the person of a contact has, by whatever name.
  void NeedCount(const RewardKey& reward, const Uuid& contact) { counts_[{reward, contact}]; }
  void NeedExternal(const RewardExternalKey& key) { externals_.try_emplace(key); }

  // ---- After Load: what is stored, with what this transaction has staged. Null: there is none.
  const StoredReward* FindReward(const RewardKey& key) const;
  const StoredRedemption* FindRedemption(const RedemptionKey& key) const;
  int64_t CountOf(const RewardKey& reward, const Uuid& contact) const {
    return counts_.at({reward, contact}).redeemed;
  }
  const RewardExternalUse* FindExternal(const RewardExternalKey& key) const;

  // ---- Staging.
  // Not what it counts.
  void SaveReward(const StoredReward& reward);
  // Of a needed reward. What is counted follows.
  void SaveRedemption(const StoredRedemption& redemption);
  void SaveExternal(const RewardExternalKey& key, RewardExternalUse use);

  // ---- journal::Work.
  void Locked(const absl::flat_hash_map<int, int64_t>& heads) override;
  absl::Status Load(pg::Tx& tx) override;
  void Keep() override;
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;
  absl::Status Committed(const journal::Offsets& heads) override;

 private:
  template <class T>
  struct Slot {
    std::optional<T> row;
    bool dirty = false;
  };
  struct Count {
    Uuid person;  // What the contact has become.
    int64_t redeemed = 0;
  };
  template <class Map, class Key, class Value>
  void Put(Map& map, const Key& key, Value value);
  absl::Status LoadRewards(pg::Tx& tx);
  absl::Status LoadRedemptions(pg::Tx& tx);
  absl::Status LoadCounts(pg::Tx& tx);
  absl::Status LoadExternals(pg::Tx& tx);
  absl::Status FlushRewards(pg::Tx& tx);
  absl::Status FlushRedemptions(pg::Tx& tx);
  absl::Status FlushExternals(pg::Tx& tx);

  LoyaltyWork points_;
  CouponWork coupons_;
  std::vector<std::function<void()>> undo_;
  std::map<RewardKey, Slot<StoredReward>> rewards_;
  std::map<RedemptionKey, Slot<StoredRedemption>> redemptions_;
  std::map<std::pair<RewardKey, Uuid>, Count> counts_;
  std::map<RewardExternalKey, Slot<RewardExternalUse>> externals_;
};

// Takes away whose redemptions were those of the contact and of all that were merged into it. The
// transaction holds the contact's shard, and writes for the suite or the tenant. Idempotent.
absl::Status ForgetInRewards(pg::Tx& tx, const EntityKey& contact);

// Every statement, for the test that prepares them.
std::vector<const pg::Statement*> RewardWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARD_WORK_H_
