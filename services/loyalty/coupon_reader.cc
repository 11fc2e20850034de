#include "services/loyalty/coupon_reader.h"

#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/coupon_row.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kProgram{"coupon.program", R"sql(
  SELECT FROM program WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kGetCoupon{
    "coupon.get", "SELECT " CLM_COUPON_COLUMNS " FROM coupon c " CLM_COUPON_DETAILS("$4") R"sql(
  WHERE c.tenant_id = $1::text AND c.program_id = $2::text AND c.id = $3::uuid)sql"};

constexpr pg::Statement kFindCoupon{
    "coupon.find", "SELECT " CLM_COUPON_COLUMNS " FROM coupon c " CLM_COUPON_DETAILS("$4") R"sql(
  WHERE c.tenant_id = $1::text AND c.program_id = $2::text AND c.code = $3::text)sql"};

constexpr pg::Statement kCoupons{
    "coupon.list", "SELECT " CLM_COUPON_COLUMNS " FROM coupon c " CLM_COUPON_DETAILS("$3") R"sql(
  WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND ($4::uuid IS NULL OR c.id > $4::uuid)
  ORDER BY c.id LIMIT $5::int)sql"};

constexpr pg::Statement kCouponsOfBatch{"coupon.list_batch",
                                        "SELECT " CLM_COUPON_COLUMNS
                                        " FROM coupon c " CLM_COUPON_DETAILS("$3") R"sql(
  WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND ($4::uuid IS NULL OR c.id > $4::uuid) AND c.batch = $6::text AND c.batch <> ''
  ORDER BY c.id LIMIT $5::int)sql"};

constexpr pg::Statement kCouponsOfMember{"coupon.list_member",
                                         "SELECT " CLM_COUPON_COLUMNS
                                         " FROM coupon c " CLM_COUPON_DETAILS("$3") R"sql(
  WHERE c.tenant_id = $1::text AND c.program_id = $2::text
    AND ($4::uuid IS NULL OR c.id > $4::uuid) AND ($6::text = '' OR c.batch = $6::text)
    AND c.contact_id = ANY ($7::uuid[])
  ORDER BY c.id LIMIT $5::int)sql"};

// All names of a person.
constexpr pg::Statement kNames{"coupon.names", R"sql(
  SELECT p.id FROM (SELECT coalesce((SELECT a.merged_into FROM contact_alias a
    WHERE a.tenant_id = $1::text AND a.contact_id = $2::uuid), $2::uuid) AS id) p
  UNION ALL
  SELECT x.contact_id FROM contact_alias x WHERE x.tenant_id = $1::text
    AND x.merged_into = coalesce((SELECT a.merged_into FROM contact_alias a
      WHERE a.tenant_id = $1::text AND a.contact_id = $2::uuid), $2::uuid))sql"};

constexpr pg::Statement kGetUse{"coupon.get_use",
                                "SELECT " CLM_COUPON_USE_COLUMNS
                                " FROM coupon_use u " CLM_COUPON_USE_DETAILS R"sql(
  WHERE u.tenant_id = $1::text AND u.program_id = $2::text AND u.coupon_id = $3::uuid
    AND u.id = $4::uuid)sql"};

constexpr pg::Statement kUses{"coupon.uses", "SELECT " CLM_COUPON_USE_COLUMNS
                                             " FROM coupon_use u " CLM_COUPON_USE_DETAILS R"sql(
  WHERE u.tenant_id = $1::text AND u.program_id = $2::text AND u.coupon_id = $3::uuid
    AND ($4::uuid IS NULL OR u.id < $4::uuid)
  ORDER BY u.id DESC LIMIT $5::int)sql"};

constexpr pg::Statement kGetBudget{"coupon.get_budget",
                                   "SELECT " CLM_COUPON_BUDGET_COLUMNS
                                   " FROM coupon_budget b " CLM_COUPON_BUDGET_DETAILS("$4") R"sql(
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.id = $3::text)sql"};

constexpr pg::Statement kBudgets{"coupon.budgets",
                                 "SELECT " CLM_COUPON_BUDGET_COLUMNS
                                 " FROM coupon_budget b " CLM_COUPON_BUDGET_DETAILS("$3") R"sql(
  WHERE b.tenant_id = $1::text AND b.program_id = $2::text AND b.id > $4::text
  ORDER BY b.id LIMIT $5::int)sql"};

pg::TxOptions ForTenant(const std::string& tenant, absl::Time deadline) {
  return {pg::Scope::Tenant(tenant), deadline};
}

absl::Status RequireProgram(pg::Tx& tx, const ProgramKey& program) {
  pg::Args args;
  args.Add(program.tenant).Add(program.program);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kProgram, args));
  return rows.empty() ? error::NotFound(NameOf(program)) : absl::OkStatus();
}

absl::StatusOr<std::vector<Uuid>> NamesOf(pg::Tx& tx, const std::string& tenant,
                                          const Uuid& contact) {
  pg::Args args;
  args.Add(tenant).Add(contact);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kNames, args));
  std::vector<Uuid> names;
  for (int i = 0; i < rows.size(); ++i) names.push_back(rows[i].Uuid(0));
  return names;
}

}  // namespace

absl::StatusOr<std::optional<StoredCoupon>> FindCouponIn(pg::Tx& tx, const ProgramKey& program,
                                                         const std::string& code, absl::Time now) {
  pg::Args args;
  args.Add(program.tenant).Add(program.program).Add(code).Add(now);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kFindCoupon, args));
  if (rows.empty()) return std::nullopt;
  CLM_ASSIGN_OR_RETURN(StoredCoupon coupon, ReadCoupon(rows[0], 0));
  return coupon;
}

absl::StatusOr<StoredCoupon> CouponReader::GetCoupon(const CouponKey& key, absl::Time now,
                                                     absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id).Add(now);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kGetCoupon, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadCoupon(rows[0], 0);
}

absl::StatusOr<std::vector<StoredCoupon>> CouponReader::Coupons(const ProgramKey& program,
                                                                const Filter& filter,
                                                                const std::optional<Uuid>& after,
                                                                int limit, absl::Time now,
                                                                absl::Time deadline) {
  std::vector<StoredCoupon> coupons;
  CLM_RETURN_IF_ERROR(
      pool_.Read(ForTenant(program.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
        coupons.clear();
        CLM_RETURN_IF_ERROR(RequireProgram(tx, program));
        pg::Args args;
        args.Add(program.tenant).Add(program.program).Add(now).Add(after).Add(limit);
        const pg::Statement* statement = &kCoupons;
        if (filter.member || !filter.batch.empty()) {
          args.Add(filter.batch);
          statement = &kCouponsOfBatch;
        }
        if (filter.member) {
          CLM_ASSIGN_OR_RETURN(auto names, NamesOf(tx, program.tenant, *filter.member));
          args.AddArray(std::move(names));
          statement = &kCouponsOfMember;
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(*statement, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(StoredCoupon coupon, ReadCoupon(rows[i], 0));
          coupons.push_back(std::move(coupon));
        }
        return absl::OkStatus();
      }));
  return coupons;
}

absl::StatusOr<CouponUse> CouponReader::GetUse(const CouponUseKey& key, absl::Time now,
                                               absl::Time deadline) {
  pg::Args args;
  args.Add(key.coupon.tenant).Add(key.coupon.program).Add(key.coupon.id).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.coupon.tenant, deadline), kGetUse, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadCouponUse(rows[0], 0, now);
}

absl::StatusOr<std::vector<CouponUse>> CouponReader::Uses(const CouponKey& key,
                                                          const std::optional<Uuid>& before,
                                                          int limit, absl::Time now,
                                                          absl::Time deadline) {
  CLM_RETURN_IF_ERROR(GetCoupon(key, now, deadline).status());
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id).Add(before).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kUses, args));
  std::vector<CouponUse> uses;
  for (int i = 0; i < rows.size(); ++i) uses.push_back(ReadCouponUse(rows[i], 0, now));
  return uses;
}

absl::StatusOr<StoredCouponBudget> CouponReader::GetBudget(const CouponBudgetKey& key,
                                                           absl::Time now, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id).Add(now);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query(ForTenant(key.tenant, deadline), kGetBudget, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadCouponBudget(rows[0], 0);
}

absl::StatusOr<std::vector<StoredCouponBudget>> CouponReader::Budgets(const ProgramKey& program,
                                                                      const std::string& after,
                                                                      int limit, absl::Time now,
                                                                      absl::Time deadline) {
  std::vector<StoredCouponBudget> budgets;
  CLM_RETURN_IF_ERROR(
      pool_.Read(ForTenant(program.tenant, deadline), [&](pg::Tx& tx) -> absl::Status {
        budgets.clear();
        CLM_RETURN_IF_ERROR(RequireProgram(tx, program));
        pg::Args args;
        args.Add(program.tenant).Add(program.program).Add(now).Add(after).Add(limit);
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kBudgets, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(StoredCouponBudget budget, ReadCouponBudget(rows[i], 0));
          budgets.push_back(std::move(budget));
        }
        return absl::OkStatus();
      }));
  return budgets;
}

absl::Status CouponReader::Load(const std::string& tenant, CouponWork& work, absl::Time deadline) {
  return pool_.Read(
      ForTenant(tenant, deadline), [&](pg::Tx& tx) { return work.Load(tx); },
      /*repeatable=*/true);
}

std::vector<const pg::Statement*> CouponReaderStatements() {
  return {&kProgram, &kGetCoupon, &kFindCoupon, &kCoupons,   &kCouponsOfBatch, &kCouponsOfMember,
          &kNames,   &kGetUse,    &kUses,       &kGetBudget, &kBudgets};
}

}  // namespace clm::loyalty
