#include "services/lifecycle/insights_rules.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::lifecycle {
namespace {

constexpr int64_t kMillion = 1'000'000;

absl::CivilMonth MonthOf(Period period, absl::CivilDay day) {
  const absl::CivilMonth month(day);
  return period == Period::kQuarter ? month - (month.month() - 1) % 3 : month;
}

// numerator / denominator, rounded half to even.
int64_t Round(__int128 numerator, __int128 denominator) {
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  __int128 quotient = numerator / denominator;
  __int128 rest = numerator % denominator;
  if (rest < 0) {
    rest += denominator;
    --quotient;
  }
  const __int128 twice = 2 * rest;
  if (twice > denominator || (twice == denominator && quotient % 2 != 0)) ++quotient;
  return static_cast<int64_t>(quotient);
}

}  // namespace

const char* PeriodName(Period period) {
  switch (period) {
    case Period::kDay:
      return "day";
    case Period::kWeek:
      return "week";
    case Period::kMonth:
      return "month";
    case Period::kQuarter:
      return "quarter";
  }
  return "";
}

absl::CivilDay DayOf(absl::Time time) { return absl::ToCivilDay(time, absl::UTCTimeZone()); }

absl::Time Midnight(absl::CivilDay day) { return absl::FromCivil(day, absl::UTCTimeZone()); }

absl::CivilDay PeriodStart(Period period, absl::CivilDay day) {
  switch (period) {
    case Period::kDay:
      return day;
    case Period::kWeek:
      return absl::PrevWeekday(day + 1, absl::Weekday::monday);
    case Period::kMonth:
    case Period::kQuarter:
      return absl::CivilDay(MonthOf(period, day));
  }
  return day;
}

absl::CivilDay PeriodAfter(Period period, absl::CivilDay start, int64_t count) {
  switch (period) {
    case Period::kDay:
      return start + count;
    case Period::kWeek:
      return start + 7 * count;
    case Period::kMonth:
      return absl::CivilDay(absl::CivilMonth(start) + count);
    case Period::kQuarter:
      return absl::CivilDay(absl::CivilMonth(start) + 3 * count);
  }
  return start;
}

int64_t PeriodsBetween(Period period, absl::CivilDay from, absl::CivilDay to) {
  switch (period) {
    case Period::kDay:
      return to - from;
    case Period::kWeek:
      return (to - from) / 7;
    case Period::kMonth:
      return absl::CivilMonth(to) - absl::CivilMonth(from);
    case Period::kQuarter:
      return (absl::CivilMonth(to) - absl::CivilMonth(from)) / 3;
  }
  return 0;
}

std::vector<absl::Time> Boundaries(absl::Time start, absl::Time end, std::optional<Period> period,
                                   size_t most) {
  std::vector<absl::Time> boundaries = {start};
  if (period) {
    absl::CivilDay next = PeriodAfter(*period, PeriodStart(*period, DayOf(start)));
    while (Midnight(next) < end && boundaries.size() <= most) {
      boundaries.push_back(Midnight(next));
      next = PeriodAfter(*period, next);
    }
  }
  boundaries.push_back(end);
  return boundaries;
}

Retention RetentionOf(int64_t at_start, int64_t at_end, int64_t new_customers, int64_t kept) {
  return {.at_start = at_start,
          .at_end = at_end,
          .new_customers = new_customers,
          .kept = kept,
          .lost = at_start - kept,
          .returned = at_end - new_customers - kept,
          .rate = Share(kept, at_start),
          .churn = ChurnRate(at_start, at_start - kept),
          .naive_rate = RetentionRate(at_start, at_end, new_customers)};
}

std::optional<double> RetentionRate(int64_t at_start, int64_t at_end, int64_t new_customers) {
  return Share(at_end - new_customers, at_start);
}

std::optional<double> ChurnRate(int64_t at_start, int64_t lost) { return Share(lost, at_start); }

std::optional<double> MarginMultiple(double retention_rate, double discount_rate) {
  const double divisor = 1 + discount_rate - retention_rate;
  if (!(retention_rate >= 0 && retention_rate <= 1 && divisor > 0)) return std::nullopt;
  return retention_rate / divisor;
}

std::optional<double> LifeExpectancy(double retention_rate) {
  if (!(retention_rate >= 0 && retention_rate < 1)) return std::nullopt;
  return 1 / (1 - retention_rate);
}

int64_t HistoricValue(int64_t revenue_minor, int64_t refund_minor, int64_t acquisition_cost_minor) {
  return revenue_minor - refund_minor - acquisition_cost_minor;
}

std::optional<int64_t> Margin(int64_t revenue_minor, int64_t refund_minor, int64_t goods_minor,
                              int64_t unpriced_purchases) {
  if (unpriced_purchases > 0) return std::nullopt;
  return revenue_minor - refund_minor - goods_minor;
}

std::optional<double> Share(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

std::optional<int64_t> DivideHalfEven(int64_t amount, int64_t heads) {
  if (heads == 0) return std::nullopt;
  return Round(amount, heads);
}

std::optional<int64_t> PartsPerMillion(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return Round(static_cast<__int128>(part) * kMillion, whole);
}

namespace {

std::vector<const Stage*> ByPosition(const StageModel& model) {
  std::vector<const Stage*> stages;
  for (const Stage& stage : model.stages) stages.push_back(&stage);
  std::sort(stages.begin(), stages.end(),
            [](const Stage* a, const Stage* b) { return a->position < b->position; });
  return stages;
}

}  // namespace

std::vector<std::string> FunnelSteps(const StageModel& model) {
  std::vector<std::string> steps;
  for (const Stage* stage : ByPosition(model)) {
    if (stage->kind == StageKind::kNormal) steps.push_back(stage->id);
  }
  return steps;
}

std::vector<std::string> ActiveStages(const StageModel& model) {
  std::vector<std::string> stages;
  for (const Stage* stage : ByPosition(model)) {
    if (stage->kind != StageKind::kNegative && stage->kind != StageKind::kTerminal) {
      stages.push_back(stage->id);
    }
  }
  return stages;
}

const Stage* FindStage(const StageModel& model, absl::string_view id) {
  for (const Stage& stage : model.stages) {
    if (absl::string_view(stage.id) == id) return &stage;
  }
  return nullptr;
}

const Stage* NormalStageBefore(const StageModel& model, absl::string_view stage) {
  const Stage* before = nullptr;
  for (const Stage* s : ByPosition(model)) {
    if (absl::string_view(s->id) == stage) return before;
    if (s->kind == StageKind::kNormal) before = s;
  }
  return nullptr;
}

absl::Status CheckStages(const StageModel& model, absl::string_view field,
                         const std::vector<std::string>& stages) {
  error::FieldErrors errors;
  std::set<std::string> seen;
  for (size_t i = 0; i < stages.size(); ++i) {
    const std::string path = absl::StrCat(field, "[", i, "]");
    if (FindStage(model, stages[i]) == nullptr) {
      errors.Add(path, "is not a stage of the model");
    } else if (!seen.insert(stages[i]).second) {
      errors.Add(path, "is named twice");
    }
  }
  return errors.ToStatus();
}

}  // namespace clm::lifecycle
