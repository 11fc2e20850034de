#include "libs/stack/redis_server.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::stack {
namespace {

constexpr char kSocketName[] = "redis.sock";
constexpr absl::Duration kPoll = absl::Milliseconds(5);

// Sends one inline command and returns the first bytes of the answer; empty when there is none.
std::string Ask(const std::string& socket_path, const std::string& command) {
  sockaddr_un address{.sun_family = AF_UNIX};
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  const timeval patience{.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  std::string answer;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string line = command + "\r\n";
    char text[64];
    if (send(fd, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size())) {
      const ssize_t got = recv(fd, text, sizeof(text), 0);
      if (got > 0) answer.assign(text, static_cast<size_t>(got));
    }
  }
  close(fd);
  return answer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::Start(Options options) {
  CLM_ASSIGN_OR_RETURN(auto folder, ServerFolder::Open(options.folder, UnprivilegedUser()));
  std::unique_ptr<RedisServer> server(new RedisServer(std::move(options), std::move(folder)));
  CLM_ASSIGN_OR_RETURN(const std::string run, server->folder_->SocketFolder(kSocketName));
  server->socket_ = absl::StrCat(run, "/", kSocketName);
  CLM_RETURN_IF_ERROR(server->Launch());
  return server;
}

RedisServer::~RedisServer() {
  if (process_ != nullptr) Stop().IgnoreError();
}

absl::Status RedisServer::Launch() {
  unlink(socket_.c_str());
  auto process = ChildProcess::Start(
      {.argv = {"redis-server", "--port", "0", "--unixsocket", socket_, "--unixsocketperm", "700",
                "--dir", folder_->path(), "--daemonize", "no", "--save", "", "--appendonly",
                options_.append_only ? "yes" : "no", "--maxmemory",
                absl::StrCat(options_.max_memory_megabytes, "mb"), "--maxmemory-policy",
                "allkeys-lru"},
       .folder = folder_->path(),
       .log_file = log_file(),
       .user = folder_->user(),
       .signal_on_parent_death = SIGTERM});
  if (absl::IsNotFound(process.status())) {
    return error::Make(absl::StatusCode::kNotFound, "REDIS_NOT_FOUND",
                       "Redis is not installed; install it: apt install redis-server");
  }
  CLM_RETURN_IF_ERROR(process.status());
  process_ = *std::move(process);
  const absl::Time until = absl::Now() + options_.start_timeout;
  while (Ask(socket_, "PING") != "+PONG\r\n") {
    const auto ended = process_->Wait(kPoll);
    if (ended || absl::Now() >= until) {
      return error::Precondition(
          "REDIS_NOT_STARTED",
          absl::StrCat("Redis did not start (",
                       ended ? ended->ToString() : std::string("not ready in time"), "), see ",
                       log_file(), ":\n", Tail(log_file(), 5)));
    }
  }
  return absl::OkStatus();
}

absl::Status RedisServer::Stop() {
  // A stopped process takes no signal but SIGKILL until it goes on.
  Resume().IgnoreError();
  const ExitStatus ended = process_->Stop(SIGTERM, absl::Seconds(10));
  if (ended.ok()) return absl::OkStatus();
  return error::Precondition(
      "REDIS_CRASHED", absl::StrCat("Redis ended with ", ended.ToString(), ", see ", log_file()));
}

absl::Status RedisServer::Restart() {
  if (process_->running()) CLM_RETURN_IF_ERROR(Stop());
  return Launch();
}

absl::Status RedisServer::Flush() {
  if (Ask(socket_, "FLUSHALL") == "+OK\r\n") return absl::OkStatus();
  return error::Precondition("REDIS_SILENT", "Redis did not answer FLUSHALL");
}

}  // namespace clm::stack
