#include "tools/clm/loyalty_values.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::Coupon;
using loyalty::v1::Program;
using loyalty::v1::Wallet;

// A word of the line and the value that it stands for. The first one is what nothing said means.
template <class Enum>
using Words = std::vector<std::pair<std::string, Enum>>;

const Words<Wallet::ExpiryRounding>& Roundings() {
  static const auto* const words =
      new Words<Wallet::ExpiryRounding>{{"day", Wallet::EXPIRY_ROUNDING_UNSPECIFIED},
                                        {"month", Wallet::EXPIRY_ROUNDING_MONTH},
                                        {"quarter", Wallet::EXPIRY_ROUNDING_QUARTER},
                                        {"half_year", Wallet::EXPIRY_ROUNDING_HALF_YEAR},
                                        {"year", Wallet::EXPIRY_ROUNDING_YEAR}};
  return *words;
}

const Words<Wallet::ReturnPolicy>& ReturnPolicies() {
  static const auto* const words =
      new Words<Wallet::ReturnPolicy>{{"within_balance", Wallet::RETURN_POLICY_WITHIN_BALANCE},
                                      {"only_pending", Wallet::RETURN_POLICY_ONLY_PENDING},
                                      {"unlimited", Wallet::RETURN_POLICY_UNLIMITED}};
  return *words;
}

const Words<Program::JoinPolicy>& JoinPolicies() {
  static const auto* const words =
      new Words<Program::JoinPolicy>{{"points_earned", Program::JOIN_POLICY_POINTS_EARNED},
                                     {"enrolment", Program::JOIN_POLICY_ENROLMENT}};
  return *words;
}

template <class Enum>
std::vector<std::string> AllOf(const Words<Enum>& words) {
  std::vector<std::string> all;
  for (const auto& [word, value] : words) all.push_back(word);
  return all;
}

template <class Enum>
std::string WordOf(const Words<Enum>& words, Enum value) {
  for (const auto& [word, one] : words) {
    if (one == value) return word;
  }
  return words.front().first;
}

template <class Enum>
absl::StatusOr<Enum> ParseWord(const Words<Enum>& words, absl::string_view flag,
                               absl::string_view text) {
  for (const auto& [word, value] : words) {
    if (word == text) return value;
  }
  return error::InvalidField(flag, absl::StrCat("must be ", absl::StrJoin(AllOf(words), ", ")));
}

Wallet* FindOrAdd(const std::string& id, Program* program) {
  for (Wallet& wallet : *program->mutable_wallets()) {
    if (wallet.id() == id) return &wallet;
  }
  Wallet* wallet = program->add_wallets();
  wallet->set_id(id);
  return wallet;
}

// "30,7"; none of "never".
absl::StatusOr<std::vector<int32_t>> ParseDays(absl::string_view flag, const std::string& text) {
  std::vector<int32_t> days;
  if (text == "never") return days;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    int32_t day = 0;
    if (!absl::SimpleAtoi(part, &day) || day < 1) {
      return error::InvalidField(flag, "must be days with commas between, 30,7, or never");
    }
    days.push_back(day);
  }
  return days;
}

absl::Status ChangeTerms(const WalletFlags& flags, Wallet* wallet) {
  if (!flags.unit.empty()) wallet->set_unit(flags.unit);
  if (!flags.pending.empty()) wallet->set_pending(flags.pending);
  if (!flags.expiry.empty()) wallet->set_expiry(flags.expiry);
  if (!flags.expiry_rounding.empty()) {
    CLM_ASSIGN_OR_RETURN(const auto rounding,
                         ParseWord(Roundings(), "--expiry-rounding", flags.expiry_rounding));
    wallet->set_expiry_rounding(rounding);
  }
  if (!flags.expiry_warning.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::vector<int32_t> days,
                         ParseDays("--expiry-warning", flags.expiry_warning));
    wallet->mutable_expiry_warning_days()->Assign(days.begin(), days.end());
  }
  if (!flags.return_policy.empty()) {
    CLM_ASSIGN_OR_RETURN(const auto policy,
                         ParseWord(ReturnPolicies(), "--return-policy", flags.return_policy));
    wallet->set_return_policy(policy);
  }
  if (!flags.value.empty()) {
    CLM_ASSIGN_OR_RETURN(const PointsValue value, ParsePointsValue("--value", flags.value));
    wallet->set_value_minor(value.minor);
    wallet->set_value_points(value.points);
    wallet->set_currency(value.currency);
  }
  if (!flags.breakage.empty()) {
    CLM_ASSIGN_OR_RETURN(const int32_t breakage, ParseBasisPoints("--breakage", flags.breakage));
    wallet->set_breakage_basis_points(breakage);
  }
  if (!flags.adjustment_limit.empty()) {
    int64_t limit = 0;
    if (flags.adjustment_limit != "none" &&
        (!absl::SimpleAtoi(flags.adjustment_limit, &limit) || limit < 1)) {
      return error::InvalidField("--adjustment-limit", "must be a number of points, or none");
    }
    wallet->set_adjustment_limit(limit);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PointsValue> ParsePointsValue(absl::string_view flag, absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  const absl::string_view money = parts.first;
  constexpr size_t kCode = 3;
  PointsValue value;
  const bool counted = !absl::StrContains(text, '/') ||
                       (absl::SimpleAtoi(parts.second, &value.points) && value.points > 0);
  if (counted && money.size() > kCode) {
    value.currency = std::string(money.substr(money.size() - kCode));
    if (std::all_of(value.currency.begin(), value.currency.end(),
                    [](unsigned char c) { return absl::ascii_isupper(c); })) {
      CLM_ASSIGN_OR_RETURN(value.minor,
                           ParseMoney(flag, money.substr(0, money.size() - kCode), value.currency));
      return value;
    }
  }
  return error::InvalidField(flag,
                             absl::StrCat("'", text,
                                          "' is neither a value of one point (0.01EUR) nor of many "
                                          "(1EUR/100)"));
}

std::string PointsValueText(const Wallet& wallet) {
  if (wallet.value_minor() == 0) return "";
  std::string text = absl::StrCat(terminal::MoneyDecimal(wallet.value_minor(), wallet.currency()),
                                  wallet.currency());
  if (wallet.value_points() > 1) absl::StrAppend(&text, "/", wallet.value_points());
  return text;
}

absl::StatusOr<int32_t> ParseBasisPoints(absl::string_view flag, absl::string_view text) {
  constexpr int64_t kWhole = 10'000;
  // Per cent with two digits after the point are written like euros.
  const auto parsed = ParseMoney(flag, text, "EUR");
  if (parsed.ok() && *parsed <= kWhole) return static_cast<int32_t>(*parsed);
  return error::InvalidField(
      flag,
      absl::StrCat("'", text, "' is not from 0 to 100 with at most 2 digits after the point"));
}

absl::StatusOr<PricedUnits> ParsePricedUnits(absl::string_view flag, absl::string_view text,
                                             const std::string& currency) {
  const auto wrong = [&] {
    return error::InvalidField(flag,
                               absl::StrCat("'", text, "' is not like 3x10.00 or 3x10.00-5.00"));
  };
  const size_t times = text.find('x');
  if (times == absl::string_view::npos) return wrong();
  PricedUnits priced;
  if (!absl::SimpleAtoi(text.substr(0, times), &priced.units) || priced.units <= 0) return wrong();
  absl::string_view price = text.substr(times + 1);
  const size_t minus = price.find('-');
  if (minus != absl::string_view::npos) {
    CLM_ASSIGN_OR_RETURN(priced.discount_minor,
                         ParseMoney(flag, price.substr(minus + 1), currency));
    price = price.substr(0, minus);
  }
  CLM_ASSIGN_OR_RETURN(priced.unit_price_minor, ParseMoney(flag, price, currency));
  return priced;
}

std::string CouponOffText(const Coupon& coupon) {
  // Hundredths of a percent are written like euros.
  std::string share = absl::StrCat(terminal::MoneyDecimal(coupon.basis_points(), "EUR"), " %");
  const auto some = [](int64_t quantity, const auto& skus) {
    std::string text = terminal::CountText(quantity);
    if (!skus.empty()) absl::StrAppend(&text, " of ", absl::StrJoin(skus, ", "));
    return text;
  };
  const std::string how = coupon.basis_points() == 0 || coupon.basis_points() == 10'000
                              ? " free"
                              : absl::StrCat(" at ", share, " off");
  switch (coupon.kind()) {
    case Coupon::KIND_AMOUNT:
      return absl::StrCat(terminal::MoneyDecimal(coupon.amount_minor(), coupon.currency()), " ",
                          coupon.currency());
    case Coupon::KIND_FREE_PRODUCT:
      return absl::StrCat(some(coupon.free_quantity(), coupon.skus()), how);
    case Coupon::KIND_BUY_X_GET_Y:
      return absl::StrCat("buy ", some(coupon.buy_quantity(), coupon.skus()), ", ",
                          some(coupon.free_quantity(), coupon.free_skus()), how);
    default:
      return share;
  }
}

absl::StatusOr<absl::Time> ParseMomentAhead(absl::string_view flag, absl::string_view text,
                                            absl::Time now) {
  if (const auto span = ParseSpan(flag, text); span.ok()) return now + *span;
  auto moment = ParseMoment(flag, text, now);
  if (moment.ok()) return moment;
  return error::InvalidField(
      flag, absl::StrCat("'", text,
                         "' is neither a day (2026-11-21), a time (2026-11-21T08:30:00Z) nor a "
                         "span from now on (90d, 36h)"));
}

bool WalletFlags::AnyTerm() const {
  return !absl::StrCat(unit, pending, expiry, expiry_rounding, expiry_warning, return_policy, value,
                       breakage, adjustment_limit)
              .empty();
}

absl::Status ChangeWallets(const WalletFlags& flags, Program* program) {
  std::vector<std::string> ids = flags.wallets;
  if (ids.empty()) {
    if (!flags.AnyTerm()) return absl::OkStatus();
    for (const Wallet& wallet : program->wallets()) ids.push_back(wallet.id());
    if (ids.size() != 1) {
      return error::InvalidField("--wallet",
                                 absl::StrCat("say which of: ", absl::StrJoin(ids, ", ")));
    }
  }
  for (const std::string& id : ids) {
    CLM_RETURN_IF_ERROR(ChangeTerms(flags, FindOrAdd(id, program)));
  }
  return absl::OkStatus();
}

std::vector<std::string> RoundingWords() { return AllOf(Roundings()); }
std::vector<std::string> ReturnPolicyWords() { return AllOf(ReturnPolicies()); }
std::vector<std::string> JoinPolicyWords() { return AllOf(JoinPolicies()); }

std::string RoundingWord(Wallet::ExpiryRounding rounding) { return WordOf(Roundings(), rounding); }
std::string ReturnPolicyWord(Wallet::ReturnPolicy policy) {
  return WordOf(ReturnPolicies(), policy);
}
std::string JoinPolicyWord(Program::JoinPolicy policy) { return WordOf(JoinPolicies(), policy); }

absl::StatusOr<Program::JoinPolicy> ParseJoinPolicy(absl::string_view flag,
                                                    absl::string_view word) {
  return ParseWord(JoinPolicies(), flag, word);
}

bool IsNameBelowMember(absl::string_view collection, absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  return parts.size() == 8 && parts[0] == "tenants" && parts[2] == "programs" &&
         parts[4] == "members" && parts[6] == collection;
}

}  // namespace clm::cli
