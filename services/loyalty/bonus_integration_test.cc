// Points for the best as a group, over the RPCs and with the background, on PostgreSQL.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clm/loyalty/v1/bonus_event.pb.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "services/loyalty/bonus_module_part.h"
#include "services/loyalty/bonus_proto.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/order_module_part.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::Eventually;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using v1::BonusRun;
using v1::BonusRunMember;

constexpr int kPage = 3;

class BonusTest : public LoyaltyTest {
 protected:
  // A process of its own on the same database.
  struct Process {
    Process(const std::string& dsn, const Clock* clock)
        : node(dsn, clock), reader(node.pool.get()) {
      Restart();
    }
    // With `between` after each page of grants, before it is noted that they were given.
    void Restart(std::function<absl::Status()> between = nullptr) {
      runner =
          std::make_unique<BonusRunner>(BonusRunner::Options{.reader = &reader,
                                                             .members = &node.reader,
                                                             .lanes = &node.lanes,
                                                             .clock = node.due_clock,
                                                             .batch = kPage,
                                                             .after_grants = std::move(between)});
      handlers =
          std::make_unique<BonusHandlers>(BonusHandlers::Parts{.lanes = &node.lanes,
                                                               .reader = &reader,
                                                               .programs = &node.reader,
                                                               .tokens = &node.tokens,
                                                               .wake = [this] { runner->Wake(); }});
    }
    struct Timed : Node {
      Timed(const std::string& dsn, const Clock* clock) : Node(dsn, clock), due_clock(clock) {}
      const Clock* due_clock;
    };
    Timed node;
    BonusReader reader;
    std::unique_ptr<BonusRunner> runner;
    std::unique_ptr<BonusHandlers> handlers;
  };

  BonusTest() : process_(Another()) {}

  std::unique_ptr<Process> Another() {
    return std::make_unique<Process>(database_.app_dsn, &clock_);
  }

  template <class H, class Req, class Resp>
  absl::StatusOr<Resp> AskOf(H& handlers,
                             void (H::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                             const Req& request) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    (handlers.*rpc)(CallNow(), request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
                      result = std::move(r);
                      done.Notify();
                    }));
    done.WaitForNotification();
    return result;
  }

  // A point for every 10 euros of a purchase or an order, and tiers by the points earned.
  absl::StatusOr<v1::Program> CreateClub() {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    v1::Program& program = *request.mutable_program();
    program.set_time_zone("Europe/Berlin");
    program.add_wallets()->set_id("points");
    for (const bool orders : {false, true}) {
      v1::EarnRule* rule = program.add_earn_rules();
      rule->set_id(orders ? "orders" : "events");
      if (!orders) rule->set_event_type("purchase");
      rule->set_for_orders(orders);
      rule->set_earning(v1::EarnRule::EARNING_PER_MONEY);
      rule->set_points(1);
      rule->set_per(1000);
      rule->set_currency("EUR");
    }
    for (const auto& [id, threshold] : {std::pair("bronze", 0), std::pair("gold", 100)}) {
      v1::Tier* tier = program.mutable_tier_scheme()->add_tiers();
      tier->set_id(id);
      tier->set_threshold(threshold);
    }
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }
  absl::Status Join(int member) { return Earn(member, 1).status(); }

  // A purchase, each of its own.
  absl::Status Buys(int member, int64_t cents, absl::Duration ago = absl::ZeroDuration(),
                    const std::string& currency = "EUR", const std::string& type = "purchase") {
    contact::v1::BehaviorEvent event;
    event.set_event_id(Id(1000 + events_++).ToString());
    event.set_type(type);
    event.set_amount_minor(cents);
    event.set_currency(currency);
    clm::ToProto(clock_.Now() - ago, event.mutable_occur_time());
    return Tell(member, event);
  }
  absl::Status Refunds(int member, int purchase, int64_t cents) {
    contact::v1::BehaviorEvent event;
    event.set_event_id(Id(1000 + events_++).ToString());
    event.set_type("refund");
    event.set_amount_minor(cents);
    event.set_currency("EUR");
    (*event.mutable_properties())["refund_of"].set_string_value(Id(1000 + purchase).ToString());
    clm::ToProto(clock_.Now(), event.mutable_occur_time());
    return Tell(member, event);
  }
  absl::Status Tell(int member, const contact::v1::BehaviorEvent& event) {
    contact::v1::BehaviorRecorded recorded;
    recorded.set_contact(EntityName(kContacts, {"acme", Id(member)}));
    *recorded.add_events() = event;
    return Deliver({"acme", Id(member)}, recorded);
  }
  // Members 1 to `count`, of whom each has spent 10 euros times their number.
  void CreateBuyers(int count) {
    CLM_ASSERT_OK(CreateClub());
    for (int i = 1; i <= count; ++i) {
      CLM_ASSERT_OK(Join(i));
      CLM_ASSERT_OK(Buys(i, 1000 * i, absl::Hours(24 * i)));
    }
    clock_.Advance(absl::Seconds(1));
  }

  static v1::CreateBonusRunRequest Asking(int64_t top_count = 0) {
    v1::CreateBonusRunRequest request;
    request.set_parent(kProgram);
    request.mutable_bonus_run()->set_points(50);
    request.mutable_bonus_run()->set_reason("the best of January");
    request.mutable_bonus_run()->mutable_criteria()->set_currency("EUR");
    request.mutable_bonus_run()->mutable_criteria()->set_top_count(top_count);
    return request;
  }
  absl::StatusOr<BonusRun> Create(const v1::CreateBonusRunRequest& request) {
    clock_.Advance(absl::Milliseconds(1));
    return AskOf(*process_->handlers, &BonusHandlers::CreateBonusRun, request);
  }
  // Begun, and carried out.
  BonusRun Done(const v1::CreateBonusRunRequest& request) {
    const auto run = Create(request);
    CLM_EXPECT_OK(run);
    if (!run.ok()) return {};
    CLM_EXPECT_OK(process_->runner->RunOnce());
    return Get(run->name());
  }
  absl::StatusOr<BonusRun> Cancel(const std::string& name) {
    v1::CancelBonusRunRequest request;
    request.set_name(name);
    return AskOf(*process_->handlers, &BonusHandlers::CancelBonusRun, request);
  }
  BonusRun Get(const std::string& name) {
    v1::GetBonusRunRequest request;
    request.set_name(name);
    const auto run = process_->handlers->GetBonusRun(CallNow(), request);
    CLM_EXPECT_OK(run);
    return run.value_or(BonusRun());
  }
  // Carried out until it is in this state.
  void RunUntil(const std::string& name, BonusRun::State state) {
    while (Get(name).state() != state) {
      const auto open = process_->reader.Open(10);
      CLM_ASSERT_OK(open);
      ASSERT_FALSE(open->empty());
      for (const auto& run : *open) CLM_ASSERT_OK(process_->runner->Step(run));
    }
  }
  std::vector<BonusRunMember> MembersOf(
      const std::string& run, BonusRunMember::State state = BonusRunMember::STATE_UNSPECIFIED,
      int member = 0) {
    v1::ListBonusRunMembersRequest request;
    request.set_parent(run);
    request.set_state(state);
    request.set_page_size(2);
    if (member > 0) request.set_member(MemberName(member));
    std::vector<BonusRunMember> members;
    do {
      const auto page = process_->handlers->ListBonusRunMembers(CallNow(), request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) return members;
      EXPECT_LE(page->members_size(), 2);
      members.insert(members.end(), page->members().begin(), page->members().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return members;
  }
  // Their numbers.
  std::vector<int> In(const std::string& run,
                      BonusRunMember::State state = BonusRunMember::STATE_UNSPECIFIED) {
    std::vector<int> numbers;
    for (const BonusRunMember& member : MembersOf(run, state)) {
      for (int i = 1; i < 100; ++i) {
        if (member.member() == MemberName(i)) numbers.push_back(i);
      }
    }
    return numbers;
  }
  // By how many postings each member got the bonus; all of the run.
  int64_t Bonuses() {
    return Count("SELECT count(*) FROM posting_note WHERE strpos(reason, 'bonusRuns/') > 0");
  }
  std::vector<int64_t> BonusesOf(int count) {
    std::vector<int64_t> bonuses;
    for (int i = 1; i <= count; ++i) {
      bonuses.push_back(Count(
          absl::StrCat("SELECT count(*) FROM posting_note WHERE strpos(reason, 'bonusRuns/') > 0 "
                       "AND contact_id = '",
                       Id(i).ToString(), "'")));
    }
    return bonuses;
  }

  std::unique_ptr<Process> process_;
  int events_ = 0;
};

TEST_F(BonusTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(BonusWorkStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(BonusReaderStatements()));
}

// ---- Who is in, and why.

TEST_F(BonusTest, TheBestShareGetsTheBonusOnce) {
  CreateBuyers(10);
  auto request = Asking();
  request.mutable_bonus_run()->mutable_criteria()->set_top_basis_points(2500);
  const BonusRun run = Done(request);
  EXPECT_EQ(run.state(), BonusRun::STATE_SUCCEEDED);
  EXPECT_EQ(run.member_count(), 10);
  EXPECT_EQ(run.eligible_count(), 10);
  EXPECT_EQ(run.qualified_count(), 3);
  EXPECT_EQ(run.granted_count(), 3);
  EXPECT_EQ(run.granted_points(), 150);
  EXPECT_EQ(run.created_by(), "token:ada");
  EXPECT_TRUE(run.has_end_time());
  EXPECT_THAT(In(run.name()), ElementsAre(10, 9, 8));
  EXPECT_THAT(BonusesOf(10), ElementsAre(0, 0, 0, 0, 0, 0, 0, 1, 1, 1));
  EXPECT_EQ(BalanceOf(10).active(), 1 + 10 + 50);
  const v1::Posting posting = StatementOf(10)[0];
  EXPECT_EQ(posting.kind(), v1::Posting::KIND_ADJUST);
  EXPECT_EQ(posting.amount(), 50);
  EXPECT_THAT(posting.reason(), HasSubstr("the best of January"));
  EXPECT_THAT(posting.reason(), HasSubstr(run.name().substr(run.name().rfind('/') + 1)));
  EXPECT_EQ(posting.actor(), "token:ada");
  const BonusRunMember best = MembersOf(run.name())[0];
  EXPECT_EQ(best.state(), BonusRunMember::STATE_GRANTED);
  EXPECT_EQ(best.posting(), posting.name());
  // Nothing is given by looking again.
  CLM_ASSERT_OK(process_->runner->RunOnce());
  EXPECT_EQ(Bonuses(), 3);
  ExpectSound();
}

TEST_F(BonusTest, TheFiguresSayWhyAMemberIsIn) {
  CreateBuyers(4);
  CLM_ASSERT_OK(Buys(2, 1500, absl::Hours(24 * 40)));
  auto request = Asking(2);
  request.mutable_bonus_run()->mutable_criteria()->set_window_days(30);
  const BonusRun run = Done(request);
  const auto members = MembersOf(run.name());
  ASSERT_THAT(members, SizeIs(2));
  EXPECT_EQ(members[0].member(), MemberName(4));
  EXPECT_EQ(members[0].tier(), "bronze");
  EXPECT_EQ(members[0].spend_minor(), 4000);
  EXPECT_EQ(members[0].purchases(), 1);
  EXPECT_EQ(members[0].days_since_purchase(), 4);
  EXPECT_EQ(members[0].rank(), 1);
  EXPECT_EQ(members[0].ranked_count(), 4);
  EXPECT_THAT(members[0].explanation(), HasSubstr("rank 1 of 4 (25.00%)"));
  EXPECT_EQ(members[1].rank(), 2);
}

TEST_F(BonusTest, WhoTiesAtTheBorderIsInWhereverThePageEnds) {
  CLM_ASSERT_OK(CreateClub());
  for (int i = 1; i <= 8; ++i) {
    CLM_ASSERT_OK(Join(i));
    CLM_ASSERT_OK(Buys(i, i == 8 ? 9000 : i <= 5 ? 5000 : 1000));
  }
  const BonusRun run = Done(Asking(2));
  EXPECT_EQ(run.qualified_count(), 6);
  EXPECT_THAT(In(run.name()), UnorderedElementsAre(8, 1, 2, 3, 4, 5));
  EXPECT_THAT(BonusesOf(8), ElementsAre(1, 1, 1, 1, 1, 0, 0, 1));
  EXPECT_EQ(MembersOf(run.name())[5].rank(), 2);
  // Nobody else is kept.
  EXPECT_EQ(Count("SELECT count(*) FROM bonus_member"), 6);
}

TEST_F(BonusTest, WhatIsBoughtCountsNetAndInItsCurrencyAlone) {
  CLM_ASSERT_OK(CreateClub());
  for (int i = 1; i <= 5; ++i) CLM_ASSERT_OK(Join(i));
  // Too little for a point, and money all the same.
  CLM_ASSERT_OK(Buys(1, 99));
  CLM_ASSERT_OK(Buys(2, 9000));
  CLM_ASSERT_OK(Refunds(2, 1, 8900));
  CLM_ASSERT_OK(Buys(3, 9000, absl::ZeroDuration(), "USD"));
  CLM_ASSERT_OK(Buys(4, 5000));
  CLM_ASSERT_OK(Refunds(4, 4, 5000));
  CLM_ASSERT_OK(Buys(5, 9000, absl::ZeroDuration(), "EUR", "download"));
  auto request = Asking();
  request.mutable_bonus_run()->mutable_criteria()->set_condition("member_days >= 0");
  const BonusRun run = Done(request);
  std::map<std::string, std::pair<int64_t, int64_t>> spent;
  for (const BonusRunMember& member : MembersOf(run.name())) {
    spent[member.member()] = {member.spend_minor(), member.purchases()};
  }
  EXPECT_EQ(spent[MemberName(1)], std::pair(int64_t{99}, int64_t{1}));
  EXPECT_EQ(spent[MemberName(2)], std::pair(int64_t{100}, int64_t{1}));
  EXPECT_EQ(spent[MemberName(3)], std::pair(int64_t{0}, int64_t{1}));
  EXPECT_EQ(spent[MemberName(4)], std::pair(int64_t{0}, int64_t{0}));
  EXPECT_EQ(spent[MemberName(5)], std::pair(int64_t{0}, int64_t{0}));
}

TEST_F(BonusTest, OrdersCountOnceTheyAreClosedLessWhatCameBack) {
  CLM_ASSERT_OK(CreateClub());
  OrderModulePart orders(node_->pool.get(), &node_->lanes, &node_->tokens);
  const auto order = [&](int member, const std::string& id, bool close) {
    v1::CreateOrderRequest request;
    request.set_parent(kProgram);
    request.set_order_id(id);
    request.set_close(close);
    request.mutable_order()->set_member(MemberName(member));
    request.mutable_order()->set_currency("EUR");
    v1::OrderLine* line = request.mutable_order()->add_lines();
    line->set_id("mugs");
    line->set_quantity(3);
    line->set_unit_price_minor(1000);
    CLM_EXPECT_OK(AskOf(orders.handlers(), &OrderHandlers::CreateOrder, request));
  };
  const auto give_back = [&](const std::string& id, int64_t mugs) {
    v1::ReturnOrderLinesRequest request;
    request.set_name(absl::StrCat(kProgram, "/orders/", id));
    v1::ReturnedUnits* units = request.add_lines();
    units->set_line_id("mugs");
    units->set_quantity(mugs);
    CLM_EXPECT_OK(AskOf(orders.handlers(), &OrderHandlers::ReturnOrderLines, request));
  };
  for (int i = 1; i <= 5; ++i) CLM_ASSERT_OK(Join(i));
  order(1, "closed", true);
  order(1, "second", true);
  order(2, "open", false);
  order(3, "partly", true);
  give_back("partly", 1);
  order(4, "whole", true);
  give_back("whole", 3);
  order(5, "cancelled", true);
  v1::CancelOrderRequest cancel;
  cancel.set_name(absl::StrCat(kProgram, "/orders/cancelled"));
  CLM_EXPECT_OK(AskOf(orders.handlers(), &OrderHandlers::CancelOrder, cancel));
  auto request = Asking();
  request.mutable_bonus_run()->mutable_criteria()->set_minimum_spend_minor(1);
  const BonusRun run = Done(request);
  const auto members = MembersOf(run.name());
  ASSERT_THAT(In(run.name()), ElementsAre(1, 3));
  EXPECT_EQ(members[0].spend_minor(), 6000);
  EXPECT_EQ(members[0].purchases(), 2);
  EXPECT_EQ(members[1].spend_minor(), 2000);
  EXPECT_EQ(members[1].purchases(), 1);
}

TEST_F(BonusTest, WhatSomebodyBoughtUnderAnOlderNameIsTheirs) {
  CreateBuyers(3);
  CLM_ASSERT_OK(Merge(3, 1));
  RunDue();
  const BonusRun run = Done(Asking(5));
  EXPECT_EQ(run.member_count(), 2);
  const auto members = MembersOf(run.name());
  ASSERT_THAT(In(run.name()), ElementsAre(3, 2));
  EXPECT_EQ(members[0].spend_minor(), 4000);
  EXPECT_EQ(members[0].purchases(), 2);
  EXPECT_EQ(members[0].days_since_purchase(), 1);
}

TEST_F(BonusTest, ATierIsThatOfTheMember) {
  CreateBuyers(3);
  CLM_ASSERT_OK(Earn(2, 200));
  auto request = Asking();
  request.mutable_bonus_run()->mutable_criteria()->add_tiers("gold");
  const BonusRun run = Done(request);
  EXPECT_THAT(In(run.name()), ElementsAre(2));
  EXPECT_EQ(MembersOf(run.name())[0].tier(), "gold");
  // The bonus itself makes nobody climb.
  auto rich = request;
  rich.mutable_bonus_run()->mutable_criteria()->clear_tiers();
  rich.mutable_bonus_run()->mutable_criteria()->set_condition("tier = bronze");
  rich.mutable_bonus_run()->set_points(1'000'000);
  EXPECT_EQ(Done(rich).granted_count(), 2);
  EXPECT_THAT(In(Done(request).name()), ElementsAre(2));
  ExpectSound();
}

TEST_F(BonusTest, WhatHappensAfterARunWasMadeIsNotSeenByIt) {
  CreateBuyers(3);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(1)));
  clock_.Advance(absl::Seconds(1));
  CLM_ASSERT_OK(Buys(1, 100'000));
  CLM_ASSERT_OK(Join(4));
  CLM_ASSERT_OK(process_->runner->RunOnce());
  EXPECT_THAT(In(run.name()), ElementsAre(3));
  EXPECT_EQ(Get(run.name()).member_count(), 3);
}

// ---- Dry runs.

TEST_F(BonusTest, ADryRunSaysWhoWouldAndChangesNothing) {
  CreateBuyers(5);
  auto request = Asking(2);
  request.mutable_bonus_run()->set_dry_run(true);
  const char* const kLedger =
      "SELECT (SELECT count(*) FROM posting) + (SELECT count(*) FROM lot) + "
      "(SELECT sum(active) FROM wallet)::bigint + (SELECT count(*) FROM posting_note)";
  const int64_t before = Count(kLedger);
  const BonusRun run = Done(request);
  EXPECT_EQ(run.state(), BonusRun::STATE_SUCCEEDED);
  EXPECT_EQ(run.qualified_count(), 2);
  EXPECT_EQ(run.granted_count(), 0);
  EXPECT_THAT(In(run.name(), BonusRunMember::STATE_QUALIFIED), ElementsAre(5, 4));
  EXPECT_EQ(Count(kLedger), before);
}

TEST_F(BonusTest, ADryRunLooksAheadAndNoOther) {
  CreateBuyers(3);
  auto request = Asking();
  request.mutable_bonus_run()->mutable_criteria()->set_not_bought_for_days(10);
  EXPECT_EQ(Done(request).qualified_count(), 0);
  clm::ToProto(clock_.Now() + absl::Hours(24 * 8),
               request.mutable_bonus_run()->mutable_as_of_time());
  EXPECT_THAT(Create(request), StatusIs(StatusCode::kInvalidArgument, HasSubstr("as_of_time")));
  request.mutable_bonus_run()->set_dry_run(true);
  const BonusRun run = Done(request);
  EXPECT_THAT(In(run.name()), ElementsAre(3, 2));
  EXPECT_EQ(MembersOf(run.name())[0].days_since_purchase(), 11);
  clm::ToProto(clock_.Now() - absl::Hours(1), request.mutable_bonus_run()->mutable_as_of_time());
  EXPECT_THAT(Create(request), StatusIs(StatusCode::kInvalidArgument, HasSubstr("past")));
}

// ---- Crashes, twins, and being stopped.

TEST_F(BonusTest, WhoeverGoesOnAfterACrashPaysNobodyTwice) {
  CreateBuyers(10);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(8)));
  // It dies when a page has been given and not noted, at each page once.
  for (const int64_t given : {3, 6, 8}) {
    process_->Restart([] { return absl::UnavailableError("killed"); });
    EXPECT_THAT(process_->runner->RunOnce(), StatusIs(StatusCode::kUnavailable));
    EXPECT_EQ(Bonuses(), given);
    EXPECT_EQ(Get(run.name()).state(), BonusRun::STATE_GRANTING);
    // Its successor gets one page further.
    process_ = Another();
    bool noted = false;
    process_->Restart([&] {
      return std::exchange(noted, true) ? absl::UnavailableError("killed") : absl::OkStatus();
    });
    if (given == 8) process_->Restart();
    if (given < 8) {
      const auto open = process_->reader.Open(10);
      CLM_ASSERT_OK(open);
      CLM_ASSERT_OK(process_->runner->Step(open->at(0)));
      EXPECT_EQ(Bonuses(), given);
    }
  }
  CLM_ASSERT_OK(process_->runner->RunOnce());
  const BonusRun done = Get(run.name());
  EXPECT_EQ(done.state(), BonusRun::STATE_SUCCEEDED);
  EXPECT_EQ(done.granted_count(), 8);
  EXPECT_THAT(BonusesOf(10), ElementsAre(0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  ExpectSound();
}

TEST_F(BonusTest, TheListIsFixedBeforeAnythingIsGiven) {
  CreateBuyers(6);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(4)));
  RunUntil(run.name(), BonusRun::STATE_GRANTING);
  CLM_ASSERT_OK(Buys(1, 1'000'000));
  process_ = Another();
  CLM_ASSERT_OK(process_->runner->RunOnce());
  EXPECT_THAT(BonusesOf(6), ElementsAre(0, 0, 1, 1, 1, 1));
}

TEST_F(BonusTest, TwinsCarryARunOutOnce) {
  CreateBuyers(20);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(15)));
  const auto other = Another();
  clm::testing::AtOnce(
      4, [&](int i) { CLM_EXPECT_OK((i % 2 == 0 ? process_ : other)->runner->RunOnce()); });
  const BonusRun done = Get(run.name());
  EXPECT_EQ(done.state(), BonusRun::STATE_SUCCEEDED);
  EXPECT_EQ(done.member_count(), 20);
  EXPECT_EQ(done.eligible_count(), 20);
  EXPECT_EQ(done.qualified_count(), 15);
  EXPECT_EQ(done.granted_count(), 15);
  EXPECT_EQ(Bonuses(), 15);
  EXPECT_THAT(BonusesOf(20), Each(::testing::Le(1)));
  ExpectSound();
}

TEST_F(BonusTest, WhatWasStoppedSaysExactlyWhatWasGiven) {
  CreateBuyers(10);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(8)));
  std::optional<BonusRun> answer;
  process_->Restart([&] {
    if (answer) return absl::OkStatus();
    const auto cancelled = Cancel(run.name());
    CLM_EXPECT_OK(cancelled);
    answer = cancelled.value_or(BonusRun());
    return absl::OkStatus();
  });
  CLM_ASSERT_OK(process_->runner->RunOnce());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->state(), BonusRun::STATE_CANCELLED);
  EXPECT_EQ(answer->granted_count(), 3);
  EXPECT_EQ(Bonuses(), 3);
  EXPECT_EQ(Get(run.name()).granted_count(), 3);
  EXPECT_THAT(In(run.name(), BonusRunMember::STATE_GRANTED), ElementsAre(10, 9, 8));
  EXPECT_THAT(In(run.name(), BonusRunMember::STATE_QUALIFIED), SizeIs(5));
  EXPECT_THAT(Cancel(run.name()), ReasonIs("BONUS_RUN_STATE"));
}

// Somebody stops it while others are giving.
TEST_F(BonusTest, NothingIsGivenAfterTheAnswerThatItWasStopped) {
  CreateBuyers(12);
  for (int round = 0; round < 5; ++round) {
    const int64_t before = Bonuses();
    CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(12)));
    RunUntil(run.name(), BonusRun::STATE_GRANTING);
    const auto other = Another();
    int64_t said = -1, seen = -1;
    clm::testing::AtOnce(3, [&](int i) {
      if (i == 0) {
        const auto cancelled = Cancel(run.name());
        CLM_EXPECT_OK(cancelled);
        said = cancelled.ok() ? cancelled->granted_count() : -1;
        seen = Bonuses() - before;
        return;
      }
      CLM_EXPECT_OK((i == 1 ? process_ : other)->runner->RunOnce());
    });
    EXPECT_EQ(said, seen);
    EXPECT_EQ(Bonuses() - before, said);
    EXPECT_EQ(Get(run.name()).granted_count(), said);
  }
  ExpectSound();
}

TEST_F(BonusTest, AGrantThatIsUnderWayIsWaitedForByWhoeverStops) {
  CreateBuyers(2);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun made, Create(Asking(1)));
  RunUntil(made.name(), BonusRun::STATE_GRANTING);
  const auto open = process_->reader.Open(1);
  CLM_ASSERT_OK(open);
  const auto& run = open->at(0);
  absl::Notification giving, may_go;
  std::thread grant([&] {
    const auto other = Another();
    journal::MutationInfo info;
    info.shards.set(ShardOf("acme", Id(2)));
    const BonusGrant grant{Id(2), Id(2)};
    CLM_EXPECT_OK(other->node.lanes.Run<LoyaltyWork>(
        std::move(info), [&](LoyaltyWork& work) { NeedBonusGrant(work, run, grant); },
        [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_RETURN_IF_ERROR(GrantBonus(work, recorder, run, grant));
          giving.Notify();
          may_go.WaitForNotification();
          return std::string();
        }));
  });
  giving.WaitForNotification();
  absl::Notification stopped;
  std::thread stop([&] {
    const auto cancelled = Cancel(made.name());
    CLM_EXPECT_OK(cancelled);
    EXPECT_EQ(cancelled.ok() ? cancelled->granted_count() : -1, 1);
    stopped.Notify();
  });
  EXPECT_TRUE(Eventually([&] {
    return Count(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
               "AND query LIKE '%bonus_run%'") == 1 ||
           stopped.HasBeenNotified();
  }));
  may_go.Notify();
  grant.join();
  stop.join();
  EXPECT_EQ(Bonuses(), 1);
}

TEST_F(BonusTest, WhoeverStopsCountsWhatTheirOwnTransactionHasGiven) {
  CreateBuyers(2);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun made, Create(Asking(2)));
  RunUntil(made.name(), BonusRun::STATE_GRANTING);
  const auto open = process_->reader.Open(1);
  CLM_ASSERT_OK(open);
  const auto& run = open->at(0);
  const BonusGrant grant{Id(2), Id(2)};
  journal::MutationInfo info;
  info.shards.set(ShardOf("acme", Id(2)));
  CLM_EXPECT_OK(process_->node.lanes.Run<LoyaltyWork>(
      std::move(info),
      [&](LoyaltyWork& work) {
        NeedBonusGrant(work, run, grant);
        work.bonuses().NeedStopped(run.key);
      },
      [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(GrantBonus(work, recorder, run, grant));
        auto stopped = *work.bonuses().FindRun(run.key);
        work.bonuses().CountStaged(stopped);
        EXPECT_EQ(stopped.granted, 1);
        return std::string();
      }));
}

// ---- People who turn out to be one, and who are no more.

TEST_F(BonusTest, WhoWasMergedGetsItOnce) {
  CreateBuyers(8);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(8)));
  RunUntil(run.name(), BonusRun::STATE_GRANTING);
  // Heard and moved; heard alone; and into somebody who was not picked.
  CLM_ASSERT_OK(Merge(8, 7));
  RunDue();
  CLM_ASSERT_OK(Merge(1, 6));
  CLM_ASSERT_OK(Merge(50, 4));
  CLM_ASSERT_OK(Merge(50, 3));
  CLM_ASSERT_OK(process_->runner->RunOnce());
  RunDue();
  CLM_ASSERT_OK(process_->runner->RunOnce());
  const BonusRun done = Get(run.name());
  EXPECT_EQ(done.state(), BonusRun::STATE_SUCCEEDED);
  EXPECT_EQ(done.granted_count(), 5);
  EXPECT_EQ(done.merged_count(), 3);
  EXPECT_EQ(Bonuses(), 5);
  EXPECT_THAT(In(run.name(), BonusRunMember::STATE_MERGED), SizeIs(3));
  EXPECT_EQ(BalanceOf(8).active(), BalanceOf(7).active());
  // By whichever name they are asked for.
  EXPECT_THAT(MembersOf(run.name(), BonusRunMember::STATE_UNSPECIFIED, 7), SizeIs(2));
  EXPECT_THAT(MembersOf(run.name(), BonusRunMember::STATE_GRANTED, 50), SizeIs(1));
  EXPECT_THAT(MembersOf(run.name(), BonusRunMember::STATE_UNSPECIFIED, 5), SizeIs(1));
  ExpectSound();
}

TEST_F(BonusTest, WhoGotItBeforeTheMergeGetsItNoMore) {
  CreateBuyers(6);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(6)));
  bool merged = false;
  process_->Restart([&] { return std::exchange(merged, true) ? absl::OkStatus() : Merge(1, 6); });
  CLM_ASSERT_OK(process_->runner->RunOnce());
  EXPECT_EQ(Get(run.name()).granted_count(), 5);
  EXPECT_EQ(Get(run.name()).merged_count(), 1);
  EXPECT_THAT(In(run.name(), BonusRunMember::STATE_MERGED), ElementsAre(1));
  EXPECT_THAT(BonusesOf(6), ElementsAre(0, 1, 1, 1, 1, 1));
}

// The one of two transactions that has read the old name must not miss what the other one does.
TEST_F(BonusTest, AMergeThatIsHeardWhileBothArePaidPaysOnce) {
  CreateBuyers(2);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun made, Create(Asking(2)));
  RunUntil(made.name(), BonusRun::STATE_GRANTING);
  const auto open = process_->reader.Open(1);
  CLM_ASSERT_OK(open);
  const auto& run = open->at(0);
  // Member 2 is paid under its own name, in a transaction that waits before it commits.
  absl::Notification giving, may_go;
  std::thread early([&] {
    const auto other = Another();
    journal::MutationInfo info;
    info.shards.set(ShardOf("acme", Id(2)));
    const BonusGrant grant{Id(2), Id(2)};
    CLM_EXPECT_OK(other->node.lanes.Run<LoyaltyWork>(
        std::move(info), [&](LoyaltyWork& work) { NeedBonusGrant(work, run, grant); },
        [&](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
          CLM_RETURN_IF_ERROR(GrantBonus(work, recorder, run, grant));
          giving.Notify();
          may_go.WaitForNotification();
          return std::string();
        }));
  });
  giving.WaitForNotification();
  CLM_ASSERT_OK(Merge(1, 2));
  absl::Notification done;
  std::thread late([&] {
    CLM_EXPECT_OK(process_->runner->RunOnce());
    done.Notify();
  });
  EXPECT_TRUE(Eventually([&] {
    return Count(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
               "AND query LIKE '%bonus_member%'") >= 1 ||
           done.HasBeenNotified();
  }));
  may_go.Notify();
  early.join();
  late.join();
  EXPECT_EQ(Bonuses(), 1);
  EXPECT_EQ(Get(made.name()).granted_count(), 1);
  EXPECT_EQ(Get(made.name()).merged_count(), 1);
}

TEST_F(BonusTest, WhoWasErasedIsForgottenAndGetsNothing) {
  CreateBuyers(5);
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(3)));
  RunUntil(run.name(), BonusRun::STATE_GRANTING);
  CLM_ASSERT_OK(Erase(4));
  CLM_ASSERT_OK(process_->runner->RunOnce());
  EXPECT_EQ(Get(run.name()).granted_count(), 2);
  EXPECT_THAT(In(run.name()), ElementsAre(5, 3));
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM bonus_member WHERE contact_id = '",
                               Id(4).ToString(), "'")),
            0);
  // Nor are they picked any more.
  EXPECT_THAT(In(Done(Asking(5)).name()), ElementsAre(5, 3, 2, 1));
}

TEST_F(BonusTest, WhatCannotBeGivenIsToldAndHoldsUpNobody) {
  CreateBuyers(3);
  v1::AdjustPointsRequest most;
  most.set_member(MemberName(2));
  most.set_amount(kMaxPoints - 3);
  most.set_reason("as many as there can be");
  CLM_ASSERT_OK(Do(&Node::ledger, &LedgerHandlers::AdjustPoints, most));
  const BonusRun run = Done(Asking(3));
  EXPECT_EQ(run.state(), BonusRun::STATE_SUCCEEDED);
  EXPECT_EQ(run.granted_count(), 2);
  EXPECT_EQ(run.refused_count(), 1);
  const auto refused = MembersOf(run.name(), BonusRunMember::STATE_REFUSED);
  ASSERT_THAT(refused, SizeIs(1));
  EXPECT_EQ(refused[0].member(), MemberName(2));
  EXPECT_NE(refused[0].refusal(), "");
  EXPECT_EQ(refused[0].posting(), "");
}

// ---- The RPCs.

TEST_F(BonusTest, WhatIsAskedForIsChecked) {
  EXPECT_THAT(Create(Asking(1)), StatusIs(StatusCode::kNotFound));
  CLM_ASSERT_OK(CreateClub());
  auto request = Asking();
  request.mutable_bonus_run()->mutable_criteria()->add_tiers("lead");
  request.mutable_bonus_run()->set_expiry("soon");
  request.mutable_bonus_run()->set_wallet("miles");
  const auto run = Create(request);
  EXPECT_THAT(run, StatusIs(StatusCode::kInvalidArgument));
  std::vector<std::string> fields;
  for (const auto& [field, what] : error::FieldViolations(run.status())) fields.push_back(field);
  EXPECT_THAT(fields,
              ElementsAre("bonus_run.criteria.tiers[0]", "bonus_run.expiry", "bonus_run.wallet"));
  v1::ListBonusRunMembersRequest members;
  members.set_parent(absl::StrCat(kProgram, "/bonusRuns/", Id(9).ToString()));
  EXPECT_THAT(process_->handlers->ListBonusRunMembers(CallNow(), members),
              StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Cancel(members.parent()), StatusIs(StatusCode::kNotFound));
  v1::ListBonusRunsRequest runs;
  runs.set_parent("tenants/acme/programs/other");
  EXPECT_THAT(process_->handlers->ListBonusRuns(CallNow(), runs), StatusIs(StatusCode::kNotFound));
}

TEST_F(BonusTest, ARequestThatIsRepeatedMakesOneRun) {
  CreateBuyers(2);
  auto request = Asking(1);
  request.set_request_id(Id(70).ToString());
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun first, Create(request));
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun second, Create(request));
  EXPECT_EQ(first.name(), second.name());
  CLM_ASSERT_OK(process_->runner->RunOnce());
  EXPECT_EQ(Bonuses(), 1);
}

TEST_F(BonusTest, RunsAreListedNewestFirst) {
  CreateBuyers(1);
  std::vector<std::string> made;
  for (int i = 0; i < 3; ++i) {
    CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(1)));
    made.insert(made.begin(), run.name());
  }
  v1::ListBonusRunsRequest request;
  request.set_parent(kProgram);
  request.set_page_size(2);
  std::vector<std::string> listed;
  do {
    CLM_ASSERT_OK_AND_ASSIGN(const auto page,
                             process_->handlers->ListBonusRuns(CallNow(), request));
    for (const BonusRun& run : page.bonus_runs()) listed.push_back(run.name());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, made);
}

TEST_F(BonusTest, TheBackgroundCarriesARunOutAndTellsOfIt) {
  CreateBuyers(3);
  process_->runner->Start();
  CLM_ASSERT_OK_AND_ASSIGN(const BonusRun run, Create(Asking(2)));
  EXPECT_TRUE(Eventually([&] { return Get(run.name()).state() == BonusRun::STATE_SUCCEEDED; }));
  process_->runner->Stop();
  EXPECT_EQ(Bonuses(), 2);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type = 'clm.loyalty.v1.BonusRunChanged'"), 2);
  EXPECT_EQ(Count("SELECT count(*) FROM journal AS t WHERE "
                  "strpos(t::text, encode('the best of January', 'hex')) > 0"),
            0);
}

}  // namespace
}  // namespace clm::loyalty
