// A server with its modules: what every binary of the suite runs, and what tests and `clm up` start
// inside themselves. Several of them may live in one process.
#ifndef CLM_LIBS_APP_SERVER_H_
#define CLM_LIBS_APP_SERVER_H_

#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/app/module.h"
#include "libs/base/clock.h"

namespace clm::app {

struct ServerOptions {
  // Names the process to others and in logs.
  std::string name = "clm";
  // TCP addresses, "127.0.0.1:9090"; port 0 takes a free one. Callers need a token.
  std::vector<std::string> listen;
  // Path of the Unix socket for the suite's own processes; its folder should be private (0700).
  // Empty: none.
  std::string socket;
  // At least 32 bytes.
  std::string secret;

  // Either this one, from which each service's DSN is derived, or one per service.
  std::string pg_admin_dsn;
  std::map<std::string, std::string> dsns;
  std::string redis_url;
  // Targets of services that run elsewhere: "unix:/run/clm/contact.sock", "host:port".
  std::map<std::string, std::string> peers;
  // Brings the modules' databases up to date first; needs pg_admin_dsn.
  bool migrate = false;

  // Accepts a PostgreSQL that may lose data in a crash. For throwaway servers of tests only.
  bool allow_unsafe_database = false;

  // Connections per database.
  int pg_pool_size = 8;
  int workers = 8;
  int worker_queue = 256;
  int streams = 16;
  int max_in_flight = 512;
  // Bytes that all connections together may hold.
  int64_t rpc_memory = int64_t{1} << 30;
  bool reflection = true;
  // How long the answer to a request is kept for those who repeat it; 24 hours at least.
  absl::Duration answer_retention = absl::Hours(7 * 24);
  // Memory for answers to callers who allow some staleness; 0: none.
  int near_cache_mb = 16;
  // How often services compare the totals that they keep with a recount; zero: never.
  absl::Duration totals_check_interval = absl::Hours(24);
  // Where /metrics is served, "127.0.0.1:9091"; empty: nowhere.
  std::string metrics_listen;
  // How long calls are still accepted after health says NOT_SERVING, and how long calls in progress
  // may then take.
  absl::Duration drain_delay = absl::Seconds(5);
  absl::Duration shutdown_timeout = absl::Seconds(15);
  // The machine's clock when null.
  const Clock* clock = nullptr;
};

// Not thread-safe, apart from Channel and the getters.
class Server {
 public:
  // Starts the modules in the order given and serves. On error everything that was started has been
  // stopped again.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      ServerOptions options, std::vector<std::unique_ptr<Module>> modules);
  ~Server();

  // Drains and stops. Idempotent. Calls in progress are cancelled when shutdown_timeout is over.
  void Stop();

  // A channel for calls of the suite's own, in this process. Calls fail once the server has
  // stopped.
  std::shared_ptr<grpc::Channel> Channel();
  // The bound ports, in the order of ServerOptions::listen.
  const std::vector<int>& ports() const;
  // The bound port of /metrics; 0 when it is off.
  int metrics_port() const;
  obs::Metrics& metrics();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace clm::app

#endif  // CLM_LIBS_APP_SERVER_H_
