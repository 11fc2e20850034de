// A membership out of the part of a customer in the cache (a serialized
// clm.contact.v1.CustomerContext with `memberships` only), found on the wire: what is kept is sent
// as it is.
#ifndef CLM_SERVICES_LOYALTY_MEMBERSHIP_PART_H_
#define CLM_SERVICES_LOYALTY_MEMBERSHIP_PART_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace clm::loyalty {

struct HeldMembership {
  absl::string_view member;  // A serialized v1::Member, within the part.
  int64_t program_version = 0;
  absl::Time hold_until = absl::InfiniteFuture();
  friend bool operator==(const HeldMembership&, const HeldMembership&) = default;
};

// That of the member of this name; nullopt when there is none, or the part cannot be read.
std::optional<HeldMembership> MembershipIn(absl::string_view part, absl::string_view name);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_MEMBERSHIP_PART_H_
