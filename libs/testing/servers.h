// Private servers for tests: the code of `clm up` in a temporary folder. Each test binary has its
// own, so binaries run side by side; starting one takes about a second, once per binary. Everything
// here aborts the test binary with a clear message when a server cannot be had.
#ifndef CLM_LIBS_TESTING_SERVERS_H_
#define CLM_LIBS_TESTING_SERVERS_H_

#include <memory>
#include <string>

#include "libs/pg/migrate.h"
#include "libs/pg/pg.h"
#include "libs/stack/postgres_server.h"
#include "libs/stack/redis_server.h"
#include "libs/testing/temp_folder.h"

namespace clm::testing {

// A service's database of one test.
struct Database {
  std::string name;
  std::string app_dsn;    // As the service connects: role clm_<service>_app.
  std::string owner_dsn;  // As the migrations connect: owns the tables, still under row security.
  std::string admin_dsn;  // The superuser, in the same database.
};

// Thread-safe, but for server().
class Postgres {
 public:
  // The binary's server, without fsync; started by the first call, ended at exit.
  static Postgres& Shared();

  // A server of the test's own, for tests that kill it. Without fsync unless `durable`.
  explicit Postgres(bool durable = false);
  ~Postgres();
  Postgres(const Postgres&) = delete;
  Postgres& operator=(const Postgres&) = delete;

  // A new, migrated, empty database. The first call for a schema migrates a template; the others
  // clone it, which takes some tens of milliseconds.
  Database CreateDatabase(const pg::Schema& schema);

  std::string admin_dsn() const { return server_->Dsn(); }
  stack::PostgresServer& server() { return *server_; }

 private:
  struct Templates;
  const TempFolder folder_;
  std::unique_ptr<stack::PostgresServer> server_;
  std::unique_ptr<Templates> templates_;
};

// A Redis server of the test's own: url(), Kill(), Stop(), Restart(), Pause(), Resume(), Flush().
class RedisServer {
 public:
  explicit RedisServer(bool append_only = false);
  // The binary's server; started by the first call, ended at exit.
  static RedisServer& Shared();

  std::string url() const { return server_->url(); }
  stack::RedisServer* operator->() { return server_.get(); }

 private:
  const TempFolder folder_;
  std::unique_ptr<stack::RedisServer> server_;
};

}  // namespace clm::testing

#endif  // CLM_LIBS_TESTING_SERVERS_H_
