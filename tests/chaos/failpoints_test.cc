// No failpoint without a test that kills there.
#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "libs/base/failpoint.h"
#include "tests/chaos/crash_points.h"

namespace clm::chaos {
namespace {

template <class List>
bool Holds(const List& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

TEST(FailpointsTest, EachIsKilledAt) {
  for (const char* name : kFailpoints) {
    EXPECT_TRUE(Holds(kContactCrashPoints, name) || Holds(kLifecycleCrashPoints, name) ||
                Holds(kCacheCrashPoints, name) || Holds(kImportCrashPoints, name) ||
                Holds(kDuplicatesCrashPoints, name) || Holds(kLoyaltyCrashPoints, name))
        << name;
  }
}

}  // namespace
}  // namespace clm::chaos
