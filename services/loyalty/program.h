// A loyalty programme as its rules see it: which points there are, and by which terms they are
// earned, expire and are taken back. Pure.
#ifndef CLM_SERVICES_LOYALTY_PROGRAM_H_
#define CLM_SERVICES_LOYALTY_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/points_time.h"
#include "services/loyalty/referrals.h"
#include "services/loyalty/tiers.h"
#include "services/loyalty/velocity.h"
#include "services/loyalty/wallet.h"

namespace clm::loyalty {

// The numbers are those of the API.
enum class JoinPolicy { kEnrolment = 1, kPointsEarned = 2 };

// The terms of one kind of points.
struct WalletTerms {
  std::string id;
  std::string unit;
  PendingRule pending;
  ExpiryRule expiry;
  ReturnPolicy return_policy = ReturnPolicy::kWithinBalance;
  // `value_points` are worth `value_minor` minor units of `currency`; 0: not stated.
  int64_t value_minor = 0;
  int64_t value_points = 1;
  std::string currency;
  int breakage_basis_points = 0;
  // Days before points expire, the most first: when their member is warned.
  std::vector<int> warning_days;
  // Most points by which one person may correct one balance in a day; 0: no limit.
  int64_t adjustment_limit = 0;
  friend bool operator==(const WalletTerms&, const WalletTerms&) = default;
};

// A rule by which events or, without an event type, closed orders earn points.
struct ProgramRule {
  EarnRule rule;
  std::string wallet;  // Empty: the first.
  friend bool operator==(const ProgramRule&, const ProgramRule&) = default;
};

// The tiers of a programme.
struct ProgramTiers {
  TierScheme scheme;
  // Which events are money spent, or are counted. Empty: closed orders.
  std::string event_type = "purchase";
  std::string wallet;                 // Empty: the first.
  std::vector<int64_t> entry_points;  // For each tier.
  // Since when points count for them. Absent: not known.
  std::optional<absl::Time> start_time;
  friend bool operator==(const ProgramTiers&, const ProgramTiers&) = default;
};

// How many wrong codes of coupons somebody may try; see coupon_guesses.h.
struct GuessLimits {
  int64_t per_member = 10;
  int64_t per_caller = 1000;
  // From the first of them on.
  DurationSpec window{1, DurationSpec::Unit::kHour};
  bool unlimited = false;
  friend bool operator==(const GuessLimits&, const GuessLimits&) = default;
};

struct Program {
  std::string tenant;
  std::string id;
  std::string display_name;
  std::string time_zone = "UTC";
  std::vector<WalletTerms> wallets;  // The first is meant where none is named.
  JoinPolicy join_policy = JoinPolicy::kPointsEarned;
  DurationSpec hold{30, DurationSpec::Unit::kMinute};
  std::vector<ProgramRule> earn_rules;
  std::optional<ProgramTiers> tiers;
  std::optional<ReferralTerms> referrals;
  std::vector<VelocityLimit> velocity_limits;
  std::optional<GuessLimits> coupon_guesses;  // Without them, as they are usually.
  absl::Time create_time;
  absl::Time update_time;
  int64_t version = 0;
  friend bool operator==(const Program&, const Program&) = default;
};

// Whether it may be stored. INVALID_ARGUMENT naming every bad field, as "program.wallets[1].id".
absl::Status ValidateProgram(const Program& program);

// Whether `after` may take the place of `before`: wallets and tiers stay, for people are in them,
// with tiers the time zone and what counts for them, and that there are referrals and what their
// purchases are.
absl::Status CheckUpdate(const Program& before, const Program& after);

// The wallet with that id, or the first one for an empty id. INVALID_ARGUMENT on `wallet`
// otherwise.
absl::StatusOr<const WalletTerms*> FindWallet(const Program& program, absl::string_view id);

// The rules of a programme that ValidateProgram has passed, compiled, in their order: of the same
// rules once in the process. Thread-safe.
absl::StatusOr<std::shared_ptr<const std::vector<CompiledEarnRule>>> CompiledRules(
    const Program& program);

// The wallet of the tiers. A programme that ValidateProgram has passed, with tiers.
const WalletTerms& TierWallet(const Program& program);

// The zone of a programme that ValidateProgram has passed.
absl::TimeZone ZoneOf(const Program& program);

// What `outstanding` points are worth less the expected breakage, in minor units, rounded up: what
// is owed is never told too small. 0 where no value is stated. OUT_OF_RANGE beyond 64 bits.
absl::StatusOr<int64_t> LiabilityMinor(const WalletTerms& terms, int64_t outstanding);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_PROGRAM_H_
