#include "services/loyalty/event_earning.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/base/time_text.h"
#include "services/loyalty/earn_terms.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/referral_changes.h"
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

// Who the event is about in a programme, as somebody whose wallets can be opened: an event may come
// after its contact was merged, and then what it brings follows the rest to the survivor. False
// when the programme takes no points from them.
bool Admit(LoyaltyWork& work, const Program& program, const MemberKey& key) {
  const Member* known = work.FindMember(key);
  if (known != nullptr && known->erased) return false;
  return known != nullptr || program.join_policy != JoinPolicy::kEnrolment;
}

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

void AddToCounts(LoyaltyWork& work, const Program& program, const MemberKey& member,
                 const std::string& rule, absl::Time at, int64_t points) {
  for (const ProgramRule& known : program.earn_rules) {
    if (known.rule.id != rule) continue;
    for (const EarnCap& cap : known.rule.caps) {
      work.rules().AddToCount(
          {member, rule, cap.period, CapPeriodStart(cap.period, at, ZoneOf(program))}, points);
    }
  }
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
  if (!Admit(work, program, member)) return absl::OkStatus();

  EarnMember earner;
  if (program.tiers && work.FindMember(member) != nullptr) {
    // By the tier that the member has had until now.
    CLM_RETURN_IF_ERROR(UpdateTier(work, recorder, member, recorder.now()));
    earner.tier = TierOf(*program.tiers, work.FindMember(member)->tier);
  }
  const absl::TimeZone zone = ZoneOf(program);
  CLM_ASSIGN_OR_RETURN(const auto compiled, CompiledRules(program));
  CLM_ASSIGN_OR_RETURN(
      const std::vector<EarnOutcome> outcomes,
      EvaluateEarnRules(
          *compiled, event.fact, earner,
          [&](const std::string& rule, EarnCap::Period period) {
            return work.rules().CountOf(
                {member, rule, period, CapPeriodStart(period, event.occur_time, zone)});
          },
          event.occur_time));
  Fact fact{.contact = event.contact.id,
            .occur_time = event.occur_time,
            .amount_minor = event.amount_minor,
            .counted = counted};
  bool joined = false;
  const auto join = [&] {
    if (!std::exchange(joined, true)) MakeMember(work, recorder, member);
  };
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const EarnOutcome& outcome = outcomes[i];
    if (outcome.points == 0) continue;
    join();
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, member, program.earn_rules[i].wallet,
                                             WalletSession::Admit::kMembers));
    const absl::Time now = session.now();
    const NewLot lot = LotOf(session, outcome.points, {}, std::min(event.occur_time, now));
    // Points that would have expired by now are none.
    if (lot.expire_time <= now) continue;
    CLM_ASSIGN_OR_RETURN(const Posting posting, Earn(session.wallet(), lot, Uuid::V7(now), now));
    PostingNote note;
    note.amount = outcome.points;
    note.reason = absl::StrCat("rule ", outcome.rule_id, ", event ", event.id.ToString());
    note.earn_time = lot.earn_time;
    const StoredPosting posted = session.Post(posting, std::move(note));
    fact.earnings.push_back(
        {outcome.rule_id, session.terms().id, posted.key.number, lot.id, outcome.points});
    AddToCounts(work, program, member, outcome.rule_id, event.occur_time, outcome.points);
    session.RecordPostings();
  }
  if (fact.earnings.empty() && (counted == 0 || work.FindMember(member) == nullptr)) {
    return absl::OkStatus();
  }
  join();
  CountForTier(work, program, member, event.occur_time, counted);
  work.rules().SaveFact(key, std::move(fact));
  return UpdateTier(work, recorder, member, recorder.now());
}

absl::Status TakeBack(LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                      const MemberKey& member, const RuleEarning& earning, int64_t points,
                      const Fact& fact, const CustomerEvent& event) {
  if (points == 0) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, member, earning.wallet, WalletSession::Admit::kMembers));
  const auto lot = session.wallet().lots.find(earning.lot);
  if (lot == session.wallet().lots.end()) return error::Internal("a lot is not stored");
  // Somebody may have taken points back by hand.
  points = std::min(points, lot->second.earned - lot->second.returned);
  if (points == 0) return absl::OkStatus();
  const absl::Time earn_time = lot->second.earn_time;
  CLM_ASSIGN_OR_RETURN(const Return taken, ReturnEarned(session.wallet(), earning.lot, points,
                                                        session.terms().return_policy,
                                                        Uuid::V7(session.now()), session.now()));
  if (!taken.posting.entries.empty()) {
    PostingNote note;
    note.amount = points - taken.not_taken;
    note.reason = absl::StrCat("event ", event.id.ToString());
    note.refers_to =
        PostingKey{{program.tenant, program.id, fact.contact}, earning.wallet, earning.number};
    note.earn_time = earn_time;
    session.Post(taken.posting, std::move(note));
  }
  AddToCounts(work, program, member, earning.rule, fact.occur_time, taken.not_taken - points);
  session.RecordPostings();
  return absl::OkStatus();
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
  for (const RuleEarning& earning : fact.earnings) {
    const int64_t points = fact.amount_minor == 0 ? earning.points
                                                  : PartOfUnits(earning.points, fact.amount_minor,
                                                                fact.refunded_minor, after);
    CLM_RETURN_IF_ERROR(TakeBack(work, recorder, program, member, earning, points, fact, event));
  }
  if (fact.counted > 0 && program.tiers) {
    const bool money = program.tiers->scheme.basis == TierBasis::kMoneySpent;
    CountForTier(work, program, member, fact.occur_time,
                 money ? -part : (whole ? -fact.counted : 0));
  }
  fact.refunded_minor = after;
  work.rules().SaveFact(key, std::move(fact));
  return UpdateTier(work, recorder, member, recorder.now());
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
