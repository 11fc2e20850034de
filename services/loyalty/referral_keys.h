// What referrals and their codes are known by, and what is kept of them.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_KEYS_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "libs/base/uuid.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/referrals.h"

namespace clm::loyalty {

struct ReferralKey {
  std::string tenant;
  std::string program;
  Uuid id;
  friend auto operator<=>(const ReferralKey&, const ReferralKey&) = default;
  friend bool operator==(const ReferralKey&, const ReferralKey&) = default;
};

struct ReferralCodeKey {
  std::string tenant;
  std::string program;
  Uuid id;
  friend auto operator<=>(const ReferralCodeKey&, const ReferralCodeKey&) = default;
  friend bool operator==(const ReferralCodeKey&, const ReferralCodeKey&) = default;
};

struct StoredReferralCode {
  ReferralCodeKey key;
  std::optional<Uuid> advocate;  // Contact; absent: was erased.
  std::string code;              // Folded.
  std::string shown_code;
  ReferralCodeTerms terms;
  std::optional<absl::Time> revoke_time;
  absl::Time create_time;
  int64_t version = 0;
};

// What one of the two has got. The posting is named by whose it was then.
struct ReferralReward {
  std::optional<Uuid> member;
  int64_t number = 0;
  std::optional<Uuid> lot;
  int64_t points = 0;
  int64_t returned = 0;
};

struct StoredReferral {
  ReferralKey key;
  Uuid code;
  // Contacts; absent: was erased.
  std::optional<Uuid> friend_contact;
  std::optional<Uuid> advocate;
  ReferralCourse course;
  ReferralReward friend_reward;
  ReferralReward advocate_reward;
  int64_t version = 0;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_KEYS_H_
