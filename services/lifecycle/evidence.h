// Why a rule acted: the events that its trigger and its condition looked at. They are not stored
// with a move but found again from the customer's facts, which stay, and the rule as it was: rule
// and condition are asked once more, and what they look at is noted.
#ifndef CLM_SERVICES_LIFECYCLE_EVIDENCE_H_
#define CLM_SERVICES_LIFECYCLE_EVIDENCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/lifecycle/condition.h"
#include "services/lifecycle/customer.h"

namespace clm::lifecycle {

// Of more events than these, the latest are named.
inline constexpr int kMaxEvidence = 20;

struct Evidence {
  struct Item {
    const StoredFact* fact = nullptr;
    std::optional<int64_t> added;  // To the sum that the trigger asks for.
  };
  std::vector<Item> items;  // In order.
  int64_t count = 0;        // With those that were left out.
};

// What of a customer's history must be loaded to find the evidence for moves by `rule`.
absl::StatusOr<Needs> EvidenceNeeds(const Rule& rule);

// Finds the evidence for the moves of one customer. Not thread-safe.
class EvidenceFinder {
 public:
  // `facts`: the customer's, in order, with what EvidenceNeeds tells; both outlive this and what it
  // finds.
  EvidenceFinder(const Customer* customer, const std::vector<FactPtr>* facts);
  ~EvidenceFinder();

  // For a move that `rule` made in `situation`, whose history is not looked at and whose fact has
  // StoredFact details.
  absl::StatusOr<Evidence> Find(const Rule& rule, const Situation& situation);

 private:
  class Witness;
  const std::unique_ptr<Witness> witness_;
};

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_EVIDENCE_H_
