#include "libs/journal/answer_expiry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/clock.h"
#include "libs/journal/test_work.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::journal {
namespace {

using ::clm::testing::IsOk;
using ::clm::testing::IsOkAndHolds;

constexpr absl::Duration kKeep = absl::Hours(7 * 24);

class AnswerExpiryTest : public ::testing::Test {
 protected:
  AnswerExpiryTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(CounterSchema())),
        pool_(pg::NewPool({.dsn = database_.app_dsn})),
        lanes_(CounterLanes(pool_.get(), &clock_)) {}

  AnswerExpiry::Options Options() {
    AnswerExpiry::Options options;
    options.pool = pool_.get();
    options.clock = &clock_;
    options.keep = kKeep;
    options.batch = 3;
    options.on_expired = [this](int64_t count) { told_ += count; };
    return options;
  }

  // Sends a request under an id of its own, or again under one it had before.
  absl::StatusOr<Answer> Request(int id, const std::string& tenant = "acme") {
    Addition add;
    add.tenant = tenant;
    add.request_id = absl::StrCat("00000000-0000-4000-8000-", 100'000'000'000 + id);
    return Add(lanes_, add);
  }
  int64_t Count(const std::string& sql) {
    int64_t count = -1;
    EXPECT_THAT(pool_->Read({pg::Scope::Suite()},
                            [&](pg::Tx& tx) {
                              const auto rows = tx.ExecDynamic(sql);
                              if (rows.ok()) count = (*rows)[0].Int(0);
                              return rows.status();
                            }),
                IsOk());
    return count;
  }
  int64_t Answers() { return Count("SELECT count(*) FROM request"); }

  clm::testing::Database database_;
  std::unique_ptr<pg::Pool> pool_;
  ManualClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  Lanes lanes_;
  int64_t told_ = 0;
};

TEST_F(AnswerExpiryTest, AnAnswerIsKeptForItsRetentionAndNoLonger) {
  ASSERT_THAT(Request(1), IsOk());
  clock_.Advance(kKeep);
  AnswerExpiry expiry(Options());
  // To the microsecond: it has been there for just as long as was promised.
  EXPECT_THAT(expiry.RunOnce(), IsOkAndHolds(0));
  EXPECT_TRUE(Request(1)->replayed);
  clock_.Advance(absl::Microseconds(1));
  EXPECT_THAT(expiry.RunOnce(), IsOkAndHolds(1));
  EXPECT_EQ(Answers(), 0);
  // Nobody remembers it, so it is a new request.
  EXPECT_FALSE(Request(1)->replayed);
}

TEST_F(AnswerExpiryTest, AllThatIsOverdueGoesBatchByBatchAndTheRestStays) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(Request(i, i % 2 == 0 ? "acme" : "globex"), IsOk());
    clock_.Advance(absl::Hours(1));
  }
  clock_.Advance(kKeep - absl::Hours(2) - absl::Minutes(30));  // The ninth is half an hour short.
  AnswerExpiry expiry(Options());
  EXPECT_THAT(expiry.RunOnce(), IsOkAndHolds(8));
  EXPECT_EQ(told_, 8);
  EXPECT_EQ(Answers(), 2);
  EXPECT_TRUE(Request(8)->replayed);
  EXPECT_TRUE(Request(9, "globex")->replayed);
}

TEST_F(AnswerExpiryTest, TheJournalIsKept) {
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Request(i), IsOk());
  clock_.Advance(100 * kKeep);
  AnswerExpiry expiry(Options());
  EXPECT_THAT(expiry.RunOnce(), IsOkAndHolds(5));
  EXPECT_EQ(Count("SELECT count(*) FROM journal"), 5);
}

TEST_F(AnswerExpiryTest, OneProcessAtATimeExpires) {
  ASSERT_THAT(Request(1), IsOk());
  AnswerExpiry one(Options());
  AnswerExpiry two(Options());
  EXPECT_THAT(one.RunOnce(), IsOkAndHolds(0));
  clock_.Advance(2 * kKeep);
  EXPECT_THAT(two.RunOnce(), IsOkAndHolds(0));
  EXPECT_EQ(Answers(), 1) << "the lease is the other's";
  EXPECT_THAT(one.RunOnce(), IsOkAndHolds(1));
}

TEST_F(AnswerExpiryTest, AnotherProcessTakesOverFromOneThatDied) {
  ASSERT_THAT(Request(1), IsOk());
  AnswerExpiry::Options dying = Options();
  dying.lease_ttl = absl::Milliseconds(1);
  AnswerExpiry dead(dying);
  ASSERT_THAT(dead.RunOnce(), IsOk());
  clock_.Advance(2 * kKeep);
  AnswerExpiry::Options eager = Options();
  eager.lease_ttl = absl::Milliseconds(1);  // Asks again at every pass.
  AnswerExpiry heir(eager);
  // The dead one's lease ends by the database's clock; asking again is all it takes.
  while (Answers() > 0) ASSERT_THAT(heir.RunOnce(), IsOk());
}

TEST_F(AnswerExpiryTest, AnAnswerUnderEraseIsNotWaitedFor) {
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Request(i), IsOk());
  clock_.Advance(2 * kKeep);
  AnswerExpiry expiry(Options());
  const pg::TxOptions erase{pg::Scope::Tenant("acme"), absl::Now() + absl::Minutes(1)};
  ASSERT_THAT(pool_->Transact(erase,
                              [&](pg::Tx& tx) {
                                EXPECT_THAT(
                                    tx.ExecDynamic("DELETE FROM request WHERE request_id = "
                                                   "'00000000-0000-4000-8000-100000000000'"),
                                    IsOk());
                                EXPECT_THAT(expiry.RunOnce(), IsOkAndHolds(1));
                                return absl::OkStatus();
                              }),
              IsOk());
  EXPECT_EQ(Answers(), 0);
}

TEST_F(AnswerExpiryTest, TheThreadExpiresAndSaysWhatIsLeft) {
  for (int i = 0; i < 8; ++i) ASSERT_THAT(Request(i), IsOk());
  clock_.Advance(2 * kKeep);
  AnswerExpiry::Options options = Options();
  options.on_expired = nullptr;
  options.rest = absl::ZeroDuration();
  options.poll = absl::Milliseconds(1);
  AnswerExpiry expiry(options);
  expiry.Start();
  EXPECT_TRUE(clm::testing::Eventually([&] { return Answers() == 0; }));
  expiry.Stop();
  EXPECT_EQ(expiry.overdue(), absl::ZeroDuration());
  // The lease was given back.
  AnswerExpiry next(Options());
  ASSERT_THAT(Request(9), IsOk());
  clock_.Advance(2 * kKeep);
  EXPECT_THAT(next.RunOnce(), IsOkAndHolds(1));
}

}  // namespace
}  // namespace clm::journal
