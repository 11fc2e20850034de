// Where the crash tests kill, per process.
#ifndef CLM_TESTS_CHAOS_CRASH_POINTS_H_
#define CLM_TESTS_CHAOS_CRASH_POINTS_H_

#include <array>

namespace clm::chaos {

inline constexpr std::array kContactCrashPoints = {
    "lane.locked",    "lane.applied", "lane.flushed", "lane.appended",
    "lane.committed", "lane.told",    "feed.read",
};
inline constexpr std::array kLifecycleCrashPoints = {
    "lane.flushed",      "lane.appended",      "lane.committed", "lane.told",   "consumer.fetched",
    "consumer.applying", "consumer.committed", "lease.claimed",  "timer.fired",
};
// Between a commit and the cache, and between telling it again and remembering that.
inline constexpr std::array kCacheCrashPoints = {"lane.committed", "follower.told"};
// While a file is uploaded and imported.
inline constexpr std::array kImportCrashPoints = {"import.chunk", "import.batch"};
// While the contact service compares contacts with each other.
inline constexpr std::array kDuplicatesCrashPoints = {"duplicates.keyed"};
// While points are earned and fall due.
inline constexpr std::array kLoyaltyCrashPoints = {
    "lane.applied", "lane.flushed", "lane.appended", "lane.committed", "points.due",
};

}  // namespace clm::chaos

#endif  // CLM_TESTS_CHAOS_CRASH_POINTS_H_
