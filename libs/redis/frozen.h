// A server that takes connections and bytes and never answers. For tests.
#ifndef CLM_LIBS_REDIS_FROZEN_H_
#define CLM_LIBS_REDIS_FROZEN_H_

#include <sys/wait.h>

#include "gtest/gtest.h"
#include "libs/testing/servers.h"

namespace clm::redis {

// Pauses the server and returns when it has stopped running.
inline void Freeze(testing::RedisServer& server) {
  ASSERT_TRUE(server->Pause().ok());
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, server->pid(), &info, WSTOPPED | WNOWAIT), 0);
}
inline void Thaw(testing::RedisServer& server) { ASSERT_TRUE(server->Resume().ok()); }

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_FROZEN_H_
