// A suite on this machine: private PostgreSQL and Redis (or given ones), the services in this
// process or one process each, a tenant and a token. What `clm up` runs.
#ifndef CLM_TOOLS_CLM_SUITE_H_
#define CLM_TOOLS_CLM_SUITE_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/app/server.h"
#include "libs/stack/child_process.h"
#include "libs/stack/postgres_server.h"
#include "libs/stack/redis_server.h"
#include "libs/stack/server_folder.h"
#include "tools/clm/home.h"

namespace clm::cli {

struct SuiteOptions {
  std::string folder;     // Absolute.
  std::string pg_dsn;     // Of a server that exists, as a role that may create databases.
  std::string redis_url;  // Of a server that exists.
  bool redis = true;      // False: no cache at all.
  int port = 9090;        // The next free one when it is busy; 0: any.
  int metrics_port = 9464;
  bool distributed = false;
  std::string tenant = "demo";
};

// Told what happens, for people: each step with how long it took.
struct Step {
  std::string text;
  absl::Duration took;
  bool ok = true;
};
using StepSink = std::function<void(const Step&)>;

// Not thread-safe; made, tended and stopped by one thread, which must outlive the suite: its
// servers end with it.
class Suite {
 public:
  // FAILED_PRECONDITION when another process runs the suite of the folder. On error everything that
  // was started has been stopped.
  static absl::StatusOr<std::unique_ptr<Suite>> Start(SuiteOptions options, StepSink sink);
  ~Suite();

  const State& state() const { return state_; }
  const Home& home() const { return home_; }
  // The token that was made by this start; empty when there was one already.
  const std::string& new_token() const { return new_token_; }
  // True when the folder was empty before.
  bool first_start() const { return first_start_; }

  // Starts again what has died, with growing pauses. To be called a few times per second.
  void Tend();
  // Drains and stops everything; data stay. Idempotent.
  void Stop();

 private:
  // A server or service in a process of its own, and when it may be started again.
  struct Tended {
    std::string name;
    std::function<bool()> running;
    std::function<absl::Status()> restart;
    absl::Duration pause = absl::Milliseconds(100);
    absl::Time since;
    absl::Time next = absl::InfinitePast();
  };
  struct Service {
    std::string name;
    std::unique_ptr<stack::ChildProcess> process;
  };

  Suite(SuiteOptions options, StepSink sink);
  absl::Status StartAll();
  absl::Status OpenFolder();
  absl::Status StartPostgres();
  absl::Status StartRedis();
  absl::Status Migrate();
  absl::Status StartHere();
  absl::Status StartProcesses();
  absl::Status AwaitServing(const std::string& service, const std::string& target);
  absl::Status MakeTenant();
  // The folder's socket for `name`.
  absl::StatusOr<std::string> Socket(const std::string& name) const;
  void Watch(std::string name, std::function<bool()> running,
             std::function<absl::Status()> restart);

  const SuiteOptions options_;
  const StepSink sink_;
  const Home home_;
  std::unique_ptr<stack::ServerFolder> folder_;
  std::string secret_, sockets_;
  std::unique_ptr<stack::PostgresServer> postgres_;
  std::unique_ptr<stack::RedisServer> redis_;
  std::unique_ptr<app::Server> server_;
  std::vector<Service> services_;
  std::vector<Tended> tended_;
  State state_;
  std::string new_token_;
  bool first_start_ = false;
  bool stopped_ = false;
};

// The first of `port`, `port` + 1, ... that is free on 127.0.0.1; 0 stays 0.
int FreePort(int port);

// Asks the health service; OK when `target` serves.
absl::Status CheckHealth(const std::string& target, absl::Duration timeout);

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_SUITE_H_
