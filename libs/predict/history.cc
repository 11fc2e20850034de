#include "libs/predict/history.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace clm::predict {
namespace {

// So that powers and products of what is valid stay finite.
constexpr double kMostYears = 1e6;

const char* SpanFault(TimeSpan span) {
  const double years = span.In(TimeUnit::kYear);
  if (!std::isfinite(years)) return "must be a number";
  if (years < 0) return "must not be negative";
  if (years > kMostYears) return "must not exceed 1000000 years";
  return nullptr;
}

std::string At(absl::string_view path, absl::string_view field) {
  return path.empty() ? std::string(field) : absl::StrCat(path, ".", field);
}

}  // namespace

std::optional<Summary> Summarize(absl::Span<const Purchase> purchases, absl::CivilDay end) {
  std::map<absl::CivilDay, int64_t> days;
  for (const Purchase& purchase : purchases) {
    if (purchase.day <= end) days[purchase.day] += purchase.amount_minor;
  }
  if (days.empty()) return std::nullopt;
  const absl::CivilDay first = days.begin()->first;
  Summary summary;
  summary.history.frequency = static_cast<int64_t>(days.size()) - 1;
  summary.history.recency = TimeSpan::Days(static_cast<double>(days.rbegin()->first - first));
  summary.history.age = TimeSpan::Days(static_cast<double>(end - first));
  double spend = 0;
  for (auto day = std::next(days.begin()); day != days.end(); ++day) {
    spend += static_cast<double>(day->second);
  }
  if (spend > 0) summary.mean_spend_minor = spend / static_cast<double>(days.size() - 1);
  return summary;
}

std::vector<Observation> Grouped(absl::Span<const Observation> sample) {
  std::vector<Observation> groups(sample.begin(), sample.end());
  const auto key = [](const Observation& o) {
    const History& h = o.history;
    return std::make_tuple(h.frequency, h.recency.unit(), h.recency.In(h.recency.unit()),
                           h.age.unit(), h.age.In(h.age.unit()));
  };
  std::sort(groups.begin(), groups.end(),
            [&](const Observation& a, const Observation& b) { return key(a) < key(b); });
  size_t kept = 0;
  for (size_t i = 1; i < groups.size(); ++i) {
    if (key(groups[i]) == key(groups[kept])) {
      groups[kept].weight += groups[i].weight;
    } else {
      groups[++kept] = groups[i];
    }
  }
  if (!groups.empty()) groups.resize(kept + 1);
  return groups;
}

void CheckHistory(absl::string_view path, const History& history, error::FieldErrors& errors) {
  if (history.frequency < 0) errors.Add(At(path, "frequency"), "must not be negative");
  if (history.frequency > kMostPurchases) {
    errors.Add(At(path, "frequency"), "must not exceed 1000000000");
  }
  const char* const recency = SpanFault(history.recency);
  const char* const age = SpanFault(history.age);
  if (recency != nullptr) errors.Add(At(path, "recency"), recency);
  if (age != nullptr) errors.Add(At(path, "age"), age);
  if (recency != nullptr || age != nullptr) return;
  const double days = history.recency.In(TimeUnit::kDay);
  // The two may come in different units: a rounding is no contradiction.
  if (days > history.age.In(TimeUnit::kDay) * (1 + 1e-12)) {
    errors.Add(At(path, "recency"), "must not exceed the age");
  }
  if (history.frequency == 0 && days > 0) {
    errors.Add(At(path, "recency"), "must be 0 without a repeat purchase");
  }
}

absl::Status CheckHistory(const History& history) {
  error::FieldErrors errors;
  CheckHistory("history", history, errors);
  return errors.ToStatus();
}

absl::Status CheckSample(absl::Span<const Observation> sample) {
  error::FieldErrors errors;
  if (sample.empty()) errors.Add("sample", "must not be empty");
  for (size_t i = 0; i < sample.size() && !errors.Full(); ++i) {
    const std::string path = absl::StrCat("sample[", i, "]");
    CheckHistory(path, sample[i].history, errors);
    if (!std::isfinite(sample[i].weight) || sample[i].weight <= 0 || sample[i].weight > 1e12) {
      errors.Add(At(path, "weight"), "must be positive and at most 1e12");
    }
  }
  return errors.ToStatus();
}

absl::Status CheckSpan(absl::string_view field, TimeSpan span) {
  const char* const fault = SpanFault(span);
  return fault == nullptr ? absl::OkStatus() : error::InvalidField(field, fault);
}

}  // namespace clm::predict
