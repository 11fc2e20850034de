// The picture of a prediction model's comparison, as SVG: purchases of all customers week by week,
// and purchases per customer by how often they had bought, both as they came and as expected.
// Pure, safe from any thread; the same model gives the same bytes.
#ifndef CLM_TOOLS_CLM_PREDICTION_PLOT_H_
#define CLM_TOOLS_CLM_PREDICTION_PLOT_H_

#include <string>

#include "absl/status/statusor.h"
#include "clm/lifecycle/v1/prediction_service.pb.h"

namespace clm::cli {

// FAILED_PRECONDITION, reason NO_COMPARISON, when the model has none.
absl::StatusOr<std::string> PredictionPlot(const lifecycle::v1::PredictionModel& model);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_PREDICTION_PLOT_H_
