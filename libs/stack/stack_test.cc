#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/pg/admin.h"
#include "libs/stack/child_process.h"
#include "libs/stack/postgres_server.h"
#include "libs/stack/redis_server.h"
#include "libs/stack/server_folder.h"
#include "libs/testing/eventually.h"
#include "libs/testing/status_matchers.h"
#include "libs/testing/temp_folder.h"

namespace clm::stack {
namespace {

using ::clm::testing::IsOk;
using ::clm::testing::ReasonIs;
using ::clm::testing::StatusIs;
using ::clm::testing::TempFolder;
using ::testing::HasSubstr;

bool Alive(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  return !stat.empty() && !absl::StrContains(stat, ") Z ");
}

TEST(ChildProcessTest, ReportsTheExitCode) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto child, ChildProcess::Start({.argv = {"sh", "-c", "exit 3"}}));
  const auto ended = child->Wait(absl::Seconds(20));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->ToString(), "exit code 3");
  EXPECT_FALSE(child->running());
  EXPECT_THAT(child->Signal(SIGTERM), ReasonIs("PROCESS_ENDED"));
}

TEST(ChildProcessTest, AMissingProgramIsNotFound) {
  EXPECT_THAT(ChildProcess::Start({.argv = {"no-such-program-here"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-program-here")));
  EXPECT_THAT(ChildProcess::Start({.argv = {"/nowhere/program"}}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(ChildProcessTest, EnvironmentFolderAndLogAreAsOrdered) {
  const TempFolder folder;
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto child,
      ChildProcess::Start({.argv = {"sh", "-c", "echo \"$GREETING from $(pwd)\"; echo oops >&2"},
                           .env = {{"GREETING", "hello"}},
                           .folder = folder.path(),
                           .log_file = folder.File("log")}));
  ASSERT_TRUE(child->Wait(absl::Seconds(20)).has_value());
  EXPECT_EQ(ReadFile(folder.File("log")), absl::StrCat("hello from ", folder.path(), "\noops\n"));
}

TEST(ChildProcessTest, StopKillsWhatIgnoresItsSignal) {
  const TempFolder folder;
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto child,
      ChildProcess::Start(
          {.argv = {"sh", "-c", "trap '' TERM; echo ready > ready; while :; do sleep 1; done"},
           .folder = folder.path()}));
  ASSERT_TRUE(clm::testing::Eventually([&] { return !ReadFile(folder.File("ready")).empty(); }));
  EXPECT_EQ(child->Stop(SIGTERM, absl::Milliseconds(50)).signal, SIGKILL);
}

TEST(ChildProcessTest, RestartRunsTheSameCommandAgain) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto child, ChildProcess::Start({.argv = {"sleep", "1000"}}));
  const pid_t first = child->pid();
  CLM_ASSERT_OK(child->Restart());
  EXPECT_FALSE(Alive(first));
  EXPECT_TRUE(child->running());
  EXPECT_NE(child->pid(), first);
}

TEST(ChildProcessTest, OutlivesTheThreadThatStartedIt) {
  std::unique_ptr<ChildProcess> child;
  std::thread starter([&] { child = *ChildProcess::Start({.argv = {"sleep", "1000"}}); });
  starter.join();
  EXPECT_FALSE(child->Wait(absl::Milliseconds(100)).has_value());
}

// The middle process of DiesWithItsParent, which runs this binary for it.
TEST(ChildProcessTest, DISABLED_AParentOfAChild) {
  const std::string file = getenv("CLM_TEST_PID_FILE");
  CLM_ASSERT_OK_AND_ASSIGN(const auto child, ChildProcess::Start({.argv = {"sleep", "1000"}}));
  std::ofstream(file + ".new") << child->pid() << "\n";
  std::filesystem::rename(file + ".new", file);
  child->Wait(absl::InfiniteDuration());
}

TEST(ChildProcessTest, DiesWithItsParent) {
  const TempFolder folder;
  // What the parent leaves behind is ours to reap.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  CLM_ASSERT_OK_AND_ASSIGN(
      const auto parent,
      ChildProcess::Start({.argv = {"/proc/self/exe", "--gtest_also_run_disabled_tests",
                                    "--gtest_filter=*DISABLED_AParentOfAChild"},
                           .env = {{"CLM_TEST_PID_FILE", folder.File("pid")}}}));
  std::string text;
  while (text.empty()) {
    ASSERT_FALSE(parent->Wait(absl::Milliseconds(2)).has_value());
    text = ReadFile(folder.File("pid"));
  }
  const pid_t child = std::atoi(text.c_str());
  EXPECT_TRUE(Alive(child));
  parent->Kill();
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST(ChildProcessTest, ChildrenInheritNoOpenFiles) {
  const int leak = open("/dev/null", O_RDONLY);
  ASSERT_GT(leak, 2);
  CLM_ASSERT_OK_AND_ASSIGN(const std::string files,
                           Output({.argv = {"ls", "/proc/self/fd"}}, absl::Seconds(20)));
  close(leak);
  EXPECT_EQ(files, "0\n1\n2\n3\n");  // 3 is ls reading the folder.
}

TEST(OutputTest, AFailureQuotesStderr) {
  EXPECT_THAT(
      Output({.argv = {"sh", "-c", "echo broken pipe wrench >&2; exit 1"}}, absl::Seconds(20)),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("broken pipe wrench")));
}

TEST(OutputTest, ARunawayIsEnded) {
  EXPECT_THAT(Output({.argv = {"sleep", "1000"}}, absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not done")));
}

TEST(ServerFolderTest, HasOneOwnerAtATime) {
  const TempFolder folder;
  CLM_ASSERT_OK_AND_ASSIGN(auto first, ServerFolder::Open(folder.File("x"), UnprivilegedUser()));
  EXPECT_THAT(ServerFolder::Open(folder.File("x"), UnprivilegedUser()), ReasonIs("FOLDER_IN_USE"));
  first.reset();
  CLM_EXPECT_OK(ServerFolder::Open(folder.File("x"), UnprivilegedUser()));
}

TEST(ServerFolderTest, ALongPathGetsAShortSocketFolderThatIsRemoved) {
  const TempFolder folder;
  const std::string deep = folder.File(std::string(90, 'd'));
  CLM_ASSERT_OK_AND_ASSIGN(auto held, ServerFolder::Open(deep, UnprivilegedUser()));
  CLM_ASSERT_OK_AND_ASSIGN(const std::string sockets, held->SocketFolder(".s.PGSQL.5432"));
  EXPECT_LE(sockets.size() + 14, 107u);
  EXPECT_EQ(ReadFile(held->File("socket_folder")), sockets + "\n");
  struct stat info;
  ASSERT_EQ(stat(sockets.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  held.reset();
  EXPECT_FALSE(std::filesystem::exists(sockets));
}

TEST(ServerFolderTest, AFolderThatTheServersUserCannotReachIsRefused) {
  const auto user = UnprivilegedUser();
  if (!user) GTEST_SKIP() << "only root drops to another user";
  const TempFolder folder;
  chmod(folder.path().c_str(), 0700);
  EXPECT_THAT(ServerFolder::Open(folder.File("x"), user),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("/var/lib/clm")));
}

TEST(FindPostgresTest, AnUnknownVersionNamesThePackage) {
  EXPECT_THAT(FindPostgres(99),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("apt install postgresql-99")));
}

class PostgresServerTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<PostgresServer>> Start() {
    return PostgresServer::Start({.folder = folder_.File("pg"), .durable = false});
  }
  const TempFolder folder_;
};

TEST_F(PostgresServerTest, KeepsItsDataOverStopKillAndANewProcess) {
  CLM_ASSERT_OK_AND_ASSIGN(auto server, Start());
  CLM_ASSERT_OK(pg::AdminExec(server->Dsn(), "CREATE TABLE kept (x int)"));
  CLM_ASSERT_OK(server->Restart());
  CLM_ASSERT_OK(pg::AdminExec(server->Dsn(), "INSERT INTO kept VALUES (1)"));
  server->Kill();
  EXPECT_FALSE(server->running());
  EXPECT_THAT(pg::AdminExec(server->Dsn(), "SELECT 1"), StatusIs(absl::StatusCode::kUnavailable));
  CLM_ASSERT_OK(server->Restart());
  server.reset();
  CLM_ASSERT_OK_AND_ASSIGN(server, Start());
  CLM_ASSERT_OK_AND_ASSIGN(const pg::Result rows,
                           pg::AdminQuery(server->Dsn(), "SELECT x FROM kept"));
  EXPECT_EQ(rows.size(), 1);
}

TEST_F(PostgresServerTest, ListensOnlyOnAPrivateSocketAndHidesPeoplesData) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto server, Start());
  CLM_ASSERT_OK_AND_ASSIGN(
      const pg::Result rows,
      pg::AdminQuery(
          server->Dsn(),
          "SELECT current_setting('listen_addresses'), current_setting('data_checksums'), "
          "current_setting('log_min_error_statement'), "
          "current_setting('log_error_verbosity'), datcollate "
          "FROM pg_database WHERE datname = 'template0'"));
  EXPECT_EQ(rows[0].Text(0), "");
  EXPECT_EQ(rows[0].Text(1), "on");
  EXPECT_EQ(rows[0].Text(2), "panic");
  EXPECT_EQ(rows[0].Text(3), "terse");
  EXPECT_EQ(rows[0].Text(4), "C.UTF-8");
  struct stat info;
  ASSERT_EQ(stat(server->socket_folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(PostgresServerTest, ADurableServerSyncs) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto server,
                           PostgresServer::Start({.folder = folder_.File("durable")}));
  CLM_ASSERT_OK_AND_ASSIGN(const pg::Result rows,
                           pg::AdminQuery(server->Dsn(),
                                          "SELECT current_setting('fsync'), "
                                          "current_setting('full_page_writes'), "
                                          "current_setting('synchronous_commit')"));
  EXPECT_EQ(rows[0].Text(0), "on");
  EXPECT_EQ(rows[0].Text(1), "on");
  EXPECT_EQ(rows[0].Text(2), "on");
}

TEST_F(PostgresServerTest, AServerLeftBehindByACrashIsReplaced) {
  CLM_ASSERT_OK_AND_ASSIGN(auto server, Start());
  const std::string data = folder_.File("pg/data");
  const std::string postgres = server->binaries().folder + "/postgres";
  CLM_ASSERT_OK(server->Stop());
  server.reset();
  // As a crashed process without PR_SET_PDEATHSIG would leave it.
  CLM_ASSERT_OK_AND_ASSIGN(const auto orphan, ChildProcess::Start({.argv = {postgres, "-D", data},
                                                                   .user = UnprivilegedUser()}));
  while (!absl::StrContains(ReadFile(data + "/postmaster.pid"), "ready")) {
    ASSERT_FALSE(orphan->Wait(absl::Milliseconds(5)).has_value());
  }
  // The orphan is our child, so somebody must reap it while Start waits for it.
  std::thread reaper([&] { orphan->Wait(absl::Seconds(60)); });
  CLM_ASSERT_OK_AND_ASSIGN(server, Start());
  reaper.join();
  EXPECT_FALSE(orphan->running());
  CLM_EXPECT_OK(pg::AdminExec(server->Dsn(), "SELECT 1"));
}

TEST_F(PostgresServerTest, APidFileThatNamesAnotherProcessIsStale) {
  CLM_ASSERT_OK_AND_ASSIGN(auto server, Start());
  CLM_ASSERT_OK(server->Stop());
  server.reset();
  CLM_ASSERT_OK_AND_ASSIGN(const auto other, ChildProcess::Start({.argv = {"sleep", "1000"},
                                                                  .user = UnprivilegedUser()}));
  CLM_ASSERT_OK(WriteFile(folder_.File("pg/data/postmaster.pid"),
                          absl::StrCat(other->pid(), "\n", folder_.File("pg/data"), "\n"),
                          UnprivilegedUser()));
  CLM_EXPECT_OK(Start());
  EXPECT_TRUE(other->running());
}

TEST_F(PostgresServerTest, DataOfAnotherMajorVersionNamesThePackage) {
  { CLM_ASSERT_OK(Start()); }
  CLM_ASSERT_OK(WriteFile(folder_.File("pg/data/PG_VERSION"), "12\n", UnprivilegedUser()));
  EXPECT_THAT(Start(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("postgresql-12")));
}

TEST_F(PostgresServerTest, ABadSettingIsToldWithTheLog) {
  EXPECT_THAT(PostgresServer::Start({.folder = folder_.File("pg"),
                                     .durable = false,
                                     .settings = {{"shared_buffers", "plenty"}}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("shared_buffers")));
}

TEST(RedisServerTest, AnswersAgainAfterARestartAndAfterACrash) {
  const TempFolder folder;
  CLM_ASSERT_OK_AND_ASSIGN(auto server, RedisServer::Start({.folder = folder.File("redis")}));
  CLM_EXPECT_OK(server->Flush());
  CLM_ASSERT_OK(server->Restart());
  CLM_EXPECT_OK(server->Flush());
  server->Kill();
  EXPECT_FALSE(server->running());
  EXPECT_THAT(server->Flush(), ReasonIs("REDIS_SILENT"));
  CLM_ASSERT_OK(server->Restart());
  CLM_EXPECT_OK(server->Flush());
}

TEST(RedisServerTest, APausedServerStopsAllTheSame) {
  const TempFolder folder;
  CLM_ASSERT_OK_AND_ASSIGN(auto server, RedisServer::Start({.folder = folder.File("redis")}));
  CLM_ASSERT_OK(server->Pause());
  const pid_t pid = server->pid();
  CLM_EXPECT_OK(server->Stop());
  EXPECT_FALSE(Alive(pid));
}

}  // namespace
}  // namespace clm::stack
