#include "libs/testing/servers.h"

#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "libs/pg/admin.h"

namespace clm::testing {
namespace {

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "test server: %s\n", std::string(status.message()).c_str());
  std::abort();
}

template <class T>
T Require(absl::StatusOr<T> result) {
  Require(result.status());
  return *std::move(result);
}

// Kept by its address and ended by atexit: after the tests, before the logging of other statics.
template <class Server>
Server& SharedServer() {
  static Server* server = [] {
    static Server* made = new Server;
    std::atexit([] { delete made; });
    return made;
  }();
  return *server;
}

}  // namespace

struct Postgres::Templates {
  absl::Mutex mu;
  // By service and texts, as tests bring schemas of their own under the same name.
  std::map<std::string, std::string> names ABSL_GUARDED_BY(mu);
  int next ABSL_GUARDED_BY(mu) = 0;
};

Postgres& Postgres::Shared() { return SharedServer<Postgres>(); }

Postgres::Postgres(bool durable)
    : server_(Require(stack::PostgresServer::Start(
          {.folder = folder_.File("pg"), .durable = durable, .max_connections = 300}))),
      templates_(std::make_unique<Templates>()) {}

Postgres::~Postgres() = default;

Database Postgres::CreateDatabase(const pg::Schema& schema) {
  std::string key = schema.service;
  for (const pg::Migration& migration : schema.migrations) {
    absl::StrAppend(&key, "\n", migration.name, "\n", migration.sql);
  }
  const std::string service_database = absl::StrCat("clm_", schema.service);
  std::string name;
  {
    // One at a time: a template must have no other visitors while it is cloned.
    absl::MutexLock lock(&templates_->mu);
    std::string& made = templates_->names[key];
    if (made.empty()) {
      Require(pg::Migrate(admin_dsn(), schema).status());
      made = absl::StrCat("template_", schema.service, "_", templates_->names.size());
      Require(pg::AdminExec(
          admin_dsn(), absl::StrCat("ALTER DATABASE ", service_database, " RENAME TO ", made)));
    }
    name = absl::StrCat(service_database, "_", ++templates_->next);
    Require(pg::AdminExec(admin_dsn(), absl::StrCat("CREATE DATABASE ", name, " TEMPLATE ", made,
                                                    " OWNER ", service_database, "_owner")));
  }
  const auto dsn_as = [&](const char* role) {
    return absl::StrCat("host='", server_->socket_folder(), "' user=", service_database, role,
                        " dbname=", name);
  };
  return {.name = name,
          .app_dsn = dsn_as("_app"),
          .owner_dsn = dsn_as("_owner"),
          .admin_dsn = server_->Dsn(name)};
}

RedisServer::RedisServer(bool append_only)
    : server_(Require(stack::RedisServer::Start(
          {.folder = folder_.File("redis"), .append_only = append_only}))) {}

RedisServer& RedisServer::Shared() { return SharedServer<RedisServer>(); }

}  // namespace clm::testing
