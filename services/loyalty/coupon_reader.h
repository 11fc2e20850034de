// What the service of coupons reads for its callers, past the unit of work. Reservations whose time
// is over at `now` do not count.
#ifndef CLM_SERVICES_LOYALTY_COUPON_READER_H_
#define CLM_SERVICES_LOYALTY_COUPON_READER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/loyalty/coupon_work.h"

namespace clm::loyalty {

// By its folded code, if there is one. What people type is looked up by CouponGuesses alone.
absl::StatusOr<std::optional<StoredCoupon>> FindCouponIn(pg::Tx& tx, const ProgramKey& program,
                                                         const std::string& code, absl::Time now);

// Thread-safe.
class CouponReader {
 public:
  explicit CouponReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<StoredCoupon> GetCoupon(const CouponKey& key, absl::Time now, absl::Time deadline);
  // In the order in which they were made, after `after`. NOT_FOUND without the programme.
  struct Filter {
    std::string batch;           // Empty: all.
    std::optional<Uuid> member;  // With those of who was merged into them.
  };
  absl::StatusOr<std::vector<StoredCoupon>> Coupons(const ProgramKey& program, const Filter& filter,
                                                    const std::optional<Uuid>& after, int limit,
                                                    absl::Time now, absl::Time deadline);

  absl::StatusOr<CouponUse> GetUse(const CouponUseKey& key, absl::Time now, absl::Time deadline);
  // Newest first, before `before`. NOT_FOUND without the coupon.
  absl::StatusOr<std::vector<CouponUse>> Uses(const CouponKey& key,
                                              const std::optional<Uuid>& before, int limit,
                                              absl::Time now, absl::Time deadline);

  absl::StatusOr<StoredCouponBudget> GetBudget(const CouponBudgetKey& key, absl::Time now,
                                               absl::Time deadline);
  // By id, after `after`. NOT_FOUND without the programme.
  absl::StatusOr<std::vector<StoredCouponBudget>> Budgets(const ProgramKey& program,
                                                          const std::string& after, int limit,
                                                          absl::Time now, absl::Time deadline);

  // What a mutation would load, in one snapshot.
  absl::Status Load(const std::string& tenant, CouponWork& work, absl::Time deadline);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> CouponReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_READER_H_
