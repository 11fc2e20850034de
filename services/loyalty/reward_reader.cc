#include "services/loyalty/reward_reader.h"

#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/reward_proto.h"
#include "services/loyalty/reward_row.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kProgramOfRewards{"reward.program", R"sql(
  SELECT FROM program WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kGetReward{"reward.get", "SELECT " CLM_REWARD_COLUMNS R"sql(
  FROM reward r WHERE r.tenant_id = $1::text AND r.program_id = $2::text AND r.id = $3::text)sql"};

constexpr pg::Statement kRewards{"reward.list", "SELECT " CLM_REWARD_COLUMNS R"sql(
  FROM reward r WHERE r.tenant_id = $1::text AND r.program_id = $2::text AND r.id > $3::text
    AND ($5::boolean OR NOT r.archived)
  ORDER BY r.id LIMIT $4::int)sql"};

constexpr pg::Statement kGetRedemption{"reward.get_redemption",
                                       "SELECT " CLM_REDEMPTION_COLUMNS
                                       " FROM reward_redemption d " CLM_REDEMPTION_DETAILS R"sql(
  WHERE d.tenant_id = $1::text AND d.program_id = $2::text AND d.reward_id = $3::text
    AND d.id = $4::uuid)sql"};

constexpr pg::Statement kRedemptions{"reward.redemptions",
                                     "SELECT " CLM_REDEMPTION_COLUMNS
                                     " FROM reward_redemption d " CLM_REDEMPTION_DETAILS R"sql(
  WHERE d.tenant_id = $1::text AND d.program_id = $2::text
    AND ($3::uuid IS NULL OR d.id < $3::uuid)
  ORDER BY d.id DESC LIMIT $4::int)sql"};

constexpr pg::Statement kRedemptionsOfReward{
    "reward.redemptions_of_reward",
    "SELECT " CLM_REDEMPTION_COLUMNS " FROM reward_redemption d " CLM_REDEMPTION_DETAILS R"sql(
  WHERE d.tenant_id = $1::text AND d.program_id = $2::text AND d.reward_id = $5::text
    AND ($3::uuid IS NULL OR d.id < $3::uuid)
  ORDER BY d.id DESC LIMIT $4::int)sql"};

// By all names of the person.
constexpr pg::Statement kRedemptionsOfMember{
    "reward.redemptions_of_member",
    "SELECT " CLM_REDEMPTION_COLUMNS " FROM reward_redemption d " CLM_REDEMPTION_DETAILS R"sql(
  WHERE d.tenant_id = $1::text AND d.program_id = $2::text
    AND ($3::uuid IS NULL OR d.id < $3::uuid) AND ($5::text = '' OR d.reward_id = $5::text)
    AND d.contact_id IN (
      SELECT p.id FROM (SELECT coalesce((SELECT a.merged_into FROM contact_alias a
        WHERE a.tenant_id = $1::text AND a.contact_id = $6::uuid), $6::uuid) AS id) p
      UNION ALL
      SELECT x.contact_id FROM contact_alias x WHERE x.tenant_id = $1::text
        AND x.merged_into = coalesce((SELECT a.merged_into FROM contact_alias a
          WHERE a.tenant_id = $1::text AND a.contact_id = $6::uuid), $6::uuid))
  ORDER BY d.id DESC LIMIT $4::int)sql"};

pg::TxOptions TenantOfRewards(const std::string& tenant, absl::Time deadline) {
  return {pg::Scope::Tenant(tenant), deadline};
}

absl::Status RequireProgramOfRewards(pg::Tx& tx, const ProgramKey& program) {
  pg::Args args;
  args.Add(program.tenant).Add(program.program);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kProgramOfRewards, args));
  return rows.empty() ? error::NotFound(NameOf(program)) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<StoredReward> RewardReader::GetReward(const RewardKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(TenantOfRewards(key.tenant, deadline), kGetReward, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadStoredReward(rows[0], 0);
}

absl::StatusOr<std::vector<StoredReward>> RewardReader::Rewards(const ProgramKey& program,
                                                                bool archived,
                                                                const std::string& after, int limit,
                                                                absl::Time deadline) {
  std::vector<StoredReward> rewards;
  CLM_RETURN_IF_ERROR(
      pool_.Read(TenantOfRewards(program.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
        rewards.clear();
        CLM_RETURN_IF_ERROR(RequireProgramOfRewards(tx, program));
        pg::Args args;
        args.Add(program.tenant).Add(program.program).Add(after).Add(limit).Add(archived);
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kRewards, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(StoredReward reward, ReadStoredReward(rows[i], 0));
          rewards.push_back(std::move(reward));
        }
        return absl::OkStatus();
      }));
  return rewards;
}

absl::StatusOr<StoredRedemption> RewardReader::GetRedemption(const RedemptionKey& key,
                                                             absl::Time deadline) {
  pg::Args args;
  args.Add(key.reward.tenant).Add(key.reward.program).Add(key.reward.id).Add(key.id);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query(TenantOfRewards(key.reward.tenant, deadline), kGetRedemption, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadRedemption(rows[0], 0);
}

absl::StatusOr<std::vector<StoredRedemption>> RewardReader::Redemptions(
    const ProgramKey& program, const Filter& filter, const std::optional<Uuid>& before, int limit,
    absl::Time deadline) {
  std::vector<StoredRedemption> redemptions;
  CLM_RETURN_IF_ERROR(
      pool_.Read(TenantOfRewards(program.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
        redemptions.clear();
        CLM_RETURN_IF_ERROR(RequireProgramOfRewards(tx, program));
        pg::Args args;
        args.Add(program.tenant).Add(program.program).Add(before).Add(limit);
        const pg::Statement* statement = &kRedemptions;
        if (filter.member || !filter.reward.empty()) {
          args.Add(filter.reward);
          statement = &kRedemptionsOfReward;
        }
        if (filter.member) {
          args.Add(*filter.member);
          statement = &kRedemptionsOfMember;
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(*statement, args));
        for (int i = 0; i < rows.size(); ++i) redemptions.push_back(ReadRedemption(rows[i], 0));
        return absl::OkStatus();
      }));
  return redemptions;
}

std::vector<const pg::Statement*> RewardReaderStatements() {
  return {&kProgramOfRewards,    &kGetReward,          &kRewards, &kGetRedemption, &kRedemptions,
          &kRedemptionsOfReward, &kRedemptionsOfMember};
}

}  // namespace clm::loyalty
