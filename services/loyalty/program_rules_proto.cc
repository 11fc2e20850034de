#include "services/loyalty/program_rules_proto.h"

#include <algorithm>
#include <string>
#include <vector>

#include "libs/base/time_proto.h"

namespace clm::loyalty {
namespace {

// Enums of the wire begin with the unspecified one, which stands for `fallback`.
template <class Domain, class Wire>
Domain FromWire(Wire value, Domain fallback) {
  return value == 0 ? fallback : static_cast<Domain>(static_cast<int>(value) - 1);
}
template <class Wire, class Domain>
Wire ToWire(Domain value) {
  return static_cast<Wire>(static_cast<int>(value) + 1);
}

template <class T>
T Or(T value, T fallback) {
  return value == 0 ? fallback : value;
}

}  // namespace

ProgramRule FromProto(const v1::EarnRule& wire) {
  ProgramRule out;
  EarnRule& rule = out.rule;
  rule.id = wire.id();
  rule.event_type = wire.event_type();
  rule.condition = wire.condition();
  rule.earning = FromWire(wire.earning(), EarnRule::Earning::kFixed);
  rule.points = wire.points();
  rule.per = Or<int64_t>(wire.per(), 1);
  rule.currency = wire.currency();
  rule.minimum_minor = wire.minimum_minor();
  rule.minimum_quantity = wire.minimum_quantity();
  rule.tier_basis_points = {wire.tier_basis_points().begin(), wire.tier_basis_points().end()};
  rule.rounding = FromWire(wire.rounding(), EarnRule::Rounding::kFloor);
  for (const v1::EarnCap& cap : wire.caps()) {
    rule.caps.push_back({FromWire(cap.period(), EarnCap::Period::kLifetime), cap.points()});
  }
  rule.line_filter = wire.line_filter();
  rule.before_discounts = wire.before_discounts();
  rule.with_tax = wire.with_tax();
  rule.round_each = FromWire(wire.round_each(), EarnRule::RoundEach::kOrder);
  out.wallet = wire.wallet();
  return out;
}

v1::EarnRule ToProto(const ProgramRule& in) {
  const EarnRule& rule = in.rule;
  v1::EarnRule wire;
  wire.set_id(rule.id);
  wire.set_event_type(rule.event_type);
  wire.set_condition(rule.condition);
  wire.set_earning(ToWire<v1::EarnRule::Earning>(rule.earning));
  wire.set_points(rule.points);
  wire.set_per(rule.per);
  wire.set_currency(rule.currency);
  wire.set_minimum_minor(rule.minimum_minor);
  wire.set_minimum_quantity(rule.minimum_quantity);
  for (const auto& [tier, multiplier] : rule.tier_basis_points) {
    (*wire.mutable_tier_basis_points())[tier] = multiplier;
  }
  wire.set_rounding(ToWire<v1::EarnRule::Rounding>(rule.rounding));
  for (const EarnCap& cap : rule.caps) {
    v1::EarnCap* out = wire.add_caps();
    out->set_period(ToWire<v1::EarnCap::Period>(cap.period));
    out->set_points(cap.points);
  }
  wire.set_wallet(in.wallet);
  wire.set_for_orders(rule.event_type.empty());
  wire.set_line_filter(rule.line_filter);
  wire.set_before_discounts(rule.before_discounts);
  wire.set_with_tax(rule.with_tax);
  wire.set_round_each(ToWire<v1::EarnRule::RoundEach>(rule.round_each));
  return wire;
}

ProgramTiers FromProto(const v1::TierScheme& wire) {
  ProgramTiers out;
  TierScheme& scheme = out.scheme;
  for (const v1::Tier& tier : wire.tiers()) {
    scheme.tiers.push_back({tier.id(),
                            tier.threshold(),
                            {tier.entry_rewards().begin(), tier.entry_rewards().end()},
                            {tier.perks().begin(), tier.perks().end()}});
    out.entry_points.push_back(tier.entry_points());
  }
  scheme.basis = FromWire(wire.basis(), TierBasis::kPointsEarned);
  scheme.currency = wire.currency();
  if (!wire.event_type().empty()) out.event_type = wire.event_type();
  if (wire.for_orders()) out.event_type.clear();
  out.wallet = wire.wallet();
  scheme.period = FromWire(wire.period(), QualificationPeriod::kLifetime);
  scheme.rolling_days = Or(wire.rolling_days(), scheme.rolling_days);
  scheme.downgrade = FromWire(wire.downgrade(), DowngradePolicy::kNone);
  scheme.term = FromWire(wire.term(), TierTerm::kFromTierStart);
  scheme.term_months = Or(wire.term_months(), scheme.term_months);
  scheme.cycle_month = Or(wire.cycle_month(), scheme.cycle_month);
  scheme.cycle_day = Or(wire.cycle_day(), scheme.cycle_day);
  scheme.after_days = Or(wire.after_days(), scheme.after_days);
  scheme.grace_days = wire.grace_days();
  scheme.warn_days = wire.warn_days();
  if (wire.has_start_time()) out.start_time = clm::FromProto(wire.start_time());
  return out;
}

v1::TierScheme ToProto(const ProgramTiers& in) {
  const TierScheme& scheme = in.scheme;
  v1::TierScheme wire;
  for (size_t i = 0; i < scheme.tiers.size(); ++i) {
    const Tier& tier = scheme.tiers[i];
    v1::Tier* out = wire.add_tiers();
    out->set_id(tier.id);
    out->set_threshold(tier.threshold);
    out->set_entry_points(in.entry_points[i]);
    out->mutable_entry_rewards()->Add(tier.entry_rewards.begin(), tier.entry_rewards.end());
    out->mutable_perks()->Add(tier.perks.begin(), tier.perks.end());
  }
  wire.set_basis(ToWire<v1::TierScheme::Basis>(scheme.basis));
  wire.set_currency(scheme.currency);
  wire.set_event_type(in.event_type);
  wire.set_for_orders(in.event_type.empty());
  wire.set_wallet(in.wallet);
  wire.set_period(ToWire<v1::TierScheme::Period>(scheme.period));
  wire.set_rolling_days(scheme.rolling_days);
  wire.set_downgrade(ToWire<v1::TierScheme::Downgrade>(scheme.downgrade));
  wire.set_term(ToWire<v1::TierScheme::Term>(scheme.term));
  wire.set_term_months(scheme.term_months);
  wire.set_cycle_month(scheme.cycle_month);
  wire.set_cycle_day(scheme.cycle_day);
  wire.set_after_days(scheme.after_days);
  wire.set_grace_days(scheme.grace_days);
  wire.set_warn_days(scheme.warn_days);
  if (in.start_time) clm::ToProto(*in.start_time, wire.mutable_start_time());
  return wire;
}

VelocityLimit FromProto(const v1::VelocityLimit& wire) {
  VelocityLimit out;
  out.id = wire.id();
  if (wire.operation() != 0) out.operation = static_cast<VelocityOperation>(wire.operation());
  if (wire.subject() != 0) out.subject = static_cast<VelocitySubject>(wire.subject());
  out.period = FromWire(wire.period(), EarnCap::Period::kLifetime);
  out.max_requests = wire.max_requests();
  out.max_points = wire.max_points();
  return out;
}

v1::VelocityLimit ToProto(const VelocityLimit& in) {
  v1::VelocityLimit wire;
  wire.set_id(in.id);
  wire.set_operation(static_cast<v1::VelocityLimit::Operation>(in.operation));
  wire.set_subject(static_cast<v1::VelocityLimit::Subject>(in.subject));
  wire.set_period(ToWire<v1::EarnCap::Period>(in.period));
  wire.set_max_requests(in.max_requests);
  wire.set_max_points(in.max_points);
  return wire;
}

}  // namespace clm::loyalty
