// Tells other processes that a journal has grown, so that their consumers wake at once. Best
// effort: a lost ring costs a poll interval, never an event.
#ifndef CLM_LIBS_JOURNAL_DOORBELL_H_
#define CLM_LIBS_JOURNAL_DOORBELL_H_

#include <memory>
#include <string>

#include "libs/journal/heads.h"
#include "libs/redis/redis.h"

namespace clm::journal {

// Thread-safe.
class Doorbell {
 public:
  // Raises `heads` upon rings of this process and of others. `redis` may be null: then only this
  // process hears. Both must outlive the doorbell.
  Doorbell(redis::Client* redis, const std::string& source, Heads* heads);

  // The journal has these heads now. Never blocks.
  void Ring(const Offsets& offsets);

 private:
  redis::Client* const redis_;
  const std::string channel_;
  Heads* const heads_;
  std::unique_ptr<redis::Subscription> subscription_;
};

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_DOORBELL_H_
