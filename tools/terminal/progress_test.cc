#include "tools/terminal/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace clm::terminal {
namespace {

class ProgressTest : public testing::Test {
 protected:
  ManualClock clock_{absl::FromUnixSeconds(1'795'251'600)};
  std::ostringstream out_;
};

TEST_F(ProgressTest, APipeGetsALineEveryFiveSeconds) {
  {
    Progress progress("import", 1'000, Format::kTable, {}, clock_, out_);
    for (int i = 1; i <= 12; ++i) {
      clock_.Advance(absl::Seconds(1));
      progress.Update(i * 50, {{"failed", i}});
    }
  }
  EXPECT_EQ(out_.str(),
            "import 250 of 1,000 (25%), failed 5, 50/s, 15.0 s left\n"
            "import 500 of 1,000 (50%), failed 10, 50/s, 10.0 s left\n"
            "import 600 of 1,000 (60%), failed 12, 50/s, 8.0 s left\n");
}

TEST_F(ProgressTest, JsonOutputGetsJsonLines) {
  Progress progress("import", 100, Format::kJson, {.tty = true, .width = 80}, clock_, out_);
  progress.Update(1);
  clock_.Advance(absl::Seconds(5));
  progress.Update(50, {{"created", 50}});
  progress.Finish();
  progress.Finish();
  EXPECT_EQ(
      out_.str(),
      "{\"progress\":{\"title\":\"import\",\"done\":50,\"total\":100,\"counts\":{\"created\":50},"
      "\"per_second\":10.0,\"elapsed_seconds\":5.0,\"left_seconds\":5.0}}\n"
      "{\"progress\":{\"title\":\"import\",\"done\":50,\"total\":100,\"counts\":{\"created\":50},"
      "\"per_second\":10.0,\"elapsed_seconds\":5.0,\"left_seconds\":5.0}}\n");
}

TEST_F(ProgressTest, ATerminalGetsOneLineThatIsRedrawnTenTimesASecond) {
  Progress progress("import", 100, Format::kTable, {.tty = true, .width = 80}, clock_, out_);
  clock_.Advance(absl::Seconds(1));
  progress.Update(50);
  progress.Update(51);  // Too soon after the last drawing.
  clock_.Advance(absl::Milliseconds(100));
  progress.Update(55);
  progress.Finish();
  EXPECT_EQ(out_.str(),
            "\r████████████░░░░░░░░░░░░ import 50 of 100 (50%), 50/s, 1.0 s left\033[K"
            "\r█████████████░░░░░░░░░░░ import 55 of 100 (55%), 50/s, 900.0 ms left\033[K"
            "\r█████████████░░░░░░░░░░░ import 55 of 100 (55%), 50/s, 900.0 ms left\033[K\n");
}

TEST_F(ProgressTest, ANarrowTerminalDoesNotWrap) {
  Progress progress("import", 100, Format::kTable, {.tty = true, .utf8 = false, .width = 30},
                    clock_, out_);
  clock_.Advance(absl::Seconds(1));
  progress.Update(100);
  EXPECT_EQ(out_.str(), "\r######################## imp~\033[K");
}

TEST_F(ProgressTest, WithoutATotalThereIsNeitherBarNorRemainingTime) {
  Progress progress("scan", 0, Format::kTable, {}, clock_, out_);
  clock_.Advance(absl::Seconds(10));
  progress.Update(12'345);
  EXPECT_EQ(out_.str(), "scan 12,345, 1,234/s\n");
}

TEST_F(ProgressTest, MoreThanTheTotalIsNotATrap) {
  Progress progress("import", 10, Format::kTable, {.tty = true, .width = 80}, clock_, out_);
  clock_.Advance(absl::Seconds(1));
  progress.Update(20);
  EXPECT_EQ(out_.str(), "\r████████████████████████ import 20 of 10 (200%), 20/s\033[K");
}

}  // namespace
}  // namespace clm::terminal
