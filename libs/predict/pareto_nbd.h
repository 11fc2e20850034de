// The formulas of the Pareto/NBD on plain numbers of one unit of time. PurchaseModel checks what
// comes in; here everything is valid.
#ifndef CLM_LIBS_PREDICT_PARETO_NBD_H_
#define CLM_LIBS_PREDICT_PARETO_NBD_H_

#include <cstdint>

#include "absl/types/span.h"
#include "libs/predict/beta_geometric.h"

namespace clm::predict::pareto_nbd {

struct Parameters {
  double r = 0, alpha = 0, s = 0, beta = 0;
};

using Row = beta_geometric::Row;

double PAlive(const Parameters& p, double x, double recency, double age);
double Expected(const Parameters& p, double horizon);
// Of somebody who is alive at the end of the observation.
double ExpectedIfAlive(const Parameters& p, double x, double age, double horizon);
double ProbabilityOf(const Parameters& p, int64_t count, double horizon);
double LogLikelihood(const Parameters& p, const Row& row);
// What depends on x alone is computed once for each x. Rows are in order of x.
double LogLikelihood(const Parameters& p, absl::Span<const Row> rows);

}  // namespace clm::predict::pareto_nbd

#endif  // CLM_LIBS_PREDICT_PARETO_NBD_H_
