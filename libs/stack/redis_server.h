// A private Redis server under a data folder: no TCP port, one Unix socket that only its owner
// reaches.
#ifndef CLM_LIBS_STACK_REDIS_SERVER_H_
#define CLM_LIBS_STACK_REDIS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/stack/child_process.h"
#include "libs/stack/server_folder.h"

namespace clm::stack {

// Not thread-safe, but for Kill(), Pause(), Resume() and the accessors. The server ends when this
// process ends, even by SIGKILL.
class RedisServer {
 public:
  struct Options {
    std::string folder;       // Absolute. Gets run/ and redis.log.
    bool append_only = true;  // Keeps its data over restarts.
    int max_memory_megabytes = 256;
    absl::Duration start_timeout = absl::Seconds(20);
  };

  // NOT_FOUND with the line that installs Redis. As root, the server runs as UnprivilegedUser.
  static absl::StatusOr<std::unique_ptr<RedisServer>> Start(Options options);

  ~RedisServer();  // Stop().

  std::string socket() const { return socket_; }
  std::string url() const { return "unix://" + socket_; }
  std::string log_file() const { return folder_->File("redis.log"); }
  pid_t pid() const { return process_->pid(); }
  bool running() { return process_->running(); }

  absl::Status Stop();
  void Kill() { process_->Kill(); }
  absl::Status Restart();
  // SIGSTOP and SIGCONT: a server that accepts connections and never answers.
  absl::Status Pause() { return process_->Signal(SIGSTOP); }
  absl::Status Resume() { return process_->Signal(SIGCONT); }
  // FLUSHALL.
  absl::Status Flush();

 private:
  RedisServer(Options options, std::unique_ptr<ServerFolder> folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}
  absl::Status Launch();

  const Options options_;
  const std::unique_ptr<ServerFolder> folder_;
  std::string socket_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace clm::stack

#endif  // CLM_LIBS_STACK_REDIS_SERVER_H_
