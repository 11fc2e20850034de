#include "services/loyalty/adjustment_reader.h"

#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/adjustment_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kGetAdjustment{"adjustment.get",
                                       "SELECT " CLM_ADJUSTMENT_COLUMNS
                                       " FROM adjustment d " CLM_ADJUSTMENT_DETAILS R"sql(
  WHERE d.tenant_id = $1::text AND d.program_id = $2::text AND d.id = $3::uuid)sql"};

constexpr pg::Statement kProgramOfAdjustments{"adjustment.program", R"sql(
  SELECT FROM program WHERE tenant_id = $1::text AND id = $2::text)sql"};

// What has lapsed is stored as proposed.
constexpr pg::Statement kListAdjustments{"adjustment.list",
                                         "SELECT " CLM_ADJUSTMENT_COLUMNS
                                         " FROM adjustment d " CLM_ADJUSTMENT_DETAILS R"sql(
  WHERE d.tenant_id = $1::text AND d.program_id = $2::text
    AND ($3::uuid IS NULL OR d.id < $3::uuid)
    AND ($4::uuid IS NULL OR d.contact_id = coalesce((SELECT x.merged_into FROM contact_alias x
      WHERE x.tenant_id = $1::text AND x.contact_id = $4::uuid AND x.moved), $4::uuid))
    AND CASE $5::int WHEN 0 THEN true
      WHEN 1 THEN d.state = 1 AND d.lapse_time > $6::timestamptz
      WHEN 4 THEN d.state = 1 AND d.lapse_time <= $6::timestamptz
      ELSE d.state = $5::int END
  ORDER BY d.id DESC LIMIT $7::int)sql"};

}  // namespace

absl::StatusOr<Adjustment> AdjustmentReader::Get(const AdjustmentKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, pool_.Query({pg::Scope::Tenant(key.tenant), deadline},
                                                          kGetAdjustment, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadAdjustment(rows[0], 0);
}

absl::StatusOr<std::vector<Adjustment>> AdjustmentReader::List(const Query& query,
                                                               absl::Time deadline) {
  pg::Args program;
  program.Add(query.program.tenant).Add(query.program.program);
  pg::Args args = program;
  args.Add(query.before).Add(query.member);
  args.Add(query.state ? static_cast<int64_t>(*query.state) : 0).Add(query.now).Add(query.limit);
  std::vector<Adjustment> adjustments;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {pg::Scope::Tenant(query.program.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        adjustments.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result known, tx.Exec(kProgramOfAdjustments, program));
        if (known.empty()) return error::NotFound(NameOf(query.program));
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kListAdjustments, args));
        for (int i = 0; i < rows.size(); ++i) adjustments.push_back(ReadAdjustment(rows[i], 0));
        return absl::OkStatus();
      }));
  return adjustments;
}

std::vector<const pg::Statement*> AdjustmentReaderStatements() {
  return {&kGetAdjustment, &kProgramOfAdjustments, &kListAdjustments};
}

}  // namespace clm::loyalty
