// A private redis-server for tests: a Unix socket in a new folder, nothing persisted.
#ifndef CLM_LIBS_REDIS_TEST_SERVER_H_
#define CLM_LIBS_REDIS_TEST_SERVER_H_

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace clm::redis {

class TestServer {
 public:
  explicit TestServer(std::vector<std::string> more = {}) : more_(std::move(more)) {
    std::string name = (std::filesystem::temp_directory_path() / "clm-redis-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    Start();
  }
  ~TestServer() {
    Kill();
    std::filesystem::remove_all(folder_);
  }

  // Returns when the server takes connections.
  void Start() {
    std::vector<std::string> args = {"redis-server",
                                     "--port",
                                     "0",
                                     "--unixsocket",
                                     socket(),
                                     "--save",
                                     "",
                                     "--appendonly",
                                     "no",
                                     "--daemonize",
                                     "no",
                                     "--logfile",
                                     folder_ + "/log",
                                     "--dir",
                                     folder_};
    args.insert(args.end(), more_.begin(), more_.end());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (!TakesConnections() && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(2));
  }
  // As kill -9. Nothing is kept.
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
    std::filesystem::remove(socket());
  }
  // The kernel still takes connections and bytes; nobody answers.
  void Freeze() {
    kill(pid_, SIGSTOP);
    waitpid(pid_, nullptr, WUNTRACED);
  }
  void Thaw() { kill(pid_, SIGCONT); }

  std::string socket() const { return folder_ + "/redis.sock"; }
  std::string url() const { return "unix://" + socket(); }

 private:
  bool TakesConnections() const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket().data(), socket().size());
    const bool yes = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    return yes;
  }

  const std::vector<std::string> more_;
  std::string folder_;
  pid_t pid_ = 0;
};

}  // namespace clm::redis

#endif  // CLM_LIBS_REDIS_TEST_SERVER_H_
