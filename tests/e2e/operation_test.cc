// Running the suite: started, stopped, killed, looked into, put on servers that exist.
#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "google/protobuf/wrappers.pb.h"
#include "libs/pg/admin.h"
#include "libs/stack/system_user.h"
#include "tests/e2e/harness.h"

namespace clm::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;

bool Alive(pid_t pid) { return pid > 0 && kill(pid, 0) == 0; }

// The private PostgreSQL of a data folder.
pid_t PostgresOf(const Place& place) {
  return std::atoi(stack::ReadFile(place.data() + "/pg/data/postmaster.pid").c_str());
}

// Processes of this name whose command line names the place, as `ps` would show them.
std::vector<pid_t> ProcessesOf(const Place& place, const std::string& program) {
  std::vector<pid_t> pids;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::string line = stack::ReadFile(entry.path().string() + "/cmdline");
    const std::string first = line.substr(0, line.find('\0'));
    if (absl::EndsWith(first, program) && absl::StrContains(line, place.data())) {
      pids.push_back(pid);
    }
  }
  return pids;
}

// Asks grpc.health.v1 over TCP. 1 is SERVING.
uint32_t Health(const std::string& address, const std::string& service) {
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::UInt32Value> stub(
      rpc::NewChannel(address));
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "e2e"}, absl::Seconds(20), &context);
  google::protobuf::StringValue request;
  request.set_value(service);
  google::protobuf::UInt32Value response;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&](grpc::Status s) {
                   status = std::move(s);
                   done.Notify();
                 });
  done.WaitForNotification();
  return status.ok() ? response.value() : 100 + static_cast<uint32_t>(status.error_code());
}

// ---- on the shared suite

class RunningTest : public TenantTest {};

TEST_F(RunningTest, HealthIsServedOverTcp) {
  for (const char* service : {"contact", "lifecycle", "loyalty", "feedback"}) {
    const std::string address = suite().Address(service);
    for (const char* name : {"", "liveness", "readiness", "startup"}) {
      EXPECT_EQ(Health(address, name), 1u) << service << " " << name;
    }
    EXPECT_EQ(Health(address, "no.such.Service"), 100u + grpc::StatusCode::NOT_FOUND);
  }
  EXPECT_EQ(Health(suite().Address("contact"), "clm.contact.v1.ContactService"), 1u);
  EXPECT_EQ(Health(suite().Address("lifecycle"), "clm.lifecycle.v1.InsightsService"), 1u);
}

TEST_F(RunningTest, MetricsAreServedOverHttp) {
  Json({"contacts", "create", "--email", "ada@example.com"});
  Json({"models", "install", "non-contractual"});
  const std::string contact = HttpGet(suite().Status().value("metrics", ""));
  EXPECT_THAT(contact, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(contact, HasSubstr("grpc_server_handled_total{"));
  EXPECT_THAT(contact, HasSubstr("grpc_method=\"CreateContact\""));
  EXPECT_THAT(contact, HasSubstr("clm_rpc_in_flight"));
  EXPECT_THAT(contact, Not(HasSubstr("ada@example.com")));
  const std::string lifecycle = HttpGet(suite().Status().value("lifecycle_metrics", ""));
  EXPECT_THAT(lifecycle,
              AllOf(HasSubstr("grpc_method=\"InstallPreset\""), HasSubstr("clm_feed_lag_events")));
  EXPECT_EQ(absl::StrContains(contact, "grpc_method=\"InstallPreset\""), !Distributed());
}

TEST_F(RunningTest, StatusAndDoctorTellHowItIs) {
  const json& status = suite().Status();
  EXPECT_EQ(status.value("mode", ""), Distributed() ? "distributed" : "one process");
  EXPECT_EQ(status.value("services", ""),
            "contact serving, lifecycle serving, loyalty serving, feedback serving");
  EXPECT_EQ(Distributed(), suite().Address("contact") != suite().Address("lifecycle"));
  EXPECT_EQ(ProcessesOf(suite(), "/clm-lifecycle").size(), Distributed() ? 1u : 0u);

  const Answer doctor = suite().Clm({"doctor", "-o", "json"});
  ASSERT_THAT(doctor, Succeeded());
  std::vector<std::string> checks;
  for (const auto& check : doctor.Json()) {
    EXPECT_TRUE(check.value("ok", false)) << check;
    checks.push_back(check.value("check", ""));
  }
  EXPECT_THAT(checks, ::testing::IsSupersetOf({"PostgreSQL", "Redis", "suite", "contact",
                                               "lifecycle", "database contact"}));

  // A shell reads the addresses.
  const Answer env = suite().Clm({"status", "-o", "env"});
  const Answer used = RunProgram(
      {"/bin/sh", "-c", "eval \"$E2E_STATUS\"; exec \"$0\" --tenant demo contacts list -o json",
       CLM_BIN_DIR "/clm"},
      {{"E2E_STATUS", env.out}, {"HOME", suite().data()}});
  EXPECT_THAT(used, Succeeded());
}

TEST_F(RunningTest, ASecondUpOnTheSameFolderIsRefused) {
  EXPECT_THAT(suite().Clm({"up", "--port", "0"}),
              FailedWith(kConflict, AllOf(HasSubstr("ALREADY_RUNNING"), HasSubstr("clm down"))));
  EXPECT_THAT(suite().Clm({"up", "--detach"}), FailedWith(kConflict, HasSubstr("ALREADY_RUNNING")));
  EXPECT_THAT(suite().Clm({"reset", "--yes"}), FailedWith(kConflict, HasSubstr("clm down")));
  EXPECT_THAT(Clm({"contacts", "list"}), Succeeded());
}

TEST_F(RunningTest, LogsPsqlRedisAndCheatLookInside) {
  const Answer logs = suite().Clm({"logs", "--lines", "0"});
  EXPECT_THAT(logs, Succeeded());
  EXPECT_THAT(logs.out, HasSubstr(" serving "));
  const Answer of_lifecycle = suite().Clm({"logs", "lifecycle", "--lines", "0", "-o", "ndjson"});
  EXPECT_THAT(of_lifecycle.out,
              HasSubstr(Distributed() ? "\"service\":\"clm-lifecycle\"" : "clm-allinone"));
  EXPECT_EQ(absl::StrContains(of_lifecycle.out, "clm-contact"), false);
  EXPECT_THAT(suite().Clm({"logs", "postgres"}).out, HasSubstr("ready to accept connections"));
  EXPECT_THAT(suite().Clm({"logs", "shoes"}), FailedWith(kUsage, HasSubstr("must be one of")));

  NewContact("ada@example.com");
  const Answer rows =
      suite().Clm({"psql", "contact", "--", "-Atc",
                   absl::StrCat("SELECT email FROM contact WHERE tenant_id = '", tenant(), "'")});
  EXPECT_THAT(rows, Succeeded());
  EXPECT_EQ(rows.out, "ada@example.com\n");
  EXPECT_EQ(suite().Clm({"psql", "server", "--", "-Atc", "SELECT current_database()"}).out,
            "postgres\n");
  EXPECT_THAT(suite().Clm({"psql", "shoes"}), FailedWith(kUsage, HasSubstr("shoes")));
  EXPECT_EQ(suite().Clm({"redis", "--", "PING"}).out, "PONG\n");

  const Answer cheat = suite().Clm({"cheat"});
  EXPECT_THAT(cheat.out, HasSubstr("clm explain stage"));
  // Every line of it is a command that exists, with options that exist.
  for (const auto& hint : suite().Clm({"cheat", "-o", "json"}).Json()) {
    const std::string line = hint.value("command", "");
    if (!absl::StartsWith(line, "clm ")) continue;
    const Answer help = RunProgram(
        {"/bin/sh", "-c", absl::StrCat("\"$0\" ", line.substr(4), " --help"), CLM_BIN_DIR "/clm"});
    EXPECT_THAT(help, Succeeded()) << line;
    EXPECT_THAT(help.out, HasSubstr("Examples:")) << line;
  }
}

TEST_F(RunningTest, TheTabKeyOffersWhatThereIs) {
  Json({"models", "install", "non-contractual", "--as", "shop"});
  // Sourced, as in a shell: it is longer than a word of a command line may be.
  const clm::testing::TempFolder folder;
  const std::string script = folder.File("completion");
  std::ofstream(script) << suite().Clm({"completion", "bash"}).out;
  const auto offers = [&](const std::vector<std::string>& words) {
    std::string line = "COMP_WORDS=(clm --data \"$E2E_DATA\" --tenant " + tenant();
    for (const std::string& word : words) absl::StrAppend(&line, " '", word, "'");
    absl::StrAppend(&line, "); COMP_CWORD=", words.size() + 4,
                    "; _clm_complete; echo \"${COMPREPLY[@]}\"");
    const Answer answer =
        RunProgram({"/bin/bash", "-c", ". \"$0\"; " + line, script},
                   {{"E2E_DATA", suite().data()},
                    {"PATH", absl::StrCat(CLM_BIN_DIR, ":", std::getenv("PATH"))}});
    EXPECT_THAT(answer, Succeeded());
    return answer.out;
  };
  EXPECT_EQ(offers({"insights", "funnel", "s"}), "shop\n");
  EXPECT_EQ(offers({"stages", "move", "ada@example.com", "--model", ""}), "shop\n");
  EXPECT_EQ(offers({"stages", "list", "shop", "w"}), "won_back\n");
  EXPECT_EQ(offers({"stages", "list", "no-such", "w"}), "\n");
  EXPECT_THAT(offers({"rules", "enable", "shop", ""}), HasSubstr("first-purchase"));
  EXPECT_EQ(offers({"models", "install", "hubspot-e"}), "hubspot-eight\n");
}

TEST_F(RunningTest, TheDemoShopFillsATenantOnce) {
  const json first = Json({"demo", "--contacts", "120", "--months", "4", "--end", "2026-06-01"});
  const json again = Json({"demo", "--contacts", "120", "--months", "4", "--end", "2026-06-01"});
  EXPECT_EQ(first.value("contacts", 0), 120) << first;
  EXPECT_GT(first.value("events", 0), 120) << first;
  EXPECT_EQ(again.value("known_events", 0), again.value("events", -1)) << again;
  EXPECT_EQ(Json({"contacts", "list", "--limit", "0"}).size(), 120u);
  EXPECT_THAT(
      Clm({"insights", "funnel", "subscription", "--step", "visitor", "--step", "member"}).out,
      HasSubstr("went on"));
}

// ---- on suites of their own

TEST(OperationTest, ARestartKeepsTheData) {
  Place place;
  EXPECT_THAT(place.Clm({"status"}), FailedWith(kUnavailable, HasSubstr("clm up")));
  EXPECT_THAT(place.Clm({"contacts", "list"}), FailedWith(kUnavailable, HasSubstr("clm up")));
  EXPECT_THAT(place.Clm({"down"}), FailedWith(kUnavailable, HasSubstr("")));
  place.Up();
  EXPECT_THAT(place.Clm({"models", "install", "non-contractual"}), Succeeded());
  EXPECT_THAT(place.Clm({"contacts", "create", "--email", "ada@example.com"}), Succeeded());
  EXPECT_THAT(place.Clm({"events", "ingest", "purchase", "ada@example.com", "--amount", "9.90",
                         "--currency", "EUR"}),
              Succeeded());
  ASSERT_TRUE(Eventually([&] {
    return absl::StrContains(place.Clm({"stages", "get", "ada@example.com"}).out, "first_purchase");
  }));
  const Answer env = place.Clm({"status", "-o", "env"});
  const Answer history = place.Clm({"stages", "history", "ada@example.com", "-o", "json"});
  const pid_t postgres = PostgresOf(place);
  EXPECT_TRUE(Alive(postgres));
  place.Down();
  EXPECT_FALSE(Alive(postgres));
  EXPECT_THAT(place.Printed(),
              AllOf(HasSubstr("services drained"), HasSubstr("PostgreSQL stopped")));
  EXPECT_THAT(place.Clm({"status"}), FailedWith(kUnavailable, HasSubstr("clm up")));

  // Without a suite: the databases are up to date, and logs and doctor work.
  const Answer migrated = place.Clm({"migrate", "-o", "csv"});
  EXPECT_THAT(migrated, Succeeded());
  EXPECT_THAT(migrated.out, HasSubstr("clm_contact,"));
  EXPECT_THAT(place.Clm({"logs"}).out, HasSubstr(" stopped "));
  EXPECT_THAT(place.Clm({"doctor"}), Succeeded());

  place.Up();
  EXPECT_EQ(place.Clm({"stages", "history", "ada@example.com", "-o", "json"}).out, history.out);
  // The token that the first start has shown is good for ever.
  const std::vector<std::string> lines = absl::StrSplit(env.out, '\n');
  for (const std::string& line : lines) {
    if (!absl::StrContains(line, "CLM_TOKEN")) continue;
    EXPECT_THAT(place.Clm({"status", "-o", "env"}).out, HasSubstr(line));
  }
  EXPECT_THAT(place.Printed(), Not(HasSubstr("shown this once")));
  place.Down();

  EXPECT_THAT(place.Clm({"reset"}), FailedWith(kUsage, HasSubstr("--yes")));
  EXPECT_TRUE(fs::exists(place.data() + "/pg"));
  EXPECT_THAT(place.Clm({"reset", "--yes"}), Succeeded());
  EXPECT_FALSE(fs::exists(place.data() + "/pg"));
  EXPECT_FALSE(fs::exists(place.data() + "/suite"));
}

TEST(OperationTest, ResetDeletesNothingThatIsNotASuites) {
  Place place;
  fs::create_directories(place.data());
  std::ofstream(place.data() + "/letters.txt") << "dear";
  EXPECT_THAT(place.Clm({"reset", "--yes"}), FailedWith(kConflict, HasSubstr("NOT_OURS")));
  EXPECT_TRUE(fs::exists(place.data() + "/letters.txt"));
}

TEST(OperationTest, CtrlCStopsInOrderAndFollowersEnd) {
  Place place;
  stack::ChildProcess& up = place.Up();
  auto follower = stack::ChildProcess::Start(
      {.argv = {CLM_BIN_DIR "/clm", "--data", place.data(), "logs", "--follow"},
       .log_file = place.File("follow.txt")});
  CLM_ASSERT_OK(follower);
  ASSERT_TRUE(Eventually(
      [&] { return absl::StrContains(stack::ReadFile(place.File("follow.txt")), " serving "); }));
  const pid_t postgres = PostgresOf(place);
  std::vector<pid_t> children = ProcessesOf(place, "/clm-contact");
  children.push_back(postgres);

  CLM_ASSERT_OK(up.Signal(SIGINT));
  const auto ended = up.Wait(clm::testing::kPatience);
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->ok()) << ended->ToString() << place.Printed();
  EXPECT_THAT(place.Printed(), HasSubstr("stopping; again to stop at once"));
  for (const pid_t child : children) EXPECT_FALSE(Alive(child));
  const auto followed = (*follower)->Wait(clm::testing::kPatience);
  ASSERT_TRUE(followed.has_value());
  EXPECT_TRUE(followed->ok());
  EXPECT_THAT(stack::ReadFile(place.File("follow.txt")), HasSubstr(" stopped "));
  // Nothing is left that would hinder the next.
  place.Up();
  place.Down();
}

TEST(OperationTest, ASecondCtrlCDoesNotWait) {
  Place place;
  stack::ChildProcess& up = place.Up();
  const pid_t postgres = PostgresOf(place);
  const std::vector<pid_t> services = ProcessesOf(place, "/clm-contact");
  // A server that does not answer holds the first up.
  ASSERT_EQ(kill(postgres, SIGSTOP), 0);
  CLM_ASSERT_OK(up.Signal(SIGINT));
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(place.Printed(), "again to stop"); }));
  EXPECT_TRUE(up.running());
  CLM_ASSERT_OK(up.Signal(SIGINT));
  const auto ended = up.Wait(clm::testing::kPatience);
  kill(postgres, SIGCONT);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code, 130) << ended->ToString();
  // Whoever it started ends with it.
  EXPECT_TRUE(Eventually([&] {
    return !Alive(postgres) &&
           std::none_of(services.begin(), services.end(), [](pid_t p) { return Alive(p); });
  }));
  place.Up();
  place.Down();
}

TEST(OperationTest, WhatDiesIsStartedAgain) {
  Place place;
  place.Up();
  EXPECT_THAT(place.Clm({"contacts", "create", "--email", "ada@example.com"}), Succeeded());
  const auto heals = [&](const std::string& what, const std::vector<pid_t>& pids) {
    ASSERT_FALSE(pids.empty()) << what;
    for (const pid_t pid : pids) kill(pid, SIGKILL);
    EXPECT_TRUE(
        Eventually([&] { return absl::StrContains(place.Printed(), what + " started again"); }));
    EXPECT_TRUE(Eventually([&] {
      return place.Clm({"contacts", "get", "ada@example.com"}).code == 0 &&
             place.Clm({"models", "list"}).code == 0;
    })) << place.Printed();
  };
  heals("PostgreSQL", {PostgresOf(place)});
  const Answer redis = place.Clm({"redis", "--", "INFO", "server"});
  std::vector<pid_t> pids;
  for (const absl::string_view line : absl::StrSplit(redis.out, absl::ByAnyChar("\r\n"))) {
    int pid = 0;
    if (absl::StartsWith(line, "process_id:") && absl::SimpleAtoi(line.substr(11), &pid)) {
      pids.push_back(pid);
    }
  }
  heals("Redis", pids);
  if (Distributed()) {
    heals("clm-contact", ProcessesOf(place, "/clm-contact"));
    heals("clm-lifecycle", ProcessesOf(place, "/clm-lifecycle"));
  }
  place.Down();
}

TEST(OperationTest, ServersThatExistAreUsedAndLeftAlone) {
  clm::testing::Postgres postgres(true);
  clm::testing::RedisServer redis;
  {
    Place place;
    place.Up({"--pg-dsn", postgres.admin_dsn(), "--redis-url", redis.url()});
    EXPECT_FALSE(fs::exists(place.data() + "/pg"));
    EXPECT_FALSE(fs::exists(place.data() + "/redis"));
    EXPECT_THAT(place.Clm({"contacts", "create", "--email", "ada@example.com"}), Succeeded());
    EXPECT_THAT(place.Clm({"contacts", "context", "ada@example.com"}), Succeeded());
    EXPECT_EQ(place.Clm({"psql", "contact", "--", "-Atc", "SELECT email FROM contact"}).out,
              "ada@example.com\n");
    EXPECT_THAT(place.Clm({"redis", "--", "DBSIZE"}).out, Not(HasSubstr("(integer) 0")));
    place.Down();
    EXPECT_TRUE(postgres.server().running());
    EXPECT_TRUE(redis->running());
  }
  // The data are the server's, not the folder's.
  Place second;
  second.Write("secret", "");
  EXPECT_THAT(second.Clm({"migrate", "--pg-dsn", postgres.admin_dsn()}), Succeeded());
  second.Up({"--pg-dsn", postgres.admin_dsn(), "--no-redis"});
  EXPECT_THAT(second.Clm({"contacts", "get", "ada@example.com"}), Succeeded());
  EXPECT_THAT(second.Clm({"redis"}), FailedWith(kConflict, HasSubstr("without Redis")));
  second.Down();
}

TEST(OperationTest, WhatIsWrongWithAServerIsSaidAtTheStart) {
  Place place;
  const Answer nowhere =
      place.Clm({"up", "--port", "0", "--pg-dsn", "host=/nonexistent user=postgres"});
  EXPECT_EQ(nowhere.code, kUnavailable) << nowhere;
  // One that may lose acknowledged data.
  const Answer unsafe = place.Clm({"up", "--port", "0", "--no-redis", "--pg-dsn",
                                   clm::testing::Postgres::Shared().admin_dsn()});
  EXPECT_EQ(unsafe.code, kConflict) << unsafe;
  EXPECT_THAT(unsafe.err, HasSubstr("fsync"));
  EXPECT_THAT(place.Clm({"up", "--port", "70000"}), FailedWith(kUsage, HasSubstr("--port")));
  EXPECT_THAT(place.Clm({"--tenant", "Not A Slug", "up"}),
              FailedWith(kUsage, HasSubstr("--tenant")));
  EXPECT_THAT(place.Clm({"status"}), FailedWith(kUnavailable, HasSubstr("clm up")));
}

TEST(OperationTest, ABusyPortIsPassedOver) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string busy = absl::StrCat(ntohs(address.sin_port));
  Place place;
  place.Up({"--port", busy, "--ephemeral"});
  EXPECT_THAT(place.Printed(), AllOf(HasSubstr("gRPC"), Not(HasSubstr(":" + busy))));
  // --ephemeral takes a folder of its own, and takes it away again.
  std::string data;
  for (const absl::string_view line : absl::StrSplit(place.Printed(), '\n')) {
    if (absl::StartsWith(line, "  data ")) data = std::string(line.substr(line.find('/')));
  }
  EXPECT_TRUE(fs::exists(data + "/suite/state.json")) << data;
  EXPECT_NE(data, place.data());
  EXPECT_TRUE(place.up().Stop(SIGTERM, clm::testing::kPatience).ok());
  EXPECT_FALSE(fs::exists(data));
  close(fd);
}

// ---- the server binaries themselves

TEST(ServerBinaryTest, BadUsageIsToldBeforeAnythingStarts) {
  const auto server = [](const std::string& name, std::vector<std::string> flags,
                         const std::map<std::string, std::string>& env = {}) {
    flags.insert(flags.begin(), absl::StrCat(CLM_BIN_DIR, "/", name));
    return RunProgram(flags, env);
  };
  for (const char* name :
       {"clm-contact", "clm-lifecycle", "clm-loyalty", "clm-feedback", "clm-allinone"}) {
    EXPECT_THAT(server(name, {"--workers=0"}), FailedWith(2, HasSubstr("--workers must be")));
    EXPECT_THAT(server(name, {"--workers=many"}), Not(Succeeded()));
    EXPECT_THAT(server(name, {"--log-level=loud"}), FailedWith(2, HasSubstr("--log-level")));
    EXPECT_THAT(server(name, {"serve"}), FailedWith(2, HasSubstr("unexpected argument: serve")));
    EXPECT_THAT(server(name, {"--no-such-flag"}), Not(Succeeded()));
    EXPECT_THAT(server(name, {}, {{"CLM_STREAMS", "many"}}),
                FailedWith(2, HasSubstr("CLM_STREAMS")));
    EXPECT_THAT(server(name, {}), FailedWith(1, HasSubstr("--secret-file")));
    EXPECT_THAT(server(name, {"--help"}).out, HasSubstr("--drain_delay"));
  }
}

TEST(ServerBinaryTest, SigtermAndSigintDrainAndLeaveWithZero) {
  clm::testing::Postgres postgres(true);
  const clm::testing::TempFolder folder;
  std::ofstream(folder.File("secret")) << std::string(32, 's');
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string log = folder.File(absl::StrCat("log", signal));
    auto server = stack::ChildProcess::Start(
        {.argv = {CLM_BIN_DIR "/clm-allinone", "--socket=" + folder.File("s.sock"), "--migrate",
                  "--drain-delay=1ms"},
         .env = {{"CLM_PG_ADMIN_DSN", postgres.admin_dsn()},
                 {"CLM_SECRET_FILE", folder.File("secret")},
                 {"CLM_METRICS_LISTEN", "127.0.0.1:0"}},
         .log_file = log});
    CLM_ASSERT_OK(server);
    ASSERT_TRUE(Eventually([&] {
      return absl::StrContains(stack::ReadFile(log), "\"serving\"") || !(*server)->running();
    }));
    EXPECT_EQ(Health("unix:" + folder.File("s.sock"), "readiness"), 1u);
    const stack::ExitStatus ended = (*server)->Stop(signal, clm::testing::kPatience);
    EXPECT_TRUE(ended.ok()) << ended.ToString();
    EXPECT_THAT(stack::ReadFile(log), AllOf(HasSubstr("\"draining\""), HasSubstr("\"stopped\"")));
  }
}

}  // namespace
}  // namespace clm::e2e
