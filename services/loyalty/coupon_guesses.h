// How codes are looked up that somebody has typed, of coupons and of referrals: whoever has typed
// too many that there are none of is told nothing more, for a while, whether the next one is right
// or wrong. Programmes say how many, of both together: see CouponGuessLimits.
//
// Each wrong answer is counted by the transaction that gives it, for the caller and, if one is
// named, for the member: so never more of them are given than may be, by however many processes,
// also when these are restarted. Look-ups for one member come one after the other, so that a right
// code is found only within the limit, however many are tried at once. Those of one caller do not,
// as all customers of a shop may be behind it: what was under way when its limit was reached is
// still answered.
//
// One row for each who has guessed lately; what is forgotten is deleted as others are counted.
#ifndef CLM_SERVICES_LOYALTY_COUPON_GUESSES_H_
#define CLM_SERVICES_LOYALTY_COUPON_GUESSES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "libs/rpc/call.h"
#include "services/loyalty/coupon_work.h"
#include "services/loyalty/referral_work.h"

namespace clm::loyalty {

// Thread-safe.
class CouponGuesses {
 public:
  explicit CouponGuesses(pg::Pool* pool) : pool_(*pool) {}

  // What a code stands for as `member`, or somebody who is none, has typed it. CODE_MALFORMED or
  // CODE_UNKNOWN on `field`; NOT_FOUND without the programme; RESOURCE_EXHAUSTED, reason
  // COUPON_GUESSES, with the time to wait (RetryInfo, metadata retry_seconds) and whose guesses
  // they were (metadata limit: "member" or "caller").
  absl::StatusOr<StoredCoupon> FindCoupon(const rpc::Call& call, const ProgramKey& program,
                                          const std::optional<Uuid>& member,
                                          absl::string_view field, const std::string& typed);
  absl::StatusOr<StoredReferralCode> FindReferralCode(const rpc::Call& call,
                                                      const ProgramKey& program,
                                                      const std::optional<Uuid>& member,
                                                      absl::string_view field,
                                                      const std::string& typed);

 private:
  // `find` looks for a folded code.
  template <class Found>
  absl::StatusOr<Found> Find(
      const rpc::Call& call, const ProgramKey& program, const std::optional<Uuid>& member,
      absl::string_view field, const std::string& typed,
      absl::FunctionRef<absl::StatusOr<std::optional<Found>>(pg::Tx&, const std::string&)> find);

  pg::Pool& pool_;
};

// What a contact, and those who were merged into it, have guessed. As ForgetInCoupons.
absl::Status ForgetGuesses(pg::Tx& tx, const EntityKey& contact);

std::vector<const pg::Statement*> CouponGuessesStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_GUESSES_H_
