#include "tools/bench/stand.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/uuid.h"
#include "libs/pg/admin.h"
#include "libs/rpc/client.h"

namespace clm::bench {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
// What is left to be taken in must get less within this time.
constexpr absl::Duration kRestPatience = absl::Seconds(60);

absl::Status AwaitReady(const std::shared_ptr<grpc::Channel>& channel, const std::string& what,
                        const std::string& log) {
  const auto until = absl::ToChronoTime(absl::Now() + kStartTimeout);
  if (channel->WaitForConnected(until)) return absl::OkStatus();
  return error::Unavailable(
      "NOT_STARTED", absl::StrCat(what, " did not start: ", stack::Tail(log, 3)), absl::Seconds(1));
}

int64_t ResidentBytes(pid_t pid) {
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stand>> Stand::Start(Options options) {
  auto stand = std::make_unique<Stand>();
  stand->options_ = std::move(options);
  CLM_RETURN_IF_ERROR(stand->StartAll());
  return stand;
}

absl::Status Stand::StartAll() {
  std::string folder = (std::filesystem::temp_directory_path() / "clm-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return error::Precondition("NO_FOLDER", "no temporary folder can be made");
  }
  folder_ = folder;
  // PostgreSQL runs as a user of its own when this runs as root.
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all |
                                           std::filesystem::perms::group_exec |
                                           std::filesystem::perms::others_exec);
  {
    std::ofstream secret(folder + "/secret");
    for (int i = 0; i < 4; ++i) secret << Uuid::V7(absl::Now()).ToString();
  }
  stack::PostgresServer::Options postgres;
  postgres.folder = folder + "/postgres";
  postgres.settings = options_.settings;
  CLM_ASSIGN_OR_RETURN(postgres_, stack::PostgresServer::Start(std::move(postgres)));
  stack::RedisServer::Options redis;
  redis.folder = folder + "/redis";
  redis.append_only = false;
  CLM_ASSIGN_OR_RETURN(redis_, stack::RedisServer::Start(std::move(redis)));

  if (options_.distributed) {
    CLM_ASSIGN_OR_RETURN(suite_process_,
                         StartService("clm-contact", contact_socket(),
                                      {"--lifecycle_peer=unix:" + lifecycle_socket()}));
    CLM_ASSIGN_OR_RETURN(lifecycle_process_,
                         StartService("clm-lifecycle", lifecycle_socket(),
                                      {"--contact_peer=unix:" + contact_socket(),
                                       "--access_peer=unix:" + contact_socket()}));
  } else {
    CLM_ASSIGN_OR_RETURN(suite_process_, StartService("clm-allinone", contact_socket(), {}));
  }
  contact_ = rpc::NewChannel("unix:" + contact_socket());
  lifecycle_ = rpc::NewChannel("unix:" + lifecycle_socket());
  CLM_RETURN_IF_ERROR(AwaitReady(contact_, "the suite", contact_socket() + ".log"));
  return AwaitReady(lifecycle_, "the lifecycle service", lifecycle_socket() + ".log");
}

absl::StatusOr<std::unique_ptr<stack::ChildProcess>> Stand::StartService(
    const std::string& binary, const std::string& socket, std::vector<std::string> more) {
  stack::Command command;
  command.argv = {options_.binaries + "/" + binary,
                  "--socket=" + socket,
                  "--secret_file=" + folder_ + "/secret",
                  "--pg_admin_dsn=" + postgres_->Dsn(),
                  "--migrate",
                  "--redis_url=" + redis_->url(),
                  "--drain_delay=0s",
                  "--log_level=warn"};
  for (std::string& argument : more) command.argv.push_back(std::move(argument));
  command.log_file = socket + ".log";
  return stack::ChildProcess::Start(std::move(command));
}

Stand::~Stand() {
  contact_.reset();
  lifecycle_.reset();
  echoes_.clear();
  // The consumer first: it calls the other.
  if (lifecycle_process_ != nullptr) lifecycle_process_->Stop(SIGTERM, absl::Seconds(20));
  if (suite_process_ != nullptr) suite_process_->Stop(SIGTERM, absl::Seconds(20));
  redis_.reset();
  postgres_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string Stand::contact_socket() const { return folder_ + "/suite.sock"; }

std::string Stand::lifecycle_socket() const {
  return options_.distributed ? folder_ + "/lifecycle.sock" : contact_socket();
}

absl::StatusOr<std::string> Stand::EchoSocket(const std::string& kind,
                                              const std::map<std::string, std::string>& answers) {
  const std::string socket = absl::StrCat(folder_, "/", kind, ".sock");
  if (echoes_.contains(kind)) return socket;
  for (const auto& [name, answer] : answers) {
    std::ofstream(absl::StrCat(folder_, "/", name), std::ios::binary) << answer;
  }
  stack::Command command;
  command.argv = {options_.binaries + "/clm", "bench", "--serve-echo=" + kind,
                  "--serve-echo-folder=" + folder_};
  command.log_file = socket + ".log";
  CLM_ASSIGN_OR_RETURN(echoes_[kind], stack::ChildProcess::Start(std::move(command)));
  CLM_RETURN_IF_ERROR(AwaitReady(rpc::NewChannel("unix:" + socket), absl::StrCat("the echo ", kind),
                                 socket + ".log"));
  return socket;
}

CpuTimes Stand::Cpu() const {
  CpuTimes times;
  times.client = OwnCpuSeconds();
  times.suite = CpuSeconds(suite_process_->pid());
  if (lifecycle_process_ != nullptr) times.lifecycle = CpuSeconds(lifecycle_process_->pid());
  for (const auto& [kind, process] : echoes_) times.echo += CpuSeconds(process->pid());
  times.postgres = CpuSecondsWithChildren(postgres_->pid());
  times.redis = CpuSeconds(redis_->pid());
  return times;
}

int64_t Stand::SuiteMemory() const {
  int64_t sum = ResidentBytes(suite_process_->pid());
  if (lifecycle_process_ != nullptr) sum += ResidentBytes(lifecycle_process_->pid());
  return sum;
}

absl::StatusOr<int64_t> Stand::Number(const std::string& database, const std::string& sql) {
  CLM_ASSIGN_OR_RETURN(const pg::Result result, pg::AdminQuery(postgres_->Dsn(database), sql));
  if (result.size() == 0) return error::Internal(absl::StrCat("no row: ", sql));
  return result[0].Int(0);
}

absl::Status Stand::Rest() {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (absl::Time since = absl::Now();;) {
    CLM_ASSIGN_OR_RETURN(const int64_t told,
                         Number("clm_contact", "SELECT sum(off)::bigint FROM journal_head"));
    CLM_ASSIGN_OR_RETURN(
        const int64_t taken,
        Number("clm_lifecycle",
               "SELECT (SELECT coalesce(sum(off), 0) FROM consumer_shard WHERE source = 'contact')"
               " - (SELECT count(*) FROM model_job WHERE finish_time IS NULL)"));
    const int64_t left = told - taken;
    if (left <= 0) break;
    if (left < least) {
      least = left;
      since = absl::Now();
    }
    if (absl::Now() - since > kRestPatience) {
      return error::Unavailable(
          "STUCK",
          absl::StrCat("the lifecycle service does not take in its last ", left, " events"),
          absl::Seconds(1));
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
  return pg::AdminExec(postgres_->Dsn(), "CHECKPOINT");
}

absl::Status Stand::Vacuum() {
  for (const char* database : {"clm_contact", "clm_lifecycle"}) {
    CLM_RETURN_IF_ERROR(pg::AdminExec(postgres_->Dsn(database), "VACUUM ANALYZE"));
  }
  return absl::OkStatus();
}

}  // namespace clm::bench
