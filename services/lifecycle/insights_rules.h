// The arithmetic of the insights API: periods of the calendar, rates, value. Every formula states
// when it has no result, so that nothing is divided by nobody.
//
// Pure. Money is in minor units; days are days of the calendar in UTC.
#ifndef CLM_SERVICES_LIFECYCLE_INSIGHTS_RULES_H_
#define CLM_SERVICES_LIFECYCLE_INSIGHTS_RULES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "services/lifecycle/stage_model.h"

namespace clm::lifecycle {

// Weeks begin on Monday.
enum class Period { kDay, kWeek, kMonth, kQuarter };

// "day" ..., which is also what PostgreSQL's date_trunc calls it.
const char* PeriodName(Period period);

absl::CivilDay DayOf(absl::Time time);
absl::Time Midnight(absl::CivilDay day);

// The first day of the period that `day` lies in.
absl::CivilDay PeriodStart(Period period, absl::CivilDay day);
// The first day of the period `count` periods after the one that begins at `start`.
absl::CivilDay PeriodAfter(Period period, absl::CivilDay start, int64_t count = 1);
// How many periods the one of `to` comes after that of `from`; both begin one.
int64_t PeriodsBetween(Period period, absl::CivilDay from, absl::CivilDay to);

// `start`, the beginnings of periods between, `end`; just the two without a period. Stops when
// there are more than `most`, which the caller refuses.
std::vector<absl::Time> Boundaries(absl::Time start, absl::Time end, std::optional<Period> period,
                                   size_t most);

// Customer retention of one period. S customers are there at the start and E at the end; N of
// these are new, and K were there at the start too. Who is neither new nor was there at the start
// came back: the naive rate takes such people for kept, the other does not.
struct Retention {
  int64_t at_start = 0;        // S
  int64_t at_end = 0;          // E
  int64_t new_customers = 0;   // N
  int64_t kept = 0;            // K
  int64_t lost = 0;            // S - K
  int64_t returned = 0;        // E - N - K
  std::optional<double> rate;  // K / S; the rates are absent when S is 0.
  std::optional<double> churn;
  std::optional<double> naive_rate;
};
Retention RetentionOf(int64_t at_start, int64_t at_end, int64_t new_customers, int64_t kept);

// (E - N) / S.
std::optional<double> RetentionRate(int64_t at_start, int64_t at_end, int64_t new_customers);
// lost / S.
std::optional<double> ChurnRate(int64_t at_start, int64_t lost);
// What a margin of 1 per period is worth over a customer's life, the first one due after a period:
// r / (1 + i - r), for a retention rate r and a discount rate i per period. None unless 0 <= r <= 1
// and the sum converges (r < 1 + i).
std::optional<double> MarginMultiple(double retention_rate, double discount_rate);
// 1 / (1 - r) periods. None unless 0 <= r < 1.
std::optional<double> LifeExpectancy(double retention_rate);
// Historic customer lifetime value: what came in, less what was paid back, less what winning the
// customer cost.
int64_t HistoricValue(int64_t revenue_minor, int64_t refund_minor, int64_t acquisition_cost_minor);

// What is left of the revenue when refunds and the goods are paid for; the acquisition cost is not
// part of it. None while purchases do not state what their goods cost.
std::optional<int64_t> Margin(int64_t revenue_minor, int64_t refund_minor, int64_t goods_minor,
                              int64_t unpriced_purchases);

// part / whole; none when whole is 0.
std::optional<double> Share(int64_t part, int64_t whole);
// amount / heads, rounded half to even; none when heads is 0.
std::optional<int64_t> DivideHalfEven(int64_t amount, int64_t heads);
// The same of part / whole in millionths.
std::optional<int64_t> PartsPerMillion(int64_t part, int64_t whole);

// The stages that a reader of a model counts when no others are named: those of normal progress in
// order of position; those that are neither negative nor terminal.
std::vector<std::string> FunnelSteps(const StageModel& model);
std::vector<std::string> ActiveStages(const StageModel& model);
// Null when there is none.
const Stage* FindStage(const StageModel& model, absl::string_view id);
// The NORMAL stage before `stage` in order of position; null for the first, and for no stage.
const Stage* NormalStageBefore(const StageModel& model, absl::string_view stage);

// INVALID_ARGUMENT with every stage that `model` does not have, or that is named twice. Paths are
// "field[i]".
absl::Status CheckStages(const StageModel& model, absl::string_view field,
                         const std::vector<std::string>& stages);

}  // namespace clm::lifecycle

#endif  // CLM_SERVICES_LIFECYCLE_INSIGHTS_RULES_H_
