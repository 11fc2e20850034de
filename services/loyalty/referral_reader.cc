#include "services/loyalty/referral_reader.h"

#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/referral_proto.h"
#include "services/loyalty/referral_work.h"

namespace clm::loyalty {
namespace {

constexpr absl::Duration kBackground = absl::Seconds(30);

constexpr pg::Statement kProgramIsThere{"referral.program", R"sql(
  SELECT FROM program WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kGetReferral{"referral.get", "SELECT " CLM_REFERRAL_COLUMNS R"sql(
  FROM referral r WHERE r.tenant_id = $1::text AND r.program_id = $2::text AND r.id = $3::uuid
)sql"};

constexpr pg::Statement kGetCode{"referral.get_code", "SELECT " CLM_REFERRAL_CODE_COLUMNS R"sql(
  FROM referral_code c WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND c.id = $3::uuid)sql"};

constexpr pg::Statement kFindCode{"referral.find_code", "SELECT " CLM_REFERRAL_CODE_COLUMNS R"sql(
  FROM referral_code c WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND c.code = $3::text)sql"};

constexpr pg::Statement kCodes{"referral.codes", "SELECT " CLM_REFERRAL_CODE_COLUMNS R"sql(
  FROM referral_code c WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND ($3::uuid IS NULL OR c.id > $3::uuid)
    AND ($4::uuid IS NULL OR c.contact_id = coalesce((SELECT a.merged_into FROM contact_alias a
      WHERE a.tenant_id = $1::text AND a.contact_id = $4::uuid AND a.moved), $4::uuid))
  ORDER BY c.id LIMIT $5::int)sql"};

constexpr pg::Statement kReferrals{"referral.list", "SELECT " CLM_REFERRAL_COLUMNS R"sql(
  FROM referral r WHERE r.tenant_id = $1::text AND r.program_id = $2::text
    AND ($3::uuid IS NULL OR r.id > $3::uuid)
    AND ($4::uuid IS NULL OR r.advocate_id = coalesce((SELECT a.merged_into FROM contact_alias a
      WHERE a.tenant_id = $1::text AND a.contact_id = $4::uuid AND a.moved), $4::uuid))
    AND ($5::uuid IS NULL OR r.friend_id = coalesce((SELECT a.merged_into FROM contact_alias a
      WHERE a.tenant_id = $1::text AND a.contact_id = $5::uuid AND a.moved), $5::uuid))
    AND ($6::int = 0 OR r.state = $6::int)
  ORDER BY r.id LIMIT $7::int)sql"};

constexpr pg::Statement kDueReferrals{"referral.due", "SELECT " CLM_REFERRAL_COLUMNS R"sql(
  FROM referral r WHERE r.due_time < 'infinity' AND r.due_time <= $1::timestamptz
  ORDER BY r.due_time LIMIT $2::int)sql"};

constexpr pg::Statement kNextDueReferral{"referral.next_due", R"sql(
  SELECT r.due_time FROM referral r WHERE r.due_time < 'infinity' ORDER BY r.due_time LIMIT 1)sql"};

pg::TxOptions OfTenant(const std::string& tenant, absl::Time deadline) {
  return {pg::Scope::Tenant(tenant), deadline};
}

absl::Status ProgramIsThere(pg::Tx& tx, const ProgramKey& program) {
  pg::Args args;
  args.Add(program.tenant).Add(program.program);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kProgramIsThere, args));
  return rows.empty() ? error::NotFound(NameOf(program)) : absl::OkStatus();
}

absl::StatusOr<std::vector<StoredReferral>> ReadAll(const pg::Result& rows) {
  std::vector<StoredReferral> out;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredReferral referral, ReadReferral(rows[i]));
    out.push_back(std::move(referral));
  }
  return out;
}

}  // namespace

absl::StatusOr<StoredReferral> ReferralReader::GetReferral(const ReferralKey& key,
                                                           absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(OfTenant(key.tenant, deadline), kGetReferral, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadReferral(rows[0]);
}

absl::StatusOr<StoredReferralCode> ReferralReader::GetCode(const ReferralCodeKey& key,
                                                           absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(OfTenant(key.tenant, deadline), kGetCode, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadReferralCode(rows[0]);
}

absl::StatusOr<std::optional<StoredReferralCode>> FindReferralCodeIn(pg::Tx& tx,
                                                                     const ProgramKey& program,
                                                                     const std::string& code) {
  pg::Args args;
  args.Add(program.tenant).Add(program.program).Add(code);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kFindCode, args));
  if (rows.empty()) return std::nullopt;
  return ReadReferralCode(rows[0]);
}

absl::StatusOr<std::vector<StoredReferralCode>> ReferralReader::Codes(
    const ProgramKey& program, const std::optional<Uuid>& advocate,
    const std::optional<Uuid>& after, int limit, absl::Time deadline) {
  std::vector<StoredReferralCode> codes;
  CLM_RETURN_IF_ERROR(
      pool_.Read(OfTenant(program.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
        codes.clear();
        CLM_RETURN_IF_ERROR(ProgramIsThere(tx, program));
        pg::Args args;
        args.Add(program.tenant).Add(program.program).Add(after).Add(advocate).Add(limit);
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kCodes, args));
        for (int i = 0; i < rows.size(); ++i) codes.push_back(ReadReferralCode(rows[i]));
        return absl::OkStatus();
      }));
  return codes;
}

absl::StatusOr<std::vector<StoredReferral>> ReferralReader::Referrals(
    const ProgramKey& program, const Filter& filter, const std::optional<Uuid>& after, int limit,
    absl::Time deadline) {
  std::vector<StoredReferral> referrals;
  CLM_RETURN_IF_ERROR(
      pool_.Read(OfTenant(program.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
        CLM_RETURN_IF_ERROR(ProgramIsThere(tx, program));
        pg::Args args;
        args.Add(program.tenant).Add(program.program).Add(after).Add(filter.advocate);
        args.Add(filter.friend_contact).Add(filter.state).Add(limit);
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kReferrals, args));
        CLM_ASSIGN_OR_RETURN(referrals, ReadAll(rows));
        return absl::OkStatus();
      }));
  return referrals;
}

absl::StatusOr<std::vector<StoredReferral>> ReferralReader::Due(absl::Time now, int limit) {
  pg::Args args;
  args.Add(now).Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + kBackground}, kDueReferrals, args));
  return ReadAll(rows);
}

absl::StatusOr<absl::Time> ReferralReader::NextDue() {
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_.Query({pg::Scope::Suite(), absl::Now() + kBackground}, kNextDueReferral));
  return rows.empty() ? absl::InfiniteFuture() : rows[0].Time(0);
}

std::vector<const pg::Statement*> ReferralReaderStatements() {
  return {&kProgramIsThere, &kGetReferral, &kGetCode,      &kFindCode,
          &kCodes,          &kReferrals,   &kDueReferrals, &kNextDueReferral};
}

}  // namespace clm::loyalty
