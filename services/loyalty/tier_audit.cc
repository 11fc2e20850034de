#include "services/loyalty/tier_audit.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_text.h"
#include "services/loyalty/loyalty_work.h"

namespace clm::loyalty {
namespace {

// A transaction is shorter. One that began before the programme had tiers may end after that, so
// that whether its points count cannot be told from its time.
constexpr absl::Duration kLongestTransaction = absl::Minutes(1);

// Earns and returns; the lot that they are of tells when the points were earned. Adjustments,
// transfers and points for entering a tier do not count.
constexpr pg::Statement kCountedPoints{"loyalty.counted_points", R"sql(
  SELECT p.post_time, l.earn_time, CASE WHEN p.kind = $6::smallint THEN p.amount ELSE -p.amount END
  FROM posting p CROSS JOIN LATERAL (SELECT o.earn_time FROM lot o
    WHERE o.tenant_id = p.tenant_id AND o.contact_id = $5::uuid AND o.program_id = p.program_id
      AND o.wallet_id = p.wallet_id AND o.id = ANY (p.lots) LIMIT 1) l
  WHERE p.tenant_id = $1::text AND p.contact_id = ANY ($2::uuid[]) AND p.program_id = $3::text
    AND p.wallet_id = $4::text AND p.kind IN ($6::smallint, $7::smallint))sql"};

constexpr pg::Statement kCountedFacts{"loyalty.counted_facts", R"sql(
  SELECT f.occur_time, f.counted FROM fact f
  WHERE f.contact_id = ANY ($2::uuid[]) AND f.program_id = $3::text AND f.tenant_id = $1::text
    AND f.counted > 0)sql"};

constexpr pg::Statement kCountedOrders{"loyalty.counted_orders", R"sql(
  SELECT o.close_time, o.counted FROM customer_order o
  WHERE o.contact_id = ANY ($2::uuid[]) AND o.tenant_id = $1::text AND o.program_id = $3::text
    AND o.counted > 0 AND o.close_time IS NOT NULL)sql"};

// Nullopt: it cannot be told.
absl::StatusOr<std::optional<std::vector<Counted>>> CountedPoints(pg::Tx& tx,
                                                                  const Program& program,
                                                                  const MemberKey& key,
                                                                  std::vector<Uuid> members) {
  std::vector<Counted> counted;
  const std::optional<absl::Time> start = program.tiers->start_time;
  if (!start) return std::optional<std::vector<Counted>>();
  pg::Args args;
  args.Add(key.tenant).AddArray(std::move(members)).Add(key.program);
  args.Add(TierWallet(program).id).Add(key.contact);
  args.Add(static_cast<int>(PostingKind::kEarn)).Add(static_cast<int>(PostingKind::kReturn));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCountedPoints, args));
  for (int i = 0; i < rows.size(); ++i) {
    const absl::Duration since = rows[i].Time(0) - *start;
    if (since <= -kLongestTransaction) continue;
    if (start != program.create_time && since < kLongestTransaction) {
      return std::optional<std::vector<Counted>>();
    }
    counted.push_back({rows[i].Time(1), rows[i].Int(2)});
  }
  return std::optional(std::move(counted));
}

absl::StatusOr<std::optional<std::vector<Counted>>> WhatCounted(pg::Tx& tx, const Program& program,
                                                                const MemberKey& key,
                                                                std::vector<Uuid> members) {
  switch (program.tiers->scheme.basis) {
    case TierBasis::kActiveBalance:
      return std::optional<std::vector<Counted>>();
    case TierBasis::kPointsEarned:
      return CountedPoints(tx, program, key, std::move(members));
    case TierBasis::kMoneySpent:
    case TierBasis::kEventCount:
      break;
  }
  pg::Args args;
  args.Add(key.tenant).AddArray(std::move(members)).Add(key.program);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      tx.Exec(program.tiers->event_type.empty() ? kCountedOrders : kCountedFacts, args));
  std::vector<Counted> counted;
  for (int i = 0; i < rows.size(); ++i) counted.push_back({rows[i].Time(0), rows[i].Int(1)});
  return std::optional(std::move(counted));
}

std::string NameOfTier(const std::string& tier) {
  return tier.empty() ? "none" : absl::StrCat("'", tier, "'");
}

}  // namespace

std::vector<std::string> AuditBasis(const TierBasisSums& kept, absl::Span<const Counted> counted,
                                    const absl::TimeZone& zone) {
  std::map<absl::CivilDay, std::pair<int64_t, int64_t>> days;
  for (const auto& [at, value] : kept) days[absl::ToCivilDay(at, zone)].first += value;
  for (const Counted& one : counted) days[absl::ToCivilDay(one.at, zone)].second += one.value;
  std::vector<std::string> findings;
  for (const auto& [day, sums] : days) {
    if (sums.first == sums.second) continue;
    findings.push_back(absl::StrCat("tier: what counts of ", absl::FormatCivilTime(day), " is ",
                                    sums.first, " and should be ", sums.second));
  }
  return findings;
}

absl::StatusOr<std::vector<std::string>> AuditTier(pg::Tx& tx, const Clock& clock,
                                                   const Program& program, const MemberKey& key,
                                                   const std::vector<Uuid>& merged, bool sweeping) {
  LoyaltyWork work(&clock, nullptr);
  const WalletKey wallet{key.tenant, key.program, TierWallet(program).id, key.contact};
  work.NeedProgram({key.tenant, key.program});
  work.NeedMember(key);
  CLM_RETURN_IF_ERROR(work.Load(tx));
  const TierBasisSums& kept = work.rules().BasisOf(key);
  std::vector<Uuid> members = merged;
  members.push_back(key.contact);
  std::vector<std::string> findings;
  CLM_ASSIGN_OR_RETURN(const auto counted, WhatCounted(tx, program, key, std::move(members)));
  if (counted) findings = AuditBasis(kept, *counted, ZoneOf(program));
  const Member* member = work.FindMember(key);
  // What is due is found by its time, a moment later.
  const absl::Time now = clock.Now();
  if (sweeping || member == nullptr || member->tier_due <= now) return findings;
  CLM_ASSIGN_OR_RETURN(
      const TierChange change,
      NextTierChange(program, *member, kept, work.WalletOf(wallet).totals.active, now));
  if (change.kind == TierChange::Kind::kRetained) {
    findings.push_back(absl::StrCat("tier: its term has ended, and it is looked at again at ",
                                    clm::FormatTime(member->tier_due), " only"));
  } else if (change.kind != TierChange::Kind::kNone) {
    findings.push_back(absl::StrCat("tier: is ", NameOfTier(change.from), " and should be ",
                                    NameOfTier(change.to)));
  }
  return findings;
}

std::vector<const pg::Statement*> TierAuditStatements() {
  return {&kCountedPoints, &kCountedFacts, &kCountedOrders};
}

}  // namespace clm::loyalty
