#include "services/loyalty/program_rows.h"

#include <utility>

#include "libs/base/status_macros.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadPrograms{"loyalty.load_programs", R"sql(
  SELECT p.tenant_id, p.id, p.body, p.create_time, p.update_time, p.version
  FROM unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM program p WHERE p.tenant_id = w.tenant_id AND p.id = w.id
    OFFSET 0) p)sql"};

constexpr pg::Statement kLoadProgramsOf{"loyalty.load_programs_of", R"sql(
  SELECT p.tenant_id, p.id, p.body, p.create_time, p.update_time, p.version
  FROM unnest($1::text[]) AS w (tenant_id)
  CROSS JOIN LATERAL (SELECT * FROM program p WHERE p.tenant_id = w.tenant_id OFFSET 0) p
  ORDER BY p.tenant_id, p.id)sql"};

absl::StatusOr<std::vector<Program>> ReadPrograms(pg::Tx& tx, const pg::Statement& statement,
                                                  const pg::Args& args) {
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(statement, args));
  std::vector<Program> programs;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(Program program, ReadProgram(rows[i]));
    programs.push_back(std::move(program));
  }
  return programs;
}

}  // namespace

absl::StatusOr<std::vector<Program>> LoadPrograms(pg::Tx& tx, const std::vector<ProgramKey>& keys) {
  if (keys.empty()) return std::vector<Program>();
  std::vector<std::string> tenants, ids;
  for (const ProgramKey& key : keys) {
    tenants.push_back(key.tenant);
    ids.push_back(key.program);
  }
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(ids));
  return ReadPrograms(tx, kLoadPrograms, args);
}

absl::StatusOr<std::vector<Program>> LoadProgramsOf(pg::Tx& tx, std::vector<std::string> tenants) {
  if (tenants.empty()) return std::vector<Program>();
  pg::Args args;
  args.AddArray(std::move(tenants));
  return ReadPrograms(tx, kLoadProgramsOf, args);
}

std::vector<const pg::Statement*> ProgramRowsStatements() {
  return {&kLoadPrograms, &kLoadProgramsOf};
}

}  // namespace clm::loyalty
