// When not to predict (A-09 of the insights capabilities): what the data of a tenant must have
// before a model is fitted to them. The defaults are those that Klaviyo publishes for its own
// predictions.
//
// Pure.
#ifndef CLM_LIBS_PREDICT_READINESS_H_
#define CLM_LIBS_PREDICT_READINESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace clm::predict {

// Of the purchases up to the end of the observation.
struct DataFacts {
  int64_t customers = 0;             // With at least one.
  int64_t customers_with_three = 0;  // With purchases on three days or more.
  int64_t history_days = 0;          // From the first of all to the end.
  int64_t days_since_last = 0;       // From the last of all to the end.
};

struct DataRequirements {
  int64_t customers = 500;
  int64_t customers_with_three = 1;
  int64_t history_days = 180;
  int64_t days_since_last = 30;  // At most.
  int64_t horizon_days = 365;    // At most.
};

struct UnmetCondition {
  std::string condition;  // "customers", "customers_with_three", ...: the member's name.
  int64_t required = 0;
  int64_t found = 0;
  std::string message;
  bool operator==(const UnmetCondition&) const = default;
};

// Every one of them, not just the first; in the order of DataRequirements.
std::vector<UnmetCondition> UnmetConditions(const DataFacts& facts, int64_t horizon_days,
                                            const DataRequirements& requirements = {});

// FAILED_PRECONDITION, reason PREDICTION_DATA_INSUFFICIENT; the message names every condition, the
// metadata have "condition": "found/required". OK when there is none.
absl::Status Refuse(absl::Span<const UnmetCondition> unmet);

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_READINESS_H_
