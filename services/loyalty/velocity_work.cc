#include "services/loyalty/velocity_work.h"

#include <utility>

#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadVelocity{"velocity.load", R"sql(
  SELECT w.place, v.limit_id, v.start, v.requests, v.points
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::smallint[]) AS kind, unnest($4::uuid[]) AS subject,
               generate_subscripts($4::uuid[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM velocity_count v WHERE v.tenant_id = w.tenant_id
    AND v.program_id = w.program_id AND v.kind = w.kind AND v.subject = w.subject OFFSET 0) v)sql"};

// One row for each subject and limit: a new period takes the place of the one before.
constexpr pg::Statement kSaveVelocity{"velocity.save", R"sql(
  INSERT INTO velocity_count (tenant_id, program_id, kind, subject, limit_id, start, requests,
                              points)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::smallint[]), unnest($4::uuid[]),
         unnest($5::text[]), unnest($6::timestamptz[]), unnest($7::bigint[]), unnest($8::bigint[])
  ON CONFLICT (tenant_id, program_id, kind, subject, limit_id) DO UPDATE SET
    (start, requests, points) = (excluded.start, excluded.requests, excluded.points))sql"};

}  // namespace

absl::Status VelocityWork::Load(pg::Tx& tx,
                                absl::FunctionRef<const Program*(const ProgramKey&)> find) {
  std::vector<std::string> tenants, programs;
  std::vector<int64_t> kinds;
  std::vector<Uuid> subjects;
  std::vector<Slot*> places;
  for (auto& [key, slot] : subjects_) {
    if (std::exchange(slot.loaded, true)) continue;
    const Program* program = find(key.program);
    if (program == nullptr || program->velocity_limits.empty()) continue;
    tenants.push_back(key.program.tenant);
    programs.push_back(key.program.program);
    kinds.push_back(static_cast<int64_t>(key.subject));
    subjects.push_back(key.id);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(kinds));
  args.AddArray(std::move(subjects));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadVelocity, args));
  for (int i = 0; i < rows.size(); ++i) {
    places[rows[i].Int(0) - 1]->counts[std::string(rows[i].Text(1))] = {
        rows[i].Time(2), rows[i].Int(3), rows[i].Int(4)};
  }
  return absl::OkStatus();
}

absl::Status VelocityWork::Check(const Program& program, const VelocityKey& key,
                                 VelocityOperation operation, int64_t points,
                                 absl::Time now) const {
  for (const VelocityLimit& limit : program.velocity_limits) {
    if (limit.operation != operation || limit.subject != key.subject) continue;
    const auto slot = subjects_.find(key);
    if (slot == subjects_.end() || !slot->second.loaded) {
      return error::Internal("a velocity limit was not loaded");
    }
    const auto count = slot->second.counts.find(limit.id);
    CLM_RETURN_IF_ERROR(
        CountRequest(limit, count == slot->second.counts.end() ? VelocityCount() : count->second,
                     points, now, ZoneOf(program))
            .status());
  }
  return absl::OkStatus();
}

absl::Status VelocityWork::Count(const Program& program, const VelocityKey& key,
                                 VelocityOperation operation, int64_t points, absl::Time now) {
  for (const VelocityLimit& limit : program.velocity_limits) {
    if (limit.operation != operation || limit.subject != key.subject) continue;
    Slot& slot = subjects_.at(key);
    VelocityCount& count = slot.counts[limit.id];
    CLM_ASSIGN_OR_RETURN(VelocityCount after,
                         CountRequest(limit, count, points, now, ZoneOf(program)));
    undo_.emplace_back([&count, before = count] { count = before; });
    count = after;
    slot.dirty = true;
  }
  return absl::OkStatus();
}

void VelocityWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status VelocityWork::Flush(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, limits;
  std::vector<int64_t> kinds, requests, points;
  std::vector<Uuid> subjects;
  std::vector<absl::Time> starts;
  for (const auto& [key, slot] : subjects_) {
    if (!slot.dirty) continue;
    for (const auto& [limit, count] : slot.counts) {
      if (count.requests == 0) continue;
      tenants.push_back(key.program.tenant);
      programs.push_back(key.program.program);
      kinds.push_back(static_cast<int64_t>(key.subject));
      subjects.push_back(key.id);
      limits.push_back(limit);
      starts.push_back(count.start);
      requests.push_back(count.requests);
      points.push_back(count.points);
    }
  }
  if (limits.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(kinds));
  args.AddArray(std::move(subjects)).AddArray(std::move(limits)).AddArray(std::move(starts));
  args.AddArray(std::move(requests)).AddArray(std::move(points));
  return tx.Exec(kSaveVelocity, args).status();
}

std::vector<const pg::Statement*> VelocityWorkStatements() {
  return {&kLoadVelocity, &kSaveVelocity};
}

}  // namespace clm::loyalty
