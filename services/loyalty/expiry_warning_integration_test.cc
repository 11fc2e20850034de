#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/expiry_warning.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kDays[] = {30, 7};

class ExpiryWarningTest : public LoyaltyTest {
 protected:
  // Points good for a year, with warnings 30 and 7 days before they expire.
  void CreateWarningProgram(const std::string& pending = "") {
    CLM_ASSERT_OK(CreateProgram(pending, "12M"));
    SetWarningDays({30, 7});
  }
  void SetWarningDays(const std::vector<int>& days) {
    v1::UpdateProgramRequest request;
    request.mutable_program()->set_name(kProgram);
    request.mutable_program()->set_time_zone("Europe/Berlin");
    v1::Wallet* wallet = request.mutable_program()->add_wallets();
    wallet->set_id("points");
    wallet->set_pending(pending_);
    wallet->set_expiry("12M");
    wallet->mutable_expiry_warning_days()->Add(days.begin(), days.end());
    CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::UpdateProgram, request));
  }
  void RunUntil(const std::string& time) {
    clock_.Set(At(time));
    CLM_ASSERT_OK(node_->due.RunOnce());
  }
  // "member: amount until day, ...", in the order told.
  std::vector<std::string> Warnings() {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    std::vector<std::string> told;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                           tx.ExecDynamic("SELECT event FROM journal WHERE type = "
                                          "'clm.loyalty.v1.PointsExpiring' ORDER BY shard, off"));
      for (int i = 0; i < rows.size(); ++i) {
        event::v1::Event event;
        v1::PointsExpiring expiring;
        event.ParseFromString(rows[i].Bytes(0));
        expiring.ParseFromString(event.payload());
        std::string line = absl::StrCat(expiring.wallet(), ":");
        for (const v1::PointsExpiring::Part& part : expiring.parts()) {
          absl::StrAppend(&line, " ", part.amount(), " until ",
                          absl::FormatTime("%d %b %H:%M", clm::FromProto(part.expire_time()),
                                           ZoneOf({.time_zone = "Europe/Berlin"})));
        }
        told.push_back(line);
      }
      return absl::OkStatus();
    }));
    return told;
  }

  std::string pending_;
};

TEST_F(ExpiryWarningTest, EachIsGivenOnceAtItsTime) {
  CreateWarningProgram();
  CLM_ASSERT_OK(Earn(1, 100));
  // Earned on 25 January 2026: good to the end of 25 January 2027.
  RunUntil("2026-12-26 23:59");
  EXPECT_THAT(Warnings(), IsEmpty());
  RunUntil("2026-12-27 00:00");
  RunUntil("2026-12-27 00:00");
  EXPECT_THAT(Warnings(), ElementsAre("points: 100 until 26 Jan 00:00"));
  CLM_ASSERT_OK(Redeem(1, 60));
  RunUntil("2027-01-19 00:00");
  EXPECT_THAT(Warnings(),
              ElementsAre("points: 100 until 26 Jan 00:00", "points: 40 until 26 Jan 00:00"));
  RunUntil("2027-01-26 00:00");
  EXPECT_EQ(Warnings().size(), 2U);
}

TEST_F(ExpiryWarningTest, WhatIsSpentOrExpiredIsNotWarnedOf) {
  CreateWarningProgram();
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(Earn(2, 100));
  CLM_ASSERT_OK(Redeem(1, 100));
  // Nothing ran for two years.
  RunUntil("2028-01-01 00:00");
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(ExpiryWarningTest, AfterAPauseOneWarningStandsForAllThatWereMissed) {
  CreateWarningProgram();
  CLM_ASSERT_OK(Earn(1, 100));
  clock_.Set(At("2026-01-26 09:00"));
  CLM_ASSERT_OK(Earn(1, 5));
  RunUntil("2027-01-22 12:00");
  EXPECT_THAT(Warnings(), ElementsAre("points: 100 until 26 Jan 00:00 5 until 27 Jan 00:00"));
}

TEST_F(ExpiryWarningTest, PendingPointsAreWarnedOfOnceTheyAreActive) {
  pending_ = "14D";
  CreateWarningProgram("14D");
  CLM_ASSERT_OK(Earn(1, 100));
  RunUntil("2026-02-20 00:00");
  RunUntil("2027-01-27 00:00");
  EXPECT_THAT(Warnings(), ElementsAre("points: 100 until 09 Feb 00:00"));
}

TEST_F(ExpiryWarningTest, PointsThatChangeHandsAreWarnedOfInTheHandsTheyAreIn) {
  CreateWarningProgram();
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(Earn(2, 1));
  RunUntil("2026-12-30 00:00");
  ASSERT_EQ(Warnings().size(), 2U);
  // The new owner has not been warned yet: that happens at once.
  v1::TransferPointsRequest transfer;
  transfer.set_member(MemberName(1));
  transfer.set_to_member(MemberName(2));
  transfer.set_amount(30);
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::TransferPoints, transfer));
  CLM_ASSERT_OK(node_->due.RunOnce());
  EXPECT_THAT(Warnings(), ::testing::Contains("points: 30 until 26 Jan 00:00"));
}

TEST_F(ExpiryWarningTest, AWalletThatStopsWarningsGivesNoMore) {
  CreateWarningProgram();
  CLM_ASSERT_OK(Earn(1, 100));
  RunUntil("2026-12-27 00:00");
  SetWarningDays({});
  // The one that was planned finds that there is nothing to say.
  RunUntil("2027-01-20 00:00");
  EXPECT_EQ(Warnings().size(), 1U);
}

TEST_F(ExpiryWarningTest, PointsThatNeverExpireHaveNoWarnings) {
  v1::CreateProgramRequest request;
  request.set_parent("tenants/acme");
  request.set_program_id("club");
  v1::Wallet* wallet = request.mutable_program()->add_wallets();
  wallet->set_id("points");
  wallet->add_expiry_warning_days(30);
  EXPECT_THAT(Do(&Node::programs, &ProgramHandlers::CreateProgram, request).status().message(),
              ::testing::HasSubstr("program.wallets[0].expiry_warning_days: needs an expiry"));
}

TEST(ExpiryWarningTimeTest, DaysBeforeAreCountedOnTheLocalCalendar) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  const auto at = [&](int month, int day, int hour) {
    return absl::FromCivil(absl::CivilSecond(2026, month, day, hour), berlin);
  };
  // The clocks go forward on 29 March.
  EXPECT_EQ(NextExpiryWarning(kDays, at(4, 1, 0), at(1, 1, 0), berlin), at(3, 2, 0));
  EXPECT_EQ(NextExpiryWarning(kDays, at(4, 1, 0), at(3, 2, 0), berlin), at(3, 25, 0));
  EXPECT_EQ(NextExpiryWarning(kDays, at(4, 1, 0), at(3, 25, 0), berlin), absl::InfiniteFuture());
  EXPECT_EQ(FirstExpiryWarning(kDays, at(4, 1, 0), at(3, 10, 5), berlin), at(3, 10, 5));
  EXPECT_EQ(FirstExpiryWarning(kDays, at(4, 1, 0), at(4, 1, 0), berlin), absl::InfiniteFuture());
  EXPECT_EQ(FirstExpiryWarning({}, at(4, 1, 0), at(3, 10, 5), berlin), absl::InfiniteFuture());
  EXPECT_EQ(FirstExpiryWarning(kDays, absl::InfiniteFuture(), at(3, 10, 5), berlin),
            absl::InfiniteFuture());
}

}  // namespace
}  // namespace clm::loyalty
