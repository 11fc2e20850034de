#include "libs/pg/migrate.h"

#include <openssl/sha.h>

#include <cstdlib>
#include <memory>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/pg/connection.h"
#include "libs/pg/dsn.h"
#include "libs/pg/rows.h"
#include "libs/pg/status.h"

namespace clm::pg {
namespace {

// A migration never queues traffic behind its own wait for a lock: it gives up and tries again.
constexpr int kLockTries = 50;
constexpr char kStepLockTimeout[] = "SET lock_timeout = '200ms'";
constexpr char kTurnLockTimeout[] = "SET lock_timeout = '60s'";

constexpr char kVersionTable[] =
    "CREATE TABLE IF NOT EXISTS public.schema_version ("
    "number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT now(), runs_from int)";

struct Names {
  explicit Names(const std::string& service)
      : database(absl::StrCat("clm_", service)),
        owner(absl::StrCat(database, "_owner")),
        app(absl::StrCat(database, "_app")) {}
  std::string database;
  std::string owner;
  std::string app;
};

std::string Checksum(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

std::string Literal(absl::string_view value) {
  std::string literal;
  AppendLiteral(literal, value);
  return literal;
}

// The advisory lock under which a service's database is created and migrated.
int64_t LockKey(const std::string& service) {
  uint64_t key = 0xcbf29ce484222325u;  // FNV-1a: the same in every version of this program.
  for (const unsigned char c : absl::StrCat("clm.migrate.", service)) {
    key = (key ^ c) * 0x100000001b3u;
  }
  return static_cast<int64_t>(key);
}

// A connection for one-off statements; failures as statuses.
class Session {
 public:
  static absl::StatusOr<std::unique_ptr<Session>> Open(const DsnOptions& options) {
    auto session = std::unique_ptr<Session>(new Session);
    try {
      session->connection_ =
          std::make_unique<Connection>(FormatDsn(WithDefaults(options, "clm-migrate")));
    } catch (...) {
      return StatusFromCurrentException("connect", /*connected=*/false);
    }
    return session;
  }

  absl::StatusOr<std::shared_ptr<const Rows>> Exec(const std::string& sql) {
    try {
      return MakeRows(connection_->Exec(sql));
    } catch (...) {
      return StatusFromCurrentException("migrate", connection_->open());
    }
  }

  absl::Status Run(const std::string& sql) { return Exec(sql).status(); }

  absl::StatusOr<bool> Exists(const std::string& query) {
    CLM_ASSIGN_OR_RETURN(const auto rows, Exec(absl::StrCat("SELECT 1 ", query)));
    return rows->rows > 0;
  }

 private:
  Session() = default;
  std::unique_ptr<Connection> connection_;
};

absl::Status CheckSchema(const Schema& schema) {
  bool named = !schema.service.empty();
  for (const char c : schema.service) named &= absl::ascii_islower(c) || c == '_';
  if (!named) return error::Internal("a service's name is lower-case letters");
  int expected = 1;
  for (const Migration& migration : schema.migrations) {
    if (migration.number != expected++) {
      return error::Internal(
          absl::StrCat("migrations are numbered from 1 without gaps: ", migration.name));
    }
    if (migration.runs_from < 0 || migration.runs_from > migration.number) {
      return error::Internal(
          absl::StrCat("programs that run on it are of its version at most: ", migration.name));
    }
  }
  return absl::OkStatus();
}

absl::Status TakeTurn(Session& session, const std::string& service) {
  CLM_RETURN_IF_ERROR(session.Run(kTurnLockTimeout));
  absl::Status locked =
      session.Run(absl::StrCat("SELECT pg_advisory_lock(", LockKey(service), ")"));
  if (SqlState(locked) == "55P03") {
    return error::Make(absl::StatusCode::kAborted, "MIGRATION_RUNNING",
                       "another migration of this database has run for a minute; try again later");
  }
  return locked;
}

absl::Status CreateRoles(Session& admin, const Names& names) {
  for (const std::string& role : {names.owner, names.app}) {
    CLM_ASSIGN_OR_RETURN(const bool exists, admin.Exists(absl::StrCat(
                                                "FROM pg_roles WHERE rolname = ", Literal(role))));
    if (exists) continue;
    CLM_RETURN_IF_ERROR(admin.Run(absl::StrCat(
        "CREATE ROLE ", QuoteIdentifier(role),
        " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT")));
  }
  CLM_ASSIGN_OR_RETURN(
      const bool member,
      admin.Exists(absl::StrCat("WHERE pg_has_role(", Literal(names.owner), ", 'MEMBER')")));
  if (member) return absl::OkStatus();
  return admin.Run(absl::StrCat("GRANT ", QuoteIdentifier(names.owner), " TO CURRENT_USER"));
}

absl::Status CreateDatabase(Session& admin, const Names& names) {
  CLM_ASSIGN_OR_RETURN(
      const bool exists,
      admin.Exists(absl::StrCat("FROM pg_database WHERE datname = ", Literal(names.database))));
  if (exists) return absl::OkStatus();
  // Byte order, the same on every machine: an index never depends on a system library's version.
  // C.UTF-8 would be the same order, but asks that library at each comparison.
  const auto create = [&](absl::string_view characters) {
    return admin.Run(absl::StrCat("CREATE DATABASE ", QuoteIdentifier(names.database), " OWNER ",
                                  QuoteIdentifier(names.owner),
                                  " TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE '",
                                  characters, "'"));
  };
  absl::Status created = create("C.UTF-8");
  if (!created.ok()) created = create("C");
  CLM_RETURN_IF_ERROR(created);
  return admin.Run(absl::StrCat("REVOKE ALL ON DATABASE ", QuoteIdentifier(names.database),
                                " FROM PUBLIC; GRANT CONNECT ON DATABASE ",
                                QuoteIdentifier(names.database), " TO ",
                                QuoteIdentifier(names.app)));
}

// Rights of the roles within the service's database.
absl::Status PrepareDatabase(Session& session, const Names& names) {
  const std::string owner = QuoteIdentifier(names.owner);
  const std::string app = QuoteIdentifier(names.app);
  CLM_ASSIGN_OR_RETURN(const bool prepared,
                       session.Exists("WHERE to_regclass('public.schema_version') IS NOT NULL"));
  if (!prepared) {
    // Before version 15 everybody may create in public, and the owner of the database need not.
    CLM_RETURN_IF_ERROR(
        session.Run(absl::StrCat("REVOKE CREATE ON SCHEMA public FROM PUBLIC; "
                                 "GRANT USAGE, CREATE ON SCHEMA public TO ",
                                 owner, "; GRANT USAGE ON SCHEMA public TO ", app)));
  }
  CLM_RETURN_IF_ERROR(session.Run(absl::StrCat("SET ROLE ", owner)));
  if (prepared) {
    // Tables from before migrations said who runs on them.
    CLM_ASSIGN_OR_RETURN(const bool complete,
                         session.Exists("FROM pg_attribute WHERE attname = 'runs_from' AND "
                                        "attrelid = 'public.schema_version'::regclass"));
    if (complete) return absl::OkStatus();
    return session.Run("ALTER TABLE public.schema_version ADD COLUMN IF NOT EXISTS runs_from int");
  }
  return session.Run(absl::StrCat(
      "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES "
      "TO ",
      app, "; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO ", app, "; ",
      kVersionTable, "; REVOKE INSERT, UPDATE, DELETE ON public.schema_version FROM ", app));
}

struct Applied {
  int number;
  std::string name;
  std::string checksum;
  int runs_from;
};

absl::StatusOr<std::vector<Applied>> ReadApplied(Session& session) {
  CLM_ASSIGN_OR_RETURN(const auto rows,
                       // A table from before migrations said who runs on them has no such column.
                       session.Exec("SELECT number, name, checksum, "
                                    "coalesce((to_jsonb(v) ->> 'runs_from')::int, number) "
                                    "FROM public.schema_version AS v ORDER BY number"));
  std::vector<Applied> applied;
  for (int i = 0; i < rows->rows; ++i) {
    const Rows::Cell* row = &rows->cells[static_cast<size_t>(i) * rows->columns];
    applied.push_back({std::atoi(row[0].data), row[1].data, row[2].data, std::atoi(row[3].data)});
  }
  return applied;
}

int RunsFrom(const Migration& migration) {
  return migration.runs_from == 0 ? migration.number : migration.runs_from;
}

// What is applied must be a prefix of what this program knows, text by text; what goes beyond must
// let it run.
absl::Status Compare(const std::vector<Applied>& applied, const Schema& schema) {
  for (size_t i = 0; i < applied.size(); ++i) {
    const Applied& found = applied[i];
    if (i >= schema.migrations.size()) {
      if (found.runs_from <= static_cast<int>(schema.migrations.size())) continue;
      return error::Precondition(
          "SCHEMA_TOO_NEW", absl::StrCat("database clm_", schema.service, " is at version ",
                                         applied.back().number, ", where programs of version ",
                                         found.runs_from, " and later run; this program knows ",
                                         schema.migrations.size(), "; use a newer release of clm"));
    }
    const Migration& known = schema.migrations[i];
    if (found.number != known.number || found.checksum != Checksum(known.sql)) {
      return error::Precondition(
          "MIGRATION_CHANGED",
          absl::StrCat("migration ", found.name, " of clm_", schema.service,
                       " was changed after it was applied; put the change into a new migration"));
    }
  }
  return absl::OkStatus();
}

absl::Status Apply(Session& session, const std::string& service, const Migration& migration) {
  const std::string record =
      absl::StrCat("INSERT INTO public.schema_version (number, name, checksum, runs_from) VALUES (",
                   migration.number, ", ", Literal(migration.name), ", ",
                   Literal(Checksum(migration.sql)), ", ", RunsFrom(migration), ")");
  absl::BitGen random;
  absl::Status done;
  for (int attempt = 0; attempt < kLockTries; ++attempt) {
    CLM_RETURN_IF_ERROR(session.Run("BEGIN"));
    done = session.Run(migration.sql);
    if (done.ok()) done = session.Run(record);
    if (done.ok()) done = session.Run("COMMIT");
    if (done.ok()) return done;
    CLM_RETURN_IF_ERROR(session.Run("ROLLBACK"));
    if (!absl::IsAborted(done)) break;
    absl::SleepFor(absl::Milliseconds(absl::Uniform(random, 50, 250)));
  }
  return error::Make(done.code(), absl::IsAborted(done) ? "MIGRATION_LOCKED" : "MIGRATION_FAILED",
                     absl::StrCat("migration ", migration.name, " of clm_", service,
                                  " was rolled back: ", done.message(),
                                  SqlState(done).empty() ? "" : " (SQLSTATE ", SqlState(done),
                                  SqlState(done).empty() ? "" : ")"));
}

absl::Status Outdated(const std::string& service, absl::string_view why) {
  return error::Precondition(
      "SCHEMA_OUTDATED", absl::StrCat("database clm_", service, " ", why, "; run `clm migrate`"));
}

}  // namespace

absl::StatusOr<MigrationReport> Migrate(const std::string& admin_dsn, const Schema& schema) {
  CLM_RETURN_IF_ERROR(CheckSchema(schema));
  const Names names(schema.service);
  CLM_ASSIGN_OR_RETURN(DsnOptions options, ParseDsn(admin_dsn));
  CLM_ASSIGN_OR_RETURN(const auto admin, Session::Open(options));
  // Held until the admin's connection closes: databases share no locks, but all migrations of this
  // service come through here.
  CLM_RETURN_IF_ERROR(TakeTurn(*admin, schema.service));
  CLM_RETURN_IF_ERROR(CreateRoles(*admin, names));
  CLM_RETURN_IF_ERROR(CreateDatabase(*admin, names));

  options["dbname"] = names.database;
  CLM_ASSIGN_OR_RETURN(const auto session, Session::Open(options));
  // A second lock for those who reach the server by another database.
  CLM_RETURN_IF_ERROR(TakeTurn(*session, schema.service));
  CLM_RETURN_IF_ERROR(session->Run(
      absl::StrCat(kStepLockTimeout, "; SET idle_in_transaction_session_timeout = 0")));
  CLM_RETURN_IF_ERROR(PrepareDatabase(*session, names));
  CLM_ASSIGN_OR_RETURN(const std::vector<Applied> applied, ReadApplied(*session));
  CLM_RETURN_IF_ERROR(Compare(applied, schema));

  MigrationReport report;
  report.before = report.after = static_cast<int>(applied.size());
  for (size_t i = applied.size(); i < schema.migrations.size(); ++i) {
    const Migration& migration = schema.migrations[i];
    CLM_RETURN_IF_ERROR(Apply(*session, schema.service, migration));
    report.after = migration.number;
    report.applied.push_back(migration.name);
  }
  return report;
}

std::string AppDsn(const std::string& admin_dsn, const std::string& service) {
  absl::StatusOr<DsnOptions> options = ParseDsn(admin_dsn);
  if (!options.ok()) return admin_dsn;  // Refused again by whoever connects.
  const Names names(service);
  (*options)["dbname"] = names.database;
  (*options)["user"] = names.app;
  // The admin's password is not the application's: that one comes from a password file.
  options->erase("password");
  return FormatDsn(*options);
}

absl::Status CheckVersion(const std::string& app_dsn, const Schema& schema) {
  CLM_ASSIGN_OR_RETURN(const DsnOptions options, ParseDsn(app_dsn));
  CLM_ASSIGN_OR_RETURN(const auto session, Session::Open(options));
  CLM_ASSIGN_OR_RETURN(const bool exists,
                       session->Exists("WHERE to_regclass('public.schema_version') IS NOT NULL"));
  if (!exists) return Outdated(schema.service, "is empty");
  CLM_ASSIGN_OR_RETURN(const std::vector<Applied> applied, ReadApplied(*session));
  CLM_RETURN_IF_ERROR(Compare(applied, schema));
  if (applied.size() < schema.migrations.size()) {
    return Outdated(schema.service, absl::StrCat("is at version ", applied.size(), " of ",
                                                 schema.migrations.size()));
  }
  return absl::OkStatus();
}

}  // namespace clm::pg
