#include "libs/redis/breaker.h"

#include "gtest/gtest.h"

namespace clm::redis {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);
const absl::Time kNow = absl::FromUnixSeconds(1000);

Breaker FiveInASecond() { return Breaker(5, absl::Seconds(1), 500 * kMs); }

TEST(BreakerTest, FourErrorsLeaveItClosedAndTheFifthOpensIt) {
  Breaker breaker = FiveInASecond();
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(breaker.OnError(kNow + i * kMs));
  EXPECT_FALSE(breaker.open());
  EXPECT_TRUE(breaker.OnError(kNow + 4 * kMs));
  EXPECT_TRUE(breaker.open());
  EXPECT_EQ(breaker.next_probe(), kNow + 504 * kMs);
}

TEST(BreakerTest, ErrorsOutsideTheWindowDoNotCount) {
  Breaker breaker = FiveInASecond();
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(breaker.OnError(kNow + i * 250 * kMs)) << i;
}

TEST(BreakerTest, AFailedProbePutsOffTheNext) {
  Breaker breaker = FiveInASecond();
  for (int i = 0; i < 5; ++i) breaker.OnError(kNow);
  EXPECT_FALSE(breaker.OnError(kNow + 500 * kMs));
  EXPECT_TRUE(breaker.open());
  EXPECT_EQ(breaker.next_probe(), kNow + 1000 * kMs);
}

TEST(BreakerTest, ClosingForgetsTheErrors) {
  Breaker breaker = FiveInASecond();
  for (int i = 0; i < 5; ++i) breaker.OnError(kNow);
  breaker.Close();
  EXPECT_FALSE(breaker.open());
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(breaker.OnError(kNow));
  EXPECT_TRUE(breaker.OnError(kNow));
}

}  // namespace
}  // namespace clm::redis
