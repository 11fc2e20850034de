// Tiers of a loyalty programme: who climbs, who stays, who drops, and when to look again.
//
// A member is in the highest tier whose threshold the basis reaches: up at once, down only as the
// downgrade policy says. Redeeming points is part of no basis but the active balance, so it never
// lowers a tier that was earned.
//
// What a return takes back counts at the instant at which it was earned, and leaves every window
// with it; so time alone never lifts a basis.
//
// Terms, years, windows and grace begin and end with local days of the programme's zone, so a
// member changes at an event of the basis, which the caller evaluates, or at a midnight, which
// next_due tells. The end of a term or of grace is dated by its instant and judged by what counted
// then, however late it is evaluated.
//
// A programme keeps its zone: the instants in the states of its members are midnights of it.
//
// Values and pure functions; thread-safe. Instants are whole microseconds. Points are points, money
// is minor units; none is beyond 2^53 - 1.
#ifndef CLM_SERVICES_LOYALTY_TIERS_H_
#define CLM_SERVICES_LOYALTY_TIERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace clm::loyalty {

inline constexpr int kMaxTiers = 50;
inline constexpr int64_t kMaxTierValue = (int64_t{1} << 53) - 1;
// Of every number of days, and of the days in so many months.
inline constexpr int kMaxTierDays = 36500;
inline constexpr int kMaxTierMonths = 1200;

enum class TierBasis { kPointsEarned, kMoneySpent, kEventCount, kActiveBalance };

// Which part of the basis counts. kLifetime is the only one for kActiveBalance.
enum class QualificationPeriod {
  kLifetime,
  kRollingDays,     // Today and the rolling_days local days before it.
  kCalendarYear,    // From 1 January.
  kMembershipYear,  // From joining, then from the start of each anniversary of that day.
  kSinceTierChange  // What came after the last upgrade or drop.
};

enum class DowngradePolicy {
  kNone,
  kOneDown,       // When the term ends: one tier lower, however little is left.
  kBalanceBased,  // When the term ends: to the tier that the basis supports.
  kAfterDays,     // The same, every after_days days after the tier began.
  kRealTime,      // As soon as the basis supports the tier no more.
};

// When the term of a tier ends under kOneDown and kBalanceBased.
enum class TierTerm {
  kFromTierStart,  // At the end of the day term_months, or a multiple, after the tier began.
  kFromJoining,    // At the start of the day term_months, or a multiple, after joining.
  kYearlyCycle,    // At the start of cycle_day of cycle_month.
};

struct Tier {
  std::string id;
  int64_t threshold = 0;
  // Opaque. Rewards are due when the tier is entered from below, perks while it is held.
  std::vector<std::string> entry_rewards;
  std::vector<std::string> perks;

  friend bool operator==(const Tier&, const Tier&) = default;
};

struct TierScheme {
  std::vector<Tier> tiers;  // Lowest first.
  TierBasis basis = TierBasis::kPointsEarned;
  std::string currency;  // ISO 4217, only with kMoneySpent.
  QualificationPeriod period = QualificationPeriod::kLifetime;
  int rolling_days = 365;
  DowngradePolicy downgrade = DowngradePolicy::kNone;
  TierTerm term = TierTerm::kFromTierStart;
  int term_months = 12;
  int cycle_month = 1;
  int cycle_day = 1;
  int after_days = 365;
  // A drop waits so many whole days, in which what is missing can still be earned.
  int grace_days = 0;
  // So many days before a drop the member is warned. 0: never.
  int warn_days = 0;

  friend bool operator==(const TierScheme&, const TierScheme&) = default;
};

// Refuses with every bad field at once; paths are relative to the scheme ("tiers[2].threshold").
absl::Status ValidateTierScheme(const TierScheme& scheme);

// What is kept of a member. The tier of the member is the higher of `tier` and `manual_tier`.
struct TierState {
  absl::Time joined;
  std::string tier;                         // By the basis. Empty: none.
  absl::Time since = absl::InfinitePast();  // When `tier` was entered.
  std::optional<absl::Time> expires;        // The end of its term, without grace.
  std::optional<absl::Time> short_since;    // kRealTime: when grace began.
  std::string manual_tier;                  // Given by hand. Empty: none.
  std::optional<absl::Time> manual_until;   // Absent: until somebody takes it away.

  friend bool operator==(const TierState&, const TierState&) = default;
};

// from <= instant < until.
struct BasisWindow {
  absl::Time from = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();

  friend bool operator==(const BasisWindow&, const BasisWindow&) = default;
};

// Over which windows the basis has to be summed up at `now` for Evaluate. They differ when a term
// has ended: what counts for staying is what counted when it ended, and what grace added. The
// active balance knows no windows.
struct BasisWindows {
  BasisWindow present;
  BasisWindow to_remain;
};
BasisWindows WindowsAt(const TierScheme& scheme, const TierState& state, absl::Time now,
                       const absl::TimeZone& zone);

struct BasisValues {
  int64_t present = 0;
  int64_t to_remain = 0;
  // The oldest entry within the present window, for next_due with kRollingDays and kRealTime.
  // Absent: the member is looked at every midnight.
  std::optional<absl::Time> oldest;
};

struct TierStanding {
  std::string tier;
  int64_t value = 0;  // Of the basis, as it counts for staying.
  int64_t required_to_remain = 0;
  int64_t missing_to_remain = 0;
  std::string next_tier;  // Empty in the highest.
  int64_t missing_to_next = 0;
  // When the tier is lost unless nothing is missing by then, grace included; absent while nothing
  // can take it.
  std::optional<absl::Time> tier_expiration;

  friend bool operator==(const TierStanding&, const TierStanding&) = default;
};

struct TierChange {
  enum class Kind { kNone, kRetained, kUpgraded, kDropped };
  Kind kind = Kind::kNone;
  std::string from;  // The tier of the member before and after.
  std::string to;
  absl::Time at;  // Since when; at or before `now`.
  // Entered from below, lowest first: every tier passed, and their entry rewards in that order. A
  // tier that was given by hand already is not entered again.
  std::vector<std::string> entered;
  std::vector<std::string> rewards;
  TierState after;
  // When to evaluate again although the basis did not change. At or before `now`: at once, with the
  // windows of `after`, for one evaluation makes one change.
  std::optional<absl::Time> next_due;
  // From warn_days before a drop on, while something is missing. Whether it was sent already is
  // told by (tier, tier_expiration).
  std::optional<TierStanding> warning;
};

// For a scheme that is valid. FAILED_PRECONDITION, reason TIER_UNKNOWN, when the state names a tier
// that the scheme lacks; OUT_OF_RANGE for values beyond kMaxTierValue.
absl::StatusOr<TierChange> Evaluate(const TierScheme& scheme, const TierState& before,
                                    const BasisValues& values, absl::Time now,
                                    const absl::TimeZone& zone);

// Where the member stands, once nothing is due any more. Errors as above.
absl::StatusOr<TierStanding> StandingOf(const TierScheme& scheme, const TierState& state,
                                        const BasisValues& values, const absl::TimeZone& zone);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_TIERS_H_
