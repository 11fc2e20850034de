// Adds a wallet up again, from its entries alone, and says where it differs from what is kept.
#ifndef CLM_SERVICES_LOYALTY_AUDIT_H_
#define CLM_SERVICES_LOYALTY_AUDIT_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "libs/base/uuid.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// One finding per difference, to be read by a person; none if all is sound. `wallet` has all its
// lots and holds. `merged` are the members whose wallets were merged into it; `postings` all that
// moved points of the member or of one of those, in any order. A wallet that was merged into
// another is part of that one, and not audited by itself. Pure.
std::vector<std::string> Audit(const Wallet& wallet, absl::Span<const Uuid> merged,
                               absl::Span<const Posting> postings);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_AUDIT_H_
