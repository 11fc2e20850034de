#include "services/loyalty/bonus_proto.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

BonusCriteria CriteriaFromProto(const v1::BonusCriteria& wire) {
  BonusCriteria criteria;
  criteria.tiers.assign(wire.tiers().begin(), wire.tiers().end());
  criteria.currency = wire.currency();
  criteria.window_days = wire.window_days();
  criteria.minimum_spend_minor = wire.minimum_spend_minor();
  criteria.minimum_purchases = wire.minimum_purchases();
  criteria.bought_within_days = wire.bought_within_days();
  criteria.not_bought_for_days = wire.not_bought_for_days();
  criteria.condition = wire.condition();
  criteria.top_basis_points = wire.top_basis_points();
  criteria.top_count = wire.top_count();
  if (!wire.event_type().empty()) criteria.event_type = wire.event_type();
  return criteria;
}

void ToProto(const BonusCriteria& criteria, v1::BonusCriteria* out) {
  out->mutable_tiers()->Add(criteria.tiers.begin(), criteria.tiers.end());
  out->set_currency(criteria.currency);
  out->set_window_days(criteria.window_days);
  out->set_minimum_spend_minor(criteria.minimum_spend_minor);
  out->set_minimum_purchases(criteria.minimum_purchases);
  out->set_bought_within_days(criteria.bought_within_days);
  out->set_not_bought_for_days(criteria.not_bought_for_days);
  out->set_condition(criteria.condition);
  out->set_top_basis_points(criteria.top_basis_points);
  out->set_top_count(criteria.top_count);
  out->set_event_type(criteria.event_type);
}

// What was asked for.
v1::BonusRun TermsToProto(const BonusRun& run) {
  v1::BonusRun out;
  ToProto(run.criteria, out.mutable_criteria());
  out.set_points(run.points);
  out.set_wallet(run.wallet);
  out.set_expiry(run.expiry);
  out.set_reason(run.reason);
  out.set_dry_run(run.dry_run);
  return out;
}

}  // namespace

absl::StatusOr<BonusRunKey> ParseBonusRunName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/bonusRuns/*", name));
  const std::optional<Uuid> id = Uuid::Parse(segments[2]);
  if (!id) return error::InvalidField(field, "bonusRuns/ must be followed by a UUID");
  return BonusRunKey{std::move(segments[0]), std::move(segments[1]), *id};
}

std::string NameOf(const BonusRunKey& key) {
  return absl::StrCat("tenants/", key.tenant, "/programs/", key.program, "/bonusRuns/",
                      key.id.ToString());
}

BonusRun BonusRunFromProto(const v1::BonusRun& wire) {
  BonusRun run;
  run.criteria = CriteriaFromProto(wire.criteria());
  run.points = wire.points();
  run.wallet = wire.wallet();
  run.expiry = wire.expiry();
  run.reason = wire.reason();
  run.dry_run = wire.dry_run();
  return run;
}

v1::BonusRun ToProto(const BonusRun& run) {
  v1::BonusRun out = TermsToProto(run);
  out.set_name(NameOf(run.key));
  clm::ToProto(run.as_of, out.mutable_as_of_time());
  out.set_state(static_cast<v1::BonusRun::State>(run.state));
  out.set_member_count(run.members);
  out.set_eligible_count(run.eligible);
  out.set_qualified_count(run.qualified);
  out.set_granted_count(run.granted);
  out.set_merged_count(run.merged);
  out.set_refused_count(run.refused);
  out.set_granted_points(run.granted * run.points);
  out.set_created_by(run.created_by);
  clm::ToProto(run.create_time, out.mutable_create_time());
  if (run.end_time) clm::ToProto(*run.end_time, out.mutable_end_time());
  return out;
}

v1::BonusRunMember ToProto(const BonusRun& run, const BonusMember& member,
                           const absl::TimeZone& zone) {
  const BonusRunKey& key = run.key;
  v1::BonusRunMember out;
  out.set_member(NameOf(MemberKey{key.tenant, key.program, member.contact}));
  out.set_state(static_cast<v1::BonusRunMember::State>(member.state));
  out.set_tier(member.figures.tier);
  out.set_spend_minor(member.figures.spend_minor);
  out.set_purchases(member.figures.purchases);
  if (member.figures.last_purchase) {
    clm::ToProto(*member.figures.last_purchase, out.mutable_last_purchase_time());
    out.set_days_since_purchase(DaysBetween(*member.figures.last_purchase, run.as_of, zone));
  }
  out.set_rank(member.rank);
  out.set_ranked_count(run.eligible);
  out.set_explanation(ExplainBonus(run, member, zone));
  if (member.posted_for && member.posting) {
    out.set_posting(NameOf(
        PostingKey{{key.tenant, key.program, *member.posted_for}, run.wallet, *member.posting}));
  }
  out.set_refusal(member.refusal);
  return out;
}

std::string BodyOf(const BonusRun& run) { return TermsToProto(run).SerializeAsString(); }

absl::StatusOr<BonusRun> ReadBonusRun(const pg::Row& row, int column) {
  int at = column;
  BonusRunKey key;
  key.tenant = std::string(row.Text(at++));
  key.program = std::string(row.Text(at++));
  key.id = row.Uuid(at++);
  v1::BonusRun body;
  if (!body.ParseFromString(row.Bytes(at++))) {
    return error::Internal("a bonus run is stored in an unknown form");
  }
  BonusRun run = BonusRunFromProto(body);
  run.key = std::move(key);
  run.state = static_cast<BonusRunState>(row.Int(at++));
  run.as_of = row.Time(at++);
  run.created_by = std::string(row.Text(at++));
  run.members = row.Int(at++);
  run.eligible = row.Int(at++);
  run.qualified = row.Int(at++);
  run.granted = row.Int(at++);
  run.merged = row.Int(at++);
  run.refused = row.Int(at++);
  run.place.contact = row.OptUuid(at++);
  run.place.spend_minor = row.Int(at++);
  run.place.count = row.Int(at++);
  run.place.rank = row.Int(at++);
  run.create_time = row.Time(at++);
  run.end_time = row.OptTime(at++);
  run.version = row.Int(at);
  return run;
}

BonusMember ReadBonusMember(const pg::Row& row, int column) {
  int at = column;
  BonusMember member;
  member.contact = row.Uuid(at++);
  member.state = static_cast<BonusMemberState>(row.Int(at++));
  member.figures.tier = std::string(row.Text(at++));
  member.figures.spend_minor = row.Int(at++);
  member.figures.purchases = row.Int(at++);
  member.figures.last_purchase = row.OptTime(at++);
  member.rank = row.Int(at++);
  member.posted_for = row.OptUuid(at++);
  member.posting = row.OptInt(at++);
  member.refusal = std::string(row.Text(at));
  return member;
}

}  // namespace clm::loyalty
