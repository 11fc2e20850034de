#include "services/loyalty/program.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {

namespace {

bool HasTier(const Program& program, absl::string_view id) {
  if (!program.tiers) return false;
  const std::vector<Tier>& tiers = program.tiers->scheme.tiers;
  return std::any_of(tiers.begin(), tiers.end(), [&](const Tier& tier) { return tier.id == id; });
}

void CheckRules(const Program& program, error::FieldErrors& errors) {
  std::set<absl::string_view> ids;
  for (size_t i = 0; i < program.earn_rules.size(); ++i) {
    const ProgramRule& rule = program.earn_rules[i];
    const std::string path = absl::StrCat("program.earn_rules[", i, "]");
    const auto compiled = CompileEarnRule(rule.rule);
    errors.AddStatus(path, compiled.status());
    if (!ids.insert(rule.rule.id).second) {
      errors.Add(path + ".id", absl::StrCat("'", rule.rule.id, "' is there twice"));
    }
    if (!FindWallet(program, rule.wallet).ok()) {
      errors.Add(path + ".wallet", "is none of the programme's wallets");
    }
    for (const auto& [tier, multiplier] : rule.rule.tier_basis_points) {
      if (HasTier(program, tier)) continue;
      errors.Add(path + ".tier_basis_points",
                 absl::StrCat("'", tier, "' is none of the programme's tiers"));
    }
    if (!compiled.ok()) continue;
    // Points are given by what this service knows.
    const bool for_orders = rule.rule.event_type.empty();
    for (const filter::Field& field : filter::ReferencedFields(compiled->condition)) {
      if (for_orders && (field.name == "type" || field.name == "properties")) {
        errors.Add(path + ".condition", absl::StrCat("must not ask for ", field.name,
                                                     " of orders: only events have it"));
        break;
      }
      if (field.name != "attributes") continue;
      errors.Add(path + ".condition", for_orders
                                          ? "must not ask for attributes"
                                          : "must not ask for attributes: send them as properties");
      break;
    }
  }
}

void CheckTiers(const Program& program, error::FieldErrors& errors) {
  if (!program.tiers) return;
  errors.AddStatus("program.tier_scheme", ValidateTierScheme(program.tiers->scheme));
  if (!FindWallet(program, program.tiers->wallet).ok()) {
    errors.Add("program.tier_scheme.wallet", "is none of the programme's wallets");
  }
}

void CheckVelocity(const Program& program, error::FieldErrors& errors) {
  std::set<absl::string_view> ids;
  for (size_t i = 0; i < program.velocity_limits.size(); ++i) {
    const VelocityLimit& limit = program.velocity_limits[i];
    const std::string path = absl::StrCat("program.velocity_limits[", i, "]");
    if (!ids.insert(limit.id).second) {
      errors.Add(path + ".id", absl::StrCat("'", limit.id, "' is there twice"));
    }
    if (limit.max_requests == 0 && limit.max_points == 0) {
      errors.Add(path + ".max_requests", "or max_points is required");
    }
  }
}

}  // namespace

// Longer ones would keep many rows for somebody who has only mistyped.
constexpr absl::Duration kMaxGuessWindow = absl::Hours(24 * 31);

absl::Status ValidateProgram(const Program& program) {
  error::FieldErrors errors;
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(program.time_zone, &zone)) {
    errors.Add("program.time_zone", "is not a time zone of the IANA database");
  }
  if (program.wallets.empty()) errors.Add("program.wallets", "is required");
  std::set<absl::string_view> ids;
  for (size_t i = 0; i < program.wallets.size(); ++i) {
    const WalletTerms& wallet = program.wallets[i];
    const std::string path = absl::StrCat("program.wallets[", i, "]");
    if (!ids.insert(wallet.id).second) {
      errors.Add(path + ".id", absl::StrCat("'", wallet.id, "' is there twice"));
    }
    if (wallet.value_minor > 0 && wallet.currency.empty()) {
      errors.Add(path + ".currency", "is required with value_minor");
    }
    if (!wallet.warning_days.empty() && !wallet.expiry.after) {
      errors.Add(path + ".expiry_warning_days", "needs an expiry: these points never expire");
    }
  }
  CheckRules(program, errors);
  CheckTiers(program, errors);
  CheckVelocity(program, errors);
  if (program.referrals) {
    errors.AddStatus("program.referral_terms", ValidateReferralTerms(*program.referrals));
    if (!FindWallet(program, program.referrals->wallet).ok()) {
      errors.Add("program.referral_terms.wallet", "is none of the programme's wallets");
    }
  }
  if (program.coupon_guesses) {
    const auto end = ActiveFrom({PendingRule::Kind::kAfter, program.coupon_guesses->window},
                                absl::UnixEpoch(), absl::UTCTimeZone());
    if (*end - absl::UnixEpoch() > kMaxGuessWindow) {
      errors.Add("program.coupon_guess_limits.window", "must be at most 31 days");
    }
  }
  return errors.ToStatus();
}

namespace {

// What members have collected so far is of this kind, and cannot be added to another.
absl::Status CheckWhatCounts(const Program& before, const Program& after) {
  const auto must_stay = [](absl::string_view field) {
    return error::InvalidField(
        absl::StrCat("program.tier_scheme.", field),
        "must stay: members have collected by it; a new programme may differ");
  };
  const TierScheme& was = before.tiers->scheme;
  const TierScheme& is = after.tiers->scheme;
  if (is.basis != was.basis) return must_stay("basis");
  if (is.currency != was.currency) return must_stay("currency");
  if (after.tiers->event_type != before.tiers->event_type) {
    return must_stay(before.tiers->event_type.empty() || after.tiers->event_type.empty()
                         ? "for_orders"
                         : "event_type");
  }
  if (TierWallet(after).id != TierWallet(before).id) return must_stay("wallet");
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckUpdate(const Program& before, const Program& after) {
  if (before.referrals && !after.referrals) {
    return error::InvalidField("program.referral_terms",
                               "must stay: friends may be about to buy; close them instead");
  }
  if (before.referrals && before.referrals->event_type != after.referrals->event_type) {
    return error::InvalidField("program.referral_terms.event_type",
                               "must stay: friends may be about to buy");
  }
  for (const WalletTerms& wallet : before.wallets) {
    if (!FindWallet(after, wallet.id).ok()) {
      return error::InvalidField(
          "program.wallets",
          absl::StrCat("'", wallet.id, "' must stay: members may have points in it"));
    }
  }
  if (!before.tiers) return absl::OkStatus();
  if (after.time_zone != before.time_zone) {
    return error::InvalidField("program.time_zone",
                               "must stay: the terms of tiers end at its midnights");
  }
  for (const Tier& tier : before.tiers->scheme.tiers) {
    if (HasTier(after, tier.id)) continue;
    return error::InvalidField("program.tier_scheme.tiers",
                               absl::StrCat("'", tier.id, "' must stay: members may be in it"));
  }
  return CheckWhatCounts(before, after);
}

absl::StatusOr<const WalletTerms*> FindWallet(const Program& program, absl::string_view id) {
  for (const WalletTerms& wallet : program.wallets) {
    if (id.empty() || wallet.id == id) return &wallet;
  }
  return error::InvalidField(
      "wallet",
      absl::StrCat("the programme has none with this id; it has ",
                   absl::StrJoin(program.wallets, ", ", [](std::string* out, const WalletTerms& w) {
                     absl::StrAppend(out, "'", w.id, "'");
                   })));
}

absl::StatusOr<std::shared_ptr<const std::vector<CompiledEarnRule>>> CompiledRules(
    const Program& program) {
  using Compiled = std::shared_ptr<const std::vector<CompiledEarnRule>>;
  struct Cache {
    absl::Mutex mu;
    std::map<std::pair<std::string, std::string>, std::pair<std::vector<ProgramRule>, Compiled>>
        by_program ABSL_GUARDED_BY(mu);
  };
  static auto* const kCache = new Cache;
  // Beyond so many programmes one that is new is compiled each time.
  constexpr size_t kMost = 1000;
  const std::pair key(program.tenant, program.id);
  {
    absl::MutexLock lock(&kCache->mu);
    const auto it = kCache->by_program.find(key);
    // By what they say: a version may come again when its transaction is rolled back.
    if (it != kCache->by_program.end() && it->second.first == program.earn_rules) {
      return it->second.second;
    }
  }
  auto compiled = std::make_shared<std::vector<CompiledEarnRule>>();
  for (const ProgramRule& rule : program.earn_rules) {
    CLM_ASSIGN_OR_RETURN(auto one, CompileEarnRule(rule.rule));
    compiled->push_back(std::move(one));
  }
  absl::MutexLock lock(&kCache->mu);
  if (kCache->by_program.size() < kMost || kCache->by_program.contains(key)) {
    kCache->by_program[key] = {program.earn_rules, compiled};
  }
  return Compiled(std::move(compiled));
}

const WalletTerms& TierWallet(const Program& program) {
  return **FindWallet(program, program.tiers->wallet);
}

absl::TimeZone ZoneOf(const Program& program) {
  absl::TimeZone zone = absl::UTCTimeZone();
  absl::LoadTimeZone(program.time_zone, &zone);
  return zone;
}

absl::StatusOr<int64_t> LiabilityMinor(const WalletTerms& terms, int64_t outstanding) {
  if (terms.value_minor == 0) return 0;
  constexpr int64_t kWhole = 10'000;  // Basis points.
  const absl::int128 numerator =
      absl::int128(outstanding) * terms.value_minor * (kWhole - terms.breakage_basis_points);
  const absl::int128 denominator = absl::int128(std::max<int64_t>(1, terms.value_points)) * kWhole;
  const absl::int128 minor = (numerator + denominator - 1) / denominator;
  if (minor > std::numeric_limits<int64_t>::max()) {
    return error::Make(absl::StatusCode::kOutOfRange, "AMOUNT_OUT_OF_RANGE",
                       "the liability does not fit into 64 bits; state a smaller value_minor");
  }
  return static_cast<int64_t>(minor);
}

}  // namespace clm::loyalty
