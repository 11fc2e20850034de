// Figures of whole commands, as a user waits for them.
#ifndef CLM_TOOLS_BENCH_PROGRAMS_H_
#define CLM_TOOLS_BENCH_PROGRAMS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/bench/stand.h"

namespace clm::bench {

// `clm import cdnow FILE` into a new tenant of the stand's suite, until its cohort table is
// printed.
absl::StatusOr<absl::Duration> TimeCdnowImport(Stand& stand, const std::string& file,
                                               const std::string& tenant);

struct UpTimes {
  absl::Duration first;  // In an empty folder: the database cluster is made.
  absl::Duration later;  // On the data of the first.
};
// `clm up --detach` until it returns, which is when it serves, twice.
absl::StatusOr<UpTimes> TimeUp(const std::string& binaries);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_PROGRAMS_H_
