#include "libs/stack/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

extern char** environ;

namespace clm::stack {
namespace {

absl::Status StartError(absl::string_view program, int code) {
  const std::string message = absl::StrCat(program, ": ", std::strerror(code));
  if (code == ENOENT) {
    return error::Make(absl::StatusCode::kNotFound, "PROGRAM_NOT_FOUND", message);
  }
  return error::Precondition("PROGRAM_NOT_STARTED", message);
}

// PR_SET_PDEATHSIG fires when the *thread* that forked ends. So one thread, which lasts as long as
// the process, does all the forking.
class Spawner {
 public:
  static Spawner& Get() {
    static Spawner* const spawner = new Spawner;
    return *spawner;
  }

  pid_t Run(absl::FunctionRef<pid_t()> fork_and_exec) {
    absl::MutexLock turn(&turn_);
    absl::MutexLock lock(&mu_);
    task_ = &fork_and_exec;
    mu_.Await(absl::Condition(
        +[](const absl::FunctionRef<pid_t()>** task) { return *task == nullptr; }, &task_));
    return result_;
  }

 private:
  Spawner() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([this] { Serve(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  [[noreturn]] void Serve() {
    while (true) {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(
          +[](const absl::FunctionRef<pid_t()>** task) { return *task != nullptr; }, &task_));
      result_ = (*task_)();
      task_ = nullptr;
    }
  }

  absl::Mutex turn_;
  absl::Mutex mu_;
  const absl::FunctionRef<pid_t()>* task_ ABSL_GUARDED_BY(mu_) = nullptr;
  pid_t result_ ABSL_GUARDED_BY(mu_) = -1;
};

// Everything the child needs between fork and exec, where only system calls are allowed.
struct Plan {
  std::vector<char*> argv;
  std::vector<char*> env;
  const char* program;
  const char* folder;  // Null: stay.
  int out;
  int err;
  int failure;  // Write end of a pipe that takes errno; closed by a successful exec.
  const SystemUser* user;
  int signal_on_parent_death;
  pid_t parent;
};

[[noreturn]] void RunChild(const Plan& plan) {
  int failure = plan.failure;
  const auto fail = [&failure]() {
    const int code = errno;
    [[maybe_unused]] const auto written = write(failure, &code, sizeof(code));
    _exit(127);
  };
  // Its own group: Ctrl-C in the terminal is for us, who end the children in order.
  if (setpgid(0, 0) != 0) fail();
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(plan.out, 1) < 0 || dup2(plan.err, 2) < 0) fail();
  if (dup2(failure, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) != 0) fail();
  failure = 3;
  close_range(4, ~0U, 0);
  if (plan.user != nullptr) {
    if (setgroups(0, nullptr) != 0 || setgid(plan.user->gid) != 0 || setuid(plan.user->uid) != 0) {
      fail();
    }
  }
  if (plan.folder != nullptr && chdir(plan.folder) != 0) fail();
  umask(077);
  // After setuid, which would clear it.
  if (prctl(PR_SET_PDEATHSIG, plan.signal_on_parent_death) != 0) fail();
  if (getppid() != plan.parent) _exit(127);  // The parent died before the line above.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(plan.program, plan.argv.data(), plan.env.data());
  fail();
  _exit(127);
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { Reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

// The program as PATH finds it; empty when it does not.
std::string FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    std::string file = absl::StrCat(folder.empty() ? "." : folder, "/", name);
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

absl::StatusOr<pid_t> SpawnChild(const Command& command, int out, int err) {
  if (command.argv.empty()) return error::Internal("a command needs a program");
  const std::string program = FindProgram(command.argv[0]);
  if (program.empty()) return StartError(command.argv[0], ENOENT);

  std::vector<std::string> env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!command.env.contains(text.substr(0, text.find('=')))) env.push_back(text);
  }
  for (const auto& [name, value] : command.env) env.push_back(absl::StrCat(name, "=", value));

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return StartError(program, errno);
  const Fd failure_in(ends[0]);
  Fd failure_out(ends[1]);

  Plan plan{.program = program.c_str(),
            .folder = command.folder.empty() ? nullptr : command.folder.c_str(),
            .out = out,
            .err = err,
            .failure = ends[1],
            .user = command.user ? &*command.user : nullptr,
            .signal_on_parent_death = command.signal_on_parent_death,
            .parent = getpid()};
  for (const std::string& arg : command.argv) plan.argv.push_back(const_cast<char*>(arg.c_str()));
  plan.argv.push_back(nullptr);
  for (const std::string& entry : env) plan.env.push_back(const_cast<char*>(entry.c_str()));
  plan.env.push_back(nullptr);

  const pid_t pid = Spawner::Get().Run([&]() -> pid_t {
    const pid_t child = fork();
    if (child == 0) RunChild(plan);
    return child;
  });
  if (pid < 0) return StartError(program, EAGAIN);
  failure_out.Reset();
  int code = 0;
  ssize_t got;
  do {
    got = read(failure_in.get(), &code, sizeof(code));
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    waitpid(pid, nullptr, 0);
    return StartError(program, code);
  }
  return pid;
}

}  // namespace

std::string ExitStatus::ToString() const {
  return signal != 0 ? absl::StrCat("killed by signal ", signal) : absl::StrCat("exit code ", code);
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(Command command) {
  std::unique_ptr<ChildProcess> child(new ChildProcess(std::move(command)));
  CLM_RETURN_IF_ERROR(child->Spawn());
  return child;
}

ChildProcess::~ChildProcess() {
  Kill();
  absl::MutexLock lock(&mu_);
  if (pidfd_ >= 0) close(pidfd_);
}

absl::Status ChildProcess::Spawn() {
  const std::string& log = command_.log_file;
  const Fd out(log.empty() ? open("/dev/null", O_WRONLY | O_CLOEXEC)
                           : open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (out.get() < 0) return StartError(log, errno);
  CLM_ASSIGN_OR_RETURN(const pid_t pid, SpawnChild(command_, out.get(), out.get()));
  absl::MutexLock lock(&mu_);
  if (pidfd_ >= 0) close(pidfd_);
  pid_ = pid;
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  exit_.reset();
  return absl::OkStatus();
}

pid_t ChildProcess::pid() const {
  absl::MutexLock lock(&mu_);
  return pid_;
}

bool ChildProcess::Reap(bool block) {
  if (exit_.has_value()) return true;
  if (pid_ < 0) {
    exit_ = ExitStatus{.code = 127};
    return true;
  }
  int status = 0;
  pid_t got;
  do {
    got = waitpid(pid_, &status, block ? 0 : WNOHANG);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return false;
  exit_ = got < 0               ? ExitStatus{.code = 127}
          : WIFSIGNALED(status) ? ExitStatus{.signal = WTERMSIG(status)}
                                : ExitStatus{.code = WEXITSTATUS(status)};
  return true;
}

bool ChildProcess::running() {
  absl::MutexLock lock(&mu_);
  return !Reap(/*block=*/false);
}

absl::Status ChildProcess::Signal(int signal) {
  absl::MutexLock lock(&mu_);
  // Not reaped means that the process id is still ours.
  if (Reap(/*block=*/false)) {
    return error::Precondition("PROCESS_ENDED",
                               absl::StrCat(command_.argv[0], ": ended, ", exit_->ToString()));
  }
  kill(pid_, signal);
  return absl::OkStatus();
}

ExitStatus ChildProcess::Kill() {
  absl::MutexLock lock(&mu_);
  if (!Reap(/*block=*/false)) {
    kill(pid_, SIGKILL);
    Reap(/*block=*/true);
  }
  return *exit_;
}

std::optional<ExitStatus> ChildProcess::Wait(absl::Duration timeout) {
  const absl::Time until = absl::Now() + timeout;
  while (true) {
    int fd;
    {
      absl::MutexLock lock(&mu_);
      if (Reap(/*block=*/false)) return exit_;
      fd = pidfd_;
    }
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) return std::nullopt;
    pollfd wait{.fd = fd, .events = POLLIN};
    poll(&wait, 1, static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(left), 1, 1000)));
  }
}

ExitStatus ChildProcess::Stop(int signal, absl::Duration patience) {
  if (Signal(signal).ok()) {
    const auto ended = Wait(patience);
    if (ended) return *ended;
  }
  return Kill();
}

absl::Status ChildProcess::Restart() {
  Kill();
  return Spawn();
}

absl::StatusOr<std::string> Output(Command command, absl::Duration timeout) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return StartError(command.argv[0], errno);
  const Fd in(ends[0]);
  Fd out(ends[1]);
  std::unique_ptr<FILE, decltype(&fclose)> errors(tmpfile(), &fclose);
  if (errors == nullptr) return StartError(command.argv[0], errno);
  CLM_ASSIGN_OR_RETURN(const pid_t pid, SpawnChild(command, out.get(), fileno(errors.get())));
  out.Reset();

  const absl::Time until = absl::Now() + timeout;
  std::string text;
  bool late = false;
  while (true) {
    const absl::Duration left = until - absl::Now();
    pollfd wait{.fd = in.get(), .events = POLLIN};
    if (left <= absl::ZeroDuration() ||
        poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) == 0) {
      late = true;
      kill(pid, SIGKILL);
      break;
    }
    char chunk[4096];
    const ssize_t got = read(in.get(), chunk, sizeof(chunk));
    if (got > 0) {
      text.append(chunk, static_cast<size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      break;
    }
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) {
    return error::Precondition("PROGRAM_FAILED", absl::StrCat(command.argv[0], ": not done in ",
                                                              absl::FormatDuration(timeout)));
  }
  if (status != 0) {
    std::string said(2000, '\0');
    rewind(errors.get());
    said.resize(fread(said.data(), 1, said.size(), errors.get()));
    return error::Precondition("PROGRAM_FAILED",
                               absl::StrCat(command.argv[0], ": ", absl::StripSuffix(said, "\n")));
  }
  return text;
}

std::string Tail(const std::string& file, int lines) {
  std::ifstream in(file);
  std::deque<std::string> last;
  for (std::string line; std::getline(in, line);) {
    last.push_back(line);
    if (last.size() > static_cast<size_t>(lines)) last.pop_front();
  }
  return absl::StrJoin(last, "\n");
}

}  // namespace clm::stack
