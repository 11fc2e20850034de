// Places at which a chaos test may make the process die. Nothing happens unless the environment
// variable CLM_FAILPOINT names one: "lane.appended:kill@3" sends SIGKILL to the process itself the
// third time it passes the place; "consumer.applying:kill=tenants/acme/" each time what it does
// there is about something that contains the text.
#ifndef CLM_LIBS_BASE_FAILPOINT_H_
#define CLM_LIBS_BASE_FAILPOINT_H_

#include <array>

#include "absl/strings/string_view.h"

namespace clm {

// Every failpoint there is. The chaos suite runs each of them, so a new durable step is tested by
// being listed here; passing an unlisted name aborts.
inline constexpr std::array kFailpoints = {
    "lane.locked",         // Shard heads locked, nothing decided.
    "lane.applied",        // All mutations decided, nothing written.
    "lane.flushed",        // Rows written, journal not.
    "lane.appended",       // Journal and answers written, not committed.
    "lane.committed",      // Committed, nobody told.
    "lane.told",           // Caches told, nobody answered.
    "feed.read",           // Records read, not sent.
    "consumer.fetched",    // Records received, not applied.
    "consumer.applying",   // An event about to be applied.
    "consumer.committed",  // Effects and offset committed, next fetch not begun.
    "follower.told",       // Told again, offsets not stored.
    "lease.claimed",       // Shards claimed, not yet consumed.
    "timer.fired",         // A due customer found, not yet folded.
    "import.chunk",        // A chunk of a file stored.
    "duplicates.keyed",    // Keys of changed contacts stored, pairs and place not.
    "import.batch",        // A batch of rows applied and recorded, the next not begun.
    "points.due",          // Due points, tiers or warnings found, nothing decided.
};

// Thread-safe; a load of one atomic when no failpoint is set. `about`: what the step is about.
void Failpoint(const char* name, absl::string_view about = {});

}  // namespace clm

#endif  // CLM_LIBS_BASE_FAILPOINT_H_
