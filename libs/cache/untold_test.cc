#include "libs/cache/untold.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace clm::cache {
namespace {

constexpr absl::Duration kTtl = absl::Seconds(330);
const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
const Slot kAda{"acme", "ada", "core"};
const Slot kBob{"acme", "bob", "core"};

Entry At(int64_t version, absl::Time expiry = kNow + kTtl) {
  return {.version = version, .expiry = expiry};
}

TEST(UntoldTest, WhatIsOlderThanAnUnheardChangeOfItsSlotIsHidden) {
  Untold untold(kTtl, 10);
  EXPECT_FALSE(untold.Hides(kAda, At(6), kNow));
  untold.Add(kAda, 7, kNow);
  EXPECT_TRUE(untold.Hides(kAda, At(6), kNow));
  EXPECT_FALSE(untold.Hides(kAda, At(7), kNow));
  EXPECT_FALSE(untold.Hides(kBob, At(6), kNow));
  EXPECT_FALSE(untold.Hides({"acme", "ada", "stages"}, At(6), kNow));
}

TEST(UntoldTest, AnOlderChangeThatIsHeardOrAddedLaterEndsNothing) {
  Untold untold(kTtl, 10);
  untold.Add(kAda, 7, kNow);
  untold.Add(kAda, 5, kNow);
  untold.Settle(kAda, 6);
  EXPECT_TRUE(untold.Hides(kAda, At(6), kNow));
  untold.Settle(kAda, 7);
  EXPECT_FALSE(untold.Hides(kAda, At(6), kNow));
}

TEST(UntoldTest, WhatNoEntryCanOutliveIsForgotten) {
  Untold untold(kTtl, 10);
  untold.Add(kAda, 7, kNow);
  untold.Add(kBob, 7, kNow);
  untold.Add(kAda, 8, kNow + absl::Seconds(100));
  const absl::Time later = kNow + kTtl + absl::Seconds(1);
  EXPECT_TRUE(untold.Hides(kAda, At(7, later + kTtl), later));
  EXPECT_FALSE(untold.Hides(kBob, At(6, later + kTtl), later));
}

TEST(UntoldTest, OfTooManyEverythingThatMayBeOlderIsHidden) {
  Untold untold(kTtl, 3);
  for (int i = 0; i < 4; ++i) untold.Add({"acme", absl::StrCat(i), "core"}, 7, kNow);
  EXPECT_TRUE(untold.Hides({"acme", "0", "core"}, At(6), kNow));
  EXPECT_TRUE(untold.Hides(kBob, At(6), kNow));
  // Stored after the last that was forgotten.
  EXPECT_FALSE(untold.Hides(kBob, At(6, kNow + kTtl + absl::Seconds(1)), kNow));
  const absl::Time later = kNow + kTtl + absl::Seconds(1);
  EXPECT_FALSE(untold.Hides(kBob, At(6, later + absl::Seconds(1)), later));
}

}  // namespace
}  // namespace clm::cache
