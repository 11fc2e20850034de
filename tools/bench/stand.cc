#include "tools/bench/stand.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/rpc/client.h"

namespace clm::bench {
namespace {

constexpr int kConnections = 4;

std::vector<std::shared_ptr<grpc::Channel>> Connect(const std::string& socket) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < kConnections; ++i) {
    grpc::ChannelArguments arguments = rpc::ChannelArguments();
    // Channels of different arguments do not share a connection.
    arguments.SetInt("clm.bench.connection", i);
    channels.push_back(
        grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
  }
  return channels;
}

absl::Status AwaitReady(const std::shared_ptr<grpc::Channel>& channel, const std::string& what) {
  const auto until = std::chrono::system_clock::now() + std::chrono::seconds(30);
  if (!channel->WaitForConnected(until)) {
    return error::Unavailable("NOT_STARTED", absl::StrCat(what, " did not start"),
                              absl::Seconds(1));
  }
  return absl::OkStatus();
}

// Seconds of processor time of a process; with those of its ended children when `children`. Also
// its parent's number.
double CpuSeconds(pid_t pid, bool children, pid_t* parent = nullptr) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(in, line);
  // The name, in parentheses, may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> fields = absl::StrSplit(line.substr(name_end + 2), ' ');
  constexpr int kParent = 1, kUser = 11, kSystem = 12, kChildUser = 13, kChildSystem = 14;
  if (fields.size() <= kChildSystem) return 0;
  const auto ticks = [&](int field) {
    int64_t value = 0;
    return absl::SimpleAtoi(fields[field], &value) ? value : 0;
  };
  if (parent != nullptr) *parent = static_cast<pid_t>(ticks(kParent));
  int64_t sum = ticks(kUser) + ticks(kSystem);
  if (children) sum += ticks(kChildUser) + ticks(kChildSystem);
  return static_cast<double>(sum) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

class Echo final : public contact::v1::ContactService::CallbackService {
 public:
  Echo() {
    contact_.set_name("tenants/bench/contacts/0190163d-8694-739b-aea5-966c26f8ad91");
    contact_.set_email("somebody.with.a.name@mail.example.com");
    contact_.set_given_name("Somebody");
    contact_.set_family_name("Withaname");
    contact_.set_locale("de-CH");
    contact_.set_timezone("Europe/Zurich");
    contact_.set_source("search");
    contact_.set_etag("\"v17\"");
    (*contact_.mutable_external_ids())["shop"] = "customer-0123456789";
    contact_.mutable_create_time()->set_seconds(1'790'000'000);
    contact_.mutable_update_time()->set_seconds(1'795'000'000);
  }
  grpc::ServerUnaryReactor* GetContact(grpc::CallbackServerContext* context,
                                       const contact::v1::GetContactRequest*,
                                       contact::v1::Contact* response) override {
    *response = contact_;
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  contact::v1::Contact contact_;
};

}  // namespace

int ServeEcho(const std::string& socket) {
  Echo echo;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  server->Wait();
  return 0;
}

absl::StatusOr<std::unique_ptr<Stand>> Stand::Start(const std::string& binaries,
                                                    std::map<std::string, std::string> settings) {
  auto stand = std::make_unique<Stand>();
  std::string folder = (std::filesystem::temp_directory_path() / "clm-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return error::Precondition("NO_FOLDER", "no temporary folder can be made");
  }
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all |
                                           std::filesystem::perms::group_exec |
                                           std::filesystem::perms::others_exec);
  stand->folder_ = folder;
  {
    std::ofstream secret(folder + "/secret");
    for (int i = 0; i < 4; ++i) secret << Uuid::V7(absl::Now()).ToString();
  }
  stack::PostgresServer::Options postgres;
  postgres.folder = folder + "/postgres";
  postgres.settings = std::move(settings);
  CLM_ASSIGN_OR_RETURN(stand->postgres_, stack::PostgresServer::Start(std::move(postgres)));
  stack::RedisServer::Options redis;
  redis.folder = folder + "/redis";
  redis.append_only = false;
  CLM_ASSIGN_OR_RETURN(stand->redis_, stack::RedisServer::Start(std::move(redis)));

  stack::Command suite;
  suite.argv = {binaries + "/clm-allinone",
                "--socket",
                folder + "/suite.sock",
                "--secret_file",
                folder + "/secret",
                "--pg_admin_dsn",
                stand->postgres_->Dsn(),
                "--migrate",
                "--redis_url",
                stand->redis_->url(),
                "--drain_delay",
                "0s",
                "--log_level",
                "warn"};
  suite.log_file = folder + "/suite.log";
  CLM_ASSIGN_OR_RETURN(stand->suite_process_, stack::ChildProcess::Start(std::move(suite)));
  stack::Command echo;
  echo.argv = {binaries + "/clm-bench", "--echo", folder + "/echo.sock"};
  CLM_ASSIGN_OR_RETURN(stand->echo_process_, stack::ChildProcess::Start(std::move(echo)));
  stand->suite_ = Connect(folder + "/suite.sock");
  stand->echo_ = Connect(folder + "/echo.sock");
  CLM_RETURN_IF_ERROR(AwaitReady(stand->suite_[0], "clm-allinone (see suite.log)"));
  CLM_RETURN_IF_ERROR(AwaitReady(stand->echo_[0], "the echo"));
  return stand;
}

Stand::~Stand() {
  suite_.clear();
  echo_.clear();
  echo_process_.reset();
  if (suite_process_ != nullptr) suite_process_->Stop(SIGTERM, absl::Seconds(10));
  redis_.reset();
  postgres_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

CpuTimes Stand::Cpu() const {
  CpuTimes times;
  times.client = CpuSeconds(getpid(), false);
  times.suite = CpuSeconds(suite_process_->pid(), false);
  times.redis = CpuSeconds(redis_->pid(), false);
  times.postgres = CpuSeconds(postgres_->pid(), true);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = 0, parent = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const double used = CpuSeconds(pid, false, &parent);
    if (parent == postgres_->pid()) times.postgres += used;
  }
  return times;
}

int64_t Stand::SuiteMemory() const {
  std::ifstream statm(absl::StrCat("/proc/", suite_process_->pid(), "/statm"));
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace clm::bench
