// What the service of rewards reads for its callers, past the unit of work.
#ifndef CLM_SERVICES_LOYALTY_REWARD_READER_H_
#define CLM_SERVICES_LOYALTY_REWARD_READER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/loyalty/reward_work.h"

namespace clm::loyalty {

// Thread-safe.
class RewardReader {
 public:
  explicit RewardReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<StoredReward> GetReward(const RewardKey& key, absl::Time deadline);
  // By id, after `after`. NOT_FOUND without the programme.
  absl::StatusOr<std::vector<StoredReward>> Rewards(const ProgramKey& program, bool archived,
                                                    const std::string& after, int limit,
                                                    absl::Time deadline);

  absl::StatusOr<StoredRedemption> GetRedemption(const RedemptionKey& key, absl::Time deadline);
  struct Filter {
    std::string reward;          // Id; empty: all.
    std::optional<Uuid> member;  // With those of who was merged into them.
  };
  // Newest first, before `before`. NOT_FOUND without the programme.
  absl::StatusOr<std::vector<StoredRedemption>> Redemptions(const ProgramKey& program,
                                                            const Filter& filter,
                                                            const std::optional<Uuid>& before,
                                                            int limit, absl::Time deadline);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> RewardReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_REWARD_READER_H_
