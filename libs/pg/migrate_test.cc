#include "libs/pg/migrate.h"

#include <atomic>
#include <latch>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/status_macros.h"
#include "libs/pg/admin.h"
#include "libs/pg/pg.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::pg {
namespace {

using ::clm::testing::AtOnce;
using ::clm::testing::IsOk;
using ::clm::testing::ReasonIs;
using ::clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class MigrateTest : public ::testing::Test {
 protected:
  MigrateTest() {
    // A service per test: they share a server.
    static std::atomic<int> tests = 0;
    schema_.service = absl::StrCat("migrate_", std::string(1, 'a' + tests++));
    schema_.migrations = {
        {1, "0001_a", "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY, x int)"},
        {2, "0002_b",
         "CREATE TABLE b (x int); INSERT INTO b VALUES (1); "
         "REVOKE UPDATE, DELETE ON b FROM clm_" +
             schema_.service + "_app"}};
  }

  std::string Database() const { return absl::StrCat("clm_", schema_.service); }
  std::string InDatabase() const { return testing::Postgres::Shared().server().Dsn(Database()); }

  const std::string admin_ = testing::Postgres::Shared().admin_dsn();
  Schema schema_;
};

TEST_F(MigrateTest, AppliesEachMigrationOnce) {
  CLM_ASSERT_OK_AND_ASSIGN(const MigrationReport first, Migrate(admin_, schema_));
  EXPECT_EQ(first.before, 0);
  EXPECT_EQ(first.after, 2);
  EXPECT_THAT(first.applied, ElementsAre("0001_a", "0002_b"));
  CLM_ASSERT_OK_AND_ASSIGN(const MigrationReport second, Migrate(admin_, schema_));
  EXPECT_EQ(second.before, 2);
  EXPECT_EQ(second.after, 2);
  EXPECT_THAT(second.applied, IsEmpty());
  schema_.migrations.push_back({3, "0003_c", "CREATE TABLE c ()"});
  CLM_ASSERT_OK_AND_ASSIGN(const MigrationReport third, Migrate(admin_, schema_));
  EXPECT_THAT(third.applied, ElementsAre("0003_c"));
}

TEST_F(MigrateTest, EightAtOnceApplyEachMigrationOnce) {
  std::atomic<int> applied = 0;
  AtOnce(8, [&](int) {
    const auto report = Migrate(admin_, schema_);
    CLM_EXPECT_OK(report);
    if (report.ok()) applied += static_cast<int>(report->applied.size());
  });
  EXPECT_EQ(applied, 2);
  CLM_ASSERT_OK_AND_ASSIGN(const Result rows, AdminQuery(InDatabase(), "SELECT x FROM b"));
  EXPECT_EQ(rows.size(), 1);
}

TEST_F(MigrateTest, AChangedMigrationIsRefused) {
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  Schema changed = schema_;
  changed.migrations[0].sql += " ";
  const auto refused = Migrate(admin_, changed);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("0001_a")));
  EXPECT_THAT(refused, ReasonIs("MIGRATION_CHANGED"));
  EXPECT_THAT(CheckVersion(AppDsn(admin_, schema_.service), changed),
              ReasonIs("MIGRATION_CHANGED"));
}

TEST_F(MigrateTest, ANewerDatabaseIsRefused) {
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  Schema older = schema_;
  older.migrations.pop_back();
  EXPECT_THAT(Migrate(admin_, older), ReasonIs("SCHEMA_TOO_NEW"));
  EXPECT_THAT(CheckVersion(AppDsn(admin_, schema_.service), older), ReasonIs("SCHEMA_TOO_NEW"));
}

TEST_F(MigrateTest, AnOlderProgramRunsWhereTheNewerSchemaLetsIt) {
  const Schema old = schema_;
  schema_.migrations.push_back({3, "0003_c", "ALTER TABLE a ADD y int", 2});
  schema_.migrations.push_back({4, "0004_d", "CREATE TABLE d ()", 3});
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  const std::string app = AppDsn(admin_, schema_.service);
  Schema previous = schema_;
  previous.migrations.pop_back();
  CLM_EXPECT_OK(CheckVersion(app, previous));
  // It has nothing to do there, and takes nothing away.
  CLM_ASSERT_OK_AND_ASSIGN(const MigrationReport report, Migrate(admin_, previous));
  EXPECT_EQ(report.after, 4);
  EXPECT_THAT(report.applied, ::testing::IsEmpty());
  CLM_EXPECT_OK(CheckVersion(app, schema_));
  // The fourth says that programs of the second version are too old, whatever the third says.
  EXPECT_THAT(CheckVersion(app, old), ReasonIs("SCHEMA_TOO_NEW"));
  EXPECT_THAT(CheckVersion(app, old), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr("programs of version 3 and later run")));
  EXPECT_THAT(Migrate(admin_, old), ReasonIs("SCHEMA_TOO_NEW"));
}

TEST_F(MigrateTest, ADatabaseFromBeforeVersionsSaidWhoRunsIsReadAndCompleted) {
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  CLM_ASSERT_OK(AdminExec(InDatabase(), "ALTER TABLE schema_version DROP COLUMN runs_from"));
  const std::string app = AppDsn(admin_, schema_.service);
  CLM_EXPECT_OK(CheckVersion(app, schema_));
  Schema older = schema_;
  older.migrations.pop_back();
  EXPECT_THAT(CheckVersion(app, older), ReasonIs("SCHEMA_TOO_NEW"));
  schema_.migrations.push_back({3, "0003_c", "ALTER TABLE a ADD y int", 1});
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  CLM_ASSERT_OK_AND_ASSIGN(
      const Result rows,
      AdminQuery(InDatabase(), "SELECT runs_from FROM schema_version ORDER BY 1"));
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(rows[0].Int(0), 1);
  EXPECT_TRUE(rows[1].IsNull(0));
}

TEST_F(MigrateTest, AFailedMigrationLeavesNothingOfItself) {
  Schema broken = schema_;
  broken.migrations[1].sql = "CREATE TABLE half (); SELECT 1 / 0";
  const auto failed = Migrate(admin_, broken);
  EXPECT_THAT(failed, ReasonIs("MIGRATION_FAILED"));
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("0002_b"));
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("22012"));
  EXPECT_FALSE(AdminExec(InDatabase(), "SELECT FROM half").ok());
  CLM_ASSERT_OK_AND_ASSIGN(const MigrationReport mended, Migrate(admin_, schema_));
  EXPECT_EQ(mended.before, 1);
  EXPECT_EQ(mended.after, 2);
}

TEST_F(MigrateTest, NumbersHaveNoGaps) {
  schema_.migrations[1].number = 3;
  EXPECT_THAT(Migrate(admin_, schema_), StatusIs(absl::StatusCode::kInternal));
}

TEST_F(MigrateTest, TheVersionIsCheckedByTheAppRole) {
  const std::string app = AppDsn(admin_, schema_.service);
  EXPECT_THAT(CheckVersion(app, schema_), StatusIs(absl::StatusCode::kUnavailable));
  Schema first_half = schema_;
  first_half.migrations.pop_back();
  CLM_ASSERT_OK(Migrate(admin_, first_half));
  EXPECT_THAT(CheckVersion(app, schema_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("clm migrate")));
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  CLM_EXPECT_OK(CheckVersion(app, schema_));
}

TEST_F(MigrateTest, TheAppRoleMayUseTablesAndNothingElse) {
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  const std::string app = AppDsn(admin_, schema_.service);
  CLM_EXPECT_OK(AdminExec(app, "INSERT INTO a (x) VALUES (1); UPDATE a SET x = 2; DELETE FROM a"));
  CLM_EXPECT_OK(AdminExec(app, "INSERT INTO b VALUES (2); SELECT * FROM b"));
  for (const char* forbidden :
       {"UPDATE b SET x = 3", "DELETE FROM b", "TRUNCATE a", "CREATE TABLE mine ()",
        "CREATE TEMP TABLE mine ()", "ALTER TABLE a ADD y int", "DROP TABLE a",
        "CREATE SCHEMA mine", "DELETE FROM schema_version",
        "INSERT INTO schema_version VALUES (9, 'x', 'x')"}) {
    EXPECT_EQ(SqlState(AdminExec(app, forbidden)), "42501") << forbidden;
  }
  EXPECT_FALSE(AdminExec(app, absl::StrCat("SET ROLE ", Database(), "_owner")).ok());
  CLM_ASSERT_OK_AND_ASSIGN(
      const Result roles,
      AdminQuery(admin_, absl::StrCat("SELECT rolsuper OR rolbypassrls OR rolcreaterole OR "
                                      "rolcreatedb OR rolreplication FROM pg_roles WHERE rolname "
                                      "LIKE '",
                                      Database(), "\\_%'")));
  EXPECT_EQ(roles.size(), 2);
  for (int i = 0; i < roles.size(); ++i) EXPECT_FALSE(roles[i].Bool(0));
}

TEST_F(MigrateTest, AnotherServicesRoleCannotConnect) {
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  Schema other = {.service = schema_.service + "_other"};
  CLM_ASSERT_OK(Migrate(admin_, other));
  const std::string intruder =
      absl::StrCat("host='", testing::Postgres::Shared().server().socket_folder(), "' user=clm_",
                   other.service, "_app dbname=", Database());
  EXPECT_THAT(AdminExec(intruder, "SELECT 1"), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(MigrateTest, ALockedTableIsTriedAgain) {
  CLM_ASSERT_OK(Migrate(admin_, schema_));
  schema_.migrations.push_back({3, "0003_c", "ALTER TABLE a ADD y int"});
  const auto pool = NewPool({.dsn = InDatabase()});
  const auto waiting = [&] {
    const auto rows = AdminQuery(admin_,
                                 "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                 "'clm-migrate' AND wait_event = 'relation'");
    return rows.ok() && (*rows)[0].Int(0) > 0;
  };
  absl::StatusOr<MigrationReport> report;
  std::thread migration;
  CLM_EXPECT_OK(pool->Transact({.scope = Scope::Suite()}, [&](Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(
        tx.ExecDynamic("SET LOCAL idle_in_transaction_session_timeout = 0").status());
    CLM_RETURN_IF_ERROR(tx.ExecDynamic("LOCK TABLE a IN ACCESS SHARE MODE").status());
    migration = std::thread([&] { report = Migrate(admin_, schema_); });
    // Until it has waited, and has given up waiting.
    EXPECT_TRUE(clm::testing::Eventually(waiting));
    EXPECT_TRUE(clm::testing::Eventually([&] { return !waiting(); }));
    return absl::OkStatus();
  }));
  migration.join();
  CLM_ASSERT_OK(report);
  EXPECT_THAT(report->applied, ElementsAre("0003_c"));
}

TEST(AppDsnTest, NamesRoleAndDatabaseAndForgetsThePassword) {
  const std::string dsn = AppDsn("postgresql://admin:secret@db.example/postgres", "contact");
  EXPECT_THAT(dsn, HasSubstr("user='clm_contact_app'"));
  EXPECT_THAT(dsn, HasSubstr("dbname='clm_contact'"));
  EXPECT_THAT(dsn, HasSubstr("host='db.example'"));
  EXPECT_THAT(dsn, Not(HasSubstr("secret")));
}

TEST(FixtureTest, EveryDatabaseIsNewAndMigrated) {
  const Schema schema = {"fixture", {{1, "0001_t", "CREATE TABLE t (x int)"}}};
  auto& postgres = testing::Postgres::Shared();
  const auto one = postgres.CreateDatabase(schema);
  CLM_ASSERT_OK(AdminExec(one.app_dsn, "INSERT INTO t VALUES (1)"));
  const auto two = postgres.CreateDatabase(schema);
  CLM_ASSERT_OK_AND_ASSIGN(const Result rows, AdminQuery(two.app_dsn, "SELECT * FROM t"));
  EXPECT_EQ(rows.size(), 0);
  EXPECT_NE(one.name, two.name);
  CLM_EXPECT_OK(CheckVersion(two.app_dsn, schema));
  // Another schema under the same name gets its own template.
  const Schema later = {"fixture", {{1, "0001_t", "CREATE TABLE u (x int)"}}};
  CLM_EXPECT_OK(CheckVersion(postgres.CreateDatabase(later).app_dsn, later));
}

}  // namespace
}  // namespace clm::pg
