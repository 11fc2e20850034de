#include "services/loyalty/known_programs.h"

#include <algorithm>

namespace clm::loyalty {
namespace {

// How long others go on with what is too old while one looks.
constexpr absl::Duration kGrace = absl::Seconds(1);

}  // namespace

std::optional<int64_t> KnownPrograms::Recall(const ProgramKey& program, absl::Time now) {
  absl::MutexLock lock(&mu_);
  const auto it = known_.find(program);
  if (it == known_.end()) return std::nullopt;
  Known& known = it->second;
  if (now - known.check_time < kKnownFor) return known.version;
  known.check_time = now - kKnownFor + kGrace;
  return std::nullopt;
}

void KnownPrograms::Confirm(const ProgramKey& program, int64_t version, absl::Time read_time) {
  absl::MutexLock lock(&mu_);
  Known& known = known_[program];
  // It was read before the newest one was made.
  if (version < known.version) return;
  known.version = version;
  known.check_time = std::max(known.check_time, read_time);
}

void KnownPrograms::Heard(const ProgramKey& program, int64_t version) {
  absl::MutexLock lock(&mu_);
  Known& known = known_[program];
  known.version = std::max(known.version, version);
}

}  // namespace clm::loyalty
