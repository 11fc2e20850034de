#include "tests/e2e/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "libs/stack/system_user.h"

namespace clm::e2e {
namespace {

constexpr char kClm[] = CLM_BIN_DIR "/clm";
// The last line of the block that `clm up` prints.
constexpr char kBlockEnd[] = "Not for production";

// Nothing of who runs the tests reaches the suite under test.
std::map<std::string, std::string> Clean(const std::string& home) {
  return {{"HOME", home},    {"XDG_DATA_HOME", ""},  {"CLM_DATA", ""}, {"CLM_ADDRESS", ""},
          {"CLM_TOKEN", ""}, {"CLM_TENANT", "demo"}, {"NO_COLOR", "1"}};
}

}  // namespace

bool Distributed() {
  const char* form = std::getenv("CLM_E2E");
  return form != nullptr && std::string(form) == "distributed";
}

json Answer::Json() const {
  json parsed = json::parse(out, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << *this;
  return parsed.is_discarded() ? json() : parsed;
}

std::ostream& operator<<(std::ostream& os, const Answer& answer) {
  return os << "exit code " << answer.code << "\n--- stdout\n"
            << answer.out << "--- stderr\n"
            << answer.err << "---\n";
}

Answer RunProgram(const std::vector<std::string>& argv,
                  const std::map<std::string, std::string>& env, const std::string& input) {
  const clm::testing::TempFolder scratch;
  std::ofstream(scratch.File("in")) << input;
  stack::Command command;
  // A shell parts the streams; the words stay words.
  command.argv = {"/bin/sh", "-c",
                  "exec \"$@\" <\"$E2E_FOLDER/in\" >\"$E2E_FOLDER/out\" "
                  "2>\"$E2E_FOLDER/err\"",
                  "sh"};
  command.argv.insert(command.argv.end(), argv.begin(), argv.end());
  command.env = env;
  command.env["E2E_FOLDER"] = scratch.path();
  const auto process = stack::ChildProcess::Start(std::move(command));
  if (!process.ok()) return {.code = 127, .err = std::string(process.status().message())};
  const auto ended = (*process)->Wait(clm::testing::kPatience);
  Answer answer;
  answer.code = !ended ? 128 + SIGKILL : ended->signal != 0 ? 128 + ended->signal : ended->code;
  answer.out = stack::ReadFile(scratch.File("out"));
  answer.err = stack::ReadFile(scratch.File("err"));
  if (!ended) absl::StrAppend(&answer.err, "\n(not done within the test's patience)\n");
  return answer;
}

Place::~Place() {
  if (up_ != nullptr) up_->Stop(SIGTERM, absl::Seconds(60));
}

std::string Place::Write(const std::string& name, const std::string& content) const {
  std::ofstream(File(name), std::ios::binary) << content;
  return File(name);
}

Answer Place::Clm(std::vector<std::string> args, const std::string& input) const {
  args.insert(args.begin(), {kClm, "--data", data()});
  return RunProgram(args, Clean(folder_.path()), input);
}

stack::ChildProcess& Place::Up(std::vector<std::string> flags) {
  std::vector<std::string> argv = {kClm, "--data", data(), "up"};
  for (const char* port : {"--port", "--metrics-port"}) {
    if (std::find(flags.begin(), flags.end(), port) == flags.end()) {
      argv.insert(argv.end(), {port, "0"});
    }
  }
  if (Distributed()) argv.emplace_back("--distributed");
  argv.insert(argv.end(), flags.begin(), flags.end());
  status_ = json();
  up_.reset();
  unlink(File("up.txt").c_str());
  auto started = stack::ChildProcess::Start({.argv = std::move(argv),
                                             .env = Clean(folder_.path()),
                                             .log_file = File("up.txt"),
                                             .signal_on_parent_death = SIGTERM});
  CLM_EXPECT_OK(started);
  if (!started.ok()) std::abort();
  up_ = *std::move(started);
  const bool ready =
      Eventually([this] { return absl::StrContains(Printed(), kBlockEnd) || !up_->running(); });
  EXPECT_TRUE(ready && up_->running()) << Printed();
  return *up_;
}

std::string Place::Printed() const { return stack::ReadFile(File("up.txt")); }

void Place::Down() {
  EXPECT_THAT(Clm({"down"}), Succeeded());
  const auto ended = up_->Wait(clm::testing::kPatience);
  EXPECT_TRUE(ended && ended->ok()) << Printed();
  status_ = json();
}

const json& Place::Status() {
  if (status_.is_null()) {
    const Answer answer = Clm({"status", "-o", "json"});
    EXPECT_THAT(answer, Succeeded());
    status_ = answer.Json();
    if (status_.is_array() && !status_.empty()) status_ = json(status_[0]);
  }
  return status_;
}

std::string Place::Address(const std::string& service) {
  const bool own = service == "lifecycle" || service == "loyalty" || service == "feedback";
  return Status().value(own ? service + "_address" : "address", "");
}

Place& Suite() {
  // Not ended by a destructor: those of static objects come after gRPC's own end.
  static Place* const place = [] {
    static std::unique_ptr<Place> made = std::make_unique<Place>();
    class End : public ::testing::Environment {
     public:
      void TearDown() override { made.reset(); }
    };
    ::testing::AddGlobalTestEnvironment(new End);
    made->Up();
    return made.get();
  }();
  return *place;
}

Client::Client(Place& place, std::string token) : token_(std::move(token)) {
  for (const char* service : {"access", "contact", "lifecycle", "loyalty", "feedback"}) {
    channels_[service] = rpc::NewChannel(place.Address(service));
  }
}

std::shared_ptr<grpc::Channel> Client::ChannelFor(const std::string& package) const {
  // "clm.contact.v1"
  const std::vector<std::string> parts = absl::StrSplit(package, '.');
  return channels_.at(parts.at(1));
}

TenantTest::TenantTest() : tenant_(NewTenant()), token_(NewToken(tenant_)) {
  api_ = std::make_unique<Client>(Suite(), token_);
}

std::string TenantTest::NewTenant() {
  static std::atomic<int> count = 0;
  const std::string id = absl::StrCat("tenant-", ++count);
  EXPECT_THAT(Suite().Clm({"tenants", "create", id}), Succeeded());
  return id;
}

std::string TenantTest::NewToken(const std::string& tenant, const std::string& scope) {
  const Answer made =
      Suite().Clm({"--tenant", tenant, "tokens", "create", "--scope", scope, "-o", "json"});
  EXPECT_THAT(made, Succeeded());
  return made.Json().value("secret", "");
}

Answer TenantTest::Clm(std::vector<std::string> args, const std::string& input) const {
  args.insert(args.begin(), {"--tenant", tenant_});
  return Suite().Clm(std::move(args), input);
}

json TenantTest::Json(std::vector<std::string> args, const std::string& input) const {
  args.insert(args.end(), {"-o", "json"});
  const Answer answer = Clm(std::move(args), input);
  EXPECT_THAT(answer, Succeeded());
  return answer.code == 0 ? answer.Json() : json();
}

std::string TenantTest::NewContact(const std::string& email) const {
  return Json({"contacts", "create", "--email", email}).value("name", "");
}

void TenantTest::Ingest(const std::string& type, const std::string& who, const std::string& at,
                        const std::string& amount) const {
  EXPECT_THAT(
      Clm({"events", "ingest", type, who, "--at", at, "--amount", amount, "--currency", "EUR"}),
      Succeeded());
}

std::string TenantTest::StageOf(const std::string& who) const {
  const json stages = Json({"stages", "get", who});
  return stages.is_array() && !stages.empty() ? stages[0].value("stage", "") : "";
}

bool TenantTest::Reaches(const std::string& who, const std::string& stage) const {
  std::string now;
  const bool reached = Eventually([&] { return (now = StageOf(who)) == stage; });
  EXPECT_TRUE(reached) << who << " is in " << now << ", not in " << stage;
  return reached;
}

std::string HttpGet(const std::string& url) {
  // http://127.0.0.1:PORT/PATH
  const std::vector<std::string> parts = absl::StrSplit(url, absl::MaxSplits('/', 3));
  const std::vector<std::string> host = absl::StrSplit(parts.at(2), ':');
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(host.at(1), &port)) << url;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string body;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = absl::StrCat("GET /", parts.at(3),
                                             " HTTP/1.1\r\nHost: localhost\r\n"
                                             "Connection: close\r\n\r\n");
    EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char chunk[4096];
    ssize_t got;
    while ((got = recv(fd, chunk, sizeof(chunk), 0)) > 0) body.append(chunk, got);
  }
  close(fd);
  return body;
}

}  // namespace clm::e2e
