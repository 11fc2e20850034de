// A private PostgreSQL server under a data folder: no TCP port, one Unix socket that only its owner
// reaches, tuned for the suite.
#ifndef CLM_LIBS_STACK_POSTGRES_SERVER_H_
#define CLM_LIBS_STACK_POSTGRES_SERVER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/stack/child_process.h"
#include "libs/stack/server_folder.h"

namespace clm::stack {

// A folder with initdb and postgres.
struct PostgresBinaries {
  std::string folder;
  int version = 0;  // Major: 15.
};

// Looks in the distributions' versioned folders (newest first), in what pg_config tells, and on
// PATH; of `version` only unless that is 0. NOT_FOUND with the line that installs PostgreSQL.
absl::StatusOr<PostgresBinaries> FindPostgres(int version = 0);

// Not thread-safe, but for Kill() and the accessors. The server ends in order when this process
// ends, even by SIGKILL.
class PostgresServer {
 public:
  struct Options {
    std::string folder;  // Absolute. Gets data/, run/ and postgres.log.
    // False: no fsync, small caches. For tests; an operating system's crash loses the data.
    bool durable = true;
    int max_connections = 100;
    std::map<std::string, std::string> settings;  // More of postgresql.conf.
    absl::Duration start_timeout = absl::Seconds(60);
  };

  // Makes the database cluster if the folder has none, ends a server that a crashed process left
  // behind in it, starts the server and waits until it answers. As root, the server runs as the
  // user "postgres" (UnprivilegedUser) and the folder becomes that user's.
  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start(Options options);

  ~PostgresServer();  // Stop().

  // The superuser's connection string.
  std::string Dsn(const std::string& database = "postgres") const;
  const std::string& socket_folder() const { return socket_folder_; }
  std::string log_file() const { return folder_->File("postgres.log"); }
  const PostgresBinaries& binaries() const { return binaries_; }
  pid_t pid() const { return process_->pid(); }
  bool running() { return process_->running(); }

  // Disconnects everybody, writes a checkpoint, ends.
  absl::Status Stop();
  // kill -9 of the server, as a crash would do.
  void Kill() { process_->Kill(); }
  // Stops the server if it runs, and starts it on the same data and socket.
  absl::Status Restart();

 private:
  PostgresServer(Options options, std::unique_ptr<ServerFolder> folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}
  absl::Status InitData();
  absl::Status WriteSettings();
  absl::Status EndOrphan();
  absl::Status Launch();
  absl::Status AwaitReady(absl::Time until);
  std::string DataFile(const std::string& name) const { return folder_->File("data/" + name); }

  const Options options_;
  const std::unique_ptr<ServerFolder> folder_;
  PostgresBinaries binaries_;
  std::string socket_folder_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace clm::stack

#endif  // CLM_LIBS_STACK_POSTGRES_SERVER_H_
