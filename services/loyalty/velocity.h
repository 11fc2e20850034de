// Velocity limits of a programme: how often and how much may be earned or spent in a period by a
// member, with a device, with a card. Values and pure functions; thread-safe.
#ifndef CLM_SERVICES_LOYALTY_VELOCITY_H_
#define CLM_SERVICES_LOYALTY_VELOCITY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/loyalty/earn_rules.h"

namespace clm::loyalty {

// The numbers are those of the API.
enum class VelocityOperation { kEarn = 1, kSpend = 2 };
enum class VelocitySubject { kMember = 1, kEmail = 2, kPhone = 3, kDevice = 4, kCard = 5 };

struct VelocityLimit {
  std::string id;
  VelocityOperation operation = VelocityOperation::kEarn;
  VelocitySubject subject = VelocitySubject::kMember;
  EarnCap::Period period = EarnCap::Period::kDay;
  // 0: no limit of its own.
  int64_t max_requests = 0;
  int64_t max_points = 0;
  friend bool operator==(const VelocityLimit&, const VelocityLimit&) = default;
};

// What one subject has done of what a limit is about, in the period that began at `start`.
struct VelocityCount {
  absl::Time start = absl::InfinitePast();
  int64_t requests = 0;
  int64_t points = 0;
  friend bool operator==(const VelocityCount&, const VelocityCount&) = default;
};

// The count with one more request of `points`. FAILED_PRECONDITION, reason VELOCITY_LIMIT, when
// that is more than the limit allows, with the limit's id, what is left of it, and from when on
// there is more.
absl::StatusOr<VelocityCount> CountRequest(const VelocityLimit& limit, const VelocityCount& before,
                                           int64_t points, absl::Time now,
                                           const absl::TimeZone& zone);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_VELOCITY_H_
