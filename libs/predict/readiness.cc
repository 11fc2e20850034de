#include "libs/predict/readiness.h"

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::predict {

std::vector<UnmetCondition> UnmetConditions(const DataFacts& facts, int64_t horizon_days,
                                            const DataRequirements& requirements) {
  std::vector<UnmetCondition> unmet;
  const auto at_least = [&](const char* name, int64_t required, int64_t found, const char* what) {
    if (found >= required) return;
    unmet.push_back({name, required, found, absl::StrCat(what, ": ", found, " of ", required)});
  };
  const auto at_most = [&](const char* name, int64_t required, int64_t found, const char* what) {
    if (found <= required) return;
    unmet.push_back(
        {name, required, found, absl::StrCat(what, ": ", found, ", at most ", required)});
  };
  at_least("customers", requirements.customers, facts.customers, "customers with a purchase");
  at_least("customers_with_three", requirements.customers_with_three, facts.customers_with_three,
           "customers with purchases on three days or more");
  at_least("history_days", requirements.history_days, facts.history_days, "days of history");
  at_most("days_since_last", requirements.days_since_last, facts.days_since_last,
          "days since the last purchase");
  at_most("horizon_days", requirements.horizon_days, horizon_days, "days of the horizon");
  return unmet;
}

absl::Status Refuse(absl::Span<const UnmetCondition> unmet) {
  if (unmet.empty()) return absl::OkStatus();
  std::string message = "the data do not suffice for a prediction";
  error::Metadata metadata;
  for (const UnmetCondition& each : unmet) {
    absl::StrAppend(&message, metadata.empty() ? ": " : "; ", each.message);
    metadata.emplace_back(each.condition, absl::StrCat(each.found, "/", each.required));
  }
  return error::Precondition("PREDICTION_DATA_INSUFFICIENT", message, metadata);
}

}  // namespace clm::predict
