// Schema migrations: plain numbered SQL, applied once each, in order, under an advisory lock.
#ifndef CLM_LIBS_PG_MIGRATE_H_
#define CLM_LIBS_PG_MIGRATE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace clm::pg {

struct Migration {
  int number;        // 1, 2, ...
  std::string name;  // "0001_contacts"
  std::string sql;   // May hold several statements; runs in one transaction.
  // The oldest version whose programs run on the schema that this makes; 0: none that is older than
  // itself. A migration that only adds what older programs need not know (no NOT NULL column
  // without a default, no narrower constraint) names the version before it, and the program of that
  // version keeps running while the next one is rolled out. A file says so by its first line:
  // "-- runs from: 3".
  int runs_from = 0;
};

// What a service's database is called and made of.
struct Schema {
  std::string
      service;  // "contact": database clm_contact, roles clm_contact_owner, clm_contact_app.
  std::vector<Migration> migrations;
};

struct MigrationReport {
  int before = 0;  // Version found; 0 for an empty database.
  int after = 0;
  std::vector<std::string> applied;
};

// Creates database and roles where they are missing (admin_dsn must be allowed to), then brings the
// schema up to date as the owner role. Safe to run concurrently and repeatedly. Leaves a database
// alone that is newer than this program and on which it runs. FAILED_PRECONDITION when an applied
// migration's text has changed, or the database is so new that this program does not run on it.
absl::StatusOr<MigrationReport> Migrate(const std::string& admin_dsn, const Schema& schema);

// The DSN by which the service's application role connects to its database on the same server.
std::string AppDsn(const std::string& admin_dsn, const std::string& service);

// FAILED_PRECONDITION, naming what helps, unless the schema's version is the one this program was
// built for, or a newer one that says that this program runs on it (Migration::runs_from).
absl::Status CheckVersion(const std::string& app_dsn, const Schema& schema);

}  // namespace clm::pg

#endif  // CLM_LIBS_PG_MIGRATE_H_
