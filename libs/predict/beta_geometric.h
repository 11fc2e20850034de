// The formulas of the BG/NBD and of its sister, the MBG/NBD, on plain numbers of one unit of time.
// PurchaseModel checks what comes in; here everything is valid.
//
// The two differ in whether a customer may leave after the first purchase. With `first` 0 (BG/NBD)
// or 1 (MBG/NBD), the formulas of both are the same: a customer with x repeat purchases has stayed
// after x - 1 + first purchases for sure, and after one more if still alive.
#ifndef CLM_LIBS_PREDICT_BETA_GEOMETRIC_H_
#define CLM_LIBS_PREDICT_BETA_GEOMETRIC_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace clm::predict::beta_geometric {

struct Parameters {
  double r = 0, alpha = 0, a = 0, b = 0;
  int first = 0;
};

// x, t_x, T of `weight` customers.
struct Row {
  double x = 0, recency = 0, age = 0, weight = 1;
};

double PAlive(const Parameters& p, double x, double recency, double age);
double Expected(const Parameters& p, double horizon);
// Of somebody who is alive at the end of the observation.
double ExpectedIfAlive(const Parameters& p, double x, double age, double horizon);
double ProbabilityOf(const Parameters& p, int64_t count, double horizon);
double LogLikelihood(const Parameters& p, const Row& row);

// The log-likelihood of many, and its gradient by ln r, ln alpha, ln a, ln b. What depends on x
// alone is computed once for each x. Rows are in order of x.
double LogLikelihood(const Parameters& p, absl::Span<const Row> rows,
                     std::vector<double>* gradient);

}  // namespace clm::predict::beta_geometric

#endif  // CLM_LIBS_PREDICT_BETA_GEOMETRIC_H_
