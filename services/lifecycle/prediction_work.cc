#include "services/lifecycle/prediction_work.h"

#include "libs/base/status_macros.h"

namespace clm::lifecycle {
namespace {

constexpr pg::Statement kKnown{"prediction.known", R"sql(
  SELECT m.tenant_id, m.id
  FROM unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  JOIN prediction_model m ON m.tenant_id = w.tenant_id AND m.id = w.id)sql"};

constexpr pg::Statement kAdd{"prediction.add", R"sql(
  INSERT INTO prediction_model (tenant_id, id, body, create_time)
  SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[]))sql"};

}  // namespace

absl::Status PredictionWork::Load(pg::Tx& tx) {
  if (declared_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, ids;
  for (const auto& [tenant, id] : declared_) {
    tenants.push_back(tenant);
    ids.push_back(id);
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kKnown, args));
  for (int i = 0; i < rows.size(); ++i) {
    known_.insert({std::string(rows[i].Text(0)), std::string(rows[i].Text(1))});
  }
  return absl::OkStatus();
}

void PredictionWork::Discard() {
  for (const Key& key : fresh_) added_.erase(key);
  fresh_.clear();
}

absl::Status PredictionWork::Flush(pg::Tx& tx) {
  Discard();
  if (added_.empty()) return absl::OkStatus();
  std::vector<std::string> tenants, ids, bodies;
  std::vector<absl::Time> times;
  for (const auto& [key, added] : added_) {
    tenants.push_back(key.first);
    ids.push_back(key.second);
    bodies.push_back(added.body);
    times.push_back(added.create_time);
  }
  pg::Args args;
  args.AddArray(tenants).AddArray(ids).AddBytesArray(bodies).AddArray(times);
  return tx.Exec(kAdd, args).status();
}

void PredictionWork::Add(const Key& key, v1::PredictionModel model, absl::Time now) {
  added_[key] = {model.SerializeAsString(), now};
  fresh_.push_back(key);
}

std::vector<const pg::Statement*> PredictionWorkStatements() { return {&kKnown, &kAdd}; }

}  // namespace clm::lifecycle
