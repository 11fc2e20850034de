#include "services/loyalty/referral_proto.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

template <class Key>
absl::StatusOr<Key> ParseUuidName(absl::string_view field, const char* pattern, const char* what,
                                  absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments, ParseResourceName(field, pattern, name));
  const std::optional<Uuid> id = Uuid::Parse(segments[2]);
  if (!id) return error::InvalidField(field, absl::StrCat(what, "/ must be followed by a UUID"));
  return Key{std::move(segments[0]), std::move(segments[1]), *id};
}

std::optional<ReferralLimit> FromWireLimit(bool has, const v1::ReferralLimit& wire) {
  if (!has) return std::nullopt;
  ReferralLimit limit;
  if (wire.period() != v1::EarnCap::PERIOD_UNSPECIFIED) {
    limit.period = static_cast<EarnCap::Period>(static_cast<int>(wire.period()) - 1);
  }
  limit.count = wire.count();
  return limit;
}

void ToWireLimit(const ReferralLimit& limit, v1::ReferralLimit& wire) {
  wire.set_period(static_cast<v1::EarnCap::Period>(static_cast<int>(limit.period) + 1));
  wire.set_count(limit.count);
}

std::string MemberNameOf(const ReferralKey& key, const std::optional<Uuid>& contact) {
  return contact ? NameOf(MemberKey{key.tenant, key.program, *contact}) : "";
}

}  // namespace

absl::StatusOr<ReferralKey> ParseReferralName(absl::string_view field, absl::string_view name) {
  return ParseUuidName<ReferralKey>(field, "tenants/*/programs/*/referrals/*", "referrals", name);
}

absl::StatusOr<ReferralCodeKey> ParseReferralCodeName(absl::string_view field,
                                                      absl::string_view name) {
  return ParseUuidName<ReferralCodeKey>(field, "tenants/*/programs/*/referralCodes/*",
                                        "referralCodes", name);
}

std::string NameOf(const ReferralKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/referrals/",
                      key.id.ToString());
}

std::string NameOf(const ReferralCodeKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/referralCodes/",
                      key.id.ToString());
}

ReferralTerms FromProto(absl::string_view prefix, const v1::ReferralTerms& wire,
                        error::FieldErrors& errors) {
  ReferralTerms terms;
  terms.closed = wire.closed();
  terms.advocate_points = wire.advocate_points();
  terms.friend_points = wire.friend_points();
  terms.wallet = wire.wallet();
  if (!wire.event_type().empty()) terms.event_type = wire.event_type();
  terms.minimum_minor = wire.minimum_minor();
  terms.currency = wire.currency();
  const auto read = [&](const char* field, const std::string& text, DurationSpec& out) {
    if (text.empty()) return;
    const auto spec = ParseDurationSpec(absl::StrCat(prefix, ".", field), text);
    errors.AddStatus("", spec.status());
    if (spec.ok()) out = *spec;
  };
  read("return_window", wire.return_window(), terms.return_window);
  read("claim_duration", wire.claim_duration(), terms.claim_duration);
  terms.advocate_limit = FromWireLimit(wire.has_advocate_limit(), wire.advocate_limit());
  terms.identifier_limit = FromWireLimit(wire.has_identifier_limit(), wire.identifier_limit());
  return terms;
}

v1::ReferralTerms ToProto(const ReferralTerms& terms) {
  v1::ReferralTerms wire;
  wire.set_closed(terms.closed);
  wire.set_advocate_points(terms.advocate_points);
  wire.set_friend_points(terms.friend_points);
  wire.set_wallet(terms.wallet);
  wire.set_event_type(terms.event_type);
  wire.set_minimum_minor(terms.minimum_minor);
  wire.set_currency(terms.currency);
  wire.set_return_window(ToString(terms.return_window));
  wire.set_claim_duration(ToString(terms.claim_duration));
  if (terms.advocate_limit) ToWireLimit(*terms.advocate_limit, *wire.mutable_advocate_limit());
  if (terms.identifier_limit) {
    ToWireLimit(*terms.identifier_limit, *wire.mutable_identifier_limit());
  }
  return wire;
}

v1::ReferralCode ToProto(const StoredReferralCode& code) {
  v1::ReferralCode wire;
  const ReferralKey within{code.key.tenant, code.key.program, code.key.id};
  wire.set_name(NameOf(code.key));
  wire.set_advocate(MemberNameOf(within, code.advocate));
  wire.set_code(code.shown_code);
  wire.set_usage_limit(code.terms.usage_limit);
  wire.set_uses(code.terms.uses);
  if (code.terms.start > absl::InfinitePast()) {
    clm::ToProto(code.terms.start, wire.mutable_start_time());
  }
  if (code.terms.expire < absl::InfiniteFuture()) {
    clm::ToProto(code.terms.expire, wire.mutable_expire_time());
  }
  wire.set_friend_(MemberNameOf(within, code.terms.only_friend));
  if (code.revoke_time) clm::ToProto(*code.revoke_time, wire.mutable_revoke_time());
  clm::ToProto(code.create_time, wire.mutable_create_time());
  return wire;
}

v1::Referral ToProto(const StoredReferral& referral) {
  const ReferralCourse& course = referral.course;
  v1::Referral wire;
  wire.set_name(NameOf(referral.key));
  wire.set_code(NameOf(ReferralCodeKey{referral.key.tenant, referral.key.program, referral.code}));
  wire.set_advocate(MemberNameOf(referral.key, referral.advocate));
  wire.set_friend_(MemberNameOf(referral.key, referral.friend_contact));
  wire.set_state(static_cast<v1::Referral::State>(course.state));
  wire.set_end_reason(static_cast<v1::Referral::EndReason>(course.end_reason));
  clm::ToProto(course.claim_time, wire.mutable_claim_time());
  if (course.due_time < absl::InfiniteFuture()) {
    clm::ToProto(course.due_time, wire.mutable_due_time());
  }
  if (course.purchase) {
    v1::ReferralPurchase* purchase = wire.mutable_purchase();
    purchase->set_event_id(course.purchase->event.ToString());
    clm::ToProto(course.purchase->occur_time, purchase->mutable_occur_time());
    purchase->set_amount_minor(course.purchase->amount_minor);
    purchase->set_refunded_minor(course.refunded_minor);
  }
  wire.set_advocate_points(referral.advocate_reward.points);
  wire.set_friend_points(referral.friend_reward.points);
  wire.set_advocate_points_returned(referral.advocate_reward.returned);
  wire.set_friend_points_returned(referral.friend_reward.returned);
  if (course.reward_time) clm::ToProto(*course.reward_time, wire.mutable_reward_time());
  if (course.end_time) clm::ToProto(*course.end_time, wire.mutable_end_time());
  *wire.mutable_terms() = ToProto(course.terms);
  return wire;
}

}  // namespace clm::loyalty
