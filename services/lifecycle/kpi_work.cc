#include "services/lifecycle/kpi_work.h"

#include <utility>

#include "clm/lifecycle/v1/lifecycle.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/pg/key_args.h"
#include "services/lifecycle/lifecycle_proto.h"

namespace clm::lifecycle {
namespace {

constexpr pg::Statement kLoad{"kpi.load", R"sql(
  SELECT k.tenant_id, k.id, k.body, k.row_version, k.create_time, k.update_time
  FROM unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM kpi k WHERE k.tenant_id = w.tenant_id AND k.id = w.id
    OFFSET 0) k)sql"};

constexpr pg::Statement kModels{"kpi.models", R"sql(
  SELECT m.tenant_id, m.id, m.body
  FROM unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  CROSS JOIN LATERAL (SELECT * FROM stage_model m WHERE m.tenant_id = w.tenant_id AND m.id = w.id
    OFFSET 0) m)sql"};

constexpr pg::Statement kSave{"kpi.save", R"sql(
  INSERT INTO kpi (tenant_id, id, body, row_version, create_time, update_time)
  SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::timestamptz[],
                       $6::timestamptz[])
  ON CONFLICT (tenant_id, id) DO UPDATE SET
    (body, row_version, update_time) =
    (excluded.body, excluded.row_version, excluded.update_time))sql"};

constexpr pg::Statement kDelete{"kpi.delete", R"sql(
  DELETE FROM kpi k USING unnest($1::text[], $2::text[]) AS w (tenant_id, id)
  WHERE k.tenant_id = w.tenant_id AND k.id = w.id)sql"};

}  // namespace

absl::Status KpiWork::Load(pg::Tx& tx) {
  if (!declared_.empty()) {
    std::vector<std::string> tenants, ids;
    for (const KpiKey& key : declared_) {
      rows_[key] = std::nullopt;
      tenants.push_back(key.tenant);
      ids.push_back(key.id);
    }
    pg::Args args;
    args.AddArray(tenants).AddArray(ids);
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoad, args));
    for (int i = 0; i < rows.size(); ++i) {
      const pg::Row row = rows[i];
      KpiRow kpi{.row_version = row.Int(3), .create_time = row.Time(4), .update_time = row.Time(5)};
      if (!kpi.kpi.ParseFromString(row.Bytes(2))) {
        return error::Internal("a stored KPI does not parse");
      }
      const std::string tenant(row.Text(0));
      const auto model = ParseModelName("model", kpi.kpi.model());
      if (model.ok() && model->tenant == tenant) NeedModel(tenant, model->model);
      kpi.kpi.set_etag(Etag(kpi.row_version));
      rows_[{tenant, std::string(row.Text(1))}] = std::move(kpi);
    }
  }
  if (!models_.empty()) {
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kModels, pg::KeyArgs(models_)));
    for (int i = 0; i < rows.size(); ++i) {
      const std::string id(rows[i].Text(1));
      v1::StageModel model;
      if (!model.ParseFromString(rows[i].Bytes(2))) {
        return error::Internal("a stored stage model does not parse");
      }
      models_[{std::string(rows[i].Text(0)), id}] = FromProto(model, id);
    }
  }
  return absl::OkStatus();
}

void KpiWork::Discard() {
  for (auto& [key, row] : undo_) rows_[key] = std::move(row);
  undo_.clear();
}

absl::Status KpiWork::Flush(pg::Tx& tx) {
  Discard();
  std::vector<std::string> tenants, ids, bodies, gone_tenants, gone_ids;
  std::vector<int64_t> versions;
  std::vector<absl::Time> created, updated;
  for (const KpiKey& key : dirty_) {
    const std::optional<KpiRow>& row = rows_.at(key);
    if (!row) {
      gone_tenants.push_back(key.tenant);
      gone_ids.push_back(key.id);
      continue;
    }
    tenants.push_back(key.tenant);
    ids.push_back(key.id);
    bodies.push_back(row->kpi.SerializeAsString());
    versions.push_back(row->row_version);
    created.push_back(row->create_time);
    updated.push_back(row->update_time);
  }
  if (!tenants.empty()) {
    pg::Args args;
    args.AddArray(tenants).AddArray(ids).AddBytesArray(bodies).AddArray(versions);
    args.AddArray(created).AddArray(updated);
    CLM_RETURN_IF_ERROR(tx.Exec(kSave, args).status());
  }
  if (gone_tenants.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(gone_tenants).AddArray(gone_ids);
  return tx.Exec(kDelete, args).status();
}

const KpiRow* KpiWork::Find(const KpiKey& key) const {
  const auto it = rows_.find(key);
  return it == rows_.end() || !it->second ? nullptr : &*it->second;
}

const StageModel* KpiWork::Model(const std::string& tenant, const std::string& model) const {
  const auto it = models_.find({tenant, model});
  return it == models_.end() || !it->second ? nullptr : &*it->second;
}

void KpiWork::Put(const KpiKey& key, std::optional<KpiRow> row) {
  std::optional<KpiRow>& now = rows_[key];
  undo_.try_emplace(key, now);
  now = std::move(row);
  dirty_.insert(key);
}

std::vector<const pg::Statement*> KpiStatements() { return {&kLoad, &kModels, &kSave, &kDelete}; }

}  // namespace clm::lifecycle
