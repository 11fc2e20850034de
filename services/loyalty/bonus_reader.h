// What bonus runs read past the unit of work: for callers, and for the background that carries the
// runs out.
#ifndef CLM_SERVICES_LOYALTY_BONUS_READER_H_
#define CLM_SERVICES_LOYALTY_BONUS_READER_H_

#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/pg/pg.h"
#include "services/loyalty/bonuses.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

// Thread-safe. Everything blocks.
class BonusReader {
 public:
  explicit BonusReader(pg::Pool* pool) : pool_(*pool) {}

  // NOT_FOUND when there is none.
  absl::StatusOr<BonusRun> Get(const BonusRunKey& key, absl::Time deadline);
  // Newest first, those made before `before`. NOT_FOUND without the programme.
  absl::StatusOr<std::vector<BonusRun>> List(const ProgramKey& program, std::optional<Uuid> before,
                                             int limit, absl::Time deadline);
  struct Query {
    BonusRunKey run;
    std::optional<Uuid> member;  // By any of their names.
    std::optional<BonusMemberState> state;
    BonusPlace after;
    int limit = 0;
  };
  // Those who are in, best first.
  absl::StatusOr<std::vector<BonusMember>> Members(const Query& query, absl::Time deadline);

  // Runs of all tenants that are not over, the oldest of a programme first.
  absl::StatusOr<std::vector<BonusRun>> Open(int limit);
  // What those members bought by `run.as_of`, in no order; who bought nothing is left out. Tier and
  // enrolment are left to the caller.
  absl::StatusOr<std::map<Uuid, BonusFigures>> Purchases(const BonusRun& run,
                                                         absl::Time window_start,
                                                         const std::vector<Uuid>& contacts);
  struct Picked {
    BonusMember member;
    Uuid payee;  // Who they are by now.
  };
  // Those after the run's place, ranked or not, best first.
  absl::StatusOr<std::vector<Picked>> Next(const BonusRun& run, int limit);

 private:
  pg::Pool& pool_;
};

std::vector<const pg::Statement*> BonusReaderStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUS_READER_H_
