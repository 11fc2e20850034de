// A connection and a thread that listen to channels and come back after every loss.
#ifndef CLM_LIBS_REDIS_SUBSCRIPTION_H_
#define CLM_LIBS_REDIS_SUBSCRIPTION_H_

#include <memory>
#include <string>
#include <vector>

#include "libs/redis/redis.h"
#include "libs/redis/url.h"

namespace clm::redis {

// Reconnects after 50 ms, doubling to 1 s, each time +-25 %. A connection that is silent for 3 s in
// spite of a PING each second is dead.
std::unique_ptr<Subscription> NewSubscription(Endpoint endpoint, std::vector<std::string> channels,
                                              Listener listener);

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_SUBSCRIPTION_H_
