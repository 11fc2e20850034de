#include "tools/clm/home.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "libs/base/error.h"
#include "libs/testing/temp_folder.h"

namespace clm::cli {
namespace {

class HomeTest : public ::testing::Test {
 protected:
  HomeTest() : home_(folder_.File("home")) {
    std::filesystem::create_directories(home_.folder() + "/suite");
    lock_ = open(home_.SuiteFile("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    flock(lock_, LOCK_EX);
  }
  ~HomeTest() override { close(lock_); }

  static int ModeOf(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 0777) : -1;
  }

  testing::TempFolder folder_;
  const Home home_;
  // Held as a running suite holds it.
  int lock_;
};

TEST_F(HomeTest, AStateIsReadAsItWasWritten) {
  State state;
  state.pid = getpid();
  state.start_time = absl::FromUnixSeconds(1'700'000'000);
  state.address = "127.0.0.1:9090";
  state.targets = {{"contact", "unix:/run/a.sock"}};
  state.tenant = "demo";
  ASSERT_TRUE(home_.WriteState(state).ok());
  const auto read = home_.ReadState();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->pid, state.pid);
  EXPECT_EQ(read->start_time, state.start_time);
  EXPECT_EQ(read->address, state.address);
  EXPECT_EQ(read->targets, state.targets);
  EXPECT_EQ(read->tenant, state.tenant);
}

TEST_F(HomeTest, TheStateOfADeadProcessIsNoStateEvenWhenItsNumberLives) {
  State state;
  state.pid = getpid();
  ASSERT_TRUE(home_.WriteState(state).ok());
  flock(lock_, LOCK_UN);
  EXPECT_EQ(error::Reason(home_.ReadState().status()), "NOT_RUNNING");
}

TEST_F(HomeTest, AFileThatIsNoStateIsNoState) {
  for (const char* text : {"", "[]", "{\"pid\":", "{\"pid\":\"x\"}", "null"}) {
    ASSERT_TRUE(WritePrivateFile(home_.SuiteFile("state.json"), text).ok());
    EXPECT_EQ(error::Reason(home_.ReadState().status()), "NOT_RUNNING") << text;
  }
}

TEST_F(HomeTest, TheSecretIsMadeOnceAndPrivate) {
  const auto first = home_.Secret();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->size(), 64u);
  EXPECT_EQ(*home_.Secret(), *first);
  EXPECT_EQ(ModeOf(home_.SuiteFile("secret")), 0600);
}

TEST_F(HomeTest, TokensOfTenantsAreKeptSideBySideAndPrivate) {
  ASSERT_TRUE(home_.KeepToken("demo", "a").ok());
  ASSERT_TRUE(home_.KeepToken("acme", "b").ok());
  EXPECT_EQ(home_.Token("demo"), "a");
  EXPECT_EQ(home_.Token("acme"), "b");
  EXPECT_EQ(home_.Token("none"), "");
  EXPECT_EQ(ModeOf(home_.SuiteFile("secrets.json")), 0600);
}

}  // namespace
}  // namespace clm::cli
