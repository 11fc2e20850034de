#include "libs/predict/rfm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace clm::predict {
namespace {

TEST(RfmTest, FifthsOfTenDifferentCustomers) {
  std::vector<RfmValues> customers;
  for (int i = 0; i < 10; ++i) customers.push_back({10 - i, i, 100 * (10 - i)});
  const auto scores = ScoreRfm(customers);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(scores[static_cast<size_t>(i)], (RfmScores{1 + i / 2, 1 + i / 2, 5 - i / 2})) << i;
  }
}

TEST(RfmTest, EqualCustomersHaveEqualScoresWhateverTheirOrder) {
  // Six never came back: all 1. The next four have 6, 6, 8 and 9 of 10 below them.
  const std::vector<RfmValues> customers = {{0, 0, 0}, {0, 2, 0}, {0, 0, 0}, {0, 1, 0}, {0, 0, 0},
                                            {0, 1, 0}, {0, 0, 0}, {0, 9, 0}, {0, 0, 0}, {0, 0, 0}};
  const auto scores = ScoreRfm(customers);
  const int expected[] = {1, 5, 1, 4, 1, 4, 1, 5, 1, 1};
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(scores[i].frequency, expected[i]) << i;
    EXPECT_EQ(scores[i].recency, 1);
    EXPECT_EQ(scores[i].monetary, 1);
  }
}

TEST(RfmTest, EdgesOfTheFifths) {
  EXPECT_EQ(QuintileOf(0, 0), 1);
  EXPECT_EQ(QuintileOf(0, 1), 1);
  EXPECT_EQ(QuintileOf(1, 5), 2);
  EXPECT_EQ(QuintileOf(4, 5), 5);
  EXPECT_EQ(QuintileOf(5, 5), 5);
  EXPECT_TRUE(ScoreRfm({}).empty());
}

}  // namespace
}  // namespace clm::predict
