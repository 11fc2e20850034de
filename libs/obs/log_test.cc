#include "libs/obs/log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "libs/base/error.h"

namespace clm::obs {
namespace {

class LogTest : public testing::Test {
 protected:
  void Configure(bool json, Level level = Level::kInfo) {
    ConfigureLog({.json = json, .level = level, .service = "contact", .sink = [this](auto line) {
                    lines_.emplace_back(line);
                  }});
  }
  void TearDown() override { ConfigureLog({.json = false}); }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, AJsonRecordIsOneObjectWithTypedFields) {
  Configure(true);
  Warn("lease lost", {{"shard", 7}, {"held", false}, {"took", absl::Milliseconds(2)}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_TRUE(
      lines_[0].ends_with(R"("level":"warn","service":"contact","text":"lease lost","shard":7,)"
                          R"("held":false,"took":2.000})"))
      << lines_[0];
}

TEST_F(LogTest, ALineBreakInAFieldCannotForgeARecord) {
  for (const bool json : {true, false}) {
    Configure(json);
    lines_.clear();
    Info("call", {{"id", "a\n{\"level\":\"error\"}\x7f"}});
    ASSERT_EQ(lines_.size(), 1u);
    EXPECT_EQ(lines_[0].find('\n'), std::string::npos);
    EXPECT_NE(lines_[0].find(R"(a\u000a{\"level\":\"error\"}\u007f)"), std::string::npos);
  }
}

TEST_F(LogTest, RecordsBelowTheLevelAreDropped) {
  Configure(true, Level::kWarn);
  Info("quiet");
  EXPECT_TRUE(lines_.empty());
  EXPECT_FALSE(LogEnabled(Level::kInfo));
  Error("loud");
  EXPECT_EQ(lines_.size(), 1u);
}

TEST_F(LogTest, AStatusGivesItsReasonButNotItsMessage) {
  Configure(true);
  Info("failed", {{"error", error::InvalidField("contact.email", "ada@example.com is taken")}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_NE(lines_[0].find("INVALID_ARGUMENT/INVALID_ARGUMENT"), std::string::npos);
  EXPECT_EQ(lines_[0].find("ada@example.com"), std::string::npos);
}

// Holds at compile time: personal data cannot be made a field.
static_assert(!std::is_constructible_v<Field, const char*, Personal<std::string>>);
static_assert(std::is_constructible_v<Field, const char*, std::string>);

}  // namespace
}  // namespace clm::obs
