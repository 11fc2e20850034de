#include "services/loyalty/earn_rules.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/points_time.h"

namespace clm::loyalty {
namespace {

using Earning = EarnRule::Earning;
using Why = EarnOutcome::Why;

enum FieldId {
  kType,
  kCurrency,
  kAmountMinor,
  kQuantity,
  kSkus,
  kCategories,
  kProperties,
  kTier,
  kAttributes,
  kSku,
  kCategory,
  kUnitPriceMinor,
};

const filter::Schema& ConditionSchema() {
  static const auto* const kSchema = [] {
    using filter::Type;
    auto* schema = new filter::Schema;
    schema->Add(kType, "type", Type::kString)
        .Add(kCurrency, "currency", Type::kString)
        .Add(kAmountMinor, "amount_minor", Type::kInt64)
        .Add(kQuantity, "quantity", Type::kInt64)
        .Add(kSkus, "skus", Type::kStringSet)
        .Add(kCategories, "categories", Type::kStringSet)
        .AddMap(kProperties, "properties", Type::kAny)
        .Add(kTier, "tier", Type::kString)
        .AddMap(kAttributes, "attributes", Type::kAny);
    return schema;
  }();
  return *kSchema;
}

const filter::Schema& LineSchema() {
  static const auto* const kSchema = [] {
    using filter::Type;
    auto* schema = new filter::Schema;
    schema->Add(kSku, "sku", Type::kString)
        .Add(kCategory, "category", Type::kString)
        .Add(kQuantity, "quantity", Type::kInt64)
        .Add(kUnitPriceMinor, "unit_price_minor", Type::kInt64)
        .Add(kAmountMinor, "amount_minor", Type::kInt64);
    return schema;
  }();
  return *kSchema;
}

filter::Value TextOrMissing(const std::string& text) {
  if (text.empty()) return {};
  return absl::string_view(text);
}

filter::Value Read(const EarnProperties& properties, const filter::Field& field) {
  const auto it = properties.find(field.key);
  if (it == properties.end()) return {};
  if (const auto* set = std::get_if<std::vector<std::string>>(&it->second)) {
    return filter::StringSet(*set);
  }
  return filter::ParseValue(field.type, std::get<std::string>(it->second));
}

// A line and its price, which CheckFact has found to be within the limits.
struct PricedLine {
  const EarnLine* line;
  int64_t price_minor;

  int64_t AmountMinor(bool before_discounts, bool with_tax) const {
    return price_minor - (before_discounts ? 0 : line->discount_minor) +
           (with_tax ? line->tax_minor : 0);
  }
};

class LineRecord : public filter::Record {
 public:
  explicit LineRecord(const PricedLine& line) : line_(line) {}

  filter::Value Get(const filter::Field& field) const override {
    switch (field.id) {
      case kSku:
        return TextOrMissing(line_.line->sku);
      case kCategory:
        return TextOrMissing(line_.line->category);
      case kQuantity:
        return line_.line->quantity;
      case kUnitPriceMinor:
        return line_.line->unit_price_minor;
      case kAmountMinor:
        return line_.AmountMinor(/*before_discounts=*/false, /*with_tax=*/false);
      default:
        return {};
    }
  }

 private:
  const PricedLine& line_;
};

class FactRecord : public filter::Record {
 public:
  FactRecord(const EarnFact& fact, const EarnMember& member, absl::Span<const PricedLine> lines)
      : fact_(fact), member_(member) {
    for (const PricedLine& line : lines) {
      amount_minor_ += line.AmountMinor(/*before_discounts=*/false, /*with_tax=*/false);
      quantity_ += line.line->quantity;
      if (!line.line->sku.empty()) skus_.push_back(line.line->sku);
      if (!line.line->category.empty()) categories_.push_back(line.line->category);
    }
  }

  filter::Value Get(const filter::Field& field) const override {
    switch (field.id) {
      case kType:
        return TextOrMissing(fact_.event_type);
      case kCurrency:
        return TextOrMissing(fact_.currency);
      case kAmountMinor:
        return amount_minor_;
      case kQuantity:
        return quantity_;
      case kSkus:
        return filter::StringSet(skus_);
      case kCategories:
        return filter::StringSet(categories_);
      case kProperties:
        return Read(fact_.properties, field);
      case kTier:
        return TextOrMissing(member_.tier);
      case kAttributes:
        return Read(member_.attributes, field);
      default:
        return {};
    }
  }

 private:
  const EarnFact& fact_;
  const EarnMember& member_;
  int64_t amount_minor_ = 0;
  int64_t quantity_ = 0;
  std::vector<std::string> skus_;
  std::vector<std::string> categories_;
};

absl::Status OutOfRange(absl::string_view what) {
  return error::Make(absl::StatusCode::kOutOfRange, "POINTS_OUT_OF_RANGE",
                     absl::StrCat(what, " beyond 2^53 - 1"));
}

// The lines with their prices, each of which and the sum of which, tax included, is in range.
absl::StatusOr<std::vector<PricedLine>> CheckFact(const EarnFact& fact) {
  error::FieldErrors errors;
  if (fact.lines.size() > kMaxEarnLines)
    errors.Add("lines", absl::StrCat("are more than ", kMaxEarnLines));
  std::vector<PricedLine> lines;
  absl::int128 sum = 0, units = 0;
  for (size_t i = 0; i < fact.lines.size() && !errors.Full(); ++i) {
    const EarnLine& line = fact.lines[i];
    const auto check = [&](absl::string_view field, int64_t value, int64_t least, int64_t most,
                           absl::string_view what) {
      if (value >= least && value <= most) return true;
      errors.Add(absl::StrCat("lines[", i, "].", field), what);
      return false;
    };
    const bool priced =
        check("quantity", line.quantity, 1, kMaxEarnedPoints, "must be 1 to 2^53 - 1") &&
        check("unit_price_minor", line.unit_price_minor, 0, kMaxEarnMoneyMinor,
              "must be 0 to 2^53 - 1");
    check("tax_minor", line.tax_minor, 0, kMaxEarnMoneyMinor, "must be 0 to 2^53 - 1");
    if (!priced) continue;
    const absl::int128 price = absl::int128(line.quantity) * line.unit_price_minor;
    if (price > kMaxEarnMoneyMinor) {
      errors.Add(absl::StrCat("lines[", i, "].quantity"), "times the price is beyond 2^53 - 1");
      continue;
    }
    lines.push_back({&line, static_cast<int64_t>(price)});
    check("discount_minor", line.discount_minor, 0, lines.back().price_minor,
          "must be 0 to the price of the line");
    sum += price + line.tax_minor;
    units += line.quantity;
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  if (sum > kMaxEarnMoneyMinor) return OutOfRange("the lines amount to more money than counts,");
  if (units > kMaxEarnedPoints) return OutOfRange("the lines have more units than count,");
  return lines;
}

int64_t Round(absl::int128 numerator, absl::int128 denominator, EarnRule::Rounding rounding) {
  const absl::int128 floor = numerator / denominator;
  const absl::int128 rest = numerator % denominator;
  const bool up = (rounding == EarnRule::Rounding::kHalfUp && rest * 2 >= denominator) ||
                  (rounding == EarnRule::Rounding::kCeiling && rest > 0);
  const absl::int128 rounded = floor + (up ? 1 : 0);
  // Beyond the limit by as little as tells it.
  return rounded > kMaxEarnedPoints ? kMaxEarnedPoints + 1 : static_cast<int64_t>(rounded);
}

int64_t MultiplierOf(const EarnRule& rule, const EarnMember& member) {
  const auto it = rule.tier_basis_points.find(member.tier);
  return it == rule.tier_basis_points.end() ? kOneInBasisPoints : it->second;
}

// The points for so many minor units or units. 2^53 * 2^53 * kMaxMultiplierBasisPoints is below
// 2^127.
int64_t PointsFor(const EarnRule& rule, int64_t measure, int64_t multiplier) {
  const bool fixed = rule.earning == Earning::kFixed;
  return Round(absl::int128(fixed ? 1 : measure) * rule.points * multiplier,
               absl::int128(fixed ? 1 : rule.per) * kOneInBasisPoints, rule.rounding);
}

EarnOutcome Refused(const EarnRule& rule, Why why, std::string explanation) {
  return {.rule_id = rule.id, .why = why, .explanation = std::move(explanation)};
}

// The lines that count for a rule, as indices, and what they amount to.
struct Matched {
  std::vector<size_t> lines;
  std::vector<int64_t> amounts;
  std::vector<int64_t> quantities;
  int64_t amount = 0;
  int64_t quantity = 0;
};
Matched Match(const CompiledEarnRule& compiled, absl::Span<const PricedLine> lines,
              absl::Time now) {
  const EarnRule& rule = compiled.rule;
  Matched matched;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!filter::Evaluate(compiled.line_filter, LineRecord(lines[i]), now)) continue;
    matched.lines.push_back(i);
    matched.amounts.push_back(lines[i].AmountMinor(rule.before_discounts, rule.with_tax));
    matched.quantities.push_back(lines[i].line->quantity);
    matched.amount += matched.amounts.back();
    matched.quantity += matched.quantities.back();
  }
  return matched;
}

// Why the rule does not apply; nullopt when it does.
std::optional<EarnOutcome> Refusal(const CompiledEarnRule& compiled, const EarnFact& fact,
                                   const FactRecord& record, const Matched& matched,
                                   absl::Time now) {
  const EarnRule& rule = compiled.rule;
  if (rule.event_type != fact.event_type) {
    return Refused(rule, Why::kOtherTrigger,
                   rule.event_type.empty() ? "looks at closed orders only"
                                           : absl::StrCat("looks at ", rule.event_type, " only"));
  }
  if (!filter::Evaluate(compiled.condition, record, now)) {
    return Refused(rule, Why::kCondition, "the condition does not hold");
  }
  if (!rule.currency.empty() && rule.currency != fact.currency) {
    return Refused(rule, Why::kCurrency, absl::StrCat("looks at ", rule.currency, " only"));
  }
  const bool needs_line = rule.earning != Earning::kFixed || !rule.line_filter.empty();
  if (matched.lines.empty() && needs_line) {
    return Refused(rule, Why::kNoLine, "no line passes the line filter");
  }
  if (matched.amount < rule.minimum_minor) {
    return Refused(
        rule, Why::kMinimumAmount,
        absl::StrCat("the lines that count amount to ", matched.amount, " ", rule.currency,
                     " minor units, at least ", rule.minimum_minor, " are needed"));
  }
  if (matched.quantity < rule.minimum_quantity) {
    return Refused(rule, Why::kMinimumQuantity,
                   absl::StrCat("the lines that count have ", matched.quantity, " units, at least ",
                                rule.minimum_quantity, " are needed"));
  }
  return std::nullopt;
}

// Cuts the points of `outcome` to what the caps leave.
void Cap(const EarnRule& rule, EarnedSoFar earned, EarnOutcome& outcome) {
  int64_t left = outcome.points;
  for (const EarnCap& cap : rule.caps) {
    const int64_t so_far = std::clamp<int64_t>(earned(rule.id, cap.period), 0, cap.points);
    if (cap.points - so_far >= left) continue;
    left = cap.points - so_far;
    outcome.cap = cap.period;
  }
  outcome.cut_by_cap = outcome.points - left;
  outcome.points = left;
  if (outcome.cut_by_cap > 0) {
    absl::StrAppend(&outcome.explanation, "; a cap took ", outcome.cut_by_cap, " points");
  }
  if (left == 0) outcome.why = Why::kCapReached;
}

absl::StatusOr<EarnOutcome> Earn(const EarnRule& rule, const Matched& matched,
                                 const EarnMember& member, EarnedSoFar earned) {
  const int64_t multiplier = MultiplierOf(rule, member);
  EarnOutcome outcome{.rule_id = rule.id};
  // What the points are split by.
  std::vector<int64_t> weights =
      rule.earning == Earning::kPerUnit || (rule.earning == Earning::kFixed && matched.amount == 0)
          ? matched.quantities
          : matched.amounts;
  if (rule.round_each == EarnRule::RoundEach::kLine && rule.earning != Earning::kFixed) {
    absl::int128 sum = 0;
    for (int64_t& weight : weights) {
      weight = PointsFor(rule, weight, multiplier);
      sum += weight;
    }
    outcome.points = sum > kMaxEarnedPoints ? kMaxEarnedPoints + 1 : static_cast<int64_t>(sum);
  } else {
    outcome.points = PointsFor(
        rule, rule.earning == Earning::kPerUnit ? matched.quantity : matched.amount, multiplier);
  }
  if (outcome.points > kMaxEarnedPoints) {
    return OutOfRange(absl::StrCat("rule ", rule.id, " gives more points than count,"));
  }
  if (outcome.points == 0) {
    return Refused(rule, Why::kRoundedToNothing, "gives less than a point");
  }
  outcome.explanation = absl::StrCat(outcome.points, " points");
  if (multiplier != kOneInBasisPoints) {
    absl::StrAppend(&outcome.explanation, ", times ", multiplier, " basis points for tier ",
                    member.tier);
  }
  Cap(rule, earned, outcome);
  const std::vector<int64_t> shares = SplitByLargestRemainder(outcome.points, weights);
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] > 0) outcome.shares.emplace_back(matched.lines[i], shares[i]);
  }
  return outcome;
}

bool IsCurrency(absl::string_view text) {
  return text.size() == 3 &&
         std::all_of(text.begin(), text.end(), [](char c) { return 'A' <= c && c <= 'Z'; });
}

}  // namespace

absl::StatusOr<CompiledEarnRule> CompileEarnRule(const EarnRule& rule) {
  error::FieldErrors errors;
  const auto check = [&](absl::string_view field, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) {
      errors.Add(field, absl::StrCat("must be ", least, " to ", most));
    }
  };
  if (rule.id.empty()) errors.Add("id", "is missing");
  check("points", rule.points, 1, kMaxEarnedPoints);
  check("per", rule.per, 1, kMaxEarnMoneyMinor);
  check("minimum_minor", rule.minimum_minor, 0, kMaxEarnMoneyMinor);
  check("minimum_quantity", rule.minimum_quantity, 0, kMaxEarnedPoints);
  const bool about_money = rule.earning == Earning::kPerMoney || rule.minimum_minor > 0;
  if ((about_money || !rule.currency.empty()) && !IsCurrency(rule.currency)) {
    errors.Add("currency", "must be an ISO 4217 code, as EUR");
  }
  for (const auto& [tier, basis_points] : rule.tier_basis_points) {
    check(absl::StrCat("tier_basis_points.", tier), basis_points, 0, kMaxMultiplierBasisPoints);
  }
  std::set<EarnCap::Period> periods;
  for (size_t i = 0; i < rule.caps.size(); ++i) {
    check(absl::StrCat("caps[", i, "].points"), rule.caps[i].points, 1, kMaxEarnedPoints);
    if (!periods.insert(rule.caps[i].period).second) {
      errors.Add(absl::StrCat("caps[", i, "].period"), "occurs twice");
    }
  }
  CompiledEarnRule compiled{.rule = rule};
  const auto compile = [&](const char* field, const std::string& text, const filter::Schema& schema,
                           filter::Expression& expression) {
    auto parsed = filter::Parse(text, schema, {.field = field});
    if (parsed.ok()) {
      expression = *std::move(parsed);
    } else {
      errors.AddStatus("", parsed.status());
    }
  };
  compile("condition", rule.condition, ConditionSchema(), compiled.condition);
  compile("line_filter", rule.line_filter, LineSchema(), compiled.line_filter);
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return compiled;
}

absl::Status CheckEarnFact(const EarnFact& fact) {
  const absl::Status status = CheckFact(fact).status();
  return absl::IsOutOfRange(status) ? error::InvalidField("lines", status.message()) : status;
}

int64_t AmountMinorOf(const EarnLine& line) {
  return line.quantity * line.unit_price_minor - line.discount_minor;
}

absl::StatusOr<std::vector<EarnOutcome>> EvaluateEarnRules(absl::Span<const CompiledEarnRule> rules,
                                                           const EarnFact& fact,
                                                           const EarnMember& member,
                                                           EarnedSoFar earned, absl::Time now) {
  CLM_ASSIGN_OR_RETURN(const std::vector<PricedLine> lines, CheckFact(fact));
  const FactRecord record(fact, member, lines);
  std::vector<EarnOutcome> outcomes;
  for (const CompiledEarnRule& compiled : rules) {
    const Matched matched = Match(compiled, lines, now);
    auto refusal = Refusal(compiled, fact, record, matched, now);
    if (refusal) {
      outcomes.push_back(*std::move(refusal));
      continue;
    }
    CLM_ASSIGN_OR_RETURN(EarnOutcome outcome, Earn(compiled.rule, matched, member, earned));
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

absl::Time CapPeriodStart(EarnCap::Period period, absl::Time now, const absl::TimeZone& zone) {
  const absl::CivilDay day = DayOf(now, zone);
  switch (period) {
    case EarnCap::Period::kDay:
      return StartOfDay(day, zone);
    case EarnCap::Period::kWeek:
      return StartOfDay(absl::PrevWeekday(day + 1, absl::Weekday::monday), zone);
    case EarnCap::Period::kMonth:
      return StartOfDay(absl::CivilDay(absl::CivilMonth(day)), zone);
    case EarnCap::Period::kYear:
      return StartOfDay(absl::CivilDay(absl::CivilYear(day)), zone);
    case EarnCap::Period::kLifetime:
      break;
  }
  return absl::InfinitePast();
}

std::vector<int64_t> SplitByLargestRemainder(int64_t points, absl::Span<const int64_t> weights) {
  std::vector<int64_t> parts(weights.size());
  const absl::int128 sum = std::accumulate(weights.begin(), weights.end(), absl::int128(0));
  if (sum == 0) return parts;
  std::vector<absl::int128> rests(weights.size());
  int64_t left = points;
  for (size_t i = 0; i < weights.size(); ++i) {
    const absl::int128 exact = absl::int128(points) * weights[i];
    parts[i] = static_cast<int64_t>(exact / sum);
    rests[i] = exact % sum;
    left -= parts[i];
  }
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rests[a] > rests[b]; });
  for (int64_t i = 0; i < left; ++i) ++parts[order[i]];
  return parts;
}

int64_t PartOfUnits(int64_t share, int64_t quantity, int64_t before, int64_t after) {
  const auto of_first = [&](int64_t units) {
    return static_cast<int64_t>(absl::int128(share) * units / quantity);
  };
  return of_first(after) - of_first(before);
}

}  // namespace clm::loyalty
