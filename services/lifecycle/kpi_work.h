// The unit of work of changes to the KPI catalogue. Its lanes are their own (rare, small
// mutations), over the same journal: the shard's row lock keeps them in order with the service's
// other lanes, as it does between processes.
#ifndef CLM_SERVICES_LIFECYCLE_KPI_WORK_H_
#define CLM_SERVICES_LIFECYCLE_KPI_WORK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "clm/lifecycle/v1/insights_service.pb.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/stage_model.h"

namespace clm::lifecycle {

struct KpiKey {
  std::string tenant;
  std::string id;
  friend auto operator<=>(const KpiKey&, const KpiKey&) = default;
};

struct KpiRow {
  v1::Kpi kpi;  // With its name.
  int64_t row_version = 1;
  absl::Time create_time;
  absl::Time update_time;
};

class KpiWork : public journal::Work {
 public:
  // Before Load.
  void Need(const KpiKey& key) { declared_.insert(key); }
  // The models of the KPIs that are there are loaded without being asked for.
  void NeedModel(const std::string& tenant, const std::string& model) { models_[{tenant, model}]; }

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { undo_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;

  // Null when there is none.
  const KpiRow* Find(const KpiKey& key) const;
  const StageModel* Model(const std::string& tenant, const std::string& model) const;
  // Adds, replaces or, without a row, removes.
  void Put(const KpiKey& key, std::optional<KpiRow> row);

 private:
  std::set<KpiKey> declared_;
  std::map<KpiKey, std::optional<KpiRow>> rows_;
  std::map<KpiKey, std::optional<KpiRow>> undo_;  // As they were at the last Keep.
  std::set<KpiKey> dirty_;
  std::map<std::pair<std::string, std::string>, std::optional<StageModel>> models_;
};

std::vector<const pg::Statement*> KpiStatements();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_KPI_WORK_H_
