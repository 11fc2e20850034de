// How often customers without a contract buy, and whether they still do: the "buy till you die"
// models. While alive, a customer buys at random times at a rate of one's own, which over the
// customers follows a gamma distribution (r, alpha). How customers leave tells the models apart:
//
//   BG/NBD      after any purchase with a probability of one's own, beta distributed (a, b):
//               Fader, Hardie, Lee, "Counting Your Customers" the Easy Way, Marketing Science
//               24(2), 2005. Who has bought once only has never left.
//   MBG/NBD     as before, and after the first purchase, too: Batislam, Denizel, Filiztekin,
//               Empirical validation and comparison of models for customer base analysis, Int. J.
//               of Research in Marketing 24(3), 2007.
//   Pareto/NBD  at a random time, at a rate that is gamma distributed (s, beta): Schmittlein,
//               Morrison, Colombo, Management Science 33(1), 1987; likelihood as in Fader, Hardie,
//               A note on deriving the Pareto/NBD model, 2005.
//
// A model knows the unit of time of its parameters and converts every span that it is given.
//
// Immutable, pure, safe to use from any thread. Whatever is valid gives a finite result; what is
// not is INVALID_ARGUMENT with the field's name.
#ifndef CLM_LIBS_PREDICT_PURCHASE_MODEL_H_
#define CLM_LIBS_PREDICT_PURCHASE_MODEL_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "libs/predict/history.h"
#include "libs/predict/maximize.h"
#include "libs/predict/time_span.h"

namespace clm::predict {

enum class PurchaseModelKind { kBgNbd, kMbgNbd, kParetoNbd };

// "bg_nbd", "mbg_nbd", "pareto_nbd".
const char* PurchaseModelKindName(PurchaseModelKind kind);

class PurchaseModel {
 public:
  // r, alpha, a, b of the BG/NBD and MBG/NBD; r, alpha, s, beta of the Pareto/NBD. alpha and beta
  // are times.
  using Parameters = std::array<double, 4>;

  // INVALID_ARGUMENT naming "parameters.alpha" and the like unless each is from 1e-6 to 1e6 (the
  // times: when told in days).
  static absl::StatusOr<PurchaseModel> Make(PurchaseModelKind kind, TimeUnit unit,
                                            const Parameters& parameters);
  static std::vector<std::string> ParameterNames(PurchaseModelKind kind);

  PurchaseModelKind kind() const { return kind_; }
  TimeUnit unit() const { return unit_; }
  const Parameters& parameters() const { return parameters_; }

  // That the customer has not left by the end of the observation.
  absl::StatusOr<double> PAlive(const History& history) const;
  // Repeat purchases of somebody new within `horizon` of the first purchase.
  absl::StatusOr<double> ExpectedPurchases(TimeSpan horizon) const;
  // Purchases within `horizon` of the end of the observation.
  absl::StatusOr<double> ExpectedPurchases(const History& history, TimeSpan horizon) const;
  // The same of somebody who is known not to have left; the recency does not matter then.
  absl::StatusOr<double> ExpectedPurchasesIfAlive(int64_t frequency, TimeSpan age,
                                                  TimeSpan horizon) const;
  // That somebody new makes just `count` repeat purchases within `horizon` of the first one.
  absl::StatusOr<double> ProbabilityOf(int64_t count, TimeSpan horizon) const;
  // Of one customer.
  absl::StatusOr<double> LogLikelihood(const History& history) const;
  // Of a sample: the weighted sum.
  absl::StatusOr<double> LogLikelihood(absl::Span<const Observation> sample) const;

 private:
  PurchaseModel(PurchaseModelKind kind, TimeUnit unit, const Parameters& parameters)
      : kind_(kind), unit_(unit), parameters_(parameters) {}

  PurchaseModelKind kind_;
  TimeUnit unit_;
  Parameters parameters_;
};

struct PurchaseFit {
  PurchaseModel model;
  FitReport report;
};

// By maximum likelihood, in `unit`. Observations that are equal are computed once.
// INVALID_ARGUMENT naming what is wrong in the sample; otherwise as Maximize.
absl::StatusOr<PurchaseFit> FitPurchaseModel(PurchaseModelKind kind, TimeUnit unit,
                                             absl::Span<const Observation> sample,
                                             const FitOptions& options = {});

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_PURCHASE_MODEL_H_
