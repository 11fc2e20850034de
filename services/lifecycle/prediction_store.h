// What predictions read: the purchases of a tenant, prepared customer by customer in one pass over
// its facts, and the models that were fitted. All SQL of the predictions is in the .cc of this file
// and in prediction_work.cc.
#ifndef CLM_SERVICES_LIFECYCLE_PREDICTION_STORE_H_
#define CLM_SERVICES_LIFECYCLE_PREDICTION_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "clm/lifecycle/v1/prediction_service.pb.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"
#include "services/lifecycle/prediction.h"

namespace clm::lifecycle {

struct PurchaseQuery {
  absl::CivilDay end;              // With this day.
  absl::CivilDay calibration_end;  // With this day; the end itself where nothing is held out.
  std::string currency;
  std::string product_property;  // Empty: all purchases.
  std::string product;
  std::optional<Uuid> contact;  // Only this one's.
};

struct HistoryBounds {
  std::optional<absl::CivilDay> first;  // With a purchase; none without any by the end.
  std::string currency;                 // That most of these purchases have; empty without one.
};

// Thread-safe.
class PredictionStore {
 public:
  explicit PredictionStore(pg::Pool* pool) : pool_(pool) {}

  // From when on there are purchases, by the end.
  absl::StatusOr<HistoryBounds> Bounds(const std::string& tenant, absl::Time deadline,
                                       const PurchaseQuery& query);
  // By contact.
  absl::StatusOr<std::vector<Buyer>> Buyers(const std::string& tenant, absl::Time deadline,
                                            const PurchaseQuery& query);
  // The same and the days, of one snapshot.
  absl::StatusOr<Purchases> Read(const std::string& tenant, absl::Time deadline,
                                 const PurchaseQuery& query);

  // NOT_FOUND, naming `name`.
  absl::StatusOr<v1::PredictionModel> Model(const std::string& tenant, const std::string& id,
                                            absl::Time deadline);
  // By id after `after`, `limit` at most.
  absl::StatusOr<std::vector<v1::PredictionModel>> Models(const std::string& tenant,
                                                          const std::string& after, int limit,
                                                          absl::Time deadline);

 private:
  pg::Pool* const pool_;
};

std::string PredictionModelName(const std::string& tenant, const std::string& id);

// Every statement, for the test that prepares them against the schema.
std::vector<const pg::Statement*> PredictionStatements();

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_PREDICTION_STORE_H_
