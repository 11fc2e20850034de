// What a service is to the process it runs in. A process runs one module or several; they meet over
// gRPC only, also when they share it.
#ifndef CLM_LIBS_APP_MODULE_H_
#define CLM_LIBS_APP_MODULE_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "libs/base/clock.h"
#include "libs/obs/metrics.h"
#include "libs/pg/migrate.h"
#include "libs/pg/pg.h"
#include "libs/rpc/authenticator.h"
#include "libs/rpc/client.h"
#include "libs/rpc/host.h"
#include "libs/rpc/service.h"
#include "libs/rpc/tenants.h"

namespace clm::app {

// What the process gives to its modules. Thread-safe, and valid until the last Stop has returned.
class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual const Clock& clock() const = 0;
  virtual rpc::Host& host() = 0;
  virtual rpc::Workers& workers() = 0;
  virtual obs::Metrics& metrics() = 0;
  // The suite's key, the same in every process: page tokens, stored token hashes.
  virtual const std::string& secret() const = 0;
  // The DSN of a service's own database, for its application role. FAILED_PRECONDITION naming the
  // flag when it is not configured.
  virtual absl::StatusOr<std::string> Dsn(const std::string& service) const = 0;
  // A pool for a service's own database, once that has the schema's version and the settings that
  // keep data safe (pg::CheckVersion, pg::CheckServer); FAILED_PRECONDITION otherwise.
  // `connections` 0: as many as configured.
  virtual absl::StatusOr<std::unique_ptr<pg::Pool>> OpenDatabase(const pg::Schema& schema,
                                                                 int connections) = 0;
  // How long the answers to requests are kept for those who repeat them.
  virtual absl::Duration answer_retention() const = 0;
  // From one comparison of running totals with a recount to the next; zero: never.
  virtual absl::Duration totals_check_interval() const = 0;
  // Empty: there is no Redis.
  virtual const std::string& redis_url() const = 0;

  // During Start: adds a gRPC service. FAILED_PRECONDITION when a method of it has no policy or no
  // handler, which stops the server.
  virtual absl::Status Register(std::unique_ptr<rpc::Service> service) = 0;
  // During Start: decides over tokens. Without one, the access service is asked.
  virtual void SetAuthenticator(std::unique_ptr<rpc::Authenticator> authenticator) = 0;
  // During Start: knows which tenants exist. Without them, the access service is asked.
  virtual void SetTenants(std::unique_ptr<rpc::Tenants> tenants) = 0;

  // From Serve on: a channel to another service ("contact"): in process when it runs here, else to
  // its configured peer. FAILED_PRECONDITION naming the flag when there is neither.
  virtual absl::StatusOr<std::shared_ptr<grpc::Channel>> Channel(const std::string& service) = 0;
  // Who this process is to other services.
  virtual const rpc::ClientIdentity& identity() const = 0;

  // For answers that the process remembers for callers who allow that; 0: none.
  virtual int64_t near_cache_bytes() const = 0;
};

// Calls come from one thread, in the order of the functions below.
class Module {
 public:
  virtual ~Module() = default;

  // "contact": also the name of its database and of its flags.
  virtual std::string name() const = 0;
  // The databases it owns.
  virtual std::vector<pg::Schema> Schemas() const { return {}; }

  // Makes the parts and registers the services. No service of the process can be called yet.
  virtual absl::Status Start(Runtime& runtime) = 0;
  // The process accepts calls, its own among them: the moment to begin background work.
  virtual absl::Status Serve(Runtime&) { return absl::OkStatus(); }
  // May callers be sent here? Asked again and again, also while serving; must not block. An outage
  // of the database is no reason to say no: it hits every replica.
  virtual absl::Status Ready() { return absl::OkStatus(); }
  // Ends background work and gives leases back. Calls still arrive and must be served.
  virtual void Drain() {}
  // No call is in progress any more.
  virtual void Stop() {}
};

}  // namespace clm::app

#endif  // CLM_LIBS_APP_MODULE_H_
