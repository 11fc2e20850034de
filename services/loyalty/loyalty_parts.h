// Everything that the handlers of the loyalty service share.
#ifndef CLM_SERVICES_LOYALTY_LOYALTY_PARTS_H_
#define CLM_SERVICES_LOYALTY_LOYALTY_PARTS_H_

#include <string>

#include "libs/base/clock.h"
#include "libs/base/page_token.h"
#include "libs/journal/lanes.h"
#include "services/loyalty/loyalty_reader.h"
#include "services/loyalty/membership_cache.h"

namespace clm::loyalty {

// All of it outlives the handlers.
struct LoyaltyParts {
  journal::Lanes* lanes = nullptr;
  LoyaltyReader* reader = nullptr;
  MembershipCache* memberships = nullptr;
  const PageTokens* tokens = nullptr;
  // Keys the hashes of identifiers.
  std::string secret;
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_LOYALTY_PARTS_H_
