#include "libs/predict/time_span.h"

namespace clm::predict {

double DaysOf(TimeUnit unit) {
  switch (unit) {
    case TimeUnit::kWeek:
      return 7;
    case TimeUnit::kMonth:
      return 365.0 / 12;
    case TimeUnit::kYear:
      return 365;
    case TimeUnit::kDay:
      break;
  }
  return 1;
}

const char* TimeUnitName(TimeUnit unit) {
  switch (unit) {
    case TimeUnit::kWeek:
      return "week";
    case TimeUnit::kMonth:
      return "month";
    case TimeUnit::kYear:
      return "year";
    case TimeUnit::kDay:
      break;
  }
  return "day";
}

bool ParseTimeUnit(absl::string_view name, TimeUnit* unit) {
  for (const TimeUnit each : {TimeUnit::kDay, TimeUnit::kWeek, TimeUnit::kMonth, TimeUnit::kYear}) {
    if (name == TimeUnitName(each)) {
      *unit = each;
      return true;
    }
  }
  return false;
}

}  // namespace clm::predict
