// How old an answer may be that a caller is given from the memory of the process.
#ifndef CLM_LIBS_CACHE_FRESHNESS_H_
#define CLM_LIBS_CACHE_FRESHNESS_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/error.h"

namespace clm::cache {

// What callers may allow.
inline constexpr absl::Duration kMostStaleness = absl::Seconds(60);

// What a caller allows.
struct Freshness {
  absl::Time now;  // When the call began.
  // Of an answer from the memory of this process, since it was confirmed. 0: none is wanted, and
  // none is kept.
  absl::Duration max_staleness = absl::ZeroDuration();
};

// What `request` allows by its field max_staleness; `strong`: it asks for what the owner has now.
// INVALID_ARGUMENT on `max_staleness` for what is out of range, and with `strong`.
template <class Request>
absl::StatusOr<Freshness> FreshnessOf(absl::Time now, bool strong, const Request& request) {
  Freshness freshness{.now = now};
  if (!request.has_max_staleness()) return freshness;
  const auto& wanted = request.max_staleness();
  freshness.max_staleness = absl::Seconds(wanted.seconds()) + absl::Nanoseconds(wanted.nanos());
  if (freshness.max_staleness < absl::ZeroDuration() || freshness.max_staleness > kMostStaleness) {
    return error::InvalidField("max_staleness", "must be from 0 s to 60 s");
  }
  if (strong && freshness.max_staleness > absl::ZeroDuration()) {
    return error::InvalidField("max_staleness", "means nothing with CONSISTENCY_STRONG");
  }
  return freshness;
}

}  // namespace clm::cache

#endif  // CLM_LIBS_CACHE_FRESHNESS_H_
