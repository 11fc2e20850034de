// The bank test: many clients move the points of many members and of a few hot ones at random,
// twins at once and through two processes, while the service, PostgreSQL and Redis die. In the end
// every acknowledged movement is in the ledger once, and the ledger is sound.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "tests/chaos/contact_load.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {
namespace {

using loyalty::v1::AuditProgramRequest;
using loyalty::v1::PostingResponse;
using Ledger = loyalty::v1::LedgerService::Stub;
using Programs = loyalty::v1::ProgramService::Stub;

constexpr char kProgram[] = "tenants/acme/programs/club";
constexpr int kHot = 8;
// How often in all everything is killed and looked at in the long form: a look reads the whole
// ledger.
constexpr int64_t kDeathsInAll = 250;
// Looking at a long ledger takes its time.
constexpr absl::Duration kAuditTimeout = absl::Minutes(10);

struct Form {
  int clients;
  int members;
  int64_t operations;
  bool tells;  // How far it is.

  // CLM_BANK_OPERATIONS=1000000 is the long form of so many operations.
  static Form Asked() {
    int64_t operations = 0;
    const char* text = std::getenv("CLM_BANK_OPERATIONS");
    if (text != nullptr && (!absl::SimpleAtoi(text, &operations) || operations < 1)) {
      std::fprintf(stderr, "bank: CLM_BANK_OPERATIONS must be a number\n");
      std::abort();
    }
    const int64_t short_form = 640;
    if (text == nullptr && Rounds(1) == 1) return {16, 60, short_form, false};
    return {64, 1000, text != nullptr ? operations : Rounds(short_form), true};
  }
};

// What the acknowledged movements of a member come to.
struct Sums {
  int64_t earned = 0;
  int64_t redeemed = 0;
  int64_t given = 0;  // To others, less what came from them.
  int64_t taken_back = 0;

  void Add(const Sums& other) {
    earned += other.earned;
    redeemed += other.redeemed;
    given += other.given;
    taken_back += other.taken_back;
  }
};

class BankTest : public ::testing::Test {
 protected:
  BankTest() : world_({.redis = true, .loyalty = 2}) {
    loyalty::v1::CreateProgramRequest create;
    create.set_parent("tenants/acme");
    create.set_program_id("club");
    auto* wallet = create.mutable_program()->add_wallets();
    wallet->set_id("points");
    wallet->set_return_policy(loyalty::v1::Wallet::RETURN_POLICY_UNLIMITED);
    create.set_request_id(IdOf("club"));
    CLM_EXPECT_OK(Call(&Programs::CreateProgram, create).status());
  }

  template <class Stub, class Req, class Resp>
  absl::StatusOr<Resp> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Req&, Resp*),
                            const Req& request, int replica = 0) {
    return world_.loyalty_caller().Call(method, request, nullptr, replica);
  }

  static std::string Member(int number) {
    return absl::StrCat(kProgram, "/members/", IdOf(absl::StrCat("member ", number)));
  }

  // One client's life.
  class Client {
   public:
    Client(BankTest* test, int number, int members)
        : test_(*test), number_(number), members_(members), random_(number) {}

    void Live(int64_t steps) {
      for (step_ = 0; step_ < steps; ++step_, ++test_.steps_) {
        switch (Pick(8)) {
          case 0:
          case 1:
          case 2:
            Earn();
            break;
          case 3:
            Redeem();
            break;
          case 4:
            HoldAndEnd();
            break;
          case 5:
            Transfer();
            break;
          case 6:
            CancelSome();
            break;
          default:
            ReturnSome();
        }
      }
    }
    const std::map<int, Sums>& sums() const { return sums_; }

   private:
    int Pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
    // Half of what happens happens to the hot ones.
    int PickMember() { return Pick(2) == 0 ? Pick(kHot) : Pick(members_); }
    std::string RequestId(const char* what) const {
      return IdOf(absl::StrCat(what, " ", number_, " ", step_));
    }

    // The same request through both processes at once, now and then: one effect, one answer.
    template <class Req, class Resp>
    absl::StatusOr<Resp> Do(grpc::Status (Ledger::*method)(grpc::ClientContext*, const Req&, Resp*),
                            Req& request, const char* what) {
      request.set_request_id(RequestId(what));
      if (Pick(10) != 0) {
        auto answer = test_.Call(method, request, number_ % 2);
        ++test_.answered_;
        return answer;
      }
      absl::StatusOr<Resp> twin;
      std::thread other([&] { twin = test_.Call(method, request, 1); });
      absl::StatusOr<Resp> own = test_.Call(method, request, 0);
      other.join();
      // A refusal is not remembered: the other one may come when there are points again.
      if (own.ok() && twin.ok()) {
        EXPECT_EQ(own->SerializeAsString(), twin->SerializeAsString());
      } else if (twin.ok()) {
        own = std::move(twin);
      }
      ++test_.answered_;
      return own;
    }

    void Earn() {
      loyalty::v1::EarnPointsRequest request;
      const int member = PickMember();
      request.set_member(Member(member));
      request.set_amount(1 + Pick(100));
      const auto earned = Do(&Ledger::EarnPoints, request, "earn");
      ASSERT_TRUE(earned.ok()) << earned.status();
      sums_[member].earned += request.amount();
      earned_.emplace_back(member, earned->posting().name());
    }

    void Redeem() {
      loyalty::v1::RedeemPointsRequest request;
      const int member = PickMember();
      request.set_member(Member(member));
      request.set_amount(1 + Pick(60));
      const auto redeemed = Do(&Ledger::RedeemPoints, request, "redeem");
      if (!redeemed.ok()) return ExpectRefused(redeemed.status());
      sums_[member].redeemed += request.amount();
      redeemed_.emplace_back(member, redeemed->posting().name());
    }

    void HoldAndEnd() {
      loyalty::v1::HoldPointsRequest request;
      const int member = PickMember();
      request.set_member(Member(member));
      request.set_amount(1 + Pick(40));
      request.set_duration("1D");
      const auto hold = Do(&Ledger::HoldPoints, request, "hold");
      if (!hold.ok()) return ExpectRefused(hold.status());
      if (Pick(2) == 0) {
        loyalty::v1::ReleaseHoldRequest release;
        release.set_hold(hold->hold().name());
        EXPECT_TRUE(Do(&Ledger::ReleaseHold, release, "release").ok());
        return;
      }
      loyalty::v1::CaptureHoldRequest capture;
      capture.set_hold(hold->hold().name());
      capture.set_amount(1 + Pick(static_cast<int>(request.amount())));
      const auto captured = Do(&Ledger::CaptureHold, capture, "capture");
      ASSERT_TRUE(captured.ok()) << captured.status();
      sums_[member].redeemed += capture.amount();
      redeemed_.emplace_back(member, captured->hold().end_posting());
    }

    void Transfer() {
      loyalty::v1::TransferPointsRequest request;
      const int from = PickMember();
      const int to = (from + 1 + Pick(members_ - 1)) % members_;
      request.set_member(Member(from));
      request.set_to_member(Member(to));
      request.set_amount(1 + Pick(30));
      const auto given = Do(&Ledger::TransferPoints, request, "transfer");
      if (!given.ok()) return ExpectRefused(given.status());
      sums_[from].given += request.amount();
      sums_[to].given -= request.amount();
    }

    void CancelSome() {
      if (redeemed_.empty()) return;
      const auto [member, posting] = redeemed_[Pick(static_cast<int>(redeemed_.size()))];
      loyalty::v1::CancelRedemptionRequest request;
      request.set_posting(posting);
      request.set_amount(1 + Pick(20));
      const auto back = Do(&Ledger::CancelRedemption, request, "cancel");
      if (!back.ok()) {
        EXPECT_EQ(error::Reason(back.status()), "REDEMPTION_EXCEEDED") << back.status();
        return;
      }
      sums_[member].redeemed -= request.amount();
    }

    void ReturnSome() {
      if (earned_.empty()) return;
      const auto [member, posting] = earned_[Pick(static_cast<int>(earned_.size()))];
      loyalty::v1::ReturnPointsRequest request;
      request.set_posting(posting);
      request.set_amount(1 + Pick(20));
      const auto taken = Do(&Ledger::ReturnPoints, request, "return");
      if (!taken.ok()) {
        EXPECT_EQ(error::Reason(taken.status()), "RETURN_EXCEEDED") << taken.status();
        return;
      }
      EXPECT_EQ(taken->not_taken(), 0);
      sums_[member].taken_back += request.amount();
    }

    void ExpectRefused(const absl::Status& status) {
      // Who has never earned is not there.
      EXPECT_TRUE(error::Reason(status) == "POINTS_SHORT" || absl::IsNotFound(status)) << status;
    }

    BankTest& test_;
    const int number_;
    const int members_;
    std::mt19937 random_;
    int64_t step_ = 0;
    std::map<int, Sums> sums_;
    std::vector<std::pair<int, std::string>> earned_, redeemed_;
  };

  void ExpectSound() {
    AuditProgramRequest request;
    request.set_name(kProgram);
    const auto audit =
        world_.loyalty_caller().Call(&Ledger::AuditProgram, request, nullptr, 0, kAuditTimeout);
    ASSERT_TRUE(audit.ok()) << audit.status();
    EXPECT_EQ(audit->findings_size(), 0) << audit->DebugString();
  }

  // Of one snapshot.
  std::string Unbalanced() {
    return Ask(world_.loyalty_database().admin_dsn, R"sql(
        SELECT format('%s: %s %s %s %s', w.contact_id, w.active, w.pending, w.held, w.debt)
        FROM wallet w CROSS JOIN LATERAL (
          SELECT coalesce(sum(e.amount), 0) AS everything,
                 coalesce(sum(e.amount) FILTER (WHERE e.account <= 4), 0) AS own
          FROM posting p CROSS JOIN LATERAL unnest(p.accounts, p.amounts) AS e (account, amount)
          WHERE p.tenant_id = w.tenant_id AND p.contact_id = w.contact_id
            AND p.program_id = w.program_id AND p.wallet_id = w.wallet_id) AS s
        WHERE w.active < 0 OR w.pending < 0 OR w.held < 0 OR s.everything <> 0
          OR s.own <> w.active + w.pending + w.held - w.debt)sql");
  }

  World world_;
  std::atomic<int64_t> answered_{0};  // Calls.
  std::atomic<int64_t> steps_{0};     // Operations, of one call or two.
};

TEST_F(BankTest, NothingAcknowledgedIsLostOrDoubledWhateverDies) {
  const Form form = Form::Asked();
  std::vector<Client> clients;
  clients.reserve(form.clients);
  for (int i = 0; i < form.clients; ++i) clients.emplace_back(this, i, form.members);
  std::atomic<int> living{form.clients};
  std::vector<std::thread> threads;
  for (int i = 0; i < form.clients; ++i) {
    const int64_t steps =
        form.operations / form.clients + (i < form.operations % form.clients ? 1 : 0);
    threads.emplace_back([&, i, steps] {
      clients[i].Live(steps);
      --living;
    });
  }
  // While they live, everything else dies in turn, whenever something has been done since; and no
  // snapshot is ever out of balance.
  const int64_t between = std::max<int64_t>(40, form.operations / kDeathsInAll);
  for (int round = 0; living > 0; ++round) {
    const int64_t before = answered_;
    EXPECT_TRUE(Eventually([&] { return living == 0 || answered_ >= before + between; }));
    switch (round % 4) {
      case 0:
        world_.loyalty(0).Kill();
        break;
      case 1:
        DurablePostgres().server().Kill();
        CLM_ASSERT_OK(DurablePostgres().server().Restart());
        break;
      case 2:
        CLM_ASSERT_OK(world_.redis()->Flush());
        break;
      default:
        world_.loyalty(1).Kill();
    }
    EXPECT_EQ(Unbalanced(), "");
    if (form.tells) {
      absl::PrintF("bank: %d of %d operations, %d deaths\n", steps_.load(), form.operations,
                   round + 1);
      std::fflush(stdout);
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(world_.loyalty_caller().failure_count(), 0) << "nobody noticed that anything died";

  std::map<int, Sums> sums;
  for (const Client& client : clients) {
    for (const auto& [member, of] : client.sums()) sums[member].Add(of);
  }
  for (const auto& [member, of] : sums) {
    loyalty::v1::GetMemberRequest get;
    get.set_name(Member(member));
    get.set_consistency(loyalty::v1::CONSISTENCY_STRONG);
    const auto found = Call(&Programs::GetMember, get);
    ASSERT_TRUE(found.ok()) << found.status();
    const auto& balance = found->balances(0);
    EXPECT_EQ(balance.earned(), of.earned) << get.name();
    EXPECT_EQ(balance.redeemed(), of.redeemed) << get.name();
    EXPECT_EQ(balance.returned(), of.taken_back) << get.name();
    EXPECT_EQ(balance.transferred(), -of.given) << get.name();
    EXPECT_EQ(balance.held(), 0) << get.name();
  }
  EXPECT_EQ(Unbalanced(), "");
  World::ExpectDenseJournal(world_.loyalty_database());
  ExpectSound();
}

}  // namespace
}  // namespace clm::chaos
