// What the service of adjustments reads for its callers, past the unit of work.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTMENT_READER_H_
#define CLM_SERVICES_LOYALTY_ADJUSTMENT_READER_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/loyalty/adjustments.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

// Thread-safe.
class AdjustmentReader {
 public:
  explicit AdjustmentReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<Adjustment> Get(const AdjustmentKey& key, absl::Time deadline);

  struct Query {
    ProgramKey program;
    std::optional<Uuid> member;            // By any of their names.
    std::optional<AdjustmentState> state;  // By `now`.
    std::optional<Uuid> before;
    int limit = 0;
    absl::Time now;
  };
  // Newest first. NOT_FOUND without the programme.
  absl::StatusOr<std::vector<Adjustment>> List(const Query& query, absl::Time deadline);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> AdjustmentReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTMENT_READER_H_
