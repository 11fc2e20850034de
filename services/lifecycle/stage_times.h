// What a transition log adds up to: time in stages, the stage as of an instant, the board and its
// daily flows. Logs may be given in any order; they are sorted by (at, sequence), so a back-dated
// transition changes the derived times of what follows it, and the current stage is that of the
// latest effective transition. Superseded transitions must be left out.
//
// As of an instant t means just before it: transitions at t itself belong to what follows. So the
// flows of [t1, t2) lead exactly from the board at t1 to the board at t2,
//   in(t2) = in(t1) + entered - left,
// and what happens at midnight belongs to the day that begins.
//
// Pure. These are definitions; a store that computes the same in SQL is tested against them.
#ifndef CLM_SERVICES_LIFECYCLE_STAGE_TIMES_H_
#define CLM_SERVICES_LIFECYCLE_STAGE_TIMES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/lifecycle/fold.h"

namespace clm::lifecycle {

// What the visits of one customer to one stage add up to.
struct StageTimes {
  std::string stage;
  absl::Time first_entered;
  absl::Time last_entered;
  std::optional<absl::Time> last_exited;  // Absent: never left.
  int64_t visits = 0;
  absl::Duration cumulative;  // The visit that goes on counts up to `now`.

  bool operator==(const StageTimes&) const = default;
};

// Sorts by (at, sequence).
void SortLog(std::vector<LoggedTransition>& log);

// The position in the sorted log of the first transition that does not start where the one before
// ended. nullopt: the log holds together.
std::optional<size_t> FirstBreak(std::vector<LoggedTransition> log);

// The stages that one customer was in before `now`, in order of first entry.
std::vector<StageTimes> ComputeStageTimes(std::vector<LoggedTransition> log, absl::Time now);

// The stage of one customer as of `at`; empty: none.
std::string StageAsOf(absl::Span<const LoggedTransition> log, absl::Time at);

// Customers per stage as of `at`, counted one by one; `logs` has one log per customer. Stages with
// nobody are left out, and so are customers without a stage.
std::map<std::string, int64_t> BoardAsOf(absl::Span<const std::vector<LoggedTransition>> logs,
                                         absl::Time at);

struct DailyFlow {
  absl::CivilDay day;
  std::string stage;
  int64_t opening = 0;  // In the stage when the day begins.
  int64_t entered = 0;
  int64_t left = 0;
  int64_t closing = 0;  // In the stage when the next day begins.

  bool operator==(const DailyFlow&) const = default;
};

// Flows of the days `first` to `last`, by day and stage; `transitions` of all customers in any
// order. A row for each stage that anybody was in until the end of `last`.
std::vector<DailyFlow> ComputeDailyFlows(absl::Span<const LoggedTransition> transitions,
                                         absl::CivilDay first, absl::CivilDay last,
                                         absl::TimeZone zone);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_STAGE_TIMES_H_
