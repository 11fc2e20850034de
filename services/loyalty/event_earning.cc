#include "services/loyalty/event_earning.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/base/time_text.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/referral_changes.h"
#include "services/loyalty/rule_earning.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using contact::v1::AttributeValue;

constexpr char kRefund[] = "refund";
constexpr char kRefundOf[] = "refund_of";

std::optional<EarnProperties::mapped_type> ValueOf(const AttributeValue& value) {
  switch (value.kind_case()) {
    case AttributeValue::kStringValue:
      return value.string_value();
    case AttributeValue::kBoolValue:
      return std::string(value.bool_value() ? "true" : "false");
    case AttributeValue::kInt64Value:
      return absl::StrCat(value.int64_value());
    case AttributeValue::kDecimalValue:
      return value.decimal_value();
    case AttributeValue::kDateValue:
      return value.date_value();
    case AttributeValue::kTimestampValue:
      return clm::FormatTime(clm::FromProto(value.timestamp_value()));
    case AttributeValue::kStringSetValue:
      return std::vector<std::string>(value.string_set_value().values().begin(),
                                      value.string_set_value().values().end());
    case AttributeValue::KIND_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string TextOf(const contact::v1::BehaviorEvent& event, const std::string& property) {
  const auto it = event.properties().find(property);
  return it == event.properties().end() ? "" : it->second.string_value();
}

// Makes a member of who the event is about, as somebody whose wallets can be opened: an event may
// come after its contact was merged, and then what it brings follows the rest to the survivor.
void MakeMember(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& key) {
  const auto into = MergedInto(work, key);
  if (work.FindMember(key) == nullptr) Enrol(work, recorder, key);
  if (!into) return;
  Member member = *work.FindMember(key);
  member.merged_into = std::nullopt;
  work.SaveMember(key, member);
  // It is moved once more.
  work.SaveAlias({key.tenant, key.contact}, *into);
}

int64_t CountedFor(const ProgramTiers& tiers, const CustomerEvent& event) {
  if (tiers.event_type != event.fact.event_type) return 0;
  switch (tiers.scheme.basis) {
    case TierBasis::kMoneySpent:
      return event.fact.currency == tiers.scheme.currency ? event.amount_minor : 0;
    case TierBasis::kEventCount:
      return 1;
    case TierBasis::kPointsEarned:
    case TierBasis::kActiveBalance:
      return 0;
  }
  return 0;
}

absl::Status EarnIn(LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                    const CustomerEvent& event) {
  const MemberKey member{program.tenant, program.id, event.contact.id};
  const FactKey key{{program.tenant, program.id}, event.id};
  const int64_t counted = program.tiers ? CountedFor(*program.tiers, event) : 0;
  const bool has_rule = std::any_of(
      program.earn_rules.begin(), program.earn_rules.end(),
      [&](const ProgramRule& rule) { return rule.rule.event_type == event.fact.event_type; });
  if ((!has_rule && counted == 0) || work.rules().FindFact(key) != nullptr) return absl::OkStatus();
  if (!Admits(work, program, member)) return absl::OkStatus();

  Fact fact{.contact = event.contact.id,
            .occur_time = event.occur_time,
            .amount_minor = event.amount_minor,
            .counted = counted,
            .event_type = event.fact.event_type,
            .currency = event.fact.currency};
  bool joined = false;
  const auto join = [&] {
    if (!std::exchange(joined, true)) MakeMember(work, recorder, member);
  };
  PostingNote note;
  note.reason = absl::StrCat("event ", event.id.ToString());
  CLM_ASSIGN_OR_RETURN(const Earned earned, EarnByRules(work, recorder, program, member, event.fact,
                                                        event.occur_time, note, join));
  for (const Earned::Earning& one : earned.earnings) fact.earnings.push_back(one.earning);
  // What members spend is remembered, also where it gives nothing.
  const bool tells = counted != 0 || event.amount_minor > 0;
  if (fact.earnings.empty() && (!tells || work.FindMember(member) == nullptr)) {
    return absl::OkStatus();
  }
  if (fact.earnings.empty() && counted == 0) {
    work.rules().SaveFact(key, std::move(fact));
    return absl::OkStatus();
  }
  join();
  work.rules().SaveFact(key, std::move(fact));
  return ProgressTier(work, recorder, program, member, event.occur_time, counted);
}

absl::Status RefundIn(LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                      const CustomerEvent& event) {
  const MemberKey member{program.tenant, program.id, event.contact.id};
  const FactKey key{{program.tenant, program.id}, *event.refund_of};
  const Fact* before = work.rules().FindFact(key);
  if (before == nullptr || work.FindMember(member) == nullptr) return absl::OkStatus();
  // Of somebody else, or of who has been erased.
  if (before->contact != member.contact &&
      MergedInto(work, {program.tenant, program.id, before->contact}) != member.contact) {
    return absl::OkStatus();
  }
  if (work.FindMember(member)->erased) return absl::OkStatus();
  if (const auto into = MergedInto(work, member)) return MemberMerged("contact", member, *into);
  Fact fact = *before;
  const int64_t open = fact.amount_minor - fact.refunded_minor;
  const int64_t part = event.has_amount ? std::min(event.amount_minor, open) : open;
  const int64_t after = fact.refunded_minor + part;
  const bool whole = after == fact.amount_minor;
  if (part == 0 && fact.amount_minor > 0) return absl::OkStatus();
  PostingNote note;
  note.reason = absl::StrCat("event ", event.id.ToString());
  for (const RuleEarning& earning : fact.earnings) {
    const int64_t points = fact.amount_minor == 0 ? earning.points
                                                  : PartOfUnits(earning.points, fact.amount_minor,
                                                                fact.refunded_minor, after);
    CLM_RETURN_IF_ERROR(TakeBack(work, recorder, program, member, fact.contact, earning, points,
                                 std::nullopt, fact.occur_time, note)
                            .status());
  }
  int64_t uncounted = 0;
  if (fact.counted > 0 && program.tiers) {
    const bool money = program.tiers->scheme.basis == TierBasis::kMoneySpent;
    uncounted = whole ? fact.counted : (money ? part : 0);
    fact.counted -= uncounted;
  }
  const absl::Time counted_at = fact.occur_time;
  fact.refunded_minor = after;
  work.rules().SaveFact(key, std::move(fact));
  return ProgressTier(work, recorder, program, member, counted_at, -uncounted);
}

}  // namespace

std::optional<CustomerEvent> CustomerEventOf(const EntityKey& contact,
                                             const contact::v1::BehaviorEvent& event) {
  const std::optional<Uuid> id = Uuid::Parse(event.event_id());
  if (!id || event.type().empty() || !event.has_occur_time()) return std::nullopt;
  CustomerEvent out;
  out.contact = contact;
  out.id = *id;
  out.occur_time = clm::FromProto(event.occur_time());
  out.fact.event_type = event.type();
  out.fact.currency = event.currency();
  out.has_amount = event.has_amount_minor();
  out.amount_minor = event.amount_minor();
  for (const auto& [name, value] : event.properties()) {
    if (auto known = ValueOf(value)) out.fact.properties[name] = *std::move(known);
  }
  if (event.has_amount_minor() || event.has_quantity()) {
    EarnLine line;
    line.sku = TextOf(event, "sku");
    line.category = TextOf(event, "category");
    line.quantity = std::max<int64_t>(1, event.quantity());
    // The amount is the whole line's: what the division leaves over is the discount.
    line.unit_price_minor = (out.amount_minor + line.quantity - 1) / line.quantity;
    line.discount_minor = line.unit_price_minor * line.quantity - out.amount_minor;
    out.fact.lines.push_back(std::move(line));
  }
  if (event.type() == kRefund) out.refund_of = Uuid::Parse(TextOf(event, kRefundOf));
  return out;
}

void NeedCustomerEvent(LoyaltyWork& work, const CustomerEvent& event) {
  work.NeedEvent(event.contact, event.fact.event_type, event.id, event.occur_time, event.refund_of);
}

absl::Status ApplyCustomerEvent(LoyaltyWork& work, journal::Recorder& recorder,
                                const CustomerEvent& event) {
  for (const Program& program : work.ProgramsOf(event.contact.tenant)) {
    if (event.refund_of) CLM_RETURN_IF_ERROR(RefundIn(work, recorder, program, event));
    CLM_RETURN_IF_ERROR(EarnIn(work, recorder, program, event));
    CLM_RETURN_IF_ERROR(ApplyToReferrals(work, recorder, program, event));
  }
  return absl::OkStatus();
}

}  // namespace clm::loyalty
