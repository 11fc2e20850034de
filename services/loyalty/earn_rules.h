// How many points an order or an event earns, by which rule, for which line, and why not.
//
// A rule looks at closed orders or at the events of one type. Its condition is an expression
// (libs/filter) over
//   what happened   type (missing for orders), currency, amount_minor (all lines, after discounts,
//                   before tax), quantity (of all lines), skus, categories, properties.X
//   the member      tier, attributes.X
// and its line filter one over sku, category, quantity, unit_price_minor, amount_minor (of the
// line, after discounts, before tax). Lines that do not pass it count for nothing in the rule:
// neither for its minimums nor for its points.
//
// Points are exact fractions until they are rounded, once, as the rule says. Every line gets its
// share of them, so that returning the line takes back exactly what it brought.
//
// Values and pure functions; thread-safe. Money is in minor units. Neither money nor points go
// beyond 2^53 - 1.
#ifndef CLM_SERVICES_LOYALTY_EARN_RULES_H_
#define CLM_SERVICES_LOYALTY_EARN_RULES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "libs/filter/filter.h"

namespace clm::loyalty {

inline constexpr int64_t kMaxEarnedPoints = (int64_t{1} << 53) - 1;
inline constexpr int64_t kMaxEarnMoneyMinor = (int64_t{1} << 53) - 1;
// A multiplier of 1, and the largest.
inline constexpr int64_t kOneInBasisPoints = 10'000;
inline constexpr int64_t kMaxMultiplierBasisPoints = 1'000'000;
inline constexpr int kMaxEarnLines = 10'000;

// Text, as libs/filter's ParseValue reads it, or a set of strings.
using EarnProperties = std::map<std::string, std::variant<std::string, std::vector<std::string>>>;

struct EarnLine {
  std::string sku;
  std::string category;
  int64_t quantity = 1;
  int64_t unit_price_minor = 0;  // Before discounts and tax.
  int64_t discount_minor = 0;    // Of the whole line; at most its price.
  int64_t tax_minor = 0;         // Of the whole line, on top.
};

// An order that closes, or an event; an event may have lines too, of what was bought or used.
struct EarnFact {
  std::string event_type;  // Empty: an order.
  std::string currency;
  std::vector<EarnLine> lines;
  EarnProperties properties;
};

struct EarnMember {
  std::string tier;  // Empty: none.
  EarnProperties attributes;
};

struct EarnCap {
  enum class Period { kDay, kWeek, kMonth, kYear, kLifetime };  // Weeks begin on Monday.
  Period period = Period::kLifetime;
  int64_t points = 0;

  friend bool operator==(const EarnCap&, const EarnCap&) = default;
};

struct EarnRule {
  enum class Earning {
    kFixed,     // `points`, once.
    kPerMoney,  // `points` for every `per` minor units.
    kPerUnit,   // `points` for every `per` units.
  };
  enum class Rounding { kFloor, kHalfUp, kCeiling };
  enum class RoundEach { kOrder, kLine };

  std::string id;
  std::string event_type;   // Empty: closed orders.
  std::string condition;    // Empty: always.
  std::string line_filter;  // Empty: every line.
  Earning earning = Earning::kFixed;
  int64_t points = 0;
  int64_t per = 1;
  // What is in another currency earns nothing. kPerMoney and a minimum amount need it.
  std::string currency;
  bool before_discounts = false;
  bool with_tax = false;
  int64_t minimum_minor = 0;  // Measured as the points are.
  int64_t minimum_quantity = 0;
  std::map<std::string, int64_t> tier_basis_points;  // A tier that is not named: 1.
  Rounding rounding = Rounding::kFloor;
  RoundEach round_each = RoundEach::kOrder;  // kFixed is rounded for the order.
  std::vector<EarnCap> caps;                 // Per member; one for a period.

  friend bool operator==(const EarnRule&, const EarnRule&) = default;
};

// A rule whose fields and expressions have been checked.
struct CompiledEarnRule {
  EarnRule rule;
  filter::Expression condition;
  filter::Expression line_filter;
};

// Refuses with every bad field at once; paths are relative to the rule ("caps[1].points").
absl::StatusOr<CompiledEarnRule> CompileEarnRule(const EarnRule& rule);

// What a rule made of a fact.
struct EarnOutcome {
  enum class Why {
    kApplied,
    kOtherTrigger,
    kCondition,
    kNoLine,
    kCurrency,
    kMinimumAmount,
    kMinimumQuantity,
    kRoundedToNothing,
    kCapReached,
  };
  std::string rule_id;
  Why why = Why::kApplied;
  std::string explanation;  // For people who rehearse a rule; names no personal data.
  int64_t points = 0;
  int64_t cut_by_cap = 0;                          // What the cap took from the points.
  std::optional<EarnCap::Period> cap;              // The one that took most.
  std::vector<std::pair<size_t, int64_t>> shares;  // (line, points > 0); sums up to `points`.
};

// The points that the member has earned by the rule, net of what was taken back, in the period of a
// cap that is open now.
using EarnedSoFar = absl::FunctionRef<int64_t(const std::string& rule_id, EarnCap::Period period)>;

// Whether the amounts of a fact are ones that EvaluateEarnRules takes: INVALID_ARGUMENT naming
// every field that is wrong ("lines[2].discount_minor"), also "lines" for sums beyond the limits.
absl::Status CheckEarnFact(const EarnFact& fact);

// What a line of such a fact amounts to, after discounts and before tax.
int64_t AmountMinorOf(const EarnLine& line);

// One outcome for each rule, in their order. INVALID_ARGUMENT naming every field of the fact that
// is wrong ("lines[2].discount_minor"); OUT_OF_RANGE when a sum or the points of a rule go beyond
// the limits.
absl::StatusOr<std::vector<EarnOutcome>> EvaluateEarnRules(absl::Span<const CompiledEarnRule> rules,
                                                           const EarnFact& fact,
                                                           const EarnMember& member,
                                                           EarnedSoFar earned, absl::Time now);

// When the period of a cap that is open at `now` began; InfinitePast for the lifetime.
absl::Time CapPeriodStart(EarnCap::Period period, absl::Time now, const absl::TimeZone& zone);

// `points` split by `weights`, none negative: each part is its exact share rounded up or down, and
// they sum up to `points`. The largest remainders are rounded up, of equal ones the first. Nothing
// when there are no weights but 0.
std::vector<int64_t> SplitByLargestRemainder(int64_t points, absl::Span<const int64_t> weights);

// What of a line's `share` is taken back when its units are returned, after `before` of `quantity`
// units had been returned and then `after` have. Returning units one by one takes back the same as
// all at once.
int64_t PartOfUnits(int64_t share, int64_t quantity, int64_t before, int64_t after);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_EARN_RULES_H_
