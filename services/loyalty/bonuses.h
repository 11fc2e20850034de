// Points for the best members of a programme as a group: who is among them, by which figures, and
// in which order.
//
// A run goes COLLECTING -> RANKING -> GRANTING -> SUCCEEDED, a dry run RANKING -> SUCCEEDED, and
// from each of those that are not over to CANCELLED.
//
// The rank of a member is 1 more than there are eligible members who spent more. Whoever ranks no
// lower than the number of those who may be in is in: of members who tie at the border, all are.
//
// Values and pure functions; thread-safe. Money is in minor units; days are those of the
// programme's calendar.
#ifndef CLM_SERVICES_LOYALTY_BONUSES_H_
#define CLM_SERVICES_LOYALTY_BONUSES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "libs/filter/filter.h"

namespace clm::loyalty {

inline constexpr int64_t kMaxBonusPoints = 1'000'000'000;

struct BonusRunKey {
  std::string tenant;
  std::string program;
  Uuid id;
  friend auto operator<=>(const BonusRunKey&, const BonusRunKey&) = default;
  friend bool operator==(const BonusRunKey&, const BonusRunKey&) = default;
};

// What is not 0 or empty has to be met.
struct BonusCriteria {
  std::vector<std::string> tiers;
  std::string currency;
  int window_days = 0;
  int64_t minimum_spend_minor = 0;
  int64_t minimum_purchases = 0;
  int bought_within_days = 0;
  int not_bought_for_days = 0;
  std::string condition;
  int top_basis_points = 0;
  int64_t top_count = 0;
  std::string event_type = "purchase";
};

// The numbers are those of the API.
enum class BonusRunState {
  kCollecting = 1,
  kRanking = 2,
  kGranting = 3,
  kSucceeded = 4,
  kCancelled = 5
};
absl::string_view Name(BonusRunState state);
bool IsOver(BonusRunState state);

// How far a run is in its state.
struct BonusPlace {
  std::optional<Uuid> contact;  // The last member; absent: none yet.
  int64_t spend_minor = 0;      // Of that member.
  int64_t count = 0;            // How many were ranked up to there,
  int64_t rank = 0;             // and the rank of the last of them.
  friend bool operator==(const BonusPlace&, const BonusPlace&) = default;
};

struct BonusRun {
  BonusRunKey key;
  BonusCriteria criteria;
  int64_t points = 0;
  std::string wallet;  // Its id.
  std::string expiry;  // As the request says it.
  std::string reason;
  bool dry_run = false;
  absl::Time as_of;
  BonusRunState state = BonusRunState::kCollecting;
  std::string created_by;
  int64_t members = 0;
  int64_t eligible = 0;
  int64_t qualified = 0;
  int64_t granted = 0;
  int64_t merged = 0;
  int64_t refused = 0;
  BonusPlace place;
  absl::Time create_time;
  std::optional<absl::Time> end_time;
  int64_t version = 0;
};

// The numbers are those of the API.
enum class BonusMemberState {
  kEligible = 0,  // Not ranked yet.
  kQualified = 1,
  kGranted = 2,
  kMerged = 3,
  kRefused = 4
};

// What is known of a member, as of an instant.
struct BonusFigures {
  std::string tier;         // Empty: none.
  int64_t spend_minor = 0;  // Within the days that count, never below 0.
  int64_t purchases = 0;    // Likewise.
  std::optional<absl::Time> last_purchase;
  absl::Time enrol_time;
};

struct BonusMember {
  Uuid contact;
  BonusMemberState state = BonusMemberState::kEligible;
  BonusFigures figures;
  int64_t rank = 0;
  std::optional<Uuid> posted_for;
  std::optional<int64_t> posting;
  std::string refusal;
};

// Criteria that have been checked.
struct CompiledBonusCriteria {
  BonusCriteria criteria;
  filter::Expression condition;
};

// Refuses with every bad field at once, paths relative to the criteria. `tiers`: the ids of the
// programme's.
absl::StatusOr<CompiledBonusCriteria> CompileBonusCriteria(const BonusCriteria& criteria,
                                                           const std::vector<std::string>& tiers);

// From when on purchases count.
absl::Time WindowStart(const BonusCriteria& criteria, absl::Time as_of, const absl::TimeZone& zone);

// Local days from `then` to `as_of`; 0 on the same day.
int64_t DaysBetween(absl::Time then, absl::Time as_of, const absl::TimeZone& zone);

// Whether the member meets everything but the rank. Where a rank is asked for, who spent nothing
// does not.
bool IsEligible(const CompiledBonusCriteria& compiled, const BonusFigures& figures,
                absl::Time as_of, const absl::TimeZone& zone);

// The lowest rank that is still in, of so many who are eligible.
int64_t LastRankIn(const BonusCriteria& criteria, int64_t eligible);

// Ranks the members that come next after `place`, who spent no more than the one there, the best
// first; `place` goes on to the last of them.
void RankNext(std::vector<BonusMember>& members, BonusPlace& place);

// The figures in words.
std::string ExplainBonus(const BonusRun& run, const BonusMember& member,
                         const absl::TimeZone& zone);

// What the posting of a bonus says.
std::string BonusPostingReason(const BonusRun& run);

// The run, stopped. FAILED_PRECONDITION, reason BONUS_RUN_STATE, metadata `state`, when it is over.
absl::StatusOr<BonusRun> CancelRun(const BonusRun& before, absl::Time now);

// The run in its next state, at the beginning of it.
BonusRun NextStateOf(const BonusRun& before, absl::Time now);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_BONUSES_H_
