// The points that customers collect by what a ContactLoad tells of them: whatever dies meanwhile,
// in the end each purchase has earned once, and the ledger with its tiers is sound.
#ifndef CLM_TESTS_CHAOS_PURCHASE_POINTS_H_
#define CLM_TESTS_CHAOS_PURCHASE_POINTS_H_

#include <string>
#include <vector>

#include "tests/chaos/harness.h"

namespace clm::chaos {

class PurchasePoints {
 public:
  // Gives each tenant a programme with a point for each euro, and tiers. `world` has a loyalty
  // process, and outlives it.
  explicit PurchasePoints(World* world,
                          std::vector<std::string> tenants = {"acme", "globex", "initech"});

  // After the load: waits until everything is heard.
  void ExpectEachPurchaseEarnedOnce();

 private:
  World& world_;
  const std::vector<std::string> tenants_;
};

}  // namespace clm::chaos

#endif  // CLM_TESTS_CHAOS_PURCHASE_POINTS_H_
