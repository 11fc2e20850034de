// What the models know of a customer, and how it is made of purchases.
//
// Preparation, as in Fader, Hardie and Lee (2005): purchases of one day are one purchase; the first
// day is where a customer's time begins and counts neither as a repeat nor in the mean spend;
// purchases after the end of the observation are left out. A day whose purchases are worth nothing
// in sum (free goods, paid back at once) is a purchase all the same and enters the mean spend as
// 0; who spent nothing on all repeat days, or less, has no mean spend and is nobody for the spend
// model, which takes positive amounts only.
//
// Pure. Amounts are minor units; a mean of them is a double, as it is the input of a model and
// enters no ledger.
#ifndef CLM_LIBS_PREDICT_HISTORY_H_
#define CLM_LIBS_PREDICT_HISTORY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/types/span.h"
#include "libs/base/error.h"
#include "libs/predict/time_span.h"

namespace clm::predict {

// Of one customer; far more than anybody makes, and little enough that no formula overflows.
inline constexpr int64_t kMostPurchases = 1'000'000'000;

struct Purchase {
  absl::CivilDay day;
  int64_t amount_minor = 0;
};

// When a customer bought: x, t_x and T of the papers.
struct History {
  int64_t frequency = 0;  // Repeat purchases: days with a purchase after the first one.
  TimeSpan recency;       // From the first to the last purchase; none without a repeat.
  TimeSpan age;           // From the first purchase to the end of the observation.
};

// The same for `weight` customers.
struct Observation {
  History history;
  double weight = 1;
};

struct Summary {
  History history;  // In days.
  // Of the repeat purchases; absent where the spend model has nothing to learn, see above.
  std::optional<double> mean_spend_minor;
};

// Of one customer's purchases, in any order, up to the day `end` and with it. None without a
// purchase by then.
std::optional<Summary> Summarize(absl::Span<const Purchase> purchases, absl::CivilDay end);

// One observation for all that are equal in their own unit, in order of (frequency, recency, age);
// the likelihood of a sample is that of its groups.
std::vector<Observation> Grouped(absl::Span<const Observation> sample);

// Adds what makes a history none: a negative count, times that are not numbers or negative, a
// recency beyond the age, or without a repeat purchase. `path` is that of the history.
void CheckHistory(absl::string_view path, const History& history, error::FieldErrors& errors);
absl::Status CheckHistory(const History& history);
// INVALID_ARGUMENT naming "sample[i].recency" and the like, or "sample" when it is empty.
absl::Status CheckSample(absl::Span<const Observation> sample);
// INVALID_ARGUMENT naming `field` unless the span is a number, not negative and not beyond 1e6
// years.
absl::Status CheckSpan(absl::string_view field, TimeSpan span);

}  // namespace clm::predict

#endif  // CLM_LIBS_PREDICT_HISTORY_H_
