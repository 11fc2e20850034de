// The unit of work of new prediction models. Its lanes are their own (rare, small mutations), over
// the same journal, as those of the KPIs are. What takes long, the fit, is over before.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_WORK_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_WORK_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clm/lifecycle/v1/prediction_service.pb.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"

namespace clm::lifecycle {

class PredictionWork : public journal::Work {
 public:
  using Key = std::pair<std::string, std::string>;  // Tenant, id.

  // Before Load.
  void Need(const Key& key) { declared_.insert(key); }

  absl::Status Load(pg::Tx& tx) override;
  void Keep() override { fresh_.clear(); }
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;

  bool Exists(const Key& key) const { return known_.count(key) > 0 || added_.count(key) > 0; }
  // Models never change: there is no other way to write one.
  void Add(const Key& key, v1::PredictionModel model, absl::Time now);

 private:
  struct Added {
    std::string body;
    absl::Time create_time;
  };

  std::set<Key> declared_, known_;
  std::map<Key, Added> added_;
  std::vector<Key> fresh_;  // Added since the last Keep.
};

// Every statement, for the test that prepares them against the schema.
std::vector<const pg::Statement*> PredictionWorkStatements();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_WORK_H_
