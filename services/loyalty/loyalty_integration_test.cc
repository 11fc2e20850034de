#include <atomic>
#include <limits>

#include "libs/testing/at_once.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::IsOk;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::SizeIs;

auto Is(int64_t active, int64_t pending = 0, int64_t held = 0, int64_t debt = 0) {
  return AllOf(Property("active", &v1::Balance::active, active),
               Property("pending", &v1::Balance::pending, pending),
               Property("held", &v1::Balance::held, held),
               Property("debt", &v1::Balance::debt, debt));
}

TEST_F(LoyaltyTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(LoyaltyWorkStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(LoyaltyReaderStatements()));
}

// A wallet may have any number of lots that are not due.
TEST_F(LoyaltyTest, WhatIsDueIsFoundWithoutALookAtOtherLots) {
  std::string plan;
  for (const pg::Statement* statement : LoyaltyLoadStatements()) {
    if (std::string(statement->name) != "loyalty.load_due_lots") continue;
    pg::Args args;
    args.AddArray(std::vector<std::string>{"acme"}).AddArray(std::vector<Uuid>{Id(1)});
    args.AddArray(std::vector<std::string>{"club"}).AddArray(std::vector<std::string>{"points"});
    args.Add(clock_.Now());
    CLM_ASSERT_OK(
        node_->pool->Transact({pg::Scope::Tenant("acme")}, [&](pg::Tx& tx) -> absl::Status {
          CLM_ASSIGN_OR_RETURN(
              const pg::Result rows,
              tx.ExecDynamic(absl::StrCat("EXPLAIN (COSTS OFF) ", statement->sql), args));
          for (int i = 0; i < rows.size(); ++i) absl::StrAppend(&plan, rows[i].Text(0), "\n");
          return absl::OkStatus();
        }));
  }
  EXPECT_THAT(plan, ::testing::ContainsRegex("Index Cond: .*pending = .*due_time <= "));
  EXPECT_THAT(plan, ::testing::Not(HasSubstr("Filter: (pending")));
}

TEST_F(LoyaltyTest, WhoAreAskedForTogetherAreAnsweredEachForThemselves) {
  CLM_ASSERT_OK(CreateProgram());
  for (int i = 1; i <= 4; ++i) CLM_ASSERT_OK(Earn(i, 100 * i));
  CLM_ASSERT_OK(Merge(2, 1));
  RunDue();
  CLM_ASSERT_OK(Erase(4));
  clm::testing::AtOnce(24, [&](int i) {
    v1::GetMemberRequest request;
    request.set_name(MemberName(i % 6));
    const auto found = Do(&Node::programs, &ProgramHandlers::GetMember, request);
    switch (i % 6) {
      case 1:
      case 2:
        CLM_ASSERT_OK(found);
        EXPECT_EQ(found->name(), MemberName(2));
        EXPECT_THAT(found->balances(0), Is(300));
        break;
      case 3:
      case 4:
        CLM_ASSERT_OK(found);
        EXPECT_EQ(found->name(), MemberName(i % 6));
        EXPECT_THAT(found->balances(0), Is(100 * (i % 6)));
        break;
      default:
        EXPECT_THAT(found, StatusIs(StatusCode::kNotFound, HasSubstr(MemberName(i % 6))));
    }
  });
}

TEST_F(LoyaltyTest, PointsAreEarnedAndSpent) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  EXPECT_EQ(earned.posting().name(), MemberName(1) + "/postings/points-1");
  EXPECT_EQ(earned.posting().change(), 100);
  EXPECT_THAT(earned.balance(), Is(100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, Redeem(1, 30));
  EXPECT_EQ(redeemed.posting().change(), -30);
  EXPECT_EQ(redeemed.posting().balance(), 70);
  EXPECT_THAT(BalanceOf(1), Is(70));
  EXPECT_EQ(BalanceOf(1).redeemed(), 30);
  ExpectSound();
}

TEST_F(LoyaltyTest, WhatIsNotThereIsNotSpentAndTheShortfallIsTold) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  const auto refused = Redeem(1, 130);
  EXPECT_THAT(refused, StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(refused, ReasonIs("POINTS_SHORT"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "shortfall"), "30");
  EXPECT_THAT(BalanceOf(1), Is(100));
  EXPECT_THAT(StatementOf(1), SizeIs(1));
}

TEST_F(LoyaltyTest, WhoIsUnknownHasNothing) {
  EXPECT_THAT(Earn(1, 100), StatusIs(StatusCode::kNotFound));
  CLM_ASSERT_OK(CreateProgram());
  EXPECT_THAT(Redeem(1, 1), StatusIs(StatusCode::kNotFound));
  auto request = EarnRequest(1, 1);
  request.set_wallet("miles");
  const auto refused = Do(&Node::ledger, &LedgerHandlers::EarnPoints, request);
  EXPECT_THAT(refused, StatusIs(StatusCode::kInvalidArgument, HasSubstr("it has 'points'")));
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 0);
}

// spec/numbers.md part 10: earn 25 Jan, expiry 1 month.
TEST_F(LoyaltyTest, PointsOf25JanuaryWithAMonthsExpiryLastToTheEndOf25February) {
  CLM_ASSERT_OK(CreateProgram("", "1M"));
  CLM_ASSERT_OK(Earn(1, 100));
  EXPECT_EQ(clm::FromProto(BalanceOf(1).next_expire_time()), At("2026-02-26 00:00"));
  EXPECT_EQ(BalanceOf(1).next_expire_amount(), 100);
  clock_.Set(At("2026-02-25 23:59"));
  EXPECT_EQ(RunDue(), 0);
  EXPECT_THAT(BalanceOf(1), Is(100));
  CLM_ASSERT_OK(Redeem(1, 10));
  clock_.Set(At("2026-02-26 00:00"));
  // Also before the timers get there.
  EXPECT_THAT(BalanceOf(1), Is(0));
  EXPECT_THAT(Redeem(1, 10), ReasonIs("POINTS_SHORT"));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(RunDue(), 0);
  EXPECT_EQ(BalanceOf(1).expired(), 90);
  EXPECT_EQ(StatementOf(1)[0].kind(), v1::Posting::KIND_EXPIRE);
  ExpectSound();
}

TEST_F(LoyaltyTest, PendingPointsBecomeActiveWhenTheirTimeHasCome) {
  CLM_ASSERT_OK(CreateProgram("14D"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  EXPECT_THAT(earned.balance(), Is(0, 100));
  EXPECT_THAT(Redeem(1, 1), ReasonIs("POINTS_SHORT"));
  clock_.Set(At("2026-02-08 18:00"));
  EXPECT_THAT(BalanceOf(1), Is(100));
  CLM_ASSERT_OK(Redeem(1, 40));
  EXPECT_EQ(RunDue(), 0) << "the redemption has let it happen";
  EXPECT_EQ(StatementOf(1)[1].kind(), v1::Posting::KIND_ACTIVATE);
  ExpectSound();
}

TEST_F(LoyaltyTest, WhatExpiresNextIsToldAlsoOfPointsThatHaveJustBecomeActive) {
  CLM_ASSERT_OK(CreateProgram("14D", "1M"));
  CLM_ASSERT_OK(Earn(1, 100));
  clock_.Set(At("2026-02-08 18:00"));
  EXPECT_EQ(clm::FromProto(BalanceOf(1).next_expire_time()), At("2026-03-09 00:00"));
  EXPECT_EQ(BalanceOf(1).next_expire_amount(), 100);
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(BalanceOf(1).next_expire_amount(), 100);
  // Points that are held do not expire, and those that come back do.
  CLM_ASSERT_OK(Hold(1, 30, "15m"));
  EXPECT_EQ(BalanceOf(1).next_expire_amount(), 70);
  clock_.Advance(absl::Minutes(15));
  EXPECT_EQ(BalanceOf(1).next_expire_amount(), 100);
}

TEST_F(LoyaltyTest, PointsThatWaitForAnActionBecomeActiveByIt) {
  CLM_ASSERT_OK(CreateProgram("on_action"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  clock_.Advance(absl::Hours(24 * 365));
  EXPECT_EQ(RunDue(), 0);
  v1::ActivatePointsRequest request;
  request.set_posting(earned.posting().name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto active,
                           Do(&Node::ledger, &LedgerHandlers::ActivatePoints, request));
  EXPECT_THAT(active.balance(), Is(100));
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::ActivatePoints, request),
              ReasonIs("LOT_NOT_PENDING"));
  ExpectSound();
}

// spec/numbers.md part 10: redemption cancelled after its points' expiry.
TEST_F(LoyaltyTest, ARedemptionCancelledAfterTheExpiryOfItsPointsGivesThemBackExpired) {
  CLM_ASSERT_OK(CreateProgram("", "1M"));
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, Redeem(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto part, Cancel(redeemed.posting().name(), 40));
  EXPECT_THAT(part.balance(), Is(40));
  EXPECT_EQ(part.posting().refers_to(), redeemed.posting().name());
  clock_.Set(At("2026-03-01 12:00"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto rest, Cancel(redeemed.posting().name()));
  EXPECT_EQ(rest.posting().amount(), 60);
  EXPECT_THAT(rest.balance(), Is(0));
  EXPECT_EQ(rest.balance().expired(), 100);
  EXPECT_THAT(Cancel(redeemed.posting().name()), ReasonIs("REDEMPTION_EXCEEDED"));
  ExpectSound();
}

TEST_F(LoyaltyTest, OnlyWhatWasSpentCanBeCancelled) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  EXPECT_THAT(Cancel(earned.posting().name()), ReasonIs("POSTING_KIND"));
  EXPECT_THAT(Cancel(MemberName(1) + "/postings/points-9"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Cancel(MemberName(1) + "/postings/points"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("posting")));
}

// spec/numbers.md part 10: return after the points were spent.
TEST_F(LoyaltyTest, AReturnTakesWithinTheBalanceDownToNothing) {
  CLM_ASSERT_OK(CreateProgram("", "", v1::Wallet::RETURN_POLICY_WITHIN_BALANCE));
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  CLM_ASSERT_OK(Redeem(1, 70));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Return(earned.posting().name()));
  EXPECT_EQ(taken.not_taken(), 70);
  EXPECT_THAT(taken.balance(), Is(0));
  ExpectSound();
}

TEST_F(LoyaltyTest, AReturnOfTheOnlyPendingTakesNothingThatIsActive) {
  CLM_ASSERT_OK(CreateProgram("", "", v1::Wallet::RETURN_POLICY_ONLY_PENDING));
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Return(earned.posting().name()));
  EXPECT_EQ(taken.not_taken(), 100);
  EXPECT_FALSE(taken.has_posting());
  EXPECT_THAT(taken.balance(), Is(100));
}

TEST_F(LoyaltyTest, AnUnlimitedReturnMakesADebtThatTheNextPointsPay) {
  CLM_ASSERT_OK(CreateProgram("", "", v1::Wallet::RETURN_POLICY_UNLIMITED));
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  CLM_ASSERT_OK(Redeem(1, 70));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Return(earned.posting().name()));
  EXPECT_EQ(taken.not_taken(), 0);
  EXPECT_THAT(taken.balance(), Is(0, 0, 0, 70));
  EXPECT_EQ(taken.posting().balance(), -70);
  EXPECT_THAT(Return(earned.posting().name()), ReasonIs("RETURN_EXCEEDED"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Earn(1, 100));
  EXPECT_THAT(again.balance(), Is(30));
  ExpectSound();
}

TEST_F(LoyaltyTest, HeldPointsAreSpentOnceOrComeBack) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto hold, Hold(1, 60));
  EXPECT_THAT(hold.balance(), Is(40, 0, 60));
  EXPECT_EQ(hold.hold().state(), v1::Hold::STATE_OPEN);
  EXPECT_THAT(Redeem(1, 50), ReasonIs("POINTS_SHORT"));
  v1::CaptureHoldRequest capture;
  capture.set_hold(hold.hold().name());
  capture.set_amount(25);
  CLM_ASSERT_OK_AND_ASSIGN(const auto captured,
                           Do(&Node::ledger, &LedgerHandlers::CaptureHold, capture));
  EXPECT_THAT(captured.balance(), Is(75));
  EXPECT_EQ(captured.hold().captured(), 25);
  EXPECT_EQ(captured.hold().state(), v1::Hold::STATE_CAPTURED);
  v1::ReleaseHoldRequest release;
  release.set_hold(hold.hold().name());
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::ReleaseHold, release), ReasonIs("HOLD_ENDED"));
  // What was captured can be cancelled like any redemption.
  CLM_ASSERT_OK_AND_ASSIGN(const auto back, Cancel(captured.hold().end_posting()));
  EXPECT_THAT(back.balance(), Is(100));
  ExpectSound();
}

TEST_F(LoyaltyTest, AHoldEndsByItself) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto hold, Hold(1, 60, "15m"));
  clock_.Advance(absl::Minutes(15));
  v1::GetHoldRequest get;
  get.set_name(hold.hold().name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto over, Do(&Node::ledger, &LedgerHandlers::GetHold, get));
  EXPECT_EQ(over.state(), v1::Hold::STATE_TIMED_OUT);
  EXPECT_EQ(RunDue(), 1);
  EXPECT_THAT(BalanceOf(1), Is(100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto ended, Do(&Node::ledger, &LedgerHandlers::GetHold, get));
  EXPECT_EQ(ended.end_posting(), StatementOf(1)[0].name());
  ExpectSound();
}

// spec/numbers.md part 10: same earn sent twice.
TEST_F(LoyaltyTest, TheSameEarnTwiceIsOneEntryAndOneAnswer) {
  CLM_ASSERT_OK(CreateProgram());
  auto request = EarnRequest(1, 100);
  request.set_source("shop");
  request.set_external_id("order 7");
  CLM_ASSERT_OK_AND_ASSIGN(const auto first,
                           Do(&Node::ledger, &LedgerHandlers::EarnPoints, request));
  CLM_ASSERT_OK(Redeem(1, 20));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                           Do(&Node::ledger, &LedgerHandlers::EarnPoints, request));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  // An order may earn and spend.
  auto spent = RedeemRequest(1, 20);
  spent.set_source("shop");
  spent.set_external_id("order 7");
  for (int i = 0; i < 2; ++i) {
    CLM_EXPECT_OK(Do(&Node::ledger, &LedgerHandlers::RedeemPoints, spent));
  }
  request.set_amount(200);
  const auto other = Do(&Node::ledger, &LedgerHandlers::EarnPoints, request);
  EXPECT_THAT(other, StatusIs(StatusCode::kAlreadyExists));
  EXPECT_EQ(error::MetadataValue(other.status(), "posting"), first.posting().name());
  EXPECT_THAT(BalanceOf(1), Is(60));
  ExpectSound();
}

TEST_F(LoyaltyTest, ABatchGivesEachItsOwnOutcome) {
  CLM_ASSERT_OK(CreateProgram());
  v1::BatchEarnPointsRequest request;
  request.set_parent(kProgram);
  *request.add_requests() = EarnRequest(1, 100);
  *request.add_requests() = EarnRequest(2, 50);
  request.mutable_requests(1)->set_wallet("miles");
  *request.add_requests() = EarnRequest(1, 1);
  *request.add_requests() = EarnRequest(3, 1);
  request.mutable_requests(3)->set_dry_run(true);
  CLM_ASSERT_OK_AND_ASSIGN(const auto response,
                           Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, request));
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_EQ(response.results(0).posting(), MemberName(1) + "/postings/points-1");
  EXPECT_EQ(response.results(1).status().code(), static_cast<int>(StatusCode::kInvalidArgument));
  EXPECT_EQ(response.results(2).posting(), MemberName(1) + "/postings/points-2");
  EXPECT_THAT(response.results(3).status().message(), HasSubstr("requests[3].dry_run"));
  EXPECT_THAT(BalanceOf(1), Is(101));
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 2);
  ExpectSound();
}

TEST_F(LoyaltyTest, WhatExpiresFirstIsSpentFirstHoweverManyLotsThereAre) {
  CLM_ASSERT_OK(CreateProgram());
  for (int i = 0; i < 100; ++i) {
    auto request = EarnRequest(1, 10);
    request.set_expiry(absl::StrCat(200 - i, "D"));
    CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::EarnPoints, request));
  }
  CLM_ASSERT_OK(Redeem(1, 905));
  // The nine and a half that are left are those that were earned first and last longest.
  EXPECT_EQ(Count("SELECT count(*) FROM lot WHERE remaining > 0"), 10);
  EXPECT_EQ(clm::FromProto(BalanceOf(1).next_expire_time()),
            StartOfDay(absl::CivilDay(2026, 1, 25) + 192, ZoneOf({.time_zone = "Europe/Berlin"})));
  EXPECT_EQ(BalanceOf(1).next_expire_amount(), 5);
  ExpectSound();
}

TEST_F(LoyaltyTest, PointsGoToAnotherMemberWithTheirExpiry) {
  CLM_ASSERT_OK(CreateProgram("", "1M"));
  CLM_ASSERT_OK(Earn(1, 100));
  clock_.Set(At("2026-02-10 12:00"));
  CLM_ASSERT_OK(Earn(2, 5));
  v1::TransferPointsRequest request;
  request.set_member(MemberName(1));
  request.set_to_member(MemberName(2));
  request.set_amount(60);
  CLM_ASSERT_OK_AND_ASSIGN(const auto given,
                           Do(&Node::ledger, &LedgerHandlers::TransferPoints, request));
  EXPECT_THAT(given.balance(), Is(40));
  EXPECT_EQ(given.posting().peer(), MemberName(2));
  EXPECT_EQ(StatementOf(2)[0].peer(), MemberName(1));
  EXPECT_THAT(BalanceOf(2), Is(65));
  clock_.Set(At("2026-02-26 00:00"));
  EXPECT_EQ(RunDue(), 2);
  EXPECT_THAT(BalanceOf(2), Is(5));
  request.set_to_member(MemberName(3));
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::TransferPoints, request),
              StatusIs(StatusCode::kNotFound));
  ExpectSound();
}

TEST_F(LoyaltyTest, ACorrectionNeedsAReasonThatIsKeptApart) {
  CLM_ASSERT_OK(CreateProgram());
  v1::AdjustPointsRequest request;
  request.set_member(MemberName(1));
  request.set_amount(50);
  request.set_reason("lost card of Ada L.");
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::AdjustPoints, request));
  request.set_amount(-20);
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken,
                           Do(&Node::ledger, &LedgerHandlers::AdjustPoints, request));
  EXPECT_THAT(taken.balance(), Is(30));
  EXPECT_EQ(StatementOf(1)[0].reason(), "lost card of Ada L.");
  EXPECT_EQ(StatementOf(1)[0].actor(), "token:ada");
  request.set_amount(-31);
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::AdjustPoints, request), ReasonIs("POINTS_SHORT"));
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE encode(event, 'escape') LIKE '%lost card%'"),
            0);
  ExpectSound();
}

TEST_F(LoyaltyTest, ARehearsalAnswersForAnyInstantAndChangesNothing) {
  CLM_ASSERT_OK(CreateProgram("", "1M"));
  CLM_ASSERT_OK(Earn(1, 100));
  auto request = RedeemRequest(1, 130);
  request.set_dry_run(true);
  CLM_ASSERT_OK_AND_ASSIGN(const auto today,
                           Do(&Node::ledger, &LedgerHandlers::RedeemPoints, request));
  EXPECT_EQ(today.shortfall(), 30);
  clm::ToProto(At("2026-02-26 00:00"), request.mutable_now());
  CLM_ASSERT_OK_AND_ASSIGN(const auto later,
                           Do(&Node::ledger, &LedgerHandlers::RedeemPoints, request));
  EXPECT_EQ(later.shortfall(), 130);
  EXPECT_EQ(later.balance().expired(), 100);
  EXPECT_THAT(BalanceOf(1), Is(100));
  EXPECT_THAT(StatementOf(1), SizeIs(1));
  request.set_dry_run(false);
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::RedeemPoints, request),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("now")));
}

TEST_F(LoyaltyTest, ALedgerRowCanBeNeitherChangedNorDeletedByTheService) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  for (const char* sql :
       {"UPDATE posting SET amount = 1", "DELETE FROM posting", "TRUNCATE posting"}) {
    const absl::Status status = node_->pool->Transact(
        {pg::Scope::Tenant("acme")}, [&](pg::Tx& tx) { return tx.ExecDynamic(sql).status(); });
    EXPECT_EQ(pg::SqlState(status), "42501") << sql << ": " << status;
  }
}

TEST_F(LoyaltyTest, ALedgerRowIsNotStoredUnlessItsEntriesSumToZero) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  const auto add = [&](const std::string& amounts) {
    return pg::AdminExec(
        database_.admin_dsn,
        absl::StrCat(
            "INSERT INTO posting (tenant_id, contact_id, program_id, wallet_id, number, id, kind, "
            "amount, balance, accounts, lots, amounts, post_time) "
            "SELECT tenant_id, contact_id, program_id, wallet_id, ",
            "(SELECT max(number) + 1 FROM posting), gen_random_uuid(), kind, amount, balance, "
            "array_fill(1, ARRAY[cardinality(n.amounts)]), "
            "array_fill('00000000-0000-0000-0000-000000000000'::uuid, "
            "ARRAY[cardinality(n.amounts)]), n.amounts, post_time "
            "FROM posting CROSS JOIN (SELECT '",
            amounts, "'::bigint[] AS amounts) AS n WHERE number = 1"));
  };
  for (const char* amounts :
       {"{5,-5}", "{0,0}", "{5,-2,-3}", "{9223372036854775807,-9223372036854775807}"}) {
    CLM_EXPECT_OK(add(amounts)) << amounts;
  }
  for (const char* amounts : {"{5,-4}", "{5}", "{5,5}", "{5,-2,-2}", "{5,NULL}", "{NULL,-5}",
                              "{NULL,NULL}", "{-9223372036854775808,-9223372036854775808}"}) {
    EXPECT_FALSE(add(amounts).ok()) << amounts;
  }
}

TEST_F(LoyaltyTest, OfTwoRedemptionsOfOneBalanceOneTakesPlace) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  Node second(database_.app_dsn, &clock_);
  std::atomic<int> redeemed{0};
  std::atomic<int> refused{0};
  clm::testing::AtOnce(32, [&](int i) {
    const auto outcome = Do(&Node::ledger, &LedgerHandlers::RedeemPoints, RedeemRequest(1, 30),
                            i % 2 == 0 ? node_.get() : &second);
    if (outcome.ok()) ++redeemed;
    if (error::Reason(outcome.status()) == "POINTS_SHORT") ++refused;
  });
  EXPECT_EQ(redeemed, 3);
  EXPECT_EQ(refused, 29);
  EXPECT_THAT(BalanceOf(1), Is(10));
  ExpectSound();
}

TEST_F(LoyaltyTest, TwinsWithOneExternalIdHaveOneEffect) {
  CLM_ASSERT_OK(CreateProgram());
  Node second(database_.app_dsn, &clock_);
  std::atomic<int> same{0};
  clm::testing::AtOnce(16, [&](int i) {
    auto request = EarnRequest(1, 100);
    request.set_external_id("order 7");
    const auto outcome =
        Do(&Node::ledger, &LedgerHandlers::EarnPoints, request, i % 2 == 0 ? node_.get() : &second);
    if (outcome.ok() && outcome->posting().name() == MemberName(1) + "/postings/points-1") ++same;
  });
  EXPECT_EQ(same, 16);
  EXPECT_THAT(BalanceOf(1), Is(100));
  ExpectSound();
}

TEST_F(LoyaltyTest, AMergeMovesEverythingAndTheOldNameGoesOn) {
  CLM_ASSERT_OK(CreateProgram("", "2M", v1::Wallet::RETURN_POLICY_UNLIMITED));
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, Redeem(1, 30));
  CLM_ASSERT_OK_AND_ASSIGN(const auto hold, Hold(1, 20, "1D"));
  CLM_ASSERT_OK(Earn(2, 7));
  CLM_ASSERT_OK(Merge(2, 1));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_THAT(BalanceOf(2), Is(57, 0, 20));
  EXPECT_THAT(BalanceOf(1), Is(57, 0, 20)) << "by the old name";
  ExpectSound();

  CLM_ASSERT_OK_AND_ASSIGN(const auto more, Earn(1, 3));
  EXPECT_EQ(more.posting().member(), MemberName(2));
  CLM_ASSERT_OK_AND_ASSIGN(const auto back, Cancel(redeemed.posting().name()));
  EXPECT_THAT(back.balance(), Is(90, 0, 20));
  v1::ReleaseHoldRequest release;
  release.set_hold(hold.hold().name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto free,
                           Do(&Node::ledger, &LedgerHandlers::ReleaseHold, release));
  EXPECT_THAT(free.balance(), Is(110));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Return(earned.posting().name()));
  EXPECT_THAT(taken.balance(), Is(10));
  EXPECT_THAT(Cancel(redeemed.posting().name()), ReasonIs("REDEMPTION_EXCEEDED"));
  ExpectSound();

  CLM_ASSERT_OK(Earn(3, 1));
  CLM_ASSERT_OK(Merge(3, 2));
  RunDue();
  EXPECT_THAT(BalanceOf(1), Is(11));
  EXPECT_THAT(BalanceOf(3), Is(11));
  CLM_ASSERT_OK(Redeem(1, 11));
  ExpectSound();
}

TEST_F(LoyaltyTest, WhoWasMergedBeforeTheirFirstPointsEarnsForTheSurvivor) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Merge(2, 1));
  RunDue();
  CLM_ASSERT_OK_AND_ASSIGN(const auto earned, Earn(1, 5));
  EXPECT_EQ(earned.posting().member(), MemberName(2));
  EXPECT_EQ(Count("SELECT count(*) FROM member"), 1);
}

TEST_F(LoyaltyTest, NobodyReceivesForSomebodyTheyWereMergedInto) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(Earn(2, 5));
  // Was never a member.
  CLM_ASSERT_OK(Merge(2, 3));
  RunDue();
  v1::TransferPointsRequest request;
  request.set_member(MemberName(1));
  request.set_to_member(MemberName(3));
  request.set_amount(5);
  const auto refused = Do(&Node::ledger, &LedgerHandlers::TransferPoints, request);
  EXPECT_THAT(refused, ReasonIs("MEMBER_MERGED"));
  EXPECT_EQ(error::MetadataValue(refused.status(), "member"), MemberName(2));
  v1::BatchEarnPointsRequest batch;
  batch.set_parent(kProgram);
  *batch.add_requests() = EarnRequest(3, 5);
  CLM_ASSERT_OK_AND_ASSIGN(const auto results,
                           Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, batch));
  EXPECT_THAT(results.results(0).status().message(), HasSubstr("was merged into"));
}

TEST_F(LoyaltyTest, ALargeBatchIsCarriedOutOnceThoughAPartOfItFailed) {
  CLM_ASSERT_OK(CreateProgram());
  v1::BatchEarnPointsRequest batch;
  batch.set_parent(kProgram);
  batch.set_request_id(Id(1000).ToString());
  for (int i = 0; i < 60; ++i) *batch.add_requests() = EarnRequest(i, 10);
  batch.mutable_requests(7)->set_wallet("miles");
  // One part fails as a whole, whichever it is.
  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn,
                              absl::StrCat(R"sql(
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'not now'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON posting FOR EACH ROW
        WHEN (NEW.contact_id = ')sql",
                                           Id(0).ToString(), "') EXECUTE FUNCTION refuse()")));
  EXPECT_FALSE(Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, batch).ok());
  const int64_t given = Count("SELECT count(*) FROM posting");
  EXPECT_GT(given, 0);
  EXPECT_LT(given, 59);
  // Another body does nothing, also not what is missing.
  v1::BatchEarnPointsRequest other = batch;
  other.mutable_requests(3)->set_amount(20);
  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn, "DROP TRIGGER refuse ON posting"));
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, other),
              ReasonIs("REQUEST_ID_REUSED"));
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), given);
  CLM_ASSERT_OK_AND_ASSIGN(const auto done,
                           Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, batch));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again,
                           Do(&Node::ledger, &LedgerHandlers::BatchEarnPoints, batch));
  EXPECT_EQ(done.SerializeAsString(), again.SerializeAsString());
  ASSERT_EQ(done.results_size(), 60);
  for (int i = 0; i < 60; ++i) {
    if (i == 7) {
      EXPECT_THAT(done.results(i).status().message(), HasSubstr("wallet"));
    } else {
      EXPECT_EQ(done.results(i).posting(), MemberName(i) + "/postings/points-1");
    }
  }
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 59);
  ExpectSound();
}

TEST_F(LoyaltyTest, EachHoldIsEndedByItsOwnPosting) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  std::vector<std::string> holds;
  for (const char* duration : {"15m", "16m", "1D"}) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto hold, Hold(1, 10, duration));
    holds.push_back(hold.hold().name());
  }
  clock_.Advance(absl::Minutes(20));
  EXPECT_EQ(RunDue(), 1);
  std::vector<std::string> ends;
  for (const std::string& name : holds) {
    v1::GetHoldRequest get;
    get.set_name(name);
    CLM_ASSERT_OK_AND_ASSIGN(const auto hold, Do(&Node::ledger, &LedgerHandlers::GetHold, get));
    ends.push_back(hold.end_posting());
  }
  EXPECT_THAT(ends, ElementsAre(MemberName(1) + "/postings/points-5",
                                MemberName(1) + "/postings/points-6", ""));
}

TEST_F(LoyaltyTest, AWalletThatCannotBeSettledHoldsUpNobodyElse) {
  CLM_ASSERT_OK(CreateProgram("", "1M"));
  // More of them than shards, so that some share one with the spoilt one.
  for (int i = 0; i < 200; ++i) CLM_ASSERT_OK(Earn(i, 10));
  CLM_ASSERT_OK(pg::AdminExec(
      database_.admin_dsn,
      absl::StrCat("UPDATE wallet SET earned = 11 WHERE contact_id = '", Id(7).ToString(), "'")));
  clock_.Set(At("2026-03-01 12:00"));
  EXPECT_EQ(RunDue(), 199);
  EXPECT_EQ(Count("SELECT count(*) FROM wallet WHERE expired = 10"), 199);
}

TEST_F(LoyaltyTest, AnErasureReachesWhatWasSaidByAnOlderName) {
  CLM_ASSERT_OK(CreateProgram());
  auto request = EarnRequest(1, 100);
  request.set_reason("birthday of Ada L.");
  request.set_external_id("order 7");
  request.set_request_id(Id(77).ToString());
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::EarnPoints, request));
  CLM_ASSERT_OK(Earn(2, 1));
  CLM_ASSERT_OK(Merge(2, 1));
  RunDue();
  CLM_ASSERT_OK(Erase(2));
  for (const char* table : {"posting_note", "external_key", "request"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM ", table,
                                 " AS t WHERE strpos(t::text, encode('birthday', 'hex')) > 0 "
                                 "OR strpos(t::text, 'birthday') > 0")),
              0)
        << table;
  }
}

TEST_F(LoyaltyTest, AnErasureKeepsTheSumsAndTakesThePersonAway) {
  CLM_ASSERT_OK(CreateProgram("", "1M"));
  auto request = EarnRequest(1, 100);
  request.set_reason("birthday of Ada L.");
  request.set_external_id("order 7");
  request.set_request_id(Id(77).ToString());
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::EarnPoints, request));
  CLM_ASSERT_OK(Erase(1));
  v1::GetMemberRequest get;
  get.set_name(MemberName(1));
  CLM_ASSERT_OK_AND_ASSIGN(const auto member,
                           Do(&Node::programs, &ProgramHandlers::GetMember, get));
  EXPECT_EQ(member.contact(), "");
  EXPECT_THAT(member.balances(0), Is(100));
  EXPECT_EQ(StatementOf(1)[0].reason(), "");
  EXPECT_THAT(Redeem(1, 1), ReasonIs("MEMBER_ERASED"));
  EXPECT_THAT(Do(&Node::ledger, &LedgerHandlers::EarnPoints, request), ReasonIs("MEMBER_ERASED"));
  for (const char* table : {"posting", "posting_note", "external_key", "request", "journal"}) {
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM ", table,
                                 " AS t WHERE strpos(t::text, encode('birthday', 'hex')) > 0 "
                                 "OR strpos(t::text, 'birthday') > 0")),
              0)
        << table;
  }
  // Their points still run out of time.
  clock_.Set(At("2026-03-01 12:00"));
  EXPECT_EQ(RunDue(), 1);
  ExpectSound();
}

TEST_F(LoyaltyTest, TheLiabilityIsThatOfAnyInstant) {
  v1::CreateProgramRequest request;
  request.set_parent("tenants/acme");
  request.set_program_id("club");
  v1::Wallet* wallet = request.mutable_program()->add_wallets();
  wallet->set_id("points");
  wallet->set_value_minor(1);
  wallet->set_value_points(3);
  wallet->set_currency("EUR");
  wallet->set_breakage_basis_points(1000);
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::CreateProgram, request));
  CLM_ASSERT_OK(Earn(1, 100));
  const absl::Time then = clock_.Now();
  clock_.Advance(absl::Hours(1));
  CLM_ASSERT_OK(Redeem(1, 40));
  v1::GetLiabilityRequest get;
  get.set_name(kProgram);
  CLM_ASSERT_OK_AND_ASSIGN(const auto now, Do(&Node::ledger, &LedgerHandlers::GetLiability, get));
  EXPECT_EQ(now.parts(0).outstanding(), 60);
  EXPECT_EQ(now.parts(0).value_minor(), 18);
  clm::ToProto(then, get.mutable_as_of());
  CLM_ASSERT_OK_AND_ASSIGN(const auto before,
                           Do(&Node::ledger, &LedgerHandlers::GetLiability, get));
  EXPECT_EQ(before.parts(0).outstanding(), 100);
  EXPECT_EQ(before.parts(0).value_minor(), 30);
}

TEST_F(LoyaltyTest, MoreThanCanBeCountedIsRefused) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, kMaxPoints));
  EXPECT_THAT(Earn(1, 1), StatusIs(StatusCode::kOutOfRange));
  EXPECT_THAT(Earn(1, 0), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(Earn(1, std::numeric_limits<int64_t>::max()), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(BalanceOf(1), Is(kMaxPoints));
}

TEST_F(LoyaltyTest, AnAuditFindsWhatWasChangedBehindTheLedgersBack) {
  CLM_ASSERT_OK(CreateProgram());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK(pg::AdminExec(database_.admin_dsn, "UPDATE wallet SET active = 101"));
  v1::AuditProgramRequest request;
  request.set_name(kProgram);
  CLM_ASSERT_OK_AND_ASSIGN(const auto audit,
                           Do(&Node::ledger, &LedgerHandlers::AuditProgram, request));
  ASSERT_GT(audit.findings_size(), 0);
  EXPECT_EQ(audit.findings(0).member(), MemberName(1));
  EXPECT_THAT(audit.findings(0).finding(), HasSubstr("101"));
}

TEST_F(LoyaltyTest, AProgrammeKeepsItsWallets) {
  CLM_ASSERT_OK(CreateProgram());
  EXPECT_THAT(CreateProgram(), StatusIs(StatusCode::kAlreadyExists));
  v1::UpdateProgramRequest update;
  update.mutable_program()->set_name(kProgram);
  update.mutable_program()->add_wallets()->set_id("miles");
  update.mutable_update_mask()->add_paths("wallets");
  EXPECT_THAT(Do(&Node::programs, &ProgramHandlers::UpdateProgram, update),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'points' must stay")));
  update.mutable_program()->add_wallets()->set_id("points");
  CLM_ASSERT_OK_AND_ASSIGN(const auto updated,
                           Do(&Node::programs, &ProgramHandlers::UpdateProgram, update));
  EXPECT_EQ(updated.wallets_size(), 2);
  EXPECT_EQ(updated.time_zone(), "Europe/Berlin");
}

TEST_F(LoyaltyTest, WhoMustEnrolDoesNotJoinByPoints) {
  v1::CreateProgramRequest request;
  request.set_parent("tenants/acme");
  request.set_program_id("club");
  request.mutable_program()->add_wallets()->set_id("points");
  request.mutable_program()->set_join_policy(v1::Program::JOIN_POLICY_ENROLMENT);
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::CreateProgram, request));
  EXPECT_THAT(Earn(1, 5), StatusIs(StatusCode::kNotFound));
  v1::EnrolMemberRequest enrol;
  enrol.set_parent(kProgram);
  enrol.set_contact(EntityName(kContacts, {"acme", Id(1)}));
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::EnrolMember, enrol));
  EXPECT_THAT(Do(&Node::programs, &ProgramHandlers::EnrolMember, enrol),
              StatusIs(StatusCode::kAlreadyExists));
  CLM_EXPECT_OK(Earn(1, 5));
  v1::ListMembersRequest list;
  list.set_parent(kProgram);
  CLM_ASSERT_OK_AND_ASSIGN(const auto members,
                           Do(&Node::programs, &ProgramHandlers::ListMembers, list));
  ASSERT_EQ(members.members_size(), 1);
  EXPECT_THAT(members.members(0).balances(0), Is(5));
}

}  // namespace
}  // namespace clm::loyalty
