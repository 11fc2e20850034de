#include "tools/clm/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libs/testing/status_matchers.h"

namespace clm::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::ReasonIs;

// "shop orders list", with everything that a command may take.
class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    top_.AddOption("-o,--output", output_).Environment("CLM_COMMAND_TEST_OUTPUT");
    const Command list = top_.AddGroup("orders", "What was bought")
                             .AddCommand("list", "List them", "Footer", [this] { ++chosen_; });
    list.AddOption("SHOP", shop_, "which").Required();
    list.AddOption("--limit", limit_, "most to show").Counts().ShowDefault();
    list.AddOption("--share", share_).BetweenReals(0, 0.5);
    list.AddOption("--days", days_).Between(1, 31);
    list.AddOption("--size", sizes_).Delimiter(',');
    list.AddOption("--kind", kinds_).OneOf({"gift", "loan"});
    const Option open = list.AddFlag("--open", open_, "only open ones");
    list.AddFlag("--closed", closed_, "only closed ones").Excludes(open);
    list.AddOption("--secret", secret_).Hide();
    list_ = list;
  }

  absl::StatusOr<bool> Parse(std::vector<std::string> more) {
    std::vector<std::string> words = {"orders", "list"};
    words.insert(words.end(), more.begin(), more.end());
    return line_.Parse(words);
  }

  CommandLine line_{"shop", "A shop", "The end"};
  Command top_ = Command::Top(line_.app());
  Command list_ = top_;
  std::string output_, shop_, secret_;
  std::vector<std::string> kinds_;
  std::vector<int64_t> sizes_;
  int64_t limit_ = 50;
  double share_ = 0;
  int days_ = 7;
  bool open_ = false, closed_ = false;
  int chosen_ = 0;
};

TEST_F(CommandTest, TheVariablesGetWhatTheLineSays) {
  EXPECT_THAT(Parse({"bakery", "--limit", "0", "--share=0.5", "--days", "31", "--size", "1,2",
                     "--kind", "gift", "--kind", "loan", "--closed", "-o", "json"}),
              IsOkAndHolds(true));
  EXPECT_EQ(chosen_, 1);
  EXPECT_EQ(shop_, "bakery");
  EXPECT_EQ(limit_, 0);
  EXPECT_EQ(share_, 0.5);
  EXPECT_EQ(days_, 31);
  EXPECT_THAT(sizes_, ElementsAre(1, 2));
  EXPECT_THAT(kinds_, ElementsAre("gift", "loan"));
  EXPECT_TRUE(closed_);
  EXPECT_FALSE(open_);
  // An option of the whole line, behind a command.
  EXPECT_EQ(output_, "json");
  EXPECT_TRUE(top_.Given("--output"));
  EXPECT_TRUE(list_.Given("--closed"));
  EXPECT_FALSE(list_.Given("--open"));
}

TEST_F(CommandTest, WhatTheLineDoesNotSayComesFromTheEnvironment) {
  ASSERT_EQ(setenv("CLM_COMMAND_TEST_OUTPUT", "csv", 1), 0);
  EXPECT_THAT(Parse({"bakery"}), IsOkAndHolds(true));
  ASSERT_EQ(unsetenv("CLM_COMMAND_TEST_OUTPUT"), 0);
  EXPECT_EQ(output_, "csv");
  EXPECT_EQ(limit_, 50);
}

TEST_F(CommandTest, AWrongLineIsRefusedAndCallsNothing) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"bakery", "--limit", "-1"},
                                                       {"bakery", "--limit", "1000000001"},
                                                       {"bakery", "--share", "0.51"},
                                                       {"bakery", "--days", "0"},
                                                       {"bakery", "--days", "32"},
                                                       {"bakery", "--days", "many"},
                                                       {"bakery", "--kind", "theft"},
                                                       {"bakery", "--open", "--closed"},
                                                       {"bakery", "--nothing"}};
  for (const auto& words : wrong) {
    EXPECT_THAT(Parse(words), ReasonIs("USAGE")) << ::testing::PrintToString(words);
  }
  EXPECT_THAT(line_.Parse({}), ReasonIs("USAGE"));
  EXPECT_THAT(line_.Parse({"orders"}), ReasonIs("USAGE"));
  EXPECT_EQ(chosen_, 0);
}

TEST_F(CommandTest, HelpIsPrintedAndCallsNothing) {
  ::testing::internal::CaptureStdout();
  EXPECT_THAT(Parse({"--help"}), IsOkAndHolds(false));
  const std::string help = ::testing::internal::GetCapturedStdout();
  EXPECT_THAT(help, HasSubstr("--limit INT:INT in [0 - 1000000000]=50"));
  EXPECT_THAT(help, HasSubstr("Footer"));
  EXPECT_THAT(help, ::testing::Not(HasSubstr("--secret")));
  EXPECT_EQ(chosen_, 0);
}

}  // namespace
}  // namespace clm::cli
