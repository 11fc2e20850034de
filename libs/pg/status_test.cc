#include "libs/pg/status.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "libs/base/error.h"
#include "libs/pg/dsn.h"
#include "libs/pg/pg.h"
#include "libs/testing/status_matchers.h"

namespace clm::pg {
namespace {

using ::clm::testing::ReasonIs;
using ::clm::testing::StatusIs;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct Case {
  const char* state;
  absl::StatusCode code;
};

TEST(StatusTest, EveryStateHasItsCode) {
  for (const Case& c :
       {Case{"40001", absl::StatusCode::kAborted}, Case{"40P01", absl::StatusCode::kAborted},
        Case{"55P03", absl::StatusCode::kAborted}, Case{"23505", absl::StatusCode::kAlreadyExists},
        Case{"23503", absl::StatusCode::kFailedPrecondition},
        Case{"23502", absl::StatusCode::kInternal}, Case{"23514", absl::StatusCode::kInternal},
        Case{"22P02", absl::StatusCode::kInvalidArgument},
        Case{"22021", absl::StatusCode::kInvalidArgument},
        Case{"42501", absl::StatusCode::kPermissionDenied},
        Case{"42P01", absl::StatusCode::kInternal},
        Case{"57014", absl::StatusCode::kDeadlineExceeded},
        Case{"57P01", absl::StatusCode::kUnavailable},
        Case{"57P03", absl::StatusCode::kUnavailable},
        Case{"08006", absl::StatusCode::kUnavailable},
        Case{"53300", absl::StatusCode::kUnavailable},
        Case{"25P03", absl::StatusCode::kUnavailable},
        Case{"XX000", absl::StatusCode::kInternal}}) {
    const absl::Status status = FromSqlState(c.state, "");
    EXPECT_THAT(status, StatusIs(c.code)) << c.state;
    EXPECT_EQ(SqlState(status), c.state);
    EXPECT_NE(error::Reason(status), "") << c.state;
    EXPECT_EQ(status.GetPayload(error::kRetryInfoUrl).has_value(),
              c.code == absl::StatusCode::kUnavailable || c.code == absl::StatusCode::kAborted)
        << c.state;
  }
}

TEST(StatusTest, OnlyConflictsAreRunAgain) {
  EXPECT_TRUE(IsRetryable(FromSqlState("40001", "")));
  EXPECT_TRUE(IsRetryable(FromSqlState("40P01", "")));
  EXPECT_TRUE(IsRetryable(Retry()));
  EXPECT_FALSE(IsRetryable(FromSqlState("55P03", "")));
  EXPECT_FALSE(IsRetryable(FromSqlState("40003", "")));
  EXPECT_FALSE(IsRetryable(error::EtagMismatch("etag", "x")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
}

TEST(StatusTest, AnUnknownOutcomeSaysSo) {
  EXPECT_THAT(FromSqlState("40003", ""), ReasonIs("COMMIT_UNKNOWN"));
}

TEST(StatusTest, TheConstraintIsTheServersNotAValues) {
  EXPECT_EQ(ConstraintIn("ERROR:  23505: duplicate key\n"
                         "DETAIL:  Key (v)=(x\nCONSTRAINT NAME:  fake\n) already exists.\n"
                         "SCHEMA NAME:  public\nCONSTRAINT NAME:  real_key\nLOCATION:  f, c:1\n"),
            "real_key");
  EXPECT_EQ(ConstraintIn("ERROR:  42601: syntax error\n"), "");
  EXPECT_EQ(ConstraintName(FromSqlState("23505", "real_key")), "real_key");
  EXPECT_EQ(ConstraintName(absl::NotFoundError("")), "");
  EXPECT_EQ(SqlState(absl::NotFoundError("")), "");
}

TEST(DsnTest, BothFormsAreReadAndWrittenBack) {
  CLM_ASSERT_OK_AND_ASSIGN(const DsnOptions uri,
                           ParseDsn("postgresql://ann:p%20w@db.example:6432/crm?sslmode=require"));
  EXPECT_THAT(uri, UnorderedElementsAre(Pair("user", "ann"), Pair("password", "p w"),
                                        Pair("host", "db.example"), Pair("port", "6432"),
                                        Pair("dbname", "crm"), Pair("sslmode", "require")));
  DsnOptions nasty = {{"dbname", "it's \\ it"}, {"user", ""}};
  CLM_ASSERT_OK_AND_ASSIGN(const DsnOptions again, ParseDsn(FormatDsn(nasty)));
  EXPECT_EQ(again, nasty);
}

TEST(DsnTest, AMalformedOneIsRefusedWithoutQuotingIt) {
  const absl::Status status = ParseDsn("password=hunter2 = nonsense").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(status.message()), ::testing::Not(::testing::HasSubstr("hunter2")));
}

TEST(DsnTest, OtherMachinesAreVerifiedUnlessToldOtherwise) {
  EXPECT_EQ(WithDefaults({{"host", "db.example"}}, "clm").at("sslmode"), "verify-full");
  EXPECT_EQ(WithDefaults({{"host", "db.example"}, {"sslmode", "prefer"}}, "clm").at("sslmode"),
            "prefer");
  EXPECT_EQ(WithDefaults({{"hostaddr", "192.0.2.1"}}, "clm").at("sslmode"), "verify-full");
  for (const char* host : {"/run/pg", "localhost", "127.0.0.1", "::1"}) {
    EXPECT_FALSE(WithDefaults({{"host", host}}, "clm").contains("sslmode")) << host;
  }
  EXPECT_EQ(WithDefaults({}, "clm-contact").at("application_name"), "clm-contact");
}

}  // namespace
}  // namespace clm::pg
