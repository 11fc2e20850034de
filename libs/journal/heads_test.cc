#include "libs/journal/heads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace clm::journal {
namespace {

TEST(HeadsTest, WakesOnlyWhoWaitsForWhatCame) {
  Heads heads;
  int woken_a = 0, woken_b = 0;
  heads.Wait({{3, 10}}, [&] { ++woken_a; });
  heads.Wait({{4, 0}, {5, 0}}, [&] { ++woken_b; });
  heads.Raise({{3, 10}});
  EXPECT_EQ(woken_a, 0);
  heads.Raise({{3, 11}});
  EXPECT_EQ(woken_a, 1);
  EXPECT_EQ(woken_b, 0);
  heads.Raise({{5, 1}});
  EXPECT_EQ(woken_b, 1);
  heads.Raise({{3, 12}, {5, 2}});
  EXPECT_EQ(woken_a, 1);
  EXPECT_EQ(woken_b, 1);
}

TEST(HeadsTest, WhatIsThereAlreadyWakesAtOnce) {
  Heads heads;
  heads.Raise({{7, 5}});
  bool woken = false;
  EXPECT_EQ(heads.Wait({{7, 4}}, [&] { woken = true; }), 0);
  EXPECT_TRUE(woken);
}

TEST(HeadsTest, ACancelledWaiterIsNeverWoken) {
  Heads heads;
  bool woken = false;
  const int64_t id = heads.Wait({{1, 0}}, [&] { woken = true; });
  EXPECT_TRUE(heads.Cancel(id));
  EXPECT_FALSE(heads.Cancel(id));
  heads.Raise({{1, 1}});
  EXPECT_FALSE(woken);
}

TEST(HeadsTest, HeadsNeverGoBack) {
  Heads heads;
  heads.Raise({{1, 9}});
  heads.Raise({{1, 3}});
  EXPECT_EQ(heads.Get(1), 9);
}

TEST(OffsetsTest, TravelAsTextAndIgnoreRubbish) {
  EXPECT_EQ(FormatOffsets({{3, 17}, {60, 2}}), "3=17,60=2");
  EXPECT_THAT(ParseOffsets("3=17,rubbish,64=1,-1=4,5=x,60=2"),
              testing::ElementsAre(testing::Pair(3, 17), testing::Pair(60, 2)));
}

}  // namespace
}  // namespace clm::journal
