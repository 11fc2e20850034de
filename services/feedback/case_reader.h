// What the service of cases reads for its callers and its background, past the unit of work.
#ifndef CLM_SERVICES_FEEDBACK_CASE_READER_H_
#define CLM_SERVICES_FEEDBACK_CASE_READER_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/feedback/case_proto.h"
#include "services/feedback/case_work.h"

namespace clm::feedback {

// Thread-safe.
class CaseReader {
 public:
  explicit CaseReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<Case> Get(const EntityKey& key, absl::Time deadline);

  struct Query {
    std::string tenant;
    std::optional<Uuid> contact;  // By any of their names.
    std::string filter;
    std::optional<std::pair<absl::Time, Uuid>> before;  // create_time and id.
    int limit = 0;
    absl::Time now;
  };
  // Newest first. INVALID_ARGUMENT on `filter`.
  absl::StatusOr<std::vector<Case>> List(const Query& query, absl::Time deadline);

  // In the order of their numbers, from after `after` on.
  absl::StatusOr<std::vector<StoredNote>> Notes(const EntityKey& key, int64_t after, int limit,
                                                absl::Time deadline);

  absl::StatusOr<StoredCalendar> Calendar(const std::string& tenant, absl::Time deadline);
  absl::StatusOr<StoredCasePolicy> Policy(const std::string& tenant, absl::Time deadline);

  // ---- For the background: of all tenants.
  // Those that are due, the earliest first.
  absl::StatusOr<std::vector<Case>> Due(absl::Time now, int limit);
  absl::StatusOr<absl::Time> NextDue();

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> CaseReaderStatements();

}  // namespace clm::feedback

#endif  // CLM_SERVICES_FEEDBACK_CASE_READER_H_
