#include "libs/journal/told_offsets.h"

#include "gtest/gtest.h"

namespace clm::journal {
namespace {

TEST(ToldOffsetsTest, AnUnbrokenRunNeedsNoTelling) {
  ToldOffsets told;
  EXPECT_EQ(told.Beyond(3, 0), 0);
  told.Add({{3, 0, 2}, {4, 0, 1}});
  told.Add({{3, 2, 5}});
  EXPECT_EQ(told.Beyond(3, 0), 5);
  EXPECT_EQ(told.Beyond(3, 4), 5);
  EXPECT_EQ(told.Beyond(3, 7), 7);
  EXPECT_EQ(told.Beyond(4, 0), 1);
}

TEST(ToldOffsetsTest, WhatSomebodyElseCommittedInBetweenIsTold) {
  ToldOffsets told;
  told.Add({{3, 0, 2}});
  told.Add({{3, 4, 6}});
  EXPECT_EQ(told.Beyond(3, 2), 2) << "3 and 4 are not known to have been told";
  EXPECT_EQ(told.Beyond(3, 3), 3);
  EXPECT_EQ(told.Beyond(3, 4), 6);
}

TEST(ToldOffsetsTest, WhoIsHeardLaterMayHaveCommittedEarlier) {
  ToldOffsets told;
  told.Add({{3, 2, 5}});
  told.Add({{3, 0, 2}});
  EXPECT_EQ(told.Beyond(3, 0), 5);
  told.Add({{3, 5, 6}});
  EXPECT_EQ(told.Beyond(3, 0), 6);
}

}  // namespace
}  // namespace clm::journal
