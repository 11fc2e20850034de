// The test stand: a private, durable PostgreSQL, a private Redis and the suite in processes of its
// own, all on Unix sockets in a temporary folder; and the echo servers to compare with.
#ifndef CLM_TOOLS_BENCH_STAND_H_
#define CLM_TOOLS_BENCH_STAND_H_

#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/stack/child_process.h"
#include "libs/stack/postgres_server.h"
#include "libs/stack/redis_server.h"
#include "tools/bench/machine.h"

namespace clm::bench {

// Not thread-safe.
class Stand {
 public:
  struct Options {
    std::string binaries;                         // The folder of clm and the servers.
    std::map<std::string, std::string> settings;  // More of postgresql.conf.
    bool distributed = false;                     // The lifecycle service in a process of its own.
  };
  static absl::StatusOr<std::unique_ptr<Stand>> Start(Options options);
  ~Stand();

  // The Unix socket of the contact and access services, and that of the lifecycle service.
  std::string contact_socket() const;
  std::string lifecycle_socket() const;
  // For calls that are not measured.
  const std::shared_ptr<grpc::Channel>& contact() const { return contact_; }
  const std::shared_ptr<grpc::Channel>& lifecycle() const { return lifecycle_; }

  // Starts the echo server of `kind` unless it runs. `answers`: the serialized messages that it
  // answers with, by the names that it knows them by.
  absl::StatusOr<std::string> EchoSocket(const std::string& kind,
                                         const std::map<std::string, std::string>& answers = {});

  stack::PostgresServer& postgres() { return *postgres_; }
  const std::string& folder() const { return folder_; }
  const std::string& binaries() const { return options_.binaries; }

  // Resident memory of the suite's processes in bytes.
  int64_t SuiteMemory() const;
  // Used so far.
  CpuTimes Cpu() const;
  // Waits until the lifecycle service has taken in all that the contact service has told, so that
  // one slice's remains do not fall into another; then has PostgreSQL write a checkpoint.
  absl::Status Rest();
  // Planner statistics, and pages without dead rows.
  absl::Status Vacuum();
  // The first column of the first row that the superuser gets.
  absl::StatusOr<int64_t> Number(const std::string& database, const std::string& sql);

 private:
  absl::Status StartAll();
  absl::StatusOr<std::unique_ptr<stack::ChildProcess>> StartService(const std::string& binary,
                                                                    const std::string& socket,
                                                                    std::vector<std::string> more);

  Options options_;
  std::string folder_;
  std::unique_ptr<stack::PostgresServer> postgres_;
  std::unique_ptr<stack::RedisServer> redis_;
  std::unique_ptr<stack::ChildProcess> suite_process_, lifecycle_process_;
  std::map<std::string, std::unique_ptr<stack::ChildProcess>> echoes_;
  std::shared_ptr<grpc::Channel> contact_, lifecycle_;
};

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_STAND_H_
