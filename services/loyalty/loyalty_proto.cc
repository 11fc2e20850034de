#include "services/loyalty/loyalty_proto.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/program_rules_proto.h"
#include "services/loyalty/referral_proto.h"

namespace clm::loyalty {
namespace {

absl::StatusOr<MemberKey> MemberOf(absl::string_view field,
                                   const std::vector<std::string>& segments) {
  const std::optional<Uuid> contact = Uuid::Parse(segments[2]);
  if (!contact) {
    return error::InvalidField(field, "members/ must be followed by the UUID of a contact");
  }
  return MemberKey{segments[0], segments[1], *contact};
}

RoundUp FromProto(v1::Wallet::ExpiryRounding rounding) {
  switch (rounding) {
    case v1::Wallet::EXPIRY_ROUNDING_MONTH:
      return RoundUp::kMonth;
    case v1::Wallet::EXPIRY_ROUNDING_QUARTER:
      return RoundUp::kQuarter;
    case v1::Wallet::EXPIRY_ROUNDING_HALF_YEAR:
      return RoundUp::kHalfYear;
    case v1::Wallet::EXPIRY_ROUNDING_YEAR:
      return RoundUp::kYear;
    default:
      return RoundUp::kNone;
  }
}

v1::Wallet::ExpiryRounding ToProto(RoundUp round_up) {
  switch (round_up) {
    case RoundUp::kMonth:
      return v1::Wallet::EXPIRY_ROUNDING_MONTH;
    case RoundUp::kQuarter:
      return v1::Wallet::EXPIRY_ROUNDING_QUARTER;
    case RoundUp::kHalfYear:
      return v1::Wallet::EXPIRY_ROUNDING_HALF_YEAR;
    case RoundUp::kYear:
      return v1::Wallet::EXPIRY_ROUNDING_YEAR;
    case RoundUp::kNone:
      break;
  }
  return v1::Wallet::EXPIRY_ROUNDING_UNSPECIFIED;
}

WalletTerms FromProto(const std::string& path, const v1::Wallet& wallet,
                      error::FieldErrors& errors) {
  WalletTerms terms;
  terms.id = wallet.id();
  terms.unit = wallet.unit();
  if (!wallet.pending().empty()) {
    auto pending = ParsePendingRule(path + ".pending", wallet.pending());
    errors.AddStatus("", pending.status());
    if (pending.ok()) terms.pending = *pending;
  }
  auto expiry =
      ParseExpiryRule(path + ".expiry", wallet.expiry().empty() ? "never" : wallet.expiry(),
                      FromProto(wallet.expiry_rounding()));
  errors.AddStatus("", expiry.status());
  if (expiry.ok()) terms.expiry = *expiry;
  if (wallet.return_policy() != v1::Wallet::RETURN_POLICY_UNSPECIFIED) {
    terms.return_policy = static_cast<ReturnPolicy>(wallet.return_policy());
  }
  terms.value_minor = wallet.value_minor();
  terms.value_points = std::max<int64_t>(1, wallet.value_points());
  terms.currency = wallet.currency();
  terms.breakage_basis_points = wallet.breakage_basis_points();
  const std::set<int, std::greater<>> days(wallet.expiry_warning_days().begin(),
                                           wallet.expiry_warning_days().end());
  terms.warning_days.assign(days.begin(), days.end());
  terms.adjustment_limit = wallet.adjustment_limit();
  return terms;
}

}  // namespace

absl::StatusOr<ProgramKey> ParseProgramName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments, ParseResourceName(field, "tenants/*/programs/*", name));
  return ProgramKey{std::move(segments[0]), std::move(segments[1])};
}

absl::StatusOr<MemberKey> ParseMemberName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(const auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/members/*", name));
  return MemberOf(field, segments);
}

absl::StatusOr<PostingKey> ParsePostingName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(const auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/members/*/postings/*", name));
  PostingKey key;
  CLM_ASSIGN_OR_RETURN(key.member, MemberOf(field, segments));
  const size_t dash = segments[3].rfind('-');
  if (dash == std::string::npos || !ValidResourceId(segments[3].substr(0, dash)) ||
      !absl::SimpleAtoi(segments[3].substr(dash + 1), &key.number) || key.number < 1) {
    return error::InvalidField(
        field, "postings/ must be followed by a wallet and a number, as in points-17");
  }
  key.wallet = segments[3].substr(0, dash);
  return key;
}

absl::StatusOr<HoldName> ParseHoldName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(const auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/members/*/holds/*", name));
  HoldName parsed;
  CLM_ASSIGN_OR_RETURN(parsed.member, MemberOf(field, segments));
  const std::optional<Uuid> hold = Uuid::Parse(segments[3]);
  if (!hold) return error::InvalidField(field, "holds/ must be followed by a UUID");
  parsed.hold = *hold;
  return parsed;
}

std::string NameOf(const ProgramKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program);
}

std::string NameOf(const MemberKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/members/",
                      key.contact.ToString());
}

std::string NameOf(const PostingKey& key) {
  return absl::StrCat(NameOf(key.member), "/postings/", key.wallet, "-", key.number);
}

std::string NameOf(const OrderKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/orders/", key.id);
}

std::string NameOf(const HoldName& name) {
  return absl::StrCat(NameOf(name.member), "/holds/", name.hold.ToString());
}

Program FromProto(const v1::Program& program, error::FieldErrors& errors) {
  Program out;
  out.display_name = program.display_name();
  if (!program.time_zone().empty()) out.time_zone = program.time_zone();
  for (int i = 0; i < program.wallets_size(); ++i) {
    out.wallets.push_back(
        FromProto(absl::StrCat("program.wallets[", i, "]"), program.wallets(i), errors));
  }
  if (program.join_policy() != v1::Program::JOIN_POLICY_UNSPECIFIED) {
    out.join_policy = static_cast<JoinPolicy>(program.join_policy());
  }
  if (!program.hold_duration().empty()) {
    auto hold = ParseDurationSpec("program.hold_duration", program.hold_duration());
    errors.AddStatus("", hold.status());
    if (hold.ok()) out.hold = *hold;
  }
  for (int i = 0; i < program.earn_rules_size(); ++i) {
    const v1::EarnRule& rule = program.earn_rules(i);
    // One of the two: who forgets the type would otherwise get points for orders.
    if (rule.event_type().empty() != rule.for_orders()) {
      errors.Add(absl::StrCat("program.earn_rules[", i, "].event_type"),
                 rule.for_orders() ? "must be empty: the rule is for orders" : "is required");
    }
    out.earn_rules.push_back(FromProto(rule));
  }
  if (program.has_tier_scheme()) {
    const v1::TierScheme& scheme = program.tier_scheme();
    if (scheme.for_orders() && !scheme.event_type().empty()) {
      errors.Add("program.tier_scheme.event_type", "must be empty: orders are counted");
    }
    out.tiers = FromProto(scheme);
  }
  if (program.has_referral_terms()) {
    out.referrals = FromProto("program.referral_terms", program.referral_terms(), errors);
  }
  for (int i = 0; i < program.velocity_limits_size(); ++i) {
    const v1::VelocityLimit& limit = program.velocity_limits(i);
    if (limit.operation() == v1::VelocityLimit::OPERATION_UNSPECIFIED) {
      errors.Add(absl::StrCat("program.velocity_limits[", i, "].operation"), "is required");
    }
    out.velocity_limits.push_back(FromProto(limit));
  }
  if (program.has_coupon_guess_limits()) {
    const v1::CouponGuessLimits& limits = program.coupon_guess_limits();
    GuessLimits& guesses = out.coupon_guesses.emplace();
    if (limits.per_member() > 0) guesses.per_member = limits.per_member();
    if (limits.per_caller() > 0) guesses.per_caller = limits.per_caller();
    guesses.unlimited = limits.unlimited();
    if (!limits.window().empty()) {
      auto window = ParseDurationSpec("program.coupon_guess_limits.window", limits.window());
      errors.AddStatus("", window.status());
      if (window.ok()) guesses.window = *window;
    }
  }
  return out;
}

v1::Program ToProto(const Program& program) {
  v1::Program out;
  out.set_name(NameOf(ProgramKey{program.tenant, program.id}));
  out.set_display_name(program.display_name);
  out.set_time_zone(program.time_zone);
  for (const WalletTerms& terms : program.wallets) {
    v1::Wallet* wallet = out.add_wallets();
    wallet->set_id(terms.id);
    wallet->set_unit(terms.unit);
    wallet->set_pending(ToString(terms.pending));
    wallet->set_expiry(ToString(terms.expiry));
    wallet->set_expiry_rounding(ToProto(terms.expiry.round_up));
    wallet->set_return_policy(static_cast<v1::Wallet::ReturnPolicy>(terms.return_policy));
    wallet->set_value_minor(terms.value_minor);
    wallet->set_value_points(terms.value_points);
    wallet->set_currency(terms.currency);
    wallet->set_breakage_basis_points(terms.breakage_basis_points);
    wallet->mutable_expiry_warning_days()->Add(terms.warning_days.begin(),
                                               terms.warning_days.end());
    wallet->set_adjustment_limit(terms.adjustment_limit);
  }
  out.set_join_policy(static_cast<v1::Program::JoinPolicy>(program.join_policy));
  out.set_hold_duration(ToString(program.hold));
  for (const ProgramRule& rule : program.earn_rules) *out.add_earn_rules() = ToProto(rule);
  if (program.tiers) *out.mutable_tier_scheme() = ToProto(*program.tiers);
  if (program.referrals) *out.mutable_referral_terms() = ToProto(*program.referrals);
  for (const VelocityLimit& limit : program.velocity_limits) {
    *out.add_velocity_limits() = ToProto(limit);
  }
  if (program.coupon_guesses) {
    v1::CouponGuessLimits* limits = out.mutable_coupon_guess_limits();
    limits->set_per_member(static_cast<int32_t>(program.coupon_guesses->per_member));
    limits->set_per_caller(static_cast<int32_t>(program.coupon_guesses->per_caller));
    limits->set_window(ToString(program.coupon_guesses->window));
    limits->set_unlimited(program.coupon_guesses->unlimited);
  }
  clm::ToProto(program.create_time, out.mutable_create_time());
  clm::ToProto(program.update_time, out.mutable_update_time());
  out.set_etag(Etag(program.version));
  return out;
}

std::string BodyOf(const Program& program) {
  v1::Program body = ToProto(program);
  for (const char* column : {"name", "create_time", "update_time", "etag"}) {
    v1::Program::GetReflection()->ClearField(&body,
                                             v1::Program::descriptor()->FindFieldByName(column));
  }
  return body.SerializeAsString();
}

absl::StatusOr<Program> ReadProgram(const pg::Row& row, int column) {
  v1::Program body;
  error::FieldErrors errors;
  const bool parsed = body.ParseFromString(row.Bytes(column + 2));
  Program program = FromProto(body, errors);
  if (!parsed || !errors.empty()) {
    return error::Internal("a programme is stored in an unknown form");
  }
  program.tenant = std::string(row.Text(column));
  program.id = std::string(row.Text(column + 1));
  program.create_time = row.Time(column + 3);
  program.update_time = row.Time(column + 4);
  program.version = row.Int(column + 5);
  return program;
}

v1::Posting ToProto(const StoredPosting& posting) {
  v1::Posting out;
  out.set_name(NameOf(posting.key));
  out.set_member(NameOf(posting.key.member));
  out.set_wallet(posting.key.wallet);
  out.set_kind(static_cast<v1::Posting::Kind>(posting.posting.kind));
  out.set_amount(posting.amount);
  out.set_balance(posting.balance);
  int64_t change = 0;
  for (const Entry& entry : posting.posting.entries) {
    v1::Entry* line = out.add_entries();
    line->set_account(static_cast<v1::Entry::Account>(entry.account));
    if (entry.lot) line->set_lot(entry.lot->ToString());
    line->set_amount(entry.amount);
    if (!IsHouse(entry.account)) change += entry.amount;
  }
  out.set_change(change);
  out.set_reason(posting.reason);
  out.set_actor(posting.actor);
  out.set_source(posting.source);
  out.set_external_id(posting.external_id);
  if (posting.refers_to) out.set_refers_to(NameOf(*posting.refers_to));
  if (posting.peer) {
    MemberKey peer = posting.key.member;
    peer.contact = *posting.peer;
    out.set_peer(NameOf(peer));
  }
  if (!posting.order.empty()) {
    const MemberKey& member = posting.key.member;
    out.set_order(NameOf(OrderKey{member.tenant, member.program, posting.order}));
  }
  clm::ToProto(posting.posting.time, out.mutable_post_time());
  return out;
}

v1::Balance ToProto(absl::string_view wallet, const Totals& totals) {
  v1::Balance out;
  out.set_wallet(std::string(wallet));
  out.set_active(totals.active);
  out.set_pending(totals.pending);
  out.set_held(totals.held);
  out.set_debt(totals.debt);
  out.set_earned(totals.earned);
  out.set_redeemed(totals.redeemed);
  out.set_expired(totals.expired);
  out.set_returned(totals.returned);
  out.set_adjusted(totals.adjusted);
  out.set_transferred(totals.transferred);
  return out;
}

v1::Hold ToProto(const MemberKey& member, const Hold& hold, const LoyaltyWork::HoldPlace& place) {
  v1::Hold out;
  out.set_name(NameOf(HoldName{member, hold.id}));
  out.set_member(NameOf(member));
  out.set_wallet(place.wallet.wallet);
  int64_t amount = 0;
  for (const Allocation& allocation : hold.allocations) amount += allocation.amount;
  out.set_amount(amount);
  out.set_captured(place.captured);
  out.set_state(static_cast<v1::Hold::State>(hold.state));
  clm::ToProto(hold.expire_time, out.mutable_expire_time());
  clm::ToProto(place.create_time, out.mutable_create_time());
  if (place.end_posting) {
    out.set_end_posting(NameOf(PostingKey{member, place.wallet.wallet, *place.end_posting}));
  }
  return out;
}

}  // namespace clm::loyalty
