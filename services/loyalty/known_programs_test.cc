#include "services/loyalty/known_programs.h"

#include "gtest/gtest.h"

namespace clm::loyalty {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'790'000'000);
const ProgramKey kClub{"acme", "club"};

TEST(KnownProgramsTest, AVersionIsKnownForAWhile) {
  KnownPrograms programs;
  EXPECT_EQ(programs.Recall(kClub, kStart), std::nullopt);
  programs.Confirm(kClub, 3, kStart);
  const absl::Time end = kStart + KnownPrograms::kKnownFor;
  EXPECT_EQ(programs.Recall(kClub, end - absl::Milliseconds(1)), 3);
  EXPECT_EQ(programs.Recall({"globex", "club"}, kStart), std::nullopt);
  EXPECT_EQ(programs.Recall({"acme", "stars"}, kStart), std::nullopt);
  // The first one looks, others go on meanwhile.
  EXPECT_EQ(programs.Recall(kClub, end), std::nullopt);
  EXPECT_EQ(programs.Recall(kClub, end), 3);
  EXPECT_EQ(programs.Recall(kClub, end + absl::Seconds(1)), std::nullopt);
  programs.Confirm(kClub, 4, end);
  EXPECT_EQ(programs.Recall(kClub, end + absl::Seconds(1)), 4);
}

TEST(KnownProgramsTest, AReadFromBeforeAChangeTakesNothingBack) {
  KnownPrograms programs;
  programs.Confirm(kClub, 3, kStart);
  programs.Heard(kClub, 4);
  EXPECT_EQ(programs.Recall(kClub, kStart), 4);
  programs.Confirm(kClub, 3, kStart + absl::Seconds(4));
  EXPECT_EQ(programs.Recall(kClub, kStart), 4);
  EXPECT_EQ(programs.Recall(kClub, kStart + absl::Seconds(5)), std::nullopt);
}

// Somebody else may have changed it since.
TEST(KnownProgramsTest, WhatWasHeardOfIsNotConfirmedByThat) {
  KnownPrograms programs;
  programs.Heard(kClub, 4);
  EXPECT_EQ(programs.Recall(kClub, kStart), std::nullopt);
  programs.Confirm(kClub, 5, kStart);
  programs.Heard(kClub, 4);
  EXPECT_EQ(programs.Recall(kClub, kStart), 5);
}

}  // namespace
}  // namespace clm::loyalty
