// How referrals and codes are read outside of transactions that change them.
#ifndef CLM_SERVICES_LOYALTY_REFERRAL_READER_H_
#define CLM_SERVICES_LOYALTY_REFERRAL_READER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/loyalty/referral_keys.h"

namespace clm::loyalty {

// Thread-safe.
class ReferralReader {
 public:
  explicit ReferralReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<StoredReferral> GetReferral(const ReferralKey& key, absl::Time deadline);
  absl::StatusOr<StoredReferralCode> GetCode(const ReferralCodeKey& key, absl::Time deadline);
  // In the order in which they were made, after `after`. NOT_FOUND without the programme. Who was
  // merged is named as whom they have become.
  absl::StatusOr<std::vector<StoredReferralCode>> Codes(const ProgramKey& program,
                                                        const std::optional<Uuid>& advocate,
                                                        const std::optional<Uuid>& after, int limit,
                                                        absl::Time deadline);
  struct Filter {
    std::optional<Uuid> advocate;
    std::optional<Uuid> friend_contact;
    int state = 0;  // 0: all.
  };
  absl::StatusOr<std::vector<StoredReferral>> Referrals(const ProgramKey& program,
                                                        const Filter& filter,
                                                        const std::optional<Uuid>& after, int limit,
                                                        absl::Time deadline);

  // Of all tenants: those that are due by then, the longest first.
  absl::StatusOr<std::vector<StoredReferral>> Due(absl::Time now, int limit);
  // InfiniteFuture: never.
  absl::StatusOr<absl::Time> NextDue();

 private:
  pg::Pool& pool_;
};

// By its folded code, if there is one. What people type is looked up by CouponGuesses alone.
absl::StatusOr<std::optional<StoredReferralCode>> FindReferralCodeIn(pg::Tx& tx,
                                                                     const ProgramKey& program,
                                                                     const std::string& code);

std::vector<const pg::Statement*> ReferralReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REFERRAL_READER_H_
