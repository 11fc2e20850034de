// What the service of reviews reads for its callers, past the unit of work.
#ifndef CLM_SERVICES_FEEDBACK_REVIEW_READER_H_
#define CLM_SERVICES_FEEDBACK_REVIEW_READER_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/feedback/reviews.h"

namespace clm::feedback {

// Thread-safe.
class ReviewReader {
 public:
  explicit ReviewReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<Review> Get(const EntityKey& key, absl::Time deadline);

  struct Query {
    std::string tenant;
    std::optional<Uuid> contact;  // By any of their names.
    std::string filter;
    std::optional<std::pair<absl::Time, Uuid>> before;  // create_time and id.
    int limit = 0;
    absl::Time now;
  };
  // Newest first. INVALID_ARGUMENT on `filter`.
  absl::StatusOr<std::vector<Review>> List(const Query& query, absl::Time deadline);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> ReviewReaderStatements();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_REVIEW_READER_H_
