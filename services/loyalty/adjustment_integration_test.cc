// Corrections of balances by one person and by two, over their RPCs, on PostgreSQL.
#include <atomic>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clm/loyalty/v1/adjustment_event.pb.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "services/loyalty/adjusting.h"
#include "services/loyalty/adjustment_module_part.h"
#include "services/loyalty/adjustment_proto.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/merge_members.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using H = AdjustmentHandlers;

constexpr char kAda[] = "token:ada";
constexpr char kBob[] = "token:bob";

class AdjustmentTest : public LoyaltyTest {
 protected:
  // A process of its own on the same database.
  struct Process {
    Process(const std::string& dsn, const Clock* clock) : node(dsn, clock) {}
    Node node;
    AdjustmentModulePart part{node.pool.get(), &node.lanes, &node.tokens};
  };

  AdjustmentTest() : part_(node_->pool.get(), &node_->lanes, &node_->tokens) {}

  template <class Req, class Resp>
  absl::StatusOr<Resp> Ask(void (H::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                           const Req& request, const std::string& actor,
                           Process* process = nullptr) {
    rpc::Call call = CallNow();
    call.caller.actor = actor;
    absl::StatusOr<Resp> result;
    absl::Notification done;
    ((process == nullptr ? part_ : process->part).handlers().*rpc)(
        call, request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
          result = std::move(r);
          done.Notify();
        }));
    done.WaitForNotification();
    return result;
  }

  absl::StatusOr<v1::Program> Create(int64_t limit) {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    request.mutable_program()->set_time_zone("Europe/Berlin");
    for (const char* id : {"points", "miles"}) {
      v1::Wallet* wallet = request.mutable_program()->add_wallets();
      wallet->set_id(id);
      wallet->set_adjustment_limit(limit);
    }
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }
  absl::Status SetLimit(int64_t limit) {
    v1::GetProgramRequest get;
    get.set_name(kProgram);
    CLM_ASSIGN_OR_RETURN(const v1::Program program,
                         Do(&Node::programs, &ProgramHandlers::GetProgram, get));
    v1::UpdateProgramRequest update;
    *update.mutable_program() = program;
    for (v1::Wallet& wallet : *update.mutable_program()->mutable_wallets()) {
      wallet.set_adjustment_limit(limit);
    }
    update.mutable_update_mask()->add_paths("wallets");
    return Do(&Node::programs, &ProgramHandlers::UpdateProgram, update).status();
  }
  static v1::AdjustPointsRequest AdjustRequest(int member, int64_t amount,
                                               const std::string& wallet = "") {
    v1::AdjustPointsRequest request;
    request.set_member(MemberName(member));
    request.set_wallet(wallet);
    request.set_amount(amount);
    request.set_reason("a late parcel");
    return request;
  }
  absl::StatusOr<v1::PostingResponse> Adjust(int member, int64_t amount,
                                             const std::string& wallet = "",
                                             Process* process = nullptr) {
    return Do(&Node::ledger, &LedgerHandlers::AdjustPoints, AdjustRequest(member, amount, wallet),
              process == nullptr ? nullptr : &process->node);
  }

  static v1::ProposeAdjustmentRequest Proposal(int member, int64_t amount) {
    v1::ProposeAdjustmentRequest request;
    request.set_member(MemberName(member));
    request.set_amount(amount);
    request.set_reason("the card of Ada L.");
    return request;
  }
  // By Ada; a millisecond later than what was proposed before.
  absl::StatusOr<v1::Adjustment> Propose(int member, int64_t amount) {
    clock_.Advance(absl::Milliseconds(1));
    return Ask(&H::ProposeAdjustment, Proposal(member, amount), kAda);
  }
  absl::StatusOr<v1::Adjustment> Approve(const std::string& name, const std::string& actor = kBob,
                                         Process* process = nullptr) {
    v1::ApproveAdjustmentRequest request;
    request.set_name(name);
    return Ask(&H::ApproveAdjustment, request, actor, process);
  }
  absl::StatusOr<v1::Adjustment> Reject(const std::string& name, const std::string& actor = kBob) {
    v1::RejectAdjustmentRequest request;
    request.set_name(name);
    request.set_reason("Ada L. has her card");
    return Ask(&H::RejectAdjustment, request, actor);
  }
  absl::StatusOr<v1::Adjustment> Get(const std::string& name) {
    v1::GetAdjustmentRequest request;
    request.set_name(name);
    return part_.handlers().GetAdjustment(CallNow(), request);
  }
  v1::Adjustment::State StateNow(const std::string& name) {
    const auto found = Get(name);
    CLM_EXPECT_OK(found);
    return found.ok() ? found->state() : v1::Adjustment::STATE_UNSPECIFIED;
  }
  // The amounts of a list, read in pages of two.
  std::vector<int64_t> ListOf(v1::Adjustment::State state, int member = 0) {
    v1::ListAdjustmentsRequest request;
    request.set_parent(kProgram);
    request.set_state(state);
    if (member > 0) request.set_member(MemberName(member));
    request.set_page_size(2);
    std::vector<int64_t> amounts;
    do {
      const auto page = part_.handlers().ListAdjustments(CallNow(), request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) break;
      EXPECT_LE(page->adjustments_size(), 2);
      for (const v1::Adjustment& one : page->adjustments()) amounts.push_back(one.amount());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return amounts;
  }
  int64_t Postings() { return Count("SELECT count(*) FROM posting"); }
  // Nowhere in the database is what was said about Ada L.
  void ExpectNothingSaid() {
    for (const char* table : {"adjustment", "posting_note", "request", "journal"}) {
      EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM ", table,
                                   " AS t WHERE strpos(t::text, encode('Ada L.', 'hex')) > 0 "
                                   "OR strpos(t::text, 'Ada L.') > 0")),
                0)
          << table;
    }
  }

  AdjustmentModulePart part_;
};

TEST_F(AdjustmentTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(AdjustmentWorkStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(AdjustmentReaderStatements()));
}

// ---- What one person may do.

TEST_F(AdjustmentTest, OnePersonCorrectsUpToTheLimitToThePoint) {
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Program program, Create(100));
  EXPECT_EQ(program.wallets(0).adjustment_limit(), 100);
  CLM_ASSERT_OK(Adjust(1, 60));
  const auto more = Adjust(1, 41);
  EXPECT_THAT(more, StatusIs(StatusCode::kFailedPrecondition, HasSubstr("propose")));
  EXPECT_THAT(more, ReasonIs("SECOND_PERSON_NEEDED"));
  EXPECT_EQ(error::MetadataValue(more.status(), "limit"), "100");
  EXPECT_EQ(error::MetadataValue(more.status(), "left"), "40");
  // What is taken counts as what is given does.
  EXPECT_THAT(Adjust(1, -41), ReasonIs("SECOND_PERSON_NEEDED"));
  CLM_ASSERT_OK(Adjust(1, -30));
  CLM_ASSERT_OK(Adjust(1, 10));
  EXPECT_THAT(Adjust(1, 1), ReasonIs("SECOND_PERSON_NEEDED"));
  EXPECT_EQ(BalanceOf(1).active(), 40);
  // Neither another member's balance nor another wallet.
  CLM_EXPECT_OK(Adjust(2, 100));
  CLM_EXPECT_OK(Adjust(1, 100, "miles"));
  EXPECT_THAT(Adjust(1, 1, "points"), ReasonIs("SECOND_PERSON_NEEDED"));
  ExpectSound();
}

TEST_F(AdjustmentTest, WhatIsRefusedForWantOfPointsDoesNotCount) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK(Adjust(1, 10));
  EXPECT_THAT(Adjust(1, -50), ReasonIs("POINTS_SHORT"));
  CLM_EXPECT_OK(Adjust(1, 90));
}

TEST_F(AdjustmentTest, ADayIsThatOfTheProgrammesZone) {
  CLM_ASSERT_OK(Create(100));
  // In Berlin it is a new day an hour before it is in UTC.
  clock_.Set(At("2026-01-26 00:00") - absl::Microseconds(1));
  CLM_ASSERT_OK(Adjust(1, 100));
  EXPECT_THAT(Adjust(1, 1), ReasonIs("SECOND_PERSON_NEEDED"));
  clock_.Set(At("2026-01-26 00:00"));
  CLM_ASSERT_OK(Adjust(1, 100));
  clock_.Set(At("2026-01-26 01:00"));
  EXPECT_THAT(Adjust(1, 1), ReasonIs("SECOND_PERSON_NEEDED"));
}

TEST_F(AdjustmentTest, ANewLimitCountsTheDaySoFar) {
  CLM_ASSERT_OK(Create(0));
  CLM_ASSERT_OK(Adjust(1, kMaxPoints));
  CLM_ASSERT_OK(Adjust(1, -kMaxPoints));
  CLM_ASSERT_OK(Adjust(2, 70));
  CLM_ASSERT_OK(SetLimit(100));
  EXPECT_THAT(Adjust(1, 1), ReasonIs("SECOND_PERSON_NEEDED"));
  EXPECT_THAT(Adjust(2, 31), ReasonIs("SECOND_PERSON_NEEDED"));
  CLM_EXPECT_OK(Adjust(2, 30));
}

TEST_F(AdjustmentTest, TheLimitIsExactThroughTwoProcesses) {
  CLM_ASSERT_OK(Create(100));
  std::deque<Process> processes;
  for (int i = 0; i < 2; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> done{0}, refused{0};
  clm::testing::AtOnce(16, [&](int i) {
    const auto outcome = Adjust(1, 30, "", &processes[i % 2]);
    if (outcome.ok()) ++done;
    if (error::Reason(outcome.status()) == "SECOND_PERSON_NEEDED") ++refused;
  });
  EXPECT_EQ(done, 3);
  EXPECT_EQ(refused, 13);
  EXPECT_EQ(BalanceOf(1).active(), 90);
  ExpectSound();
}

TEST_F(AdjustmentTest, ARequestThatIsRepeatedCountsOnce) {
  CLM_ASSERT_OK(Create(100));
  auto request = AdjustRequest(1, 60);
  request.set_request_id(Id(70).ToString());
  for (int i = 0; i < 3; ++i) {
    CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::AdjustPoints, request));
  }
  CLM_EXPECT_OK(Adjust(1, 40));
  EXPECT_EQ(BalanceOf(1).active(), 100);
}

TEST_F(AdjustmentTest, WhoWasMergedHasOneDay) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK(Adjust(1, 60));
  CLM_ASSERT_OK(Adjust(2, 30));
  CLM_ASSERT_OK(Merge(2, 1));
  RunDue();
  EXPECT_THAT(Adjust(2, 11), ReasonIs("SECOND_PERSON_NEEDED"));
  CLM_EXPECT_OK(Adjust(1, 10));
  EXPECT_THAT(Adjust(2, 1), ReasonIs("SECOND_PERSON_NEEDED"));
}

// What the other one's day was is not known to the transaction that merges them.
TEST_F(AdjustmentTest, NothingIsCorrectedInTheTransactionOfAMerge) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK(Adjust(1, 60));
  CLM_ASSERT_OK(Adjust(2, 30));
  const EntityKey merged{"acme", Id(1)}, survivor{"acme", Id(2)};
  const MemberKey member{"acme", "club", Id(2)};
  journal::MutationInfo info;
  info.shards.set(ShardOf("acme", Id(1)));
  info.shards.set(ShardOf("acme", Id(2)));
  const auto outcome = node_->lanes.Run<LoyaltyWork>(
      std::move(info),
      [&](LoyaltyWork& work) {
        work.NeedProgram({"acme", "club"});
        work.NeedMerge(merged, survivor);
        work.adjustments().NeedDay({member, "points", clock_.Now()});
      },
      [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(MergeMembers(work, recorder, merged, survivor));
        CLM_ASSIGN_OR_RETURN(
            WalletSession session,
            WalletSession::Open(work, recorder, member, "points", WalletSession::Admit::kMembers));
        CLM_RETURN_IF_ERROR(CountAdjustment(work, session, 20, clock_.Now()));
        return std::string();
      });
  EXPECT_THAT(outcome.status(), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(outcome.status(), ReasonIs("MEMBER_MERGING"));
}

// ---- What two persons do.

TEST_F(AdjustmentTest, TwoPersonsCorrectBeyondTheLimit) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK(Adjust(1, 60));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(1, 500));
  EXPECT_THAT(proposed.name(), HasSubstr("/programs/club/adjustments/"));
  EXPECT_EQ(proposed.state(), v1::Adjustment::STATE_PROPOSED);
  EXPECT_EQ(proposed.member(), MemberName(1));
  EXPECT_EQ(proposed.wallet(), "points");
  EXPECT_EQ(proposed.proposed_by(), kAda);
  EXPECT_EQ(clm::FromProto(proposed.lapse_time()),
            clm::FromProto(proposed.propose_time()) + absl::Hours(7 * 24));
  EXPECT_EQ(proposed.posting(), "");
  EXPECT_EQ(BalanceOf(1).active(), 60);
  clock_.Advance(absl::Hours(1));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment approved, Approve(proposed.name()));
  EXPECT_EQ(approved.state(), v1::Adjustment::STATE_APPROVED);
  EXPECT_EQ(approved.decided_by(), kBob);
  EXPECT_EQ(clm::FromProto(approved.decide_time()), clock_.Now());
  EXPECT_EQ(BalanceOf(1).active(), 560);
  const v1::Posting posting = StatementOf(1)[0];
  EXPECT_EQ(posting.name(), approved.posting());
  EXPECT_EQ(posting.kind(), v1::Posting::KIND_ADJUST);
  EXPECT_EQ(posting.amount(), 500);
  EXPECT_EQ(posting.reason(), "the card of Ada L.");
  EXPECT_EQ(posting.actor(), kBob);
  EXPECT_EQ(Get(proposed.name())->posting(), approved.posting());
  // It has not used up what one person may do.
  CLM_EXPECT_OK(Adjust(1, 40));
  EXPECT_THAT(Adjust(1, 1), ReasonIs("SECOND_PERSON_NEEDED"));
  // Twice, and no after yes.
  EXPECT_THAT(Approve(proposed.name()), ReasonIs("ADJUSTMENT_STATE"));
  EXPECT_THAT(Reject(proposed.name()), ReasonIs("ADJUSTMENT_STATE"));
  EXPECT_EQ(BalanceOf(1).active(), 600);
  ExpectSound();
}

TEST_F(AdjustmentTest, NobodyApprovesTheirOwn) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(1, 500));
  EXPECT_THAT(Approve(proposed.name(), kAda), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(Approve(proposed.name(), kAda), ReasonIs("SAME_PERSON"));
  EXPECT_EQ(StateNow(proposed.name()), v1::Adjustment::STATE_PROPOSED);
  // But withdraws it.
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment withdrawn, Reject(proposed.name(), kAda));
  EXPECT_EQ(withdrawn.state(), v1::Adjustment::STATE_REJECTED);
  EXPECT_EQ(withdrawn.decided_by(), kAda);
  EXPECT_EQ(withdrawn.reject_reason(), "Ada L. has her card");
  EXPECT_THAT(Approve(proposed.name()), ReasonIs("ADJUSTMENT_STATE"));
  EXPECT_EQ(Postings(), 0);
}

TEST_F(AdjustmentTest, OfManyApprovalsAtOnceOnePosts) {
  CLM_ASSERT_OK(Create(100));
  std::deque<Process> processes;
  for (int i = 0; i < 2; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  for (int round = 1; round <= 10; ++round) {
    CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(1, 500));
    std::atomic<int> done{0}, late{0};
    clm::testing::AtOnce(8, [&](int i) {
      const auto outcome = Approve(proposed.name(), absl::StrCat("token:", i), &processes[i % 2]);
      if (outcome.ok()) ++done;
      if (error::Reason(outcome.status()) == "ADJUSTMENT_STATE") ++late;
    });
    EXPECT_EQ(done, 1);
    EXPECT_EQ(late, 7);
    EXPECT_EQ(Postings(), round);
  }
  EXPECT_EQ(BalanceOf(1).active(), 5000);
  ExpectSound();
}

// Two members may be meant while points follow a merge; one posts.
TEST_F(AdjustmentTest, OfApprovalsDuringAMergeOnePosts) {
  CLM_ASSERT_OK(Create(100));
  std::deque<Process> processes;
  for (int i = 0; i < 2; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  int64_t before = 0;
  for (int round = 0; round < 10; ++round) {
    const int merged = 10 + 2 * round, survivor = merged + 1;
    CLM_ASSERT_OK(Adjust(merged, 1));
    CLM_ASSERT_OK(Adjust(survivor, 1));
    CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(merged, 500));
    before += 2;
    std::atomic<int> done{0};
    clm::testing::AtOnce(6, [&](int i) {
      if (i == 0) {
        CLM_EXPECT_OK(Merge(survivor, merged));
        RunDue();
        return;
      }
      if (Approve(proposed.name(), absl::StrCat("token:", i), &processes[i % 2]).ok()) ++done;
    });
    RunDue();
    EXPECT_EQ(done, 1);
    EXPECT_EQ(BalanceOf(survivor).active(), 502);
    EXPECT_EQ(Get(proposed.name())->member(), MemberName(survivor));
  }
  EXPECT_EQ(Count("SELECT count(*) FROM posting WHERE kind = 11"), before + 10);
  ExpectSound();
}

// One process decides before it has heard of the merge, and another one after it has.
TEST_F(AdjustmentTest, ADecisionThatIsUnderWayIsWaitedForUnderAnotherName) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK(Adjust(1, 1));
  CLM_ASSERT_OK(Adjust(2, 1));
  CLM_ASSERT_OK_AND_ASSIGN(v1::Adjustment proposed, Propose(1, 500));
  // Its own shard is neither of theirs.
  while (ShardOf("acme", absl::string_view(proposed.name())) == ShardOf("acme", Id(1)) ||
         ShardOf("acme", absl::string_view(proposed.name())) == ShardOf("acme", Id(2))) {
    CLM_ASSERT_OK_AND_ASSIGN(proposed, Propose(1, 500));
  }
  std::deque<Process> processes;
  for (int i = 0; i < 2; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  const auto waiting = [&] {
    return Count(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
        "wait_event_type = 'Lock'");
  };
  std::atomic<int> approved{0}, answered{0};
  std::vector<std::thread> threads;
  const auto approve = [&](int i) {
    threads.emplace_back([&, i] {
      if (Approve(proposed.name(), absl::StrCat("token:", i), &processes[i]).ok()) ++approved;
      ++answered;
    });
  };
  const auto stopper = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
  CLM_EXPECT_OK(stopper->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.ExecDynamic(absl::StrCat("SELECT 1 FROM wallet WHERE contact_id = '",
                                                    Id(1).ToString(), "' FOR UPDATE"))
                            .status());
    approve(0);
    EXPECT_TRUE(clm::testing::Eventually([&] { return waiting() == 1; }));
    CLM_EXPECT_OK(Merge(2, 1));
    approve(1);
    EXPECT_TRUE(clm::testing::Eventually([&] { return waiting() == 2 || answered == 1; }));
    return absl::OkStatus();
  }));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(approved, 1);
  RunDue();
  EXPECT_EQ(BalanceOf(2).active(), 502);
  ExpectSound();
}

TEST_F(AdjustmentTest, LapsesBySevenDaysAlone) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment first, Propose(1, 1));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment second, Propose(1, 2));
  clock_.Set(clm::FromProto(first.lapse_time()));
  EXPECT_EQ(StateNow(first.name()), v1::Adjustment::STATE_LAPSED);
  EXPECT_EQ(StateNow(second.name()), v1::Adjustment::STATE_PROPOSED);
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_LAPSED), ElementsAre(1));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_PROPOSED), ElementsAre(2));
  const auto late = Approve(first.name());
  EXPECT_THAT(late, StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(late, ReasonIs("ADJUSTMENT_STATE"));
  EXPECT_EQ(error::MetadataValue(late.status(), "state"), "LAPSED");
  EXPECT_THAT(Reject(first.name()), ReasonIs("ADJUSTMENT_STATE"));
  EXPECT_EQ(Postings(), 0);
  CLM_EXPECT_OK(Approve(second.name()));
}

TEST_F(AdjustmentTest, WithoutThePointsItStaysProposed) {
  CLM_ASSERT_OK(Create(100));
  CLM_ASSERT_OK(Earn(1, 300));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(1, -500));
  const auto short_of = Approve(proposed.name());
  EXPECT_THAT(short_of, ReasonIs("POINTS_SHORT"));
  EXPECT_EQ(error::MetadataValue(short_of.status(), "shortfall"), "200");
  EXPECT_EQ(StateNow(proposed.name()), v1::Adjustment::STATE_PROPOSED);
  EXPECT_EQ(BalanceOf(1).active(), 300);
  CLM_ASSERT_OK(Earn(1, 250));
  CLM_ASSERT_OK(Approve(proposed.name()));
  EXPECT_EQ(BalanceOf(1).active(), 50);
  ExpectSound();
}

TEST_F(AdjustmentTest, GivenPointsAreGoodForAsLongAsProposedFromTheApprovalOn) {
  CLM_ASSERT_OK(Create(0));
  auto request = Proposal(1, 500);
  request.set_expiry("1M");
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed,
                           Ask(&H::ProposeAdjustment, request, kAda));
  EXPECT_EQ(proposed.expiry(), "1M");
  clock_.Set(At("2026-01-28 12:00"));
  CLM_ASSERT_OK(Approve(proposed.name()));
  EXPECT_EQ(clm::FromProto(BalanceOf(1).next_expire_time()), At("2026-03-01 00:00"));
}

TEST_F(AdjustmentTest, IsProposedOnceHoweverOftenItIsAsked) {
  CLM_ASSERT_OK(Create(0));
  auto request = Proposal(1, 500);
  request.set_request_id(Id(70).ToString());
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment first, Ask(&H::ProposeAdjustment, request, kAda));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment again, Ask(&H::ProposeAdjustment, request, kAda));
  EXPECT_EQ(again.name(), first.name());
  EXPECT_EQ(Count("SELECT count(*) FROM adjustment"), 1);
  v1::ApproveAdjustmentRequest approve;
  approve.set_name(first.name());
  approve.set_request_id(Id(71).ToString());
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment once, Ask(&H::ApproveAdjustment, approve, kBob));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment twice, Ask(&H::ApproveAdjustment, approve, kBob));
  EXPECT_EQ(twice.posting(), once.posting());
  EXPECT_EQ(Postings(), 1);
}

TEST_F(AdjustmentTest, WhatCannotBeCorrectedIsNotProposed) {
  EXPECT_THAT(Propose(1, 5), StatusIs(StatusCode::kNotFound));
  CLM_ASSERT_OK(Create(0));
  EXPECT_THAT(Propose(1, 0), StatusIs(StatusCode::kInvalidArgument, HasSubstr("amount: ")));
  auto request = Proposal(1, 5);
  request.set_wallet("stars");
  EXPECT_THAT(Ask(&H::ProposeAdjustment, request, kAda),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("wallet: ")));
  request = Proposal(1, 5);
  request.set_expiry("soon");
  EXPECT_THAT(Ask(&H::ProposeAdjustment, request, kAda),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("expiry: ")));
  // Nothing can be taken from who has never had anything; but given.
  EXPECT_THAT(Propose(1, -5), StatusIs(StatusCode::kNotFound));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(1, 5));
  CLM_ASSERT_OK(Approve(proposed.name()));
  EXPECT_EQ(BalanceOf(1).active(), 5);
  const std::string other = absl::StrCat(kProgram, "/adjustments/", Id(99).ToString());
  EXPECT_THAT(Approve(other), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Get(other), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Get(absl::StrCat(kProgram, "/adjustments/1")),
              StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(AdjustmentTest, ListsNewestFirstByStateAndMember) {
  CLM_ASSERT_OK(Create(0));
  std::vector<std::string> names;
  for (int amount = 1; amount <= 6; ++amount) {
    CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment one, Propose(1 + amount % 2, amount));
    names.push_back(one.name());
  }
  CLM_ASSERT_OK(Approve(names[0]));
  CLM_ASSERT_OK(Reject(names[1]));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_UNSPECIFIED), ElementsAre(6, 5, 4, 3, 2, 1));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_PROPOSED), ElementsAre(6, 5, 4, 3));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_APPROVED), ElementsAre(1));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_REJECTED), ElementsAre(2));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_LAPSED), IsEmpty());
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_UNSPECIFIED, 2), ElementsAre(5, 3, 1));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_PROPOSED, 2), ElementsAre(5, 3));
  v1::ListAdjustmentsRequest request;
  request.set_parent("tenants/acme/programs/none");
  EXPECT_THAT(part_.handlers().ListAdjustments(CallNow(), request),
              StatusIs(StatusCode::kNotFound));
  request.set_parent(kProgram);
  request.set_member(absl::StrCat("tenants/acme/programs/none/members/", Id(1).ToString()));
  EXPECT_THAT(part_.handlers().ListAdjustments(CallNow(), request),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("member: ")));
}

// ---- What becomes of people.

TEST_F(AdjustmentTest, IsCarriedOutForTheSurvivorOfAMerge) {
  CLM_ASSERT_OK(Create(0));
  CLM_ASSERT_OK(Adjust(1, 10));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment moved, Propose(1, 500));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment early, Propose(1, 40));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment newcomer, Propose(3, 7));
  CLM_ASSERT_OK(Merge(2, 1));
  CLM_ASSERT_OK(Merge(2, 3));
  // Before the points have followed.
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment at_once, Approve(early.name()));
  EXPECT_EQ(at_once.member(), MemberName(2));
  RunDue();
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_UNSPECIFIED, 1), ElementsAre(7, 40, 500));
  EXPECT_THAT(ListOf(v1::Adjustment::STATE_UNSPECIFIED, 2), ElementsAre(7, 40, 500));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment approved, Approve(moved.name()));
  EXPECT_EQ(approved.member(), MemberName(2));
  EXPECT_THAT(approved.posting(), HasSubstr(Id(2).ToString()));
  CLM_ASSERT_OK(Approve(newcomer.name()));
  EXPECT_EQ(BalanceOf(2).active(), 557);
  // By the old name.
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment late, Propose(1, 3));
  EXPECT_EQ(late.member(), MemberName(2));
  ExpectSound();
}

TEST_F(AdjustmentTest, AnErasureTakesThePersonAndWhatWasSaid) {
  CLM_ASSERT_OK(Create(0));
  auto request = Proposal(1, 500);
  request.set_request_id(Id(70).ToString());
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment approved,
                           Ask(&H::ProposeAdjustment, request, kAda));
  CLM_ASSERT_OK(Approve(approved.name()));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment rejected, Propose(1, 3));
  v1::RejectAdjustmentRequest reject;
  reject.set_name(rejected.name());
  reject.set_reason("Ada L. has her card");
  reject.set_request_id(Id(71).ToString());
  CLM_ASSERT_OK(Ask(&H::RejectAdjustment, reject, kBob));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment open, Propose(1, 4));
  CLM_ASSERT_OK(Erase(1));
  ExpectNothingSaid();
  for (const std::string& name : {approved.name(), rejected.name(), open.name()}) {
    CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment left, Get(name));
    EXPECT_TRUE(left.member_erased());
    for (const std::string& text : {left.member(), left.reason(), left.reject_reason(),
                                    left.proposed_by(), left.decided_by(), left.posting()}) {
      EXPECT_EQ(text, "");
    }
  }
  EXPECT_EQ(Get(approved.name())->amount(), 500);
  EXPECT_EQ(Get(approved.name())->state(), v1::Adjustment::STATE_APPROVED);
  EXPECT_THAT(Approve(open.name()), StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(Approve(open.name()), ReasonIs("MEMBER_ERASED"));
  EXPECT_THAT(Reject(open.name()), ReasonIs("MEMBER_ERASED"));
  EXPECT_THAT(Propose(1, 5), ReasonIs("MEMBER_ERASED"));
  EXPECT_EQ(Postings(), 1);
  ExpectSound();
}

// One who has no points yet, and names that were given up.
TEST_F(AdjustmentTest, AnErasureReachesOlderNamesAndWhoWasNoMember) {
  CLM_ASSERT_OK(Create(0));
  auto request = Proposal(1, 500);
  request.set_request_id(Id(70).ToString());
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment old, Ask(&H::ProposeAdjustment, request, kAda));
  request = Proposal(2, 500);
  request.set_request_id(Id(71).ToString());
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment own, Ask(&H::ProposeAdjustment, request, kAda));
  CLM_ASSERT_OK(Merge(2, 1));
  CLM_ASSERT_OK(Erase(2));
  ExpectNothingSaid();
  EXPECT_THAT(Approve(old.name()), ReasonIs("MEMBER_ERASED"));
  EXPECT_THAT(Approve(own.name()), ReasonIs("MEMBER_ERASED"));
  EXPECT_EQ(Postings(), 0);
}

// By who has read it before, under the shard of an older name.
TEST_F(AdjustmentTest, WhatAnErasureTookIsNotWrittenAgain) {
  CLM_ASSERT_OK(Create(0));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment proposed, Propose(1, 500));
  CLM_ASSERT_OK_AND_ASSIGN(const AdjustmentKey key, ParseAdjustmentName("name", proposed.name()));
  journal::MutationInfo info;
  info.shards.set(ShardOf("acme", Id(1)));
  CLM_ASSERT_OK(node_->lanes.Run<LoyaltyWork>(
      std::move(info), [&](LoyaltyWork& work) { work.adjustments().Need(key); },
      [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(pg::AdminExec(database_.admin_dsn,
                                          "UPDATE adjustment SET (contact_id, member_erased, "
                                          "reason) = (NULL, true, '')"));
        CLM_ASSIGN_OR_RETURN(const Adjustment rejected,
                             clm::loyalty::Reject(*work.adjustments().Find(key), kBob,
                                                  "Ada L. has her card", recorder.now()));
        work.adjustments().Save(rejected);
        return std::string();
      }));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment left, Get(proposed.name()));
  EXPECT_TRUE(left.member_erased());
  EXPECT_EQ(left.member(), "");
  EXPECT_EQ(left.reject_reason(), "");
}

TEST_F(AdjustmentTest, EventsTellWhatHappenedAndNotWhatWasSaid) {
  CLM_ASSERT_OK(Create(0));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment first, Propose(1, 500));
  CLM_ASSERT_OK(Approve(first.name()));
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Adjustment second, Propose(1, 3));
  CLM_ASSERT_OK(Reject(second.name()));
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE "
                  "strpos(encode(event, 'escape'), 'AdjustmentChanged') > 0"),
            4);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE encode(event, 'escape') LIKE '%Ada L.%'"), 0);
}

}  // namespace
}  // namespace clm::loyalty
