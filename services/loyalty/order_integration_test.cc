// Orders over their RPCs, on PostgreSQL.
#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clm/loyalty/v1/order_event.pb.h"
#include "libs/testing/at_once.h"
#include "libs/testing/eventually.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/order_module_part.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using H = OrderHandlers;
using v1::Order;
using v1::Wallet;

struct Line {
  std::string id;
  int64_t quantity;
  int64_t price;
  int64_t discount = 0;
};

class OrderTest : public LoyaltyTest {
 protected:
  // A process of its own on the same database.
  struct Process {
    Process(const std::string& dsn, const Clock* clock) : node(dsn, clock) {}
    Node node;
    OrderModulePart part{node.pool.get(), &node.lanes, &node.tokens};
  };

  OrderTest() : part_(node_->pool.get(), &node_->lanes, &node_->tokens) {}

  template <class Req, class Resp>
  absl::StatusOr<Resp> Ask(void (H::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                           const Req& request, Process* process = nullptr) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    ((process == nullptr ? part_ : process->part).handlers().*rpc)(
        CallNow(), request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
          result = std::move(r);
          done.Notify();
        }));
    done.WaitForNotification();
    return result;
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Ask(absl::StatusOr<Resp> (H::*rpc)(const rpc::Call&, const Req&),
                           const Req& request) {
    return (part_.handlers().*rpc)(CallNow(), request);
  }

  // A point for each euro of an order.
  static v1::Program Rules(Wallet::ReturnPolicy policy = Wallet::RETURN_POLICY_WITHIN_BALANCE) {
    v1::Program program;
    program.set_time_zone("Europe/Berlin");
    v1::Wallet* wallet = program.add_wallets();
    wallet->set_id("points");
    wallet->set_return_policy(policy);
    v1::EarnRule* euros = program.add_earn_rules();
    euros->set_id("euros");
    euros->set_for_orders(true);
    euros->set_earning(v1::EarnRule::EARNING_PER_MONEY);
    euros->set_points(1);
    euros->set_per(100);
    euros->set_currency("EUR");
    return program;
  }
  absl::StatusOr<v1::Program> Create(v1::Program program) {
    v1::CreateProgramRequest request;
    request.set_parent("tenants/acme");
    request.set_program_id("club");
    *request.mutable_program() = std::move(program);
    return Do(&Node::programs, &ProgramHandlers::CreateProgram, request);
  }

  static std::string OrderName(const std::string& id) {
    return absl::StrCat(kProgram, "/orders/", id);
  }
  static void SetLines(const std::vector<Line>& lines, Order& order) {
    order.clear_lines();
    for (const Line& line : lines) {
      v1::OrderLine* to = order.add_lines();
      to->set_id(line.id);
      to->set_sku("sku-" + line.id);
      to->set_quantity(line.quantity);
      to->set_unit_price_minor(line.price);
      to->set_discount_minor(line.discount);
    }
  }
  // Of 45.00 EUR unless there are other lines.
  static v1::CreateOrderRequest NewOrder(const std::string& id, int member = 1,
                                         const std::vector<Line>& lines = {
                                             {"mugs", 3, 1000}, {"bags", 1, 2000, 500}}) {
    v1::CreateOrderRequest request;
    request.set_parent(kProgram);
    request.set_order_id(id);
    request.mutable_order()->set_member(MemberName(member));
    request.mutable_order()->set_currency("EUR");
    SetLines(lines, *request.mutable_order());
    return request;
  }
  absl::StatusOr<Order> Open(const std::string& id, int member = 1) {
    return Ask(&H::CreateOrder, NewOrder(id, member));
  }
  absl::StatusOr<Order> Bought(const std::string& id, const std::vector<Line>& lines,
                               int member = 1) {
    auto request = NewOrder(id, member, lines);
    request.set_close(true);
    return Ask(&H::CreateOrder, request);
  }
  absl::StatusOr<Order> Bought(const std::string& id, int member = 1) {
    return Bought(id, {{"mugs", 3, 1000}, {"bags", 1, 2000, 500}}, member);
  }
  template <class Req>
  static Req Of(const std::string& id, bool dry_run = false) {
    Req request;
    request.set_name(OrderName(id));
    request.set_dry_run(dry_run);
    return request;
  }
  absl::StatusOr<v1::CloseOrderResponse> Close(const std::string& id, bool dry_run = false) {
    return Ask(&H::CloseOrder, Of<v1::CloseOrderRequest>(id, dry_run));
  }
  absl::StatusOr<Order> CancelOrder(const std::string& id, bool dry_run = false) {
    return Ask(&H::CancelOrder, Of<v1::CancelOrderRequest>(id, dry_run));
  }
  absl::StatusOr<Order> Reopen(const std::string& id, bool dry_run = false) {
    return Ask(&H::ReopenOrder, Of<v1::ReopenOrderRequest>(id, dry_run));
  }
  static v1::ReturnOrderLinesRequest BackOf(const std::string& id, const std::string& line,
                                            int64_t quantity, const std::string& return_id = "") {
    auto request = Of<v1::ReturnOrderLinesRequest>(id);
    request.set_return_id(return_id);
    v1::ReturnedUnits* units = request.add_lines();
    units->set_line_id(line);
    units->set_quantity(quantity);
    return request;
  }
  absl::StatusOr<Order> Back(const std::string& id, const std::string& line, int64_t quantity,
                             const std::string& return_id = "") {
    return Ask(&H::ReturnOrderLines, BackOf(id, line, quantity, return_id));
  }
  absl::StatusOr<Order> Change(const std::string& id, const std::vector<Line>& lines) {
    v1::UpdateOrderRequest request;
    request.mutable_order()->set_name(OrderName(id));
    SetLines(lines, *request.mutable_order());
    request.mutable_update_mask()->add_paths("lines");
    return Ask(&H::UpdateOrder, request);
  }
  absl::StatusOr<Order> Get(const std::string& id) {
    v1::GetOrderRequest request;
    request.set_name(OrderName(id));
    return Ask(&H::GetOrder, request);
  }
  // Ids, newest first.
  std::vector<std::string> ListOf(const std::string& filter, int member = 0) {
    v1::ListOrdersRequest request;
    request.set_parent(kProgram);
    request.set_filter(filter);
    request.set_page_size(2);
    if (member != 0) request.set_member(MemberName(member));
    std::vector<std::string> ids;
    do {
      const auto page = Ask(&H::ListOrders, request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) return ids;
      for (const Order& order : page->orders()) {
        ids.push_back(order.name().substr(OrderName("").size()));
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return ids;
  }

  int64_t Written() {
    return Count(
        "SELECT (SELECT count(*) FROM journal) + (SELECT count(*) FROM posting) + "
        "(SELECT count(*) FROM request) + (SELECT count(*) FROM member) + "
        "(SELECT coalesce(sum(version), 0) FROM customer_order)::bigint + "
        "(SELECT coalesce(sum(points), 0) FROM earn_count)::bigint");
  }
  template <class Resp>
  void ExpectRefused(const std::string& reason, StatusCode code,
                     const std::function<absl::StatusOr<Resp>()>& act) {
    const int64_t before = Written();
    const absl::StatusOr<Resp> refused = act();
    EXPECT_THAT(refused, StatusIs(code)) << reason;
    EXPECT_THAT(refused, ReasonIs(reason));
    EXPECT_EQ(Written(), before) << reason;
  }
  // What was told of orders, in its order.
  std::vector<std::string> Told() {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    std::vector<std::string> told;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                           tx.ExecDynamic("SELECT event FROM journal WHERE type LIKE "
                                          "'%.OrderChanged' ORDER BY shard, off"));
      for (int i = 0; i < rows.size(); ++i) {
        event::v1::Event event;
        v1::OrderChanged changed;
        event.ParseFromString(rows[i].Bytes(0));
        changed.ParseFromString(event.payload());
        EXPECT_EQ(event.subject(), changed.order().name());
        told.push_back(
            v1::OrderChanged::Change_Name(changed.change()).substr(sizeof("CHANGE_") - 1));
      }
      return absl::OkStatus();
    }));
    return told;
  }

  OrderModulePart part_;
};

TEST_F(OrderTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(node_->pool->Prepare(OrderWorkStatements()));
  CLM_EXPECT_OK(node_->pool->Prepare(OrderReaderStatements()));
}

TEST_F(OrderTest, AnOrderEarnsWhenItIsClosedAndNotBefore) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK_AND_ASSIGN(const Order open, Open("1042"));
  EXPECT_EQ(open.name(), OrderName("1042"));
  EXPECT_EQ(open.state(), Order::STATE_OPEN);
  EXPECT_EQ(open.amount_minor(), 4500);
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 0);
  CLM_ASSERT_OK(Change("1042", {{"mugs", 4, 1000}, {"bags", 1, 2000, 500}}));
  clock_.Advance(absl::Hours(1));
  CLM_ASSERT_OK_AND_ASSIGN(const auto closed, Close("1042"));
  EXPECT_EQ(closed.order().state(), Order::STATE_CLOSED);
  EXPECT_EQ(clm::FromProto(closed.order().close_time()), clock_.Now());
  ASSERT_THAT(closed.outcomes(), SizeIs(1));
  EXPECT_EQ(closed.outcomes(0).points(), 55);
  ASSERT_THAT(closed.order().earnings(), SizeIs(1));
  EXPECT_EQ(closed.order().earnings(0).points(), 55);
  EXPECT_EQ(closed.order().lines(0).points(0).earned(), 40);
  EXPECT_EQ(closed.order().lines(1).points(0).earned(), 15);
  EXPECT_EQ(BalanceOf(1).active(), 55);
  const auto statement = StatementOf(1);
  ASSERT_THAT(statement, SizeIs(1));
  EXPECT_EQ(statement[0].order(), OrderName("1042"));
  EXPECT_EQ(statement[0].name(), closed.order().earnings(0).posting());
  EXPECT_EQ(statement[0].reason(), "rule euros, order 1042");
  EXPECT_EQ(Get("1042")->SerializeAsString(), closed.order().SerializeAsString());

  CLM_ASSERT_OK_AND_ASSIGN(const Order cancelled, CancelOrder("1042"));
  EXPECT_EQ(cancelled.state(), Order::STATE_CANCELLED);
  EXPECT_EQ(cancelled.earnings(0).taken_back(), 55);
  EXPECT_EQ(cancelled.lines(0).points(0).returned(), 40);
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_THAT(Told(), ElementsAre("OPENED", "UPDATED", "CLOSED", "CANCELLED"));
  ExpectSound();
}

// Nobody has to be a member to order.
TEST_F(OrderTest, AnOrderThatBringsNothingMovesAllTheSame) {
  v1::Program program = Rules();
  program.mutable_tier_scheme()->add_tiers()->set_id("bronze");
  CLM_ASSERT_OK(Create(program));
  auto request = NewOrder("1");
  request.mutable_order()->set_currency("CHF");
  request.set_close(true);
  CLM_ASSERT_OK_AND_ASSIGN(const Order order, Ask(&H::CreateOrder, request));
  EXPECT_THAT(order.earnings(), IsEmpty());
  CLM_ASSERT_OK(Reopen("1"));
  CLM_ASSERT_OK(Close("1"));
  CLM_ASSERT_OK_AND_ASSIGN(const Order back, Back("1", "mugs", 1));
  EXPECT_EQ(back.returns(0).taken_back() + back.returns(0).not_taken(), 0);
  CLM_ASSERT_OK(CancelOrder("1"));
  EXPECT_EQ(Count("SELECT count(*) FROM member"), 0);
}

TEST_F(OrderTest, OrdersAreListedNewestFirst) {
  CLM_ASSERT_OK(Create(Rules()));
  for (const char* id : {"1", "2", "3"}) {
    CLM_ASSERT_OK(Open(id));
    clock_.Advance(absl::Seconds(1));
  }
  CLM_ASSERT_OK(Bought("4", 2));
  CLM_ASSERT_OK(Close("2"));
  EXPECT_THAT(ListOf(""), ElementsAre("4", "3", "2", "1"));
  EXPECT_THAT(ListOf("", 1), ElementsAre("3", "2", "1"));
  EXPECT_THAT(ListOf("state = CLOSED"), ElementsAre("4", "2"));
  EXPECT_THAT(ListOf("state = OPEN AND amount_minor > 4500"), IsEmpty());
  v1::ListOrdersRequest request;
  request.set_parent(kProgram);
  request.set_filter("price > 1");
  EXPECT_THAT(Ask(&H::ListOrders, request),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("filter")));
  request.set_parent("tenants/acme/programs/other");
  request.set_filter("");
  EXPECT_THAT(Ask(&H::ListOrders, request), StatusIs(StatusCode::kNotFound));
}

TEST_F(OrderTest, MovesThatAnOrderDoesNotMakeAreRefused) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Open("open"));
  CLM_ASSERT_OK(Bought("closed"));
  CLM_ASSERT_OK(Bought("returned"));
  CLM_ASSERT_OK(Back("returned", "mugs", 1));
  CLM_ASSERT_OK(Open("cancelled"));
  CLM_ASSERT_OK(CancelOrder("cancelled"));
  const auto refused = [&](const std::function<absl::StatusOr<Order>()>& act) {
    ExpectRefused<Order>("ORDER_STATE", StatusCode::kFailedPrecondition, act);
  };
  for (const char* id : {"closed", "returned", "cancelled"}) {
    SCOPED_TRACE(id);
    ExpectRefused<v1::CloseOrderResponse>("ORDER_STATE", StatusCode::kFailedPrecondition,
                                          [&] { return Close(id); });
    refused([&] { return Change(id, {{"mugs", 1, 1}}); });
  }
  for (const char* id : {"open", "returned", "cancelled"}) {
    SCOPED_TRACE(id);
    refused([&] { return Reopen(id); });
  }
  for (const char* id : {"open", "cancelled"}) {
    SCOPED_TRACE(id);
    refused([&] { return Back(id, "mugs", 1); });
  }
  refused([&] { return CancelOrder("cancelled"); });
  EXPECT_EQ(error::MetadataValue(CancelOrder("cancelled").status(), "from"), "CANCELLED");
  EXPECT_EQ(error::MetadataValue(Back("open", "mugs", 1).status(), "allowed"), "CLOSED, CANCELLED");
}

// 10 points for 3 mugs of 3.34.
TEST_F(OrderTest, WhatUnitsBringBackSumsUpToWhatTheirLineBrought) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK_AND_ASSIGN(const Order order, Bought("1", {{"mugs", 3, 334}, {"bags", 1, 900}}));
  ASSERT_EQ(order.earnings(0).points(), 19);
  EXPECT_EQ(order.lines(0).points(0).earned() + order.lines(1).points(0).earned(), 19);
  std::vector<int64_t> taken;
  for (int i = 0; i < 3; ++i) {
    CLM_ASSERT_OK_AND_ASSIGN(const Order back, Back("1", "mugs", 1));
    EXPECT_EQ(back.state(), Order::STATE_PARTIALLY_RETURNED);
    taken.push_back(back.returns(i).taken_back());
  }
  EXPECT_THAT(taken, ElementsAre(3, 3, 4));
  EXPECT_EQ(BalanceOf(1).active(), 9);
  EXPECT_THAT(Back("1", "mugs", 1), StatusIs(StatusCode::kInvalidArgument, HasSubstr("at most 0")));
  CLM_ASSERT_OK_AND_ASSIGN(const Order cancelled, CancelOrder("1"));
  EXPECT_EQ(cancelled.earnings(0).taken_back(), 19);
  EXPECT_EQ(BalanceOf(1).active(), 0);
  ExpectSound();
}

TEST_F(OrderTest, AReturnIsToldOnce) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Bought("1"));
  CLM_ASSERT_OK_AND_ASSIGN(const Order back, Back("1", "mugs", 1, "rma-9"));
  const int64_t before = Count("SELECT count(*) FROM posting");
  CLM_ASSERT_OK_AND_ASSIGN(const Order again, Back("1", "mugs", 1, "rma-9"));
  EXPECT_EQ(again.SerializeAsString(), back.SerializeAsString());
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), before);
  ExpectRefused<Order>("RETURN_ID_REUSED", StatusCode::kAlreadyExists,
                       [&] { return Back("1", "mugs", 2, "rma-9"); });
  CLM_EXPECT_OK(CancelOrder("1"));
  CLM_EXPECT_OK(Back("1", "mugs", 1, "rma-9"));
  EXPECT_EQ(BalanceOf(1).active(), 0);
}

struct Spent {
  Wallet::ReturnPolicy policy;
  int64_t taken, active, debt;
};
class OrderPolicyTest : public OrderTest, public ::testing::WithParamInterface<Spent> {};
INSTANTIATE_TEST_SUITE_P(Each, OrderPolicyTest,
                         ::testing::Values(Spent{Wallet::RETURN_POLICY_WITHIN_BALANCE, 5, 0, 0},
                                           Spent{Wallet::RETURN_POLICY_UNLIMITED, 45, 0, 40},
                                           Spent{Wallet::RETURN_POLICY_ONLY_PENDING, 0, 5, 0}));

TEST_P(OrderPolicyTest, ACancelledOrderTakesBackAsFarAsTheWalletSays) {
  CLM_ASSERT_OK(Create(Rules(GetParam().policy)));
  CLM_ASSERT_OK(Bought("1"));
  CLM_ASSERT_OK(Redeem(1, 40));
  CLM_ASSERT_OK_AND_ASSIGN(const Order cancelled, CancelOrder("1"));
  EXPECT_EQ(cancelled.earnings(0).taken_back(), GetParam().taken);
  EXPECT_EQ(cancelled.earnings(0).not_taken(), 45 - GetParam().taken);
  EXPECT_EQ(BalanceOf(1).active(), GetParam().active);
  EXPECT_EQ(BalanceOf(1).debt(), GetParam().debt);
  ExpectSound();
}

TEST_P(OrderPolicyTest, AReturnTakesBackAsFarAsTheWalletSays) {
  CLM_ASSERT_OK(Create(Rules(GetParam().policy)));
  CLM_ASSERT_OK(Bought("1", {{"mugs", 9, 500}}));
  CLM_ASSERT_OK(Redeem(1, 40));
  CLM_ASSERT_OK(Back("1", "mugs", 4));
  CLM_ASSERT_OK_AND_ASSIGN(const Order back, Back("1", "mugs", 5));
  EXPECT_EQ(back.earnings(0).taken_back(), GetParam().taken);
  EXPECT_EQ(back.earnings(0).not_taken(), 45 - GetParam().taken);
  EXPECT_EQ(back.returns(0).taken_back() + back.returns(1).taken_back(), GetParam().taken);
  EXPECT_EQ(back.returns(0).not_taken() + back.returns(1).not_taken(), 45 - GetParam().taken);
  EXPECT_EQ(BalanceOf(1).active(), GetParam().active);
  EXPECT_EQ(BalanceOf(1).debt(), GetParam().debt);
  ExpectSound();
}

// Whatever was kept of it would be earned a second time.
TEST_P(OrderPolicyTest, AnOrderThatIsReopenedAndClosedAgainEarnsOnce) {
  CLM_ASSERT_OK(Create(Rules(GetParam().policy)));
  CLM_ASSERT_OK_AND_ASSIGN(const Order first, Bought("1"));
  CLM_ASSERT_OK(Redeem(1, 40));
  clock_.Advance(absl::Hours(50));
  CLM_ASSERT_OK_AND_ASSIGN(const Order open, Reopen("1"));
  EXPECT_EQ(open.state(), Order::STATE_OPEN);
  EXPECT_THAT(open.earnings(), IsEmpty());
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_EQ(BalanceOf(1).debt(), 40);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Close("1"));
  EXPECT_EQ(again.order().earnings(0).points(), 45);
  EXPECT_EQ(clm::FromProto(again.order().close_time()), clm::FromProto(first.close_time()));
  EXPECT_EQ(BalanceOf(1).active(), 5);
  EXPECT_EQ(BalanceOf(1).debt(), 0);
  CLM_ASSERT_OK(Reopen("1"));
  CLM_ASSERT_OK(Change("1", {{"mugs", 1, 1000}}));
  CLM_ASSERT_OK(Close("1"));
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_EQ(BalanceOf(1).debt(), 30);
  EXPECT_THAT(Told(), ElementsAre("OPENED", "CLOSED", "REOPENED", "CLOSED", "REOPENED", "UPDATED",
                                  "CLOSED"));
  ExpectSound();
}

TEST_F(OrderTest, PointsKeepTheTimeAtWhichTheirOrderWasClosedFirst) {
  v1::Program program = Rules();
  program.mutable_wallets(0)->set_expiry("1M");
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Bought("1"));
  const absl::Time expiry = clm::FromProto(BalanceOf(1).next_expire_time());
  clock_.Advance(absl::Hours(24 * 20));
  CLM_ASSERT_OK(Reopen("1"));
  CLM_ASSERT_OK(Close("1"));
  EXPECT_EQ(BalanceOf(1).active(), 45);
  EXPECT_EQ(clm::FromProto(BalanceOf(1).next_expire_time()), expiry);
  clock_.Advance(absl::Hours(24 * 20));
  RunDue();
  EXPECT_EQ(BalanceOf(1).active(), 0);
  // What has expired is not earned anew.
  CLM_ASSERT_OK(Reopen("1"));
  CLM_ASSERT_OK(Close("1"));
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_EQ(BalanceOf(1).debt(), 0);
  ExpectSound();
}

TEST_F(OrderTest, TwinsHaveOneEffect) {
  CLM_ASSERT_OK(Create(Rules()));
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> made{0}, refused{0};
  // Of members on different shards, ten times, as twins have to meet.
  for (int number = 1; number <= 10; ++number) {
    clm::testing::AtOnce(16, [&](int i) {
      const auto outcome =
          Ask(&H::CreateOrder, NewOrder(absl::StrCat(number), 1 + i), &processes[i % 4]);
      if (outcome.ok()) ++made;
      if (error::Reason(outcome.status()) == "ORDER_EXISTS") ++refused;
    });
    EXPECT_EQ(made, number);
  }
  EXPECT_EQ(refused, 150);
  std::atomic<int> closed{0}, late{0};
  clm::testing::AtOnce(16, [&](int i) {
    const auto outcome = Ask(&H::CloseOrder, Of<v1::CloseOrderRequest>("1"), &processes[i % 4]);
    if (outcome.ok()) ++closed;
    if (error::Reason(outcome.status()) == "ORDER_STATE") ++late;
  });
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(late, 15);
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 1);
  std::atomic<int> back{0};
  clm::testing::AtOnce(16, [&](int i) {
    if (Ask(&H::ReturnOrderLines, BackOf("1", "mugs", 1, "rma-9"), &processes[i % 4]).ok()) ++back;
  });
  EXPECT_EQ(back, 16);
  EXPECT_EQ(Count("SELECT count(*) FROM posting"), 2);
  std::atomic<int> units{0}, none{0};
  clm::testing::AtOnce(16, [&](int i) {
    const auto outcome = Ask(&H::ReturnOrderLines, BackOf("1", "mugs", 1), &processes[i % 4]);
    if (outcome.ok()) ++units;
    if (absl::IsInvalidArgument(outcome.status())) ++none;
  });
  EXPECT_EQ(units, 2);
  EXPECT_EQ(none, 14);
  EXPECT_EQ(Count("SELECT sum(balance)::bigint FROM (SELECT DISTINCT ON (contact_id) balance "
                  "FROM posting ORDER BY contact_id, number DESC) b"),
            15);
  ExpectSound();
}

TEST_F(OrderTest, ACapHoldsOverSeveralOrdersAndIsFreeAgainByReturns) {
  v1::Program program = Rules();
  v1::EarnCap* cap = program.mutable_earn_rules(0)->add_caps();
  cap->set_period(v1::EarnCap::PERIOD_MONTH);
  cap->set_points(100);
  CLM_ASSERT_OK(Create(program));
  const std::vector<Line> sixty = {{"mugs", 6, 1000}};
  CLM_ASSERT_OK(Bought("1", sixty));
  CLM_ASSERT_OK(Ask(&H::CreateOrder, NewOrder("2", 1, sixty)));
  CLM_ASSERT_OK_AND_ASSIGN(const auto second, Close("2"));
  EXPECT_EQ(second.outcomes(0).points(), 40);
  EXPECT_EQ(second.outcomes(0).cut_by_cap(), 20);
  CLM_ASSERT_OK_AND_ASSIGN(const Order none, Bought("3", sixty));
  EXPECT_THAT(none.earnings(), IsEmpty());
  CLM_ASSERT_OK(Back("1", "mugs", 3));
  CLM_ASSERT_OK_AND_ASSIGN(const Order fourth, Bought("4", sixty));
  ASSERT_THAT(fourth.earnings(), SizeIs(1));
  EXPECT_EQ(fourth.earnings(0).points(), 30);
  clock_.Set(At("2026-02-01 00:00"));
  CLM_ASSERT_OK_AND_ASSIGN(const Order next, Bought("5", sixty));
  EXPECT_EQ(next.earnings(0).points(), 60);
  // It counts where it was closed first.
  CLM_ASSERT_OK(Reopen("4"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Close("4"));
  EXPECT_EQ(again.order().earnings(0).points(), 30);
  EXPECT_EQ(BalanceOf(1).active(), 30 + 40 + 30 + 60);
  ExpectSound();
}

TEST_F(OrderTest, WhoWasMergedHasTheOrdersOfBoth) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Bought("1", 1));
  CLM_ASSERT_OK(Open("2", 1));
  CLM_ASSERT_OK(Bought("3", 2));
  CLM_ASSERT_OK(Merge(2, 1));
  RunDue();
  EXPECT_THAT(ListOf("", 2), ::testing::UnorderedElementsAre("1", "2", "3"));
  EXPECT_THAT(ListOf("", 1), ::testing::UnorderedElementsAre("1", "2", "3"));
  EXPECT_EQ(Get("1")->member(), MemberName(2));
  EXPECT_EQ(BalanceOf(2).active(), 90);
  CLM_ASSERT_OK(Close("2"));
  EXPECT_EQ(BalanceOf(2).active(), 135);
  CLM_ASSERT_OK(Back("1", "mugs", 1));
  EXPECT_EQ(BalanceOf(2).active(), 125);
  CLM_ASSERT_OK(CancelOrder("1"));
  CLM_ASSERT_OK(Reopen("3"));
  EXPECT_EQ(BalanceOf(2).active(), 45);
  // The old name goes on.
  CLM_ASSERT_OK_AND_ASSIGN(const Order late, Bought("4", 1));
  EXPECT_EQ(late.member(), MemberName(2));
  EXPECT_EQ(BalanceOf(2).active(), 90);
  ExpectSound();
}

// Points follow a merge a little later, and orders with them.
TEST_F(OrderTest, OrdersMoveOnWhileAMergeIsUnderWay) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Bought("1", 1));
  CLM_ASSERT_OK(Open("2", 1));
  CLM_ASSERT_OK(Open("3", 4));
  CLM_ASSERT_OK(Merge(2, 1));
  CLM_ASSERT_OK(Merge(2, 4));
  CLM_ASSERT_OK(Back("1", "mugs", 1));
  CLM_ASSERT_OK(Close("2"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto third, Close("3"));
  EXPECT_EQ(third.order().member(), MemberName(2));
  RunDue();
  EXPECT_EQ(BalanceOf(2).active(), 35 + 45 + 45);
  for (const char* id : {"1", "2", "3"}) EXPECT_EQ(Get(id)->member(), MemberName(2)) << id;
  for (const char* id : {"1", "2", "3"}) CLM_ASSERT_OK(CancelOrder(id));
  EXPECT_EQ(BalanceOf(2).active(), 0);
  ExpectSound();
}

// One process closes it before it has heard of the merge, and another one after it has.
TEST_F(OrderTest, AnOrderThatIsBeingClosedIsWaitedForUnderAnotherName) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Bought("1", 1));
  CLM_ASSERT_OK(Bought("2", 2));
  // Its own shard is neither of theirs.
  std::string id;
  for (int i = 10; id.empty(); ++i) {
    const std::string name = absl::StrCat(kProgram, "/orders/", i);
    const int shard = ShardOf("acme", absl::string_view(name));
    if (shard != ShardOf("acme", Id(1)) && shard != ShardOf("acme", Id(2))) id = absl::StrCat(i);
  }
  CLM_ASSERT_OK_AND_ASSIGN(const Order order, Open(id, 1));
  ASSERT_EQ(order.name(), absl::StrCat(kProgram, "/orders/", id));
  std::deque<Process> processes;
  for (int i = 0; i < 2; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  const auto waiting = [&] {
    return Count(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
        "wait_event_type = 'Lock'");
  };
  std::atomic<int> closed{0}, answered{0};
  std::vector<std::thread> threads;
  const auto close = [&](int i) {
    threads.emplace_back([&, i] {
      if (Ask(&H::CloseOrder, Of<v1::CloseOrderRequest>(id), &processes[i]).ok()) ++closed;
      ++answered;
    });
  };
  const auto stopper = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
  CLM_EXPECT_OK(stopper->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    CLM_RETURN_IF_ERROR(tx.ExecDynamic(absl::StrCat("SELECT 1 FROM wallet WHERE contact_id = '",
                                                    Id(1).ToString(), "' FOR UPDATE"))
                            .status());
    close(0);
    EXPECT_TRUE(clm::testing::Eventually([&] { return waiting() == 1; }));
    CLM_EXPECT_OK(Merge(2, 1));
    close(1);
    EXPECT_TRUE(clm::testing::Eventually([&] { return waiting() == 2 || answered == 1; }));
    return absl::OkStatus();
  }));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(closed, 1);
  RunDue();
  EXPECT_EQ(Count("SELECT count(*) FROM posting WHERE kind = 1"), 3);
  ExpectSound();
}

TEST_F(OrderTest, AnErasureReachesOrdersOfAnOlderName) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Bought("1", 1));
  CLM_ASSERT_OK(Open("2", 4));
  CLM_ASSERT_OK(Merge(2, 1));
  CLM_ASSERT_OK(Merge(2, 4));
  CLM_ASSERT_OK(Erase(2));
  RunDue();
  EXPECT_EQ(Count("SELECT count(*) FROM customer_order WHERE contact_id IS NOT NULL OR "
                  "earned_by IS NOT NULL OR NOT member_erased"),
            0);
}

TEST_F(OrderTest, AnErasureTakesThePersonAwayAndKeepsTheOrder) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Bought("1", 1));
  CLM_ASSERT_OK(Bought("2", 2));
  CLM_ASSERT_OK(Open("3", 1));
  CLM_ASSERT_OK(Merge(2, 1));
  RunDue();
  CLM_ASSERT_OK(Erase(2));
  for (const char* id : {"1", "2", "3"}) {
    SCOPED_TRACE(id);
    CLM_ASSERT_OK_AND_ASSIGN(const Order order, Get(id));
    EXPECT_TRUE(order.member_erased());
    EXPECT_EQ(order.member(), "");
    EXPECT_EQ(order.amount_minor(), 4500);
    for (const auto& earning : order.earnings()) EXPECT_EQ(earning.posting(), "");
    ExpectRefused<Order>("MEMBER_ERASED", StatusCode::kFailedPrecondition,
                         [&] { return CancelOrder(id); });
  }
  EXPECT_EQ(Count("SELECT count(*) FROM customer_order WHERE contact_id IS NOT NULL OR "
                  "earned_by IS NOT NULL"),
            0);
  EXPECT_EQ(Count("SELECT count(*) FROM posting_note WHERE order_id <> ''"), 0);
  ExpectRefused<Order>("MEMBER_ERASED", StatusCode::kFailedPrecondition,
                       [&] { return Bought("4", 2); });
  // The number stays taken.
  ExpectRefused<Order>("ORDER_EXISTS", StatusCode::kAlreadyExists, [&] { return Bought("1", 5); });
  ExpectSound();
}

TEST_F(OrderTest, ARehearsalAnswersAndChangesNothing) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Open("open"));
  CLM_ASSERT_OK(Bought("closed"));
  const int64_t before = Written();
  auto create = NewOrder("new", 7);
  create.set_close(true);
  create.set_dry_run(true);
  EXPECT_EQ(Ask(&H::CreateOrder, create)->earnings(0).points(), 45);
  EXPECT_EQ(Close("open", true)->order().earnings(0).points(), 45);
  EXPECT_EQ(CancelOrder("closed", true)->earnings(0).taken_back(), 45);
  EXPECT_EQ(Reopen("closed", true)->state(), Order::STATE_OPEN);
  auto back = BackOf("closed", "mugs", 1);
  back.set_dry_run(true);
  EXPECT_EQ(Ask(&H::ReturnOrderLines, back)->returns(0).taken_back(), 10);
  EXPECT_EQ(Written(), before);
  EXPECT_THAT(Get("new"), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(Get("open")->state(), Order::STATE_OPEN);
  EXPECT_EQ(Get("closed")->state(), Order::STATE_CLOSED);
  EXPECT_EQ(BalanceOf(1).active(), 45);
}

TEST_F(OrderTest, EveryBadFieldOfAnOrderIsNamed) {
  CLM_ASSERT_OK(Create(Rules()));
  CLM_ASSERT_OK(Open("1"));
  const auto expect = [&](const std::string& what, const absl::Status& status,
                          StatusCode code = StatusCode::kInvalidArgument) {
    EXPECT_THAT(status, StatusIs(code, HasSubstr(what)));
  };
  const auto bad = [&](const std::string& what,
                       const std::function<void(v1::CreateOrderRequest&)>& spoil) {
    auto request = NewOrder("2");
    spoil(request);
    expect(what, Ask(&H::CreateOrder, request).status());
  };
  const int64_t before = Written();
  bad("parent", [](auto& r) { r.set_parent("tenants/acme"); });
  bad("order.name", [](auto& r) { r.mutable_order()->set_name(OrderName("3")); });
  bad("order.member", [](auto& r) { r.mutable_order()->clear_member(); });
  bad("of another programme", [](auto& r) {
    r.mutable_order()->set_member(
        absl::StrCat("tenants/acme/programs/other/members/", Id(1).ToString()));
  });
  bad("order.lines: is required", [](auto& r) { r.mutable_order()->clear_lines(); });
  bad("order.lines[1].id", [](auto& r) { r.mutable_order()->mutable_lines(1)->set_id("mugs"); });
  bad("order.lines[0].quantity",
      [](auto& r) { r.mutable_order()->mutable_lines(0)->set_quantity(0); });
  bad("order.lines[1].discount_minor",
      [](auto& r) { r.mutable_order()->mutable_lines(1)->set_discount_minor(2001); });
  bad("order.lines",
      [](auto& r) { r.mutable_order()->mutable_lines(0)->set_unit_price_minor(9007199254740991); });
  expect("is there twice", Change("1", {{"a", 1, 1}, {"a", 1, 1}}).status());
  expect("orders/9", Get("9").status(), StatusCode::kNotFound);
  expect("orders/9", Close("9").status(), StatusCode::kNotFound);
  auto elsewhere = NewOrder("2");
  elsewhere.set_parent("tenants/acme/programs/other");
  elsewhere.mutable_order()->set_member(
      absl::StrCat("tenants/acme/programs/other/members/", Id(1).ToString()));
  expect("programs/other", Ask(&H::CreateOrder, elsewhere).status(), StatusCode::kNotFound);
  v1::UpdateOrderRequest whose;
  whose.mutable_order()->set_name(OrderName("1"));
  whose.mutable_order()->set_member(MemberName(2));
  whose.mutable_update_mask()->add_paths("member");
  expect("update_mask", Ask(&H::UpdateOrder, whose).status());
  auto old = Of<v1::CloseOrderRequest>("1");
  old.set_etag("stale");
  EXPECT_FALSE(Ask(&H::CloseOrder, old).ok());
  EXPECT_EQ(Written(), before);
}

TEST_F(OrderTest, NobodyJoinsByAnOrderWhereMembersEnrol) {
  v1::Program program = Rules();
  program.set_join_policy(v1::Program::JOIN_POLICY_ENROLMENT);
  CLM_ASSERT_OK(Create(program));
  EXPECT_THAT(Bought("1"), StatusIs(StatusCode::kNotFound));
  v1::EnrolMemberRequest enrol;
  enrol.set_parent(kProgram);
  enrol.set_contact(EntityName(kContacts, {"acme", Id(1)}));
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::EnrolMember, enrol));
  CLM_EXPECT_OK(Bought("1"));
}

TEST_F(OrderTest, RulesAreForOrdersOrForEvents) {
  v1::Program both = Rules();
  both.mutable_earn_rules(0)->set_event_type("purchase");
  EXPECT_THAT(Create(both), StatusIs(StatusCode::kInvalidArgument,
                                     HasSubstr("program.earn_rules[0].event_type: must be empty")));
  v1::Program neither = Rules();
  neither.mutable_earn_rules(0)->set_for_orders(false);
  EXPECT_THAT(Create(neither),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("program.earn_rules[0].event_type: is required")));
  v1::Program asks = Rules();
  asks.mutable_earn_rules(0)->set_condition("properties.shop = \"web\"");
  EXPECT_THAT(Create(asks), StatusIs(StatusCode::kInvalidArgument, HasSubstr("of orders")));

  v1::Program program = Rules();
  v1::EarnRule* events = program.add_earn_rules();
  events->set_id("purchases");
  events->set_event_type("purchase");
  events->set_points(7);
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK(Open("1"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto closed, Close("1"));
  ASSERT_THAT(closed.outcomes(), SizeIs(1));
  EXPECT_EQ(closed.outcomes(0).rule(), "euros");
  EXPECT_EQ(BalanceOf(1).active(), 45);
  contact::v1::BehaviorRecorded recorded;
  recorded.set_contact(EntityName(kContacts, {"acme", Id(1)}));
  contact::v1::BehaviorEvent* event = recorded.add_events();
  event->set_event_id(Id(90).ToString());
  event->set_type("purchase");
  event->set_amount_minor(1000);
  event->set_currency("EUR");
  clm::ToProto(clock_.Now(), event->mutable_occur_time());
  CLM_ASSERT_OK(Deliver({"acme", Id(1)}, recorded));
  EXPECT_EQ(BalanceOf(1).active(), 52);
}

TEST_F(OrderTest, OnlyTheLinesThatARuleLooksAtBringItsPoints) {
  v1::Program program = Rules();
  program.mutable_earn_rules(0)->set_line_filter("sku = \"sku-bags\"");
  CLM_ASSERT_OK(Create(program));
  CLM_ASSERT_OK_AND_ASSIGN(const Order order, Bought("1"));
  EXPECT_EQ(order.earnings(0).points(), 15);
  CLM_ASSERT_OK_AND_ASSIGN(const Order back, Back("1", "mugs", 3));
  EXPECT_EQ(back.returns(0).taken_back(), 0);
  CLM_ASSERT_OK(Back("1", "bags", 1));
  EXPECT_EQ(BalanceOf(1).active(), 0);
}

// 1.50 with a tax of 0.30, and 2.50 less 1.00.
TEST_F(OrderTest, ARuleSaysWhatOfTheMoneyCountsAndWhatIsRounded) {
  v1::Program program = Rules();
  v1::EarnRule* rule = program.mutable_earn_rules(0);
  rule->set_id("paid");
  v1::EarnRule* gross = program.add_earn_rules();
  *gross = *rule;
  gross->set_id("gross");
  gross->set_before_discounts(true);
  gross->set_with_tax(true);
  v1::EarnRule* each = program.add_earn_rules();
  *each = *gross;
  each->set_id("each");
  each->set_round_each(v1::EarnRule::ROUND_EACH_LINE);
  CLM_ASSERT_OK_AND_ASSIGN(const v1::Program made, Create(program));
  EXPECT_TRUE(made.earn_rules(1).before_discounts());
  EXPECT_TRUE(made.earn_rules(1).with_tax());
  EXPECT_EQ(made.earn_rules(2).round_each(), v1::EarnRule::ROUND_EACH_LINE);
  auto request = NewOrder("1", 1, {{"cup", 1, 150}, {"mug", 1, 250, 100}});
  request.mutable_order()->mutable_lines(0)->set_tax_minor(30);
  CLM_ASSERT_OK(Ask(&H::CreateOrder, request));
  CLM_ASSERT_OK_AND_ASSIGN(const auto closed, Close("1"));
  ASSERT_THAT(closed.outcomes(), SizeIs(3));
  EXPECT_EQ(closed.outcomes(0).points(), 3);
  EXPECT_EQ(closed.outcomes(1).points(), 4);
  EXPECT_EQ(closed.outcomes(2).points(), 3);
}

TEST_F(OrderTest, TiersCountOrdersThatDidNotComeBackWhole) {
  v1::Program program = Rules();
  v1::TierScheme* scheme = program.mutable_tier_scheme();
  scheme->set_basis(v1::TierScheme::BASIS_EVENT_COUNT);
  scheme->set_for_orders(true);
  scheme->add_tiers()->set_id("bronze");
  CLM_ASSERT_OK(Create(program));
  const auto counted = [&] {
    v1::GetMemberRequest request;
    request.set_name(MemberName(1));
    return Do(&Node::programs, &ProgramHandlers::GetMember, request)->tier_standing().value();
  };
  for (const char* id : {"1", "2", "3"}) CLM_ASSERT_OK(Bought(id));
  EXPECT_EQ(counted(), 3);
  CLM_ASSERT_OK(Back("1", "mugs", 3));
  EXPECT_EQ(counted(), 3);
  CLM_ASSERT_OK(Back("1", "bags", 1));
  EXPECT_EQ(counted(), 2);
  CLM_ASSERT_OK(CancelOrder("1"));
  EXPECT_EQ(counted(), 2);
  CLM_ASSERT_OK(CancelOrder("2"));
  CLM_ASSERT_OK(Reopen("3"));
  EXPECT_EQ(counted(), 0);
}

TEST_F(OrderTest, TiersCountTheMoneyOfOrdersNetOfWhatCameBack) {
  v1::Program program = Rules();
  v1::TierScheme* scheme = program.mutable_tier_scheme();
  scheme->set_basis(v1::TierScheme::BASIS_MONEY_SPENT);
  scheme->set_currency("EUR");
  scheme->set_for_orders(true);
  scheme->add_tiers()->set_id("bronze");
  v1::Tier* silver = scheme->add_tiers();
  silver->set_id("silver");
  silver->set_threshold(9000);
  CLM_ASSERT_OK(Create(program));
  const auto value = [&] {
    v1::GetMemberRequest request;
    request.set_name(MemberName(1));
    return Do(&Node::programs, &ProgramHandlers::GetMember, request)->tier_standing();
  };
  CLM_ASSERT_OK(Bought("1"));
  EXPECT_EQ(value().tier(), "bronze");
  EXPECT_EQ(value().value(), 4500);
  CLM_ASSERT_OK(Back("1", "mugs", 1));
  EXPECT_EQ(value().value(), 3500);
  CLM_ASSERT_OK(Back("1", "mugs", 2));
  CLM_ASSERT_OK(Back("1", "bags", 1));
  EXPECT_EQ(value().value(), 0);
  CLM_ASSERT_OK(CancelOrder("1"));
  EXPECT_EQ(value().value(), 0);
  CLM_ASSERT_OK(Bought("2"));
  CLM_ASSERT_OK(Bought("3"));
  EXPECT_EQ(value().tier(), "silver");
  EXPECT_EQ(value().value(), 9000);
  CLM_ASSERT_OK(Reopen("3"));
  EXPECT_EQ(value().value(), 4500);
  CLM_ASSERT_OK(Close("3"));
  EXPECT_EQ(value().value(), 9000);
}

}  // namespace
}  // namespace clm::loyalty
