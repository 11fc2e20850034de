#include "services/loyalty/tier_sweep.h"

#include <string>

#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kStartSweep{"loyalty.start_tier_sweep", R"sql(
  INSERT INTO tier_sweep AS s (tenant_id, program_id, version, after)
  VALUES ($1::text, $2::text, $3::bigint, '00000000-0000-0000-0000-000000000000')
  ON CONFLICT (tenant_id, program_id) DO UPDATE
    SET version = EXCLUDED.version, after = EXCLUDED.after)sql"};

// Several processes may be at it: nobody is sent back.
constexpr pg::Statement kAdvanceSweep{"loyalty.advance_tier_sweep", R"sql(
  UPDATE tier_sweep s SET after = greatest(s.after, $4::uuid)
  WHERE s.tenant_id = $1::text AND s.program_id = $2::text AND s.version = $3::bigint)sql"};

constexpr pg::Statement kEndSweep{"loyalty.end_tier_sweep", R"sql(
  DELETE FROM tier_sweep s
  WHERE s.tenant_id = $1::text AND s.program_id = $2::text AND s.version = $3::bigint)sql"};

constexpr pg::Statement kNextSweep{"loyalty.next_tier_sweep", R"sql(
  SELECT s.tenant_id, s.program_id, s.version, s.after FROM tier_sweep s
  ORDER BY s.tenant_id, s.program_id LIMIT 1)sql"};

constexpr pg::Statement kSweepMembers{"loyalty.tier_sweep_members", R"sql(
  SELECT m.contact_id FROM member m
  WHERE m.tenant_id = $1::text AND m.program_id = $2::text AND m.contact_id > $3::uuid
    AND m.merged_into IS NULL AND NOT m.erased
  ORDER BY m.contact_id LIMIT $4::int)sql"};

constexpr pg::Statement kIsSweeping{"loyalty.is_tier_sweeping", R"sql(
  SELECT EXISTS (SELECT 1 FROM tier_sweep s
                 WHERE s.tenant_id = $1::text AND s.program_id = $2::text))sql"};

}  // namespace

absl::Status SaveTierSweeps(pg::Tx& tx, const std::vector<TierSweepStep>& steps) {
  for (const TierSweepStep& step : steps) {
    pg::Args args;
    args.Add(step.program.tenant).Add(step.program.program).Add(step.version);
    const pg::Statement* statement = &kStartSweep;
    if (step.kind == TierSweepStep::Kind::kAdvance) {
      statement = step.after ? &kAdvanceSweep : &kEndSweep;
      if (step.after) args.Add(*step.after);
    }
    CLM_RETURN_IF_ERROR(tx.Exec(*statement, args).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TierSweep>> NextTierSweep(pg::Tx& tx, int limit) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kNextSweep));
  if (rows.empty()) return std::optional<TierSweep>();
  TierSweep sweep;
  sweep.program = {std::string(rows[0].Text(0)), std::string(rows[0].Text(1))};
  sweep.version = rows[0].Int(2);
  pg::Args args;
  args.Add(sweep.program.tenant).Add(sweep.program.program).Add(rows[0].Uuid(3)).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result members, tx.Exec(kSweepMembers, args));
  for (int i = 0; i < members.size(); ++i) {
    sweep.members.push_back({sweep.program.tenant, sweep.program.program, members[i].Uuid(0)});
  }
  sweep.last = members.size() < limit;
  return std::optional<TierSweep>(std::move(sweep));
}

absl::StatusOr<bool> IsSweeping(pg::Tx& tx, const ProgramKey& program) {
  pg::Args args;
  args.Add(program.tenant).Add(program.program);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kIsSweeping, args));
  return rows[0].Bool(0);
}

std::vector<const pg::Statement*> TierSweepStatements() {
  return {&kStartSweep, &kAdvanceSweep, &kEndSweep, &kNextSweep, &kSweepMembers, &kIsSweeping};
}

}  // namespace clm::loyalty
