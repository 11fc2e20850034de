// The test stand: a private, durable PostgreSQL, a private Redis and the suite in one process of
// its own, all on Unix sockets in a temporary folder; and a raw gRPC echo to compare with.
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

namespace clm::bench {

// Processor time in seconds, user and system, of everybody in the path.
struct CpuTimes {
  double client = 0;  // This process.
  double suite = 0;
  double postgres = 0;  // With its sessions, those that ended included.
  double redis = 0;
  double total() const { return client + suite + postgres + redis; }
  CpuTimes operator-(const CpuTimes& before) const {
    return {client - before.client, suite - before.suite, postgres - before.postgres,
            redis - before.redis};
  }
};

class Stand {
 public:
  // `binaries`: the folder of clm-allinone and clm-bench. `settings`: more of postgresql.conf.
  static absl::StatusOr<std::unique_ptr<Stand>> Start(const std::string& binaries,
                                                      std::map<std::string, std::string> settings);
  ~Stand();

  // Several connections: one alone is a bottleneck of the client's.
  const std::vector<std::shared_ptr<grpc::Channel>>& suite() const { return suite_; }
  const std::vector<std::shared_ptr<grpc::Channel>>& echo() const { return echo_; }
  stack::PostgresServer& postgres() { return *postgres_; }
  // Resident memory of the suite's process in bytes.
  int64_t SuiteMemory() const;
  // Used so far.
  CpuTimes Cpu() const;
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  std::unique_ptr<stack::PostgresServer> postgres_;
  std::unique_ptr<stack::RedisServer> redis_;
  std::unique_ptr<stack::ChildProcess> suite_process_;
  std::unique_ptr<stack::ChildProcess> echo_process_;
  std::vector<std::shared_ptr<grpc::Channel>> suite_, echo_;
};

// Serves the echo on a Unix socket until the process is ended: GetContact of a plain gRPC callback
// server that answers at once with a contact of about 300 bytes.
int ServeEcho(const std::string& socket);

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_STAND_H_
