// Where the crash tests kill, per process.
#ifndef CLM_TESTS_CHAOS_CRASH_POINTS_H_
#define CLM_TESTS_CHAOS_CRASH_POINTS_H_

#include <array>
#include <map>
#include <string>

namespace clm::chaos {

inline constexpr std::array kContactCrashPoints = {
    "lane.locked", "lane.applied", "lane.flushed", "lane.appended", "lane.committed", "feed.read",
};
inline constexpr std::array kLifecycleCrashPoints = {
    "lane.flushed",       "lane.appended", "consumer.fetched",
    "consumer.committed", "lease.claimed", "timer.fired",
};
// By name, why no test kills there.
inline const std::map<std::string, std::string> kNotReached = {
    {"import.chunk", "no service passes it"},
    {"import.batch", "no service passes it"},
};

}  // namespace clm::chaos

#endif  // CLM_TESTS_CHAOS_CRASH_POINTS_H_
