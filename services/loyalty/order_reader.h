// What the service of orders reads for its callers, past the unit of work.
#ifndef CLM_SERVICES_LOYALTY_ORDER_READER_H_
#define CLM_SERVICES_LOYALTY_ORDER_READER_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/orders.h"

namespace clm::loyalty {

// Thread-safe.
class OrderReader {
 public:
  explicit OrderReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<Order> Get(const OrderKey& key, absl::Time deadline);

  struct Query {
    ProgramKey program;
    std::optional<Uuid> member;  // By any of their names.
    std::string filter;
    std::optional<std::pair<absl::Time, std::string>> before;  // create_time and id.
    int limit = 0;
    absl::Time now;
  };
  // Newest first. NOT_FOUND without the programme; INVALID_ARGUMENT on `filter`.
  absl::StatusOr<std::vector<Order>> List(const Query& query, absl::Time deadline);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> OrderReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_READER_H_
