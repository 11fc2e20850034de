#include "services/loyalty/velocity.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "libs/base/error.h"
#include "libs/base/time_text.h"
#include "services/loyalty/points_time.h"

namespace clm::loyalty {
namespace {

// Of a period that ends.
absl::Time NextPeriodStart(EarnCap::Period period, absl::Time start, const absl::TimeZone& zone) {
  const absl::CivilDay day = absl::ToCivilDay(start, zone);
  switch (period) {
    case EarnCap::Period::kDay:
      return StartOfDay(day + 1, zone);
    case EarnCap::Period::kWeek:
      return StartOfDay(day + 7, zone);
    case EarnCap::Period::kMonth:
      return StartOfDay(absl::CivilDay(absl::CivilMonth(day) + 1), zone);
    case EarnCap::Period::kYear:
      return StartOfDay(absl::CivilDay(absl::CivilYear(day) + 1), zone);
    case EarnCap::Period::kLifetime:
      break;
  }
  return absl::InfiniteFuture();
}

std::string NameOfSubject(VelocitySubject subject) {
  switch (subject) {
    case VelocitySubject::kMember:
      return "member";
    case VelocitySubject::kEmail:
      return "e-mail address";
    case VelocitySubject::kPhone:
      return "telephone number";
    case VelocitySubject::kDevice:
      return "device";
    case VelocitySubject::kCard:
      return "card";
  }
  return "subject";
}

}  // namespace

absl::StatusOr<VelocityCount> CountRequest(const VelocityLimit& limit, const VelocityCount& before,
                                           int64_t points, absl::Time now,
                                           const absl::TimeZone& zone) {
  VelocityCount count = before;
  // A clock that is behind another process's goes on in that one's period.
  const absl::Time start = std::max(before.start, CapPeriodStart(limit.period, now, zone));
  if (count.start < start) count = {.start = start};
  const bool requests = limit.max_requests > 0 && count.requests >= limit.max_requests;
  // Nothing is beyond 2^53, so the difference fits.
  const int64_t left = std::max<int64_t>(0, limit.max_points - count.points);
  if (requests || (limit.max_points > 0 && points > left)) {
    const absl::Time again = NextPeriodStart(limit.period, start, zone);
    const std::string what = limit.operation == VelocityOperation::kEarn ? "earning" : "spending";
    const std::string when = again == absl::InfiniteFuture()
                                 ? std::string("for good")
                                 : absl::StrCat("until ", clm::FormatTime(again));
    return error::Precondition(
        "VELOCITY_LIMIT",
        absl::StrCat("the limit '", limit.id, "' on ", what, " by one ",
                     NameOfSubject(limit.subject), " is reached ", when, ": ",
                     requests ? absl::StrCat(limit.max_requests,
                                             limit.max_requests == 1 ? " request" : " requests")
                              : absl::StrCat(left, " of ", limit.max_points, " points are left")),
        {{"limit", limit.id},
         {"points_left", absl::StrCat(limit.max_points > 0 ? left : 0)},
         {"again_time", again == absl::InfiniteFuture() ? "" : clm::FormatTime(again)}});
  }
  ++count.requests;
  // Without a limit on points the sum is nobody's business and might grow for ever.
  if (limit.max_points > 0) count.points += points;
  return count;
}

}  // namespace clm::loyalty
