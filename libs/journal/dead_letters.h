// The dead letters of a consumer: events that it has parked, because they could not be applied or
// come after one of the same subject that could not. Thread-safe.
#ifndef CLM_LIBS_JOURNAL_DEAD_LETTERS_H_
#define CLM_LIBS_JOURNAL_DEAD_LETTERS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/event/v1/event_feed_service.pb.h"
#include "libs/base/uuid.h"
#include "libs/journal/consumer.h"
#include "libs/journal/lanes.h"
#include "libs/journal/mutation.h"

namespace clm::journal {

// Why a record is parked that is no event this program can read.
absl::Status UnreadableEvent();

// A parked event, as operators see it.
struct DeadLetter {
  std::string source;
  int shard = 0;
  int64_t off = 0;
  Uuid event_id;
  std::string subject;
  std::string error_reason;
  std::string error_message;
  int attempts = 0;
  bool waiting = false;  // Only because an earlier event of its subject is parked.
  absl::Time park_time;
};

// Where a list of them goes on: behind the one with these.
struct DeadLetterPlace {
  absl::Time park_time = absl::InfinitePast();
  std::string source;
  int shard = 0;
  int64_t off = 0;
};

// Up to `limit` of a tenant, oldest first.
absl::StatusOr<std::vector<DeadLetter>> ListParked(pg::Pool& pool, const std::string& tenant,
                                                   const DeadLetterPlace& after, int limit,
                                                   absl::Time deadline);

// Applies the parked events of a subject again, in order, and forgets those that succeed; stops
// at the first that fails, with its status when nothing succeeded before it. `answer` makes the
// response from how many went; it is stored in the transaction of the last of them, so that a
// repetition of the request finds it wherever the process died. One that finds no answer goes on
// with what is left. NOT_FOUND, reason NOTHING_PARKED, when none is parked. `info` is that of the
// request, without shards.
absl::StatusOr<Answer> ReplayParked(pg::Pool& pool, Lanes& lanes, EventHandler& handler,
                                    const std::string& source, const std::string& subject,
                                    const MutationInfo& info,
                                    const std::function<std::string(int went)>& answer);

struct GivenUp {
  int shard = 0;
  event::v1::Event event;  // As far as it could be read.
  std::string error_reason;
};
// Gives the first parked event of a subject up: `record` says so in the journal, in the same
// transaction, and returns the answer. NOT_FOUND, reason NOTHING_PARKED, when none is parked.
// `info` is that of the request, without shards.
absl::StatusOr<Answer> GiveUpParked(
    pg::Pool& pool, Lanes& lanes, const std::string& source, const std::string& subject,
    MutationInfo info, const std::function<std::string(const GivenUp&, Recorder&)>& record);

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_DEAD_LETTERS_H_
