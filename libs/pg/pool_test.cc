#include <atomic>
#include <csignal>
#include <latch>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/pg/admin.h"
#include "libs/pg/pg.h"
#include "libs/pg/settings.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

// libpqxx 6.4 forgets the result that tells of a lost connection: a few hundred bytes each time.
extern "C" const char* __lsan_default_suppressions() {  // NOLINT: the sanitizer's name.
  return "leak:PQmakeEmptyPGresult\nleak:libpq.so\n";
}

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
using ::testing::UnorderedElementsAre;

// Two tenant tables as services make them (`notes` is scanned by the suite, `secrets` is not), and
// tables without tenants for what has nothing to do with them.
Schema TestSchema() {
  return {"pooltest", {{1, "0001_tables", R"(
    CREATE TABLE notes (
      tenant_id text NOT NULL, id uuid NOT NULL, body text,
      PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, body));
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    ALTER TABLE notes FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON notes USING (
      tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[])
      OR (SELECT current_setting('clm.tenant')) = '*');
    CREATE TABLE secrets (tenant_id text NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
    ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
    ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON secrets USING (
      tenant_id = ANY ((SELECT string_to_array(current_setting('clm.tenant'), ','))::text[]));
    CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL);
    INSERT INTO counters VALUES ('a', 0), ('b', 0);
    CREATE TABLE plain (name text PRIMARY KEY, of_counter text REFERENCES counters);
    CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
      $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$;
    CREATE TABLE deadly (x int);
    CREATE CONSTRAINT TRIGGER deadly_commit AFTER INSERT ON deadly
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_session();
    CREATE TABLE late (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);
  )"}}};
}

constexpr Statement kAddNote = {"test.add_note",
                                "INSERT INTO notes VALUES ($1::text, $2::uuid, $3::text)"};
constexpr Statement kGetNote = {
    "test.get_note", "SELECT body FROM notes WHERE tenant_id = $1::text AND id = $2::uuid"};
constexpr Statement kCountNotes = {"test.count_notes", "SELECT count(*) FROM notes"};
constexpr Statement kAddSecret = {"test.add_secret",
                                  "INSERT INTO secrets VALUES ($1::text, $2::uuid)"};
constexpr Statement kCountSecrets = {"test.count_secrets", "SELECT count(*) FROM secrets"};
constexpr Statement kIncrement = {"test.increment",
                                  "UPDATE counters SET value = value + 1 WHERE name = $1::text"};
constexpr Statement kCounter = {"test.counter", "SELECT value FROM counters WHERE name = $1::text"};
constexpr Statement kLockCounter = {"test.lock_counter",
                                    "SELECT value FROM counters WHERE name = $1::text FOR UPDATE"};
constexpr Statement kSleep = {"test.sleep", "SELECT pg_sleep($1::float8)"};
constexpr Statement kOne = {"test.one", "SELECT 1"};
constexpr Statement kPid = {"test.pid", "SELECT pg_backend_pid()"};
constexpr Statement kDie = {"test.die", "INSERT INTO deadly VALUES (1)"};
constexpr Statement kLate = {"test.late", "INSERT INTO late VALUES (1), (1)"};
constexpr Statement kAddPlain = {"test.add_plain", "INSERT INTO plain VALUES ($1::text, $2::text)"};
constexpr Statement kTerminate = {"test.terminate", "SELECT pg_terminate_backend($1::int)"};
constexpr Statement kWrong = {"test.wrong", "SELECT no_such_column FROM notes"};
constexpr Statement kEchoArrays = {
    "test.echo_arrays",
    "SELECT $1::bigint[], $2::int[], $3::smallint[], $4::float8[], $5::boolean[], "
    "$6::timestamptz[], $7::uuid[], $8::uuid[], $9::jsonb[], $10::date[], $11::uuid[]"};
constexpr Statement kEcho = {
    "test.echo",
    "SELECT $1::text, $2::bigint, $3::boolean, $4::float8, $5::timestamptz, $6::date, $7::uuid, "
    "$8::bytea, $9::text[], $10::text, array_to_json($11::bytea[]), $12::timestamptz, "
    "array_to_json($13::text[])"};

constexpr Statement kEchoInBinary = {
    "test.echo_in_binary",
    "SELECT $1::text, $2::bigint, $3::int, $4::smallint, $5::boolean, $6::float8, "
    "$7::timestamptz, $8::timestamptz, $9::timestamptz, $10::date, $11::uuid, $12::bytea, "
    "$13::jsonb, $14::text[], $15::text[], $16::uuid, $17::varchar",
    /*lookup=*/true};
constexpr Statement kListNotes = {"test.list_notes", "SELECT tenant_id, body FROM notes"};
constexpr Statement kDivide = {"test.divide", "SELECT 1 / $1::int"};
constexpr Statement kTimeouts = {
    "test.timeouts",
    "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), "
    "current_setting('transaction_read_only')"};

class PoolTest : public ::testing::Test {
 protected:
  std::unique_ptr<Pool> NewTestPool(int size = 4) {
    return NewPool({.dsn = db_.app_dsn, .size = size, .checkout_timeout = absl::Milliseconds(100)});
  }

  int64_t Count(const Scope& scope, const Statement& statement) {
    const auto result = pool_->Query({.scope = scope}, statement);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? (*result)[0].Int(0) : -1;
  }

  absl::Status AddNote(const std::string& tenant, const std::string& body,
                       const Scope& scope = Scope::Tenant("acme")) {
    return pool_->Transact({.scope = scope}, [&](Tx& tx) {
      return tx.Exec(kAddNote, Args().Add(tenant).Add(Uuid::V7(absl::Now())).Add(body)).status();
    });
  }

  const testing::Database db_ = testing::Postgres::Shared().CreateDatabase(TestSchema());
  const std::unique_ptr<Pool> pool_ = NewTestPool();
  const TxOptions acme_ = {.scope = Scope::Tenant("acme")};
};

TEST_F(PoolTest, ACommittedTransactionIsSeenAndARefusedOneIsNot) {
  const Uuid id = Uuid::V7(absl::Now());
  const auto add = [&](Tx& tx, const Uuid& key) {
    return tx.Exec(kAddNote, Args().Add("acme").Add(key).AddNull()).status();
  };
  CLM_ASSERT_OK(pool_->Transact(acme_, [&](Tx& tx) { return add(tx, id); }));
  const absl::Status refused = pool_->Transact(acme_, [&](Tx& tx) {
    CLM_RETURN_IF_ERROR(add(tx, Uuid::V7(absl::Now())));
    return error::InvalidField("body", "not today");
  });
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not today")));
  EXPECT_EQ(Count(acme_.scope, kCountNotes), 1);
}

TEST_F(PoolTest, AFailureThatTheBodyOverlooksIsNotACommit) {
  int later = 0;
  const absl::Status status = pool_->Transact(acme_, [&](Tx& tx) {
    tx.Exec(kAddNote, Args().Add("acme").Add(Uuid::V7(absl::Now())).Add("lost")).IgnoreError();
    tx.Exec(kAddNote, Args().Add("acme").Add("not a uuid").AddNull()).IgnoreError();
    later += tx.Exec(kOne).ok();
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(later, 0);
  EXPECT_EQ(Count(acme_.scope, kCountNotes), 0);
}

TEST_F(PoolTest, ABodyMayAnswerAFailureWithItsOwnStatus) {
  CLM_ASSERT_OK(AddNote("acme", "twice"));
  const absl::Status status = pool_->Transact(acme_, [&](Tx& tx) {
    const absl::Status added =
        tx.Exec(kAddNote, Args().Add("acme").Add(Uuid::V7(absl::Now())).Add("twice")).status();
    return ConstraintName(added) == "notes_tenant_id_body_key"
               ? error::Make(absl::StatusCode::kAlreadyExists, "BODY_TAKEN", "body: taken")
               : added;
  });
  EXPECT_THAT(status, ReasonIs("BODY_TAKEN"));
}

// Both ways that values travel: inside the text of a first statement, bound by later ones.
class PoolValueTest : public PoolTest, public ::testing::WithParamInterface<bool> {};

TEST_P(PoolValueTest, EveryTypeComesBackAsItWent) {
  // A default that would spoil times, were the session's not set.
  CLM_ASSERT_OK(AdminExec(
      db_.admin_dsn, absl::StrCat("ALTER DATABASE ", db_.name, " SET TimeZone = 'Asia/Kathmandu'; ",
                                  "ALTER DATABASE ", db_.name, " SET DateStyle = 'SQL, DMY'")));
  const std::string text = "it's \"quoted\" \\ $1 %s ; -- \n\t \xc3\xa9 \xf0\x9f\x8e\x89 '' \\'";
  const std::vector<std::string> texts = {text, "", "NULL", "{a,b}", "\\", "\"", " x "};
  const std::string bytes("\x00\x01'\\\xff\xfe\"", 7);
  const absl::Time time = absl::FromUnixMicros(1'795'250'130'123'456);
  const Uuid id = Uuid::V7(absl::Now());
  const Args args = Args()
                        .Add(text)
                        .Add(std::numeric_limits<int64_t>::min())
                        .Add(true)
                        .Add(0.1)
                        .Add(time)
                        .Add(absl::CivilDay(2024, 2, 29))
                        .Add(id)
                        .AddBytes(bytes)
                        .AddArray(texts)
                        .AddNull()
                        .AddBytesArray({bytes, ""})
                        .Add(absl::InfiniteFuture())
                        .AddArray(std::vector<std::optional<std::string>>{"a", std::nullopt});
  CLM_ASSERT_OK(pool_->Read(acme_, [&](Tx& tx) -> absl::Status {
    if (GetParam()) CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
    CLM_ASSIGN_OR_RETURN(const Result result, tx.Exec(kEcho, args));
    const Row row = result[0];
    EXPECT_EQ(row.Text(0), text);
    EXPECT_EQ(row.Int(1), std::numeric_limits<int64_t>::min());
    EXPECT_EQ(row.Bool(2), true);
    EXPECT_EQ(row.Double(3), 0.1);
    EXPECT_EQ(row.Time(4), time);
    EXPECT_EQ(row.OptTime(4), time);
    EXPECT_EQ(row.Day(5), absl::CivilDay(2024, 2, 29));
    EXPECT_EQ(row.Uuid(6), id);
    EXPECT_EQ(row.Bytes(7), bytes);
    EXPECT_EQ(row.TextArray(8), texts);
    EXPECT_TRUE(row.IsNull(9));
    EXPECT_EQ(row.OptText(9), std::nullopt);
    EXPECT_EQ(row.Text(10), R"(["\\x0001275cfffe22","\\x"])");
    EXPECT_EQ(row.Time(11), absl::InfiniteFuture());
    EXPECT_EQ(row.Text(12), R"(["a",null])");
    return absl::OkStatus();
  }));
}

TEST_P(PoolValueTest, ArraysOfEveryTypeComeAsTheyWent) {
  const absl::Time time = absl::FromUnixMicros(-1);
  const Uuid id = *Uuid::Parse("0190163d-8694-739b-aea5-966c26f8ad91");
  using Some = std::optional<int64_t>;
  const Args args =
      Args()
          .AddArray(std::vector<int64_t>{std::numeric_limits<int64_t>::min(), 0, 7})
          .AddArray(std::vector<Some>{-40000, std::nullopt})
          .AddArray(std::vector<int64_t>{-3, 32767})
          .AddArray(std::vector<std::optional<double>>{0.1, std::nullopt, -HUGE_VAL})
          .AddArray(std::vector<bool>{true, false})
          .AddArray(std::vector<absl::Time>{time, absl::InfiniteFuture(), absl::InfinitePast()})
          .AddArray(std::vector<std::optional<Uuid>>{id, std::nullopt})
          .AddArray(std::vector<std::string>{id.ToString()})
          .AddArray(std::vector<std::string>{R"({"a": "\"", "b": [1]})", "null"})
          .AddArray(std::vector<std::string>{"2024-02-29"})
          .AddArray(std::vector<Uuid>{});
  CLM_ASSERT_OK(pool_->Read(acme_, [&](Tx& tx) -> absl::Status {
    if (GetParam()) CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
    CLM_ASSIGN_OR_RETURN(const Result result, tx.Exec(kEchoArrays, args));
    const Row row = result[0];
    EXPECT_EQ(row.Text(0), "{-9223372036854775808,0,7}");
    EXPECT_EQ(row.Text(1), "{-40000,NULL}");
    EXPECT_EQ(row.Text(2), "{-3,32767}");
    EXPECT_EQ(row.Text(3), "{0.1,NULL,-Infinity}");
    EXPECT_EQ(row.Text(4), "{t,f}");
    EXPECT_EQ(row.Text(5), R"({"1969-12-31 23:59:59.999999+00",infinity,-infinity})");
    EXPECT_EQ(row.Text(6), "{0190163d-8694-739b-aea5-966c26f8ad91,NULL}");
    EXPECT_EQ(row.Text(7), "{0190163d-8694-739b-aea5-966c26f8ad91}");
    EXPECT_EQ(row.Text(8), R"({"{\"a\": \"\\\"\", \"b\": [1]}","null"})");
    EXPECT_EQ(row.Text(9), "{2024-02-29}");
    EXPECT_EQ(row.Text(10), "{}");
    return absl::OkStatus();
  }));
}

TEST_P(PoolValueTest, AnArrayElementOutOfRangeIsRefused) {
  const absl::Status status = pool_->Read(acme_, [&](Tx& tx) -> absl::Status {
    if (GetParam()) CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
    return tx
        .Exec(kEchoArrays, Args()
                               .AddArray(std::vector<int64_t>{})
                               .AddArray(std::vector<int64_t>{})
                               .AddArray(std::vector<int64_t>{40000})
                               .AddNull()
                               .AddNull()
                               .AddNull()
                               .AddNull()
                               .AddNull()
                               .AddNull()
                               .AddNull()
                               .AddNull())
        .status();
  });
  EXPECT_THAT(status, ReasonIs("DATA_REJECTED"));
}

TEST_P(PoolValueTest, AValueIsNeverSql) {
  for (const std::string& body :
       {std::string("'); DROP TABLE notes; --"), std::string("\\'); DROP TABLE notes; --"),
        std::string("\xc3'); DROP TABLE notes; --"), std::string("\xe4\xb8'"),
        std::string("$$; DROP TABLE notes")}) {
    const absl::Status status = pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
      if (GetParam()) CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
      CLM_RETURN_IF_ERROR(
          tx.Exec(kAddNote, Args().Add("acme").Add(Uuid::V7(absl::Now())).Add(body)).status());
      return absl::OkStatus();
    });
    if (absl::StrContains(body, "\xc3'") || absl::StrContains(body, "\xe4")) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument)) << body;
    } else {
      EXPECT_THAT(status, IsOk()) << body;
    }
  }
  EXPECT_EQ(Count(acme_.scope, kCountNotes), 3);
}

TEST_P(PoolValueTest, ANulIsRefusedNotCut) {
  const absl::Status status = pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
    if (GetParam()) CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
    return tx
        .Exec(kAddNote, Args().Add("acme").Add(Uuid::V7(absl::Now())).Add(std::string("a\0b", 3)))
        .status();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("U+0000")));
}

TEST_P(PoolValueTest, AStatementIsCancelledAtTheDeadline) {
  // Prepared beforehand: the deadline is for the sleep.
  CLM_ASSERT_OK(pool_->Query(acme_, kSleep, Args().Add(0.0)));
  const absl::Status status = pool_->Transact(
      {.scope = Scope::Tenant("acme"), .deadline = absl::Now() + absl::Milliseconds(300)},
      [&](Tx& tx) -> absl::Status {
        if (GetParam()) CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
        return tx.Exec(kSleep, Args().Add(60.0)).status();
      });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  // Nothing of it is left on the connection.
  CLM_EXPECT_OK(pool_->Query(acme_, kSleep, Args().Add(0.4)));
}

INSTANTIATE_TEST_SUITE_P(FirstAndLater, PoolValueTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Later" : "First"; });

TEST_F(PoolTest, EveryTypeComesInBinaryAsItWent) {
  const std::string text = "\xc3\xa9 \"quoted\" \\ $1";
  const std::string bytes("\x00\x01'\\\xff", 5);
  const std::vector<std::string> texts = {text, "", "NULL", "{a,b}"};
  const absl::Time time = absl::FromUnixMicros(1'795'250'130'123'456);
  const Uuid id = Uuid::V7(absl::Now());
  const Args args = Args()
                        .Add(text)
                        .Add(std::numeric_limits<int64_t>::min())
                        .Add(-70000)
                        .Add(-2)
                        .Add(true)
                        .Add(-0.1)
                        .Add(time)
                        .Add(absl::InfiniteFuture())
                        .Add(absl::InfinitePast())
                        .Add(absl::CivilDay(1999, 12, 31))
                        .Add(id)
                        .AddBytes(bytes)
                        .Add(R"({"a": [1]})")
                        .AddArray(texts)
                        .AddArray(std::vector<std::string>{})
                        .AddNull()
                        .Add("v");
  const auto expect = [&](const Result& result) {
    ASSERT_EQ(result.size(), 1);
    const Row row = result[0];
    EXPECT_EQ(row.Text(0), text);
    EXPECT_EQ(row.Int(1), std::numeric_limits<int64_t>::min());
    EXPECT_EQ(row.Int(2), -70000);
    EXPECT_EQ(row.Int(3), -2);
    EXPECT_EQ(row.Bool(4), true);
    EXPECT_EQ(row.Double(5), -0.1);
    EXPECT_EQ(row.Time(6), time);
    EXPECT_EQ(row.Time(7), absl::InfiniteFuture());
    EXPECT_EQ(row.Time(8), absl::InfinitePast());
    EXPECT_EQ(row.Day(9), absl::CivilDay(1999, 12, 31));
    EXPECT_EQ(row.Uuid(10), id);
    EXPECT_EQ(row.Bytes(11), bytes);
    EXPECT_EQ(row.Text(12), R"({"a": [1]})");
    EXPECT_EQ(row.TextArray(13), texts);
    EXPECT_THAT(row.TextArray(14), IsEmpty());
    EXPECT_TRUE(row.IsNull(15));
    EXPECT_EQ(row.OptUuid(15), std::nullopt);
    EXPECT_EQ(row.Text(16), "v");
  };
  CLM_ASSERT_OK_AND_ASSIGN(const Result alone, pool_->Query(acme_, kEchoInBinary, args));
  expect(alone);
  CLM_ASSERT_OK(pool_->Read(acme_, [&](Tx& tx) -> absl::Status {
    // The first travels in a text and comes back as text, the second is bound.
    CLM_ASSIGN_OR_RETURN(const Result first, tx.Exec(kEchoInBinary, args));
    expect(first);
    CLM_ASSIGN_OR_RETURN(const Result second, tx.Exec(kEchoInBinary, args));
    expect(second);
    return absl::OkStatus();
  }));
}

TEST_F(PoolTest, AffectedRowsAndDynamicSql) {
  CLM_ASSERT_OK(pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const Result all, tx.ExecDynamic("UPDATE counters SET value = 7"));
    EXPECT_EQ(all.affected(), 2);
    CLM_ASSIGN_OR_RETURN(const Result some,
                         tx.ExecDynamic("SELECT name FROM counters WHERE value = $1::bigint AND "
                                        "name > $2::text ORDER BY name",
                                        Args().Add(7).Add("a")));
    EXPECT_EQ(some.size(), 1);
    EXPECT_EQ(some[0].Text(0), "b");
    return absl::OkStatus();
  }));
}

TEST_F(PoolTest, LargeArraysArriveWhole) {
  std::vector<Uuid> ids;
  std::vector<std::string> bodies;
  for (int i = 0; i < 5000; ++i) {
    ids.push_back(Uuid::V7(absl::Now()));
    bodies.push_back(absl::StrCat("body \"", i, "\", 'x' \\"));
  }
  static constexpr Statement kAddMany = {"test.add_many",
                                         "INSERT INTO notes SELECT 'acme', u.id, u.body FROM "
                                         "unnest($1::uuid[], $2::text[]) u(id, body)"};
  CLM_ASSERT_OK(pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const Result added,
                         tx.Exec(kAddMany, Args().AddArray(ids).AddArray(bodies)));
    EXPECT_EQ(added.affected(), 5000);
    CLM_ASSIGN_OR_RETURN(const Result last, tx.Exec(kGetNote, Args().Add("acme").Add(ids.back())));
    EXPECT_EQ(last[0].Text(0), bodies.back());
    return absl::OkStatus();
  }));
}

TEST_F(PoolTest, CopyFillsTablesWithAndWithoutRowSecurity) {
  CLM_ASSERT_OK(pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.Copy("plain", {"name", "of_counter"},
                                {{"tab\there", "a"},
                                 {"back\\slash\\N", std::nullopt},
                                 {"line\nfeed\r", "b"},
                                 {"", std::nullopt}}));
    CLM_RETURN_IF_ERROR(tx.Copy("notes", {"tenant_id", "id", "body"},
                                {{"acme", Uuid::V7(absl::Now()).ToString(), "it's\n\\"},
                                 {"acme", Uuid::V7(absl::Now()).ToString(), std::nullopt}}));
    CLM_ASSIGN_OR_RETURN(const Result plain,
                         tx.ExecDynamic("SELECT name, of_counter FROM plain ORDER BY name"));
    EXPECT_EQ(plain.size(), 4);
    EXPECT_EQ(plain[0].Text(0), "");
    EXPECT_TRUE(plain[0].IsNull(1));
    EXPECT_EQ(plain[1].Text(0), "back\\slash\\N");
    EXPECT_EQ(plain[2].Text(0), "line\nfeed\r");
    EXPECT_EQ(plain[3].Text(0), "tab\there");
    CLM_ASSIGN_OR_RETURN(const Result notes,
                         tx.ExecDynamic("SELECT body FROM notes ORDER BY body NULLS LAST"));
    EXPECT_EQ(notes[0].Text(0), "it's\n\\");
    EXPECT_TRUE(notes[1].IsNull(0));
    return absl::OkStatus();
  }));
  const absl::Status foreign = pool_->Transact(acme_, [](Tx& tx) {
    return tx.Copy("notes", {"tenant_id", "id"}, {{"rival", Uuid().ToString()}});
  });
  EXPECT_THAT(foreign, StatusIs(absl::StatusCode::kPermissionDenied));
  const absl::Status twice = pool_->Transact(acme_, [](Tx& tx) {
    return tx.Copy("plain", {"name"}, {{"x"}, {"x"}});
  });
  EXPECT_THAT(twice, StatusIs(absl::StatusCode::kAlreadyExists));
  CLM_EXPECT_OK(pool_->Query(acme_, kOne));
}

TEST_F(PoolTest, ViolationsAreToldWithoutSqlOrValues) {
  CLM_ASSERT_OK(AddNote("acme", "private words"));
  const absl::Status taken = AddNote("acme", "private words");
  EXPECT_THAT(taken, StatusIs(absl::StatusCode::kAlreadyExists, Not(HasSubstr("private"))));
  EXPECT_EQ(SqlState(taken), "23505");
  EXPECT_EQ(ConstraintName(taken), "notes_tenant_id_body_key");

  const std::string fake = "x\nCONSTRAINT NAME:  fake\ny";
  CLM_ASSERT_OK(AddNote("acme", fake));
  EXPECT_EQ(ConstraintName(AddNote("acme", fake)), "notes_tenant_id_body_key");

  const absl::Status dangling = pool_->Transact(
      acme_, [](Tx& tx) { return tx.Exec(kAddPlain, Args().Add("x").Add("nobody")).status(); });
  EXPECT_THAT(dangling, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(ConstraintName(dangling), "plain_of_counter_fkey");

  const auto wrong = pool_->Query(acme_, kWrong);
  EXPECT_THAT(wrong, StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("column"))));
  EXPECT_EQ(SqlState(wrong.status()), "42703");
}

TEST_F(PoolTest, AConstraintDeferredToCommitIsAnOrdinaryRefusal) {
  const absl::Status status =
      pool_->Transact(acme_, [](Tx& tx) { return tx.Exec(kLate).status(); });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(ConstraintName(status), "late_x_key");
  CLM_EXPECT_OK(pool_->Query(acme_, kOne));
}

TEST_F(PoolTest, ADeadlockIsRunAgain) {
  std::latch both_hold_one(2);
  std::atomic<int> runs = 0;
  std::vector<absl::Status> outcomes(2);
  AtOnce(2, [&](int i) {
    bool first = true;
    outcomes[i] = pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
      ++runs;
      const bool crossed = std::exchange(first, false);
      const bool a_first = i == 0 || !crossed;
      CLM_RETURN_IF_ERROR(tx.Exec(kIncrement, Args().Add(a_first ? "a" : "b")).status());
      if (crossed) both_hold_one.arrive_and_wait();
      return tx.Exec(kIncrement, Args().Add(a_first ? "b" : "a")).status();
    });
  });
  EXPECT_THAT(outcomes, ElementsAre(IsOk(), IsOk()));
  EXPECT_GE(runs, 3);  // The server may end one of them or both.
  EXPECT_EQ((*pool_->Query(acme_, kCounter, Args().Add("a")))[0].Int(0), 2);
  EXPECT_EQ((*pool_->Query(acme_, kCounter, Args().Add("b")))[0].Int(0), 2);
}

TEST_F(PoolTest, ABodyThatIsAlwaysOvertakenRunsThreeTimes) {
  int runs = 0;
  const absl::Status status = pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
    ++runs;
    CLM_RETURN_IF_ERROR(tx.Exec(kIncrement, Args().Add("a")).status());
    return Retry();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(runs, 3);
  EXPECT_EQ((*pool_->Query(acme_, kCounter, Args().Add("a")))[0].Int(0), 0);
}

TEST_F(PoolTest, WaitingForALockEndsBeforeTheDeadline) {
  std::latch locked(1), done(1);
  std::thread holder([&] {
    CLM_EXPECT_OK(pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
      CLM_RETURN_IF_ERROR(tx.Exec(kLockCounter, Args().Add("a")).status());
      locked.count_down();
      done.wait();
      return absl::OkStatus();
    }));
  });
  locked.wait();
  const absl::Status status =
      pool_->Transact({.scope = Scope::Tenant("acme"), .deadline = absl::Now() + absl::Seconds(2)},
                      [](Tx& tx) { return tx.Exec(kLockCounter, Args().Add("a")).status(); });
  done.count_down();
  holder.join();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(status, ReasonIs("LOCK_TIMEOUT"));
}

TEST_F(PoolTest, NothingRunsAfterTheDeadline) {
  const TxOptions late = {.scope = Scope::Tenant("acme"),
                          .deadline = absl::Now() - absl::Seconds(1)};
  bool ran = false;
  EXPECT_THAT(pool_->Transact(late,
                              [&](Tx&) {
                                ran = true;
                                return absl::OkStatus();
                              }),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_FALSE(ran);
}

TEST_F(PoolTest, AFullPoolIsUnavailableAfterTheWait) {
  const auto pool = NewTestPool(1);
  CLM_ASSERT_OK(pool->Transact(acme_, [&](Tx&) {
    EXPECT_THAT(pool->Query(acme_, kOne), ReasonIs("DATABASE_BUSY"));
    EXPECT_THAT(
        pool->Query({.scope = Scope::Suite(), .deadline = absl::Now() + absl::Milliseconds(20)},
                    kOne),
        StatusIs(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(pool->stats().in_use, 1);
    EXPECT_EQ(pool->stats().waiting, 0);
    return absl::OkStatus();
  }));
  EXPECT_EQ(pool->stats().in_use, 0);
  EXPECT_EQ(pool->stats().idle, 1);
}

TEST_F(PoolTest, WaitersAreServedByTheConnectionThatComesBack) {
  const auto pool = NewPool({.dsn = db_.app_dsn, .size = 1, .checkout_timeout = absl::Minutes(1)});
  std::set<int64_t> pids;
  absl::Mutex mu;
  std::latch held(1);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    CLM_EXPECT_OK(pool->Transact(acme_, [&](Tx& tx) -> absl::Status {
      CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
      held.count_down();
      EXPECT_TRUE(clm::testing::Eventually([&] { return pool->stats().waiting >= 3; }));
      return absl::OkStatus();
    }));
  });
  held.wait();
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto result = pool->Query(acme_, kPid);
      CLM_EXPECT_OK(result);
      absl::MutexLock lock(&mu);
      pids.insert((*result)[0].Int(0));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(pids.size(), 1u);
}

TEST_F(PoolTest, ConcurrentTransactionsLoseNothing) {
  const auto pool = NewPool({.dsn = db_.app_dsn, .size = 4, .checkout_timeout = absl::Minutes(1)});
  AtOnce(16, [&](int) {
    for (int i = 0; i < 10; ++i) {
      CLM_EXPECT_OK(pool->Transact(
          acme_, [](Tx& tx) { return tx.Exec(kIncrement, Args().Add("a")).status(); }));
    }
  });
  EXPECT_EQ((*pool->Query(acme_, kCounter, Args().Add("a")))[0].Int(0), 160);
  EXPECT_LE(pool->stats().idle, 4);
}

TEST_F(PoolTest, AConnectionLostDuringCommitLeavesTheOutcomeUnknown) {
  CLM_ASSERT_OK(pool_->Query(acme_, kOne));
  int runs = 0;
  const absl::Status status = pool_->Transact(acme_, [&](Tx& tx) {
    ++runs;
    return tx.Exec(kDie).status();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(status, ReasonIs("COMMIT_UNKNOWN"));
  // Only the caller knows whether a second run is harmless.
  EXPECT_EQ(runs, 1);
  CLM_EXPECT_OK(pool_->Query(acme_, kOne));
}

TEST_F(PoolTest, APooledConnectionThatDiedIsReplacedUnnoticed) {
  const auto pool = NewTestPool(1);
  const int64_t pid = (*pool->Query(acme_, kPid))[0].Int(0);
  CLM_ASSERT_OK(pool_->Query(acme_, kTerminate, Args().Add(pid)));
  CLM_ASSERT_OK_AND_ASSIGN(const Result after, pool->Query(acme_, kPid));
  EXPECT_NE(after[0].Int(0), pid);
}

TEST_F(PoolTest, AConnectionThatDiesAgainIsAnError) {
  const auto pool = NewTestPool(1);
  int runs = 0;
  const auto die = [&](Tx& tx) -> absl::Status {
    ++runs;
    CLM_ASSIGN_OR_RETURN(const Result pid, tx.Exec(kPid));
    return tx.Exec(kTerminate, Args().Add(pid[0].Int(0))).status();
  };
  EXPECT_THAT(pool->Transact(acme_, die), ReasonIs("DATABASE_UNAVAILABLE"));
  EXPECT_EQ(runs, 1);
  CLM_ASSERT_OK(pool->Query(acme_, kOne));
  EXPECT_THAT(pool->Transact(acme_, die), ReasonIs("DATABASE_UNAVAILABLE"));
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(pool->stats().in_use, 0);
}

TEST_F(PoolTest, AHungServerEndsTheCallSoonAfterTheDeadline) {
  const auto pool = NewTestPool(1);
  const pid_t pid = static_cast<pid_t>((*pool->Query(acme_, kPid))[0].Int(0));
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  const absl::Status status =
      pool->Query({.scope = Scope::Suite(), .deadline = absl::Now() + absl::Milliseconds(100)},
                  kOne)
          .status();
  kill(pid, SIGCONT);
  // The replacement has no time left.
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  CLM_EXPECT_OK(pool->Query(acme_, kOne));
}

TEST_F(PoolTest, AChangedTableDoesNotBreakPreparedStatements) {
  static constexpr Statement kAll = {"test.all", "SELECT * FROM plain"};
  const auto pool = NewTestPool(1);
  CLM_ASSERT_OK(pool->Query(acme_, kAll));
  CLM_ASSERT_OK(AdminExec(db_.admin_dsn, "ALTER TABLE plain ADD COLUMN more int"));
  CLM_EXPECT_OK(pool->Query(acme_, kAll));
}

TEST_F(PoolTest, ReadersCannotWrite) {
  EXPECT_FALSE(pool_->Query(acme_, kIncrement, Args().Add("a")).ok());
  EXPECT_FALSE(
      pool_->Read(acme_, [](Tx& tx) { return tx.Exec(kIncrement, Args().Add("a")).status(); })
          .ok());
  EXPECT_EQ((*pool_->Query(acme_, kCounter, Args().Add("a")))[0].Int(0), 0);
}

TEST_F(PoolTest, ARepeatableReadSeesOneMoment) {
  for (const bool repeatable : {false, true}) {
    CLM_ASSERT_OK(pool_->Read(
        acme_,
        [&](Tx& tx) -> absl::Status {
          CLM_ASSIGN_OR_RETURN(const Result before, tx.Exec(kCounter, Args().Add("a")));
          CLM_RETURN_IF_ERROR(pool_->Transact(
              acme_, [](Tx& other) { return other.Exec(kIncrement, Args().Add("a")).status(); }));
          CLM_ASSIGN_OR_RETURN(const Result after, tx.Exec(kCounter, Args().Add("a")));
          EXPECT_EQ(after[0].Int(0) - before[0].Int(0), repeatable ? 0 : 1);
          return absl::OkStatus();
        },
        repeatable));
  }
}

TEST_F(PoolTest, PrepareTellsWhichStatementDoesNotFit) {
  CLM_EXPECT_OK(pool_->Prepare({&kOne, &kAddNote, &kEcho}));
  EXPECT_THAT(pool_->Prepare({&kOne, &kWrong}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("test.wrong")));
}

TEST_F(PoolTest, AnExpiredConnectionIsReplaced) {
  const auto pool = NewPool({.dsn = db_.app_dsn, .size = 1, .max_lifetime = absl::ZeroDuration()});
  const int64_t first = (*pool->Query(acme_, kPid))[0].Int(0);
  EXPECT_NE((*pool->Query(acme_, kPid))[0].Int(0), first);
}

TEST_F(PoolTest, ItsNameIsSeenByTheServer) {
  const auto pool = NewPool({.dsn = db_.app_dsn, .application_name = "clm-notes"});
  static constexpr Statement kName = {"test.name", "SELECT current_setting('application_name')"};
  EXPECT_EQ((*pool->Query(acme_, kName))[0].Text(0), "clm-notes");
}

TEST_F(PoolTest, ScopesThatCouldWidenAreRefused) {
  for (const Scope& scope :
       {Scope{}, Scope::Tenant(""), Scope::Tenant("*"), Scope::Tenant("acme,rival"),
        Scope::Tenants({"acme", "x*"}), Scope::Tenant(std::string("a\0b", 3))}) {
    EXPECT_THAT(pool_->Query({.scope = scope}, kOne), StatusIs(absl::StatusCode::kInternal));
  }
}

TEST_F(PoolTest, ATenantSeesAndWritesOnlyItsOwn) {
  CLM_ASSERT_OK(AddNote("acme", "ours"));
  CLM_ASSERT_OK(AddNote("rival", "theirs", Scope::Tenant("rival")));
  EXPECT_THAT(AddNote("rival", "forged"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(Count(Scope::Tenant("acme"), kCountNotes), 1);
  EXPECT_EQ(Count(Scope::Tenant("rival"), kCountNotes), 1);
  EXPECT_EQ(Count(Scope::Tenant("acm"), kCountNotes), 0);
  EXPECT_EQ(Count(Scope::Tenants({"acme", "rival"}), kCountNotes), 2);
  EXPECT_EQ(Count(Scope::Suite(), kCountNotes), 2);
  CLM_ASSERT_OK(pool_->Transact(acme_, [&](Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const Result stolen,
                         tx.ExecDynamic("UPDATE notes SET body = 'x' WHERE tenant_id = 'rival'"));
    EXPECT_EQ(stolen.affected(), 0);
    return absl::OkStatus();
  }));
}

TEST_F(PoolTest, TheSuiteDoesNotSeeWhatThePolicyKeepsToTenants) {
  CLM_ASSERT_OK(pool_->Transact(
      acme_, [](Tx& tx) { return tx.Exec(kAddSecret, Args().Add("acme").Add(Uuid())).status(); }));
  EXPECT_EQ(Count(Scope::Tenant("acme"), kCountSecrets), 1);
  EXPECT_EQ(Count(Scope::Suite(), kCountSecrets), 0);
}

TEST_F(PoolTest, AScopeEndsWithItsTransaction) {
  const auto pool = NewTestPool(1);
  CLM_ASSERT_OK(AddNote("acme", "ours"));
  CLM_ASSERT_OK(pool->Transact({.scope = Scope::Tenant("rival")}, [&](Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const Result before, tx.Exec(kCountNotes));
    EXPECT_EQ(before[0].Int(0), 0);
    CLM_RETURN_IF_ERROR(tx.SetScope(Scope::Tenants({"rival", "acme"})));
    CLM_ASSIGN_OR_RETURN(const Result after, tx.Exec(kCountNotes));
    EXPECT_EQ(after[0].Int(0), 1);
    return absl::OkStatus();
  }));
  EXPECT_EQ((*pool->Query({.scope = Scope::Tenant("rival")}, kCountNotes))[0].Int(0), 0);
}

// Whatever happened on a connection before, a query sees the rows of its own scope.
TEST_F(PoolTest, AConnectionThatServedOneTenantShowsTheNextOnlyItsOwn) {
  const auto pool = NewTestPool(1);
  CLM_ASSERT_OK(AddNote("acme", "ours"));
  CLM_ASSERT_OK(AddNote("rival", "theirs", Scope::Tenant("rival")));
  const auto bodies = [&](const Scope& scope) {
    std::vector<std::string> seen;
    const auto notes = pool->Query({.scope = scope}, kListNotes);
    EXPECT_THAT(notes, IsOk());
    for (int i = 0; notes.ok() && i < notes->size(); ++i) seen.emplace_back((*notes)[i].Text(1));
    return seen;
  };
  const Scope acme = Scope::Tenant("acme"), rival = Scope::Tenant("rival");
  const int64_t pid = (*pool->Query({.scope = acme}, kPid))[0].Int(0);
  EXPECT_THAT(bodies(acme), ElementsAre("ours"));
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  // After a statement that failed, one that the deadline cut, one that could not be prepared, the
  // suite, a transaction and one that was rolled back.
  EXPECT_THAT(pool->Query({.scope = acme}, kDivide, Args().Add(0)), ReasonIs("DATA_REJECTED"));
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  EXPECT_THAT(pool->Query({.scope = acme, .deadline = absl::Now() + absl::Milliseconds(300)},
                          kSleep, Args().Add(60.0)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  EXPECT_THAT(pool->Query({.scope = acme}, kWrong), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  EXPECT_THAT(bodies(Scope::Suite()), UnorderedElementsAre("ours", "theirs"));
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  CLM_ASSERT_OK(pool->Transact({.scope = acme}, [](Tx& tx) { return tx.Exec(kOne).status(); }));
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  EXPECT_FALSE(pool->Transact({.scope = acme},
                              [](Tx& tx) {
                                CLM_RETURN_IF_ERROR(tx.Exec(kOne).status());
                                return absl::CancelledError();
                              })
                   .ok());
  EXPECT_THAT(bodies(rival), ElementsAre("theirs"));
  EXPECT_EQ((*pool->Query({.scope = rival}, kPid))[0].Int(0), pid) << "not one connection";
}

// How often a statement was planned for its very parameters.
int64_t CustomPlans(Pool& pool, const TxOptions& options, const std::string& name) {
  static constexpr Statement kPlans = {
      "test.plans",
      "SELECT custom_plans FROM pg_prepared_statements WHERE name LIKE $1::text || '#%'"};
  const auto plans = pool.Query(options, kPlans, Args().Add(name));
  EXPECT_THAT(plans, IsOk());
  return plans.ok() && !plans->empty() ? (*plans)[0].Int(0) : -1;
}

TEST_F(PoolTest, ALookupIsPlannedOnceAndAReportForItsParameters) {
  static constexpr char kSql[] =
      "SELECT n.body FROM unnest($1::uuid[]) AS w (id) CROSS JOIN LATERAL (SELECT * FROM notes n "
      "WHERE n.tenant_id = 'acme' AND n.id = w.id OFFSET 0) n";
  static constexpr Statement kLookup = {"test.lookup", kSql, /*lookup=*/true};
  static constexpr Statement kReport = {"test.report", kSql};
  static constexpr Statement kChange = {"test.change", kSql};
  const auto pool = NewTestPool(1);
  const Args args = Args().AddArray(std::vector<Uuid>{Uuid()});
  CLM_ASSERT_OK(pool->Query(acme_, kLookup, args));
  CLM_ASSERT_OK(pool->Query(acme_, kReport, args));
  CLM_ASSERT_OK(pool->Transact(acme_, [&](Tx& tx) { return tx.Exec(kChange, args).status(); }));
  EXPECT_EQ(CustomPlans(*pool, acme_, kLookup.name), 0);
  EXPECT_EQ(CustomPlans(*pool, acme_, kReport.name), 1);
  EXPECT_EQ(CustomPlans(*pool, acme_, kChange.name), 0);
  CLM_ASSERT_OK(pool->Read(acme_, [&](Tx& tx) { return tx.Exec(kReport, args).status(); }));
  EXPECT_EQ(CustomPlans(*pool, acme_, kReport.name), 2);
}

TEST_F(PoolTest, TheSettingsOfAQueryEndWithIt) {
  const auto pool = NewTestPool(1);
  const TxOptions timed = {.scope = acme_.scope, .deadline = absl::Now() + absl::Hours(1)};
  CLM_ASSERT_OK_AND_ASSIGN(const Result during, pool->Query(timed, kTimeouts));
  EXPECT_NE(during[0].Text(0), "0");
  EXPECT_NE(during[0].Text(1), "0");
  EXPECT_EQ(during[0].Text(2), "on");
  CLM_ASSERT_OK_AND_ASSIGN(const Result after, pool->Query(acme_, kTimeouts));
  EXPECT_EQ(after[0].Text(0), "0");
  EXPECT_EQ(after[0].Text(1), "0");
  CLM_ASSERT_OK(pool->Transact(acme_, [](Tx& tx) -> absl::Status {
    CLM_ASSIGN_OR_RETURN(const Result settings, tx.Exec(kTimeouts));
    EXPECT_EQ(settings[0].Text(2), "off");
    return absl::OkStatus();
  }));
}

TEST_F(PoolTest, WithoutATenantEvenTheOwnerGetsAnError) {
  CLM_ASSERT_OK(AddNote("acme", "ours"));
  for (const std::string& dsn : {db_.app_dsn, db_.owner_dsn}) {
    const absl::Status status = AdminExec(dsn, "SELECT * FROM notes");
    EXPECT_EQ(SqlState(status), "42704") << status;
  }
}

TEST_F(PoolTest, APointReadUsesTheKeyAndThePolicyIsWorkedOutOnce) {
  CLM_ASSERT_OK(AdminExec(db_.admin_dsn,
                          "INSERT INTO notes SELECT 'tenant' || i % 50, gen_random_uuid(), i::text "
                          "FROM generate_series(1, 20000) i; ANALYZE notes"));
  const auto plan = [&](const std::string& sql) {
    std::string text;
    CLM_EXPECT_OK(pool_->Read({.scope = Scope::Tenant("tenant1")}, [&](Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(const Result result, tx.ExecDynamic(sql));
      for (int i = 0; i < result.size(); ++i) absl::StrAppend(&text, result[i].Text(0), "\n");
      return absl::OkStatus();
    }));
    return text;
  };
  const std::string point = plan(
      "EXPLAIN (COSTS OFF) SELECT body FROM notes WHERE tenant_id = 'tenant1' AND "
      "id = '00000000-0000-0000-0000-000000000000'");
  EXPECT_THAT(point, HasSubstr("Index Scan using notes_pkey"));
  EXPECT_THAT(point, HasSubstr("Index Cond: ((tenant_id = 'tenant1'::text) AND (id ="));
  const std::string scan =
      plan("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM notes");
  EXPECT_THAT(scan, HasSubstr("InitPlan 1"));
  EXPECT_THAT(scan, HasSubstr("Result (actual rows=1 loops=1)"));
  EXPECT_THAT(scan, Not(HasSubstr("SubPlan"))) << scan;
}

TEST_F(PoolTest, TheErrorLogIsToldTheStateNotTheDetail) {
  static std::vector<ErrorDetail>* const told = new std::vector<ErrorDetail>;
  static absl::Mutex mu;
  SetErrorLog([](const ErrorDetail& detail) {
    absl::MutexLock lock(&mu);
    told->push_back(detail);
  });
  CLM_ASSERT_OK(AddNote("acme", "private words"));
  EXPECT_FALSE(AddNote("acme", "private words").ok());
  absl::MutexLock lock(&mu);
  ASSERT_FALSE(told->empty());
  EXPECT_EQ(told->back().statement, "test.add_note");
  EXPECT_EQ(told->back().sqlstate, "23505");
  EXPECT_EQ(told->back().constraint, "notes_tenant_id_body_key");
  EXPECT_THAT(told->back().message, Not(HasSubstr("private")));
}

TEST_F(PoolTest, AServiceRefusesUnsafeServersAndRoles) {
  CLM_EXPECT_OK(CheckServer(*pool_, /*durable=*/false));
  EXPECT_THAT(CheckServer(*pool_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fsync = on")));
  const auto as_superuser = NewPool({.dsn = db_.admin_dsn});
  EXPECT_THAT(CheckServer(*as_superuser, false),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("superuser")));
  const auto as_owner = NewPool({.dsn = db_.owner_dsn});
  EXPECT_THAT(CheckServer(*as_owner, false),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("owns tables")));
}

TEST_F(PoolTest, AServerThatAnswersBeforeItsDiskIsToldOf) {
  const auto weak_with = [&](const char* value) {
    CLM_EXPECT_OK(AdminExec(db_.admin_dsn, absl::StrCat("ALTER DATABASE ", db_.name,
                                                        " SET synchronous_commit = ", value)));
    auto weak = WeakSettings(*NewPool({.dsn = db_.app_dsn}));
    CLM_EXPECT_OK(weak);
    return *std::move(weak);
  };
  EXPECT_THAT(weak_with("off"), ElementsAre(HasSubstr("set synchronous_commit = on")));
  EXPECT_THAT(weak_with("local"), IsEmpty());
  EXPECT_THAT(weak_with("on"), IsEmpty());
}

TEST(PoolWithoutServerTest, IsMadeAndAnswersUnavailable) {
  const auto pool = NewPool({.dsn = "host=/nowhere user=x dbname=y"});
  const absl::Status status = pool->Query({.scope = Scope::Suite()}, kOne).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(status, ReasonIs("DATABASE_UNAVAILABLE"));
  EXPECT_TRUE(status.GetPayload(error::kRetryInfoUrl).has_value());
  EXPECT_THAT(NewPool({.dsn = "not a dsn"})->Query({.scope = Scope::Suite()}, kOne),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(PoolRestartTest, APoolOutlivesStopAndCrashOfItsServer) {
  testing::Postgres postgres;
  const testing::Database db = postgres.CreateDatabase(TestSchema());
  const auto pool = NewPool({.dsn = db.app_dsn, .size = 4});
  const TxOptions acme = {.scope = Scope::Tenant("acme")};
  const auto increment = [&] {
    return pool->Transact(acme,
                          [](Tx& tx) { return tx.Exec(kIncrement, Args().Add("a")).status(); });
  };
  AtOnce(4, [&](int) { CLM_EXPECT_OK(increment()); });
  CLM_ASSERT_OK(postgres.server().Stop());
  EXPECT_THAT(increment(), ReasonIs("DATABASE_UNAVAILABLE"));
  CLM_ASSERT_OK(postgres.server().Restart());
  CLM_EXPECT_OK(increment());
  postgres.server().Kill();
  // A server process lives on for a moment, and does what it is told.
  int64_t done = 5;
  absl::Status status = increment();
  for (; status.ok(); status = increment()) ++done;
  EXPECT_THAT(status, ReasonIs("DATABASE_UNAVAILABLE"));
  CLM_ASSERT_OK(postgres.server().Restart());
  CLM_EXPECT_OK(increment());
  // A restart between two uses is not even noticed.
  CLM_ASSERT_OK(postgres.server().Restart());
  CLM_EXPECT_OK(increment());
  EXPECT_EQ((*pool->Query(acme, kCounter, Args().Add("a")))[0].Int(0), done + 2);
}

}  // namespace
}  // namespace clm::pg
