#include "tools/clm/log_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "libs/testing/temp_folder.h"

namespace clm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Record(const std::string& time, const std::string& text) {
  return R"({"time":"2026-11-22T)" + time + R"(Z","level":"info","service":"s","text":")" + text +
         "\"}";
}

class LogViewTest : public ::testing::Test {
 protected:
  std::string Path(const char* name) { return folder_.File(name); }
  void Append(const char* name, const std::string& text) {
    std::ofstream(Path(name), std::ios::app | std::ios::binary) << text;
  }
  clm::testing::TempFolder folder_;
};

TEST_F(LogViewTest, FilesAreOneStreamInTheOrderOfTime) {
  Append("a",
         Record("08:00:01.000000", "a1") + "\nof a1\n" + Record("08:00:04.000000", "a2") + "\n");
  Append("b", Record("08:00:02.000000", "b1") + "\n" + Record("08:00:03.000000", "b2") + "\n");
  LogView view({Path("a"), Path("b"), Path("missing")});
  EXPECT_THAT(view.Last(4),
              ElementsAre("of a1", Record("08:00:02.000000", "b1"), Record("08:00:03.000000", "b2"),
                          Record("08:00:04.000000", "a2")));
  EXPECT_EQ(LogView({Path("a"), Path("b")}).Last(0).size(), 5u);
}

TEST_F(LogViewTest, ALineIsShownOnceAndWhole) {
  Append("a", "one\ntw");
  LogView view({Path("a")});
  EXPECT_THAT(view.Last(10), ElementsAre("one"));
  EXPECT_THAT(view.New(), IsEmpty());
  Append("a", "o\nthree\n");
  EXPECT_THAT(view.New(), ElementsAre("two", "three"));
  Append("late", "x\n");
  EXPECT_THAT(view.New(), IsEmpty());
}

TEST_F(LogViewTest, AFileThatWasEmptiedBeginsAnew) {
  Append("a", "one\ntwo\n");
  LogView view({Path("a")});
  view.New();
  std::ofstream(Path("a"), std::ios::trunc) << "new\n";
  EXPECT_THAT(view.New(), ElementsAre("new"));
}

TEST(LogLineTest, ShowsTheTimeOfDayAndTheFields) {
  const terminal::Screen plain;
  EXPECT_EQ(LogLine(plain, R"({"time":"2026-11-22T02:09:46.207282Z","level":"warn",)"
                           R"("service":"clm-contact","text":"lease lost","shard":3,"by":"x"})"),
            "02:09:46.207 warn  clm-contact lease lost shard=3 by=x");
}

TEST(LogLineTest, OtherLinesStayAndCannotDriveTheTerminal) {
  const terminal::Screen plain;
  EXPECT_EQ(LogLine(plain, "LOG:  database system is ready"), "LOG:  database system is ready");
  EXPECT_EQ(LogLine(plain, "a\x1b[2Jb").find('\x1b'), std::string::npos);
  EXPECT_EQ(LogLine(plain, R"({"time":"x","text":"\u001b[2J","level":7})").find('\x1b'),
            std::string::npos);
}

}  // namespace
}  // namespace clm::cli
