// A supervised child: started without a shell, told apart from the terminal's signals, ended when
// this process ends however that happens, and always reaped.
#ifndef CLM_LIBS_STACK_CHILD_PROCESS_H_
#define CLM_LIBS_STACK_CHILD_PROCESS_H_

#include <sys/types.h>

#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "libs/stack/system_user.h"

namespace clm::stack {

struct Command {
  std::vector<std::string> argv;           // argv[0] is a path, or a name to be found on PATH.
  std::map<std::string, std::string> env;  // Added to this process's environment.
  std::string folder;                      // Working directory; this process's when empty.
  // Receives stdout and stderr, appended; /dev/null when empty. Opened by this process, so it may
  // be where `user` cannot write.
  std::string log_file;
  std::optional<SystemUser> user;  // Run as; needs root.
  // Sent by the kernel when this process dies.
  int signal_on_parent_death = SIGKILL;
};

struct ExitStatus {
  int code = 0;    // Meaningless when signal is not 0.
  int signal = 0;  // The signal that ended it.
  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;  // "exit code 3", "killed by signal 9"
};

// Thread-safe.
class ChildProcess {
 public:
  // NOT_FOUND, naming the program, when it does not exist; other failures of starting it as
  // FAILED_PRECONDITION.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(Command command);

  // Ends the child with SIGKILL if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const;
  bool running();
  // FAILED_PRECONDITION when it no longer runs.
  absl::Status Signal(int signal);
  // SIGKILL, and waits for the end.
  ExitStatus Kill();
  // nullopt when it still runs after `timeout`.
  std::optional<ExitStatus> Wait(absl::Duration timeout);
  // Asks it to end by `signal`, SIGKILL when it has not after `patience`.
  ExitStatus Stop(int signal, absl::Duration patience);
  // Ends the child if it runs, and starts the same command again.
  absl::Status Restart();

 private:
  explicit ChildProcess(Command command) : command_(std::move(command)) {}
  absl::Status Spawn();
  // Takes the exit status if there is one.
  bool Reap(bool block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Command command_;
  mutable absl::Mutex mu_;
  pid_t pid_ ABSL_GUARDED_BY(mu_) = -1;
  int pidfd_ ABSL_GUARDED_BY(mu_) = -1;
  std::optional<ExitStatus> exit_ ABSL_GUARDED_BY(mu_);
};

// Runs a short command to its end and returns what it wrote to stdout. Failures name the program
// and quote the last lines of its stderr.
absl::StatusOr<std::string> Output(Command command, absl::Duration timeout);

// The last lines of a file, for error texts; empty when it cannot be read.
std::string Tail(const std::string& file, int lines);

}  // namespace clm::stack

#endif  // CLM_LIBS_STACK_CHILD_PROCESS_H_
