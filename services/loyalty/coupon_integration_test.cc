#include <atomic>
#include <deque>
#include <set>

#include "clm/loyalty/v1/coupon_event.pb.h"
#include "libs/testing/at_once.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_module_part.h"
#include "services/loyalty/coupon_people.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::IsOk;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using H = CouponHandlers;

class CouponTest : public LoyaltyTest {
 protected:
  // A process of its own on the same database.
  struct Process {
    Process(const std::string& dsn, const Clock* clock)
        : pool(pg::NewPool({.dsn = dsn, .checkout_timeout = absl::Seconds(30)})),
          part(pool.get(), clock, &tokens) {}
    PageTokens tokens{"secret"};
    std::unique_ptr<pg::Pool> pool;
    CouponModulePart part;
  };

  void SetUp() override {
    process_ = std::make_unique<Process>(database_.app_dsn, &clock_);
    CLM_ASSERT_OK(CreateProgram());
  }

  template <class Req, class Resp>
  absl::StatusOr<Resp> Ask(void (H::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                           const Req& request, Process* process = nullptr) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    ((process == nullptr ? *process_ : *process).part.handlers().*rpc)(
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
    return (process_->part.handlers().*rpc)(CallNow(), request);
  }

  absl::Status EnrolMember(int number) {
    v1::EnrolMemberRequest request;
    request.set_parent(kProgram);
    request.set_contact(EntityName(kContacts, {"acme", Id(number)}));
    return Do(&Node::programs, &ProgramHandlers::EnrolMember, request).status();
  }

  // 5.00 EUR off.
  static v1::CreateCouponRequest NewRequest(const std::string& code = "SUMMER") {
    v1::CreateCouponRequest request;
    request.set_parent(kProgram);
    v1::Coupon& coupon = *request.mutable_coupon();
    coupon.set_code(code);
    coupon.set_kind(v1::Coupon::KIND_AMOUNT);
    coupon.set_amount_minor(500);
    coupon.set_currency("EUR");
    return request;
  }
  v1::Coupon Create(const v1::CreateCouponRequest& request) {
    const auto made = Ask(&H::CreateCoupon, request);
    CLM_EXPECT_OK(made);
    return made.value_or(v1::Coupon());
  }
  absl::StatusOr<v1::CouponBudget> CreateBudget(int64_t uses, int64_t value_minor,
                                                const std::string& id = "spring") {
    v1::CreateCouponBudgetRequest request;
    request.set_parent(kProgram);
    request.set_coupon_budget_id(id);
    request.mutable_coupon_budget()->set_use_limit(uses);
    request.mutable_coupon_budget()->set_value_limit_minor(value_minor);
    request.mutable_coupon_budget()->set_currency("EUR");
    return Ask(&H::CreateCouponBudget, request);
  }
  static std::string BudgetName(const std::string& id = "spring") {
    return absl::StrCat(kProgram, "/couponBudgets/", id);
  }
  v1::CouponBudget Budget(const std::string& id = "spring") {
    v1::GetCouponBudgetRequest request;
    request.set_name(BudgetName(id));
    return Ask(&H::GetCouponBudget, request).value_or(v1::CouponBudget());
  }
  v1::Coupon Get(const std::string& name) {
    v1::GetCouponRequest request;
    request.set_name(name);
    return Ask(&H::GetCoupon, request).value_or(v1::Coupon());
  }
  template <class Req>
  static Req Typed(const std::string& code, int member = 0, int64_t amount = 2000) {
    Req request;
    request.set_parent(kProgram);
    request.set_code(code);
    if (member != 0) request.set_member(MemberName(member));
    request.mutable_order()->set_currency("EUR");
    request.mutable_order()->set_amount_minor(amount);
    return request;
  }
  absl::StatusOr<v1::CouponUse> Redeem(const std::string& code, int member = 0,
                                       int64_t amount = 2000, const std::string& order_id = "") {
    auto request = Typed<v1::RedeemCouponRequest>(code, member, amount);
    request.set_external_id(order_id);
    return Ask(&H::RedeemCoupon, request);
  }
  absl::StatusOr<v1::CouponUse> Reserve(const std::string& code, int member = 0,
                                        const std::string& duration = "15m") {
    auto request = Typed<v1::ReserveCouponRequest>(code, member);
    request.set_duration(duration);
    return Ask(&H::ReserveCoupon, request);
  }
  absl::StatusOr<v1::CouponUse> RedeemReserved(const std::string& use) {
    v1::RedeemReservedCouponRequest request;
    request.set_use(use);
    return Ask(&H::RedeemReservedCoupon, request);
  }
  absl::StatusOr<v1::CouponUse> Release(const std::string& use) {
    v1::ReleaseCouponRequest request;
    request.set_use(use);
    return Ask(&H::ReleaseCoupon, request);
  }
  absl::StatusOr<v1::CouponUse> Cancel(const std::string& use) {
    v1::CancelCouponRedemptionRequest request;
    request.set_use(use);
    return Ask(&H::CancelCouponRedemption, request);
  }
  absl::StatusOr<v1::CheckCouponResponse> Check(const std::string& code, int member = 0,
                                                int64_t amount = 2000) {
    return Ask(&H::CheckCoupon, Typed<v1::CheckCouponRequest>(code, member, amount));
  }

  // What coupons and budgets count is what their uses add up to, and nothing was told otherwise.
  void ExpectCounted() {
    EXPECT_EQ(Count(R"sql(SELECT count(*) FROM coupon c WHERE (c.used, c.reserved, c.value_minor)
        <> (SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 1),
                   coalesce(sum(value_minor) FILTER (WHERE state IN (1, 2)), 0)
            FROM coupon_use u WHERE u.coupon_id = c.id AND u.tenant_id = c.tenant_id))sql"),
              0);
    EXPECT_EQ(Count(R"sql(SELECT count(*) FROM coupon_budget b WHERE (b.uses, b.value_minor)
        <> (SELECT count(*), coalesce(sum(budget_minor), 0) FROM coupon_use u
            WHERE u.budget_id = b.id AND u.program_id = b.program_id
              AND u.tenant_id = b.tenant_id AND u.budget_counted))sql"),
              0);
  }
  int64_t Written() {
    return Count(
        "SELECT (SELECT count(*) FROM journal) + (SELECT count(*) FROM coupon_use) + "
        "(SELECT count(*) FROM coupon) + (SELECT count(*) FROM coupon_budget) + "
        "(SELECT count(*) FROM coupon_key) + (SELECT count(*) FROM request)");
  }
  // Refused for that reason, and nothing is written.
  template <class Resp, class Act>
  void ExpectRefused(const std::string& reason, StatusCode code, Act act) {
    const int64_t before = Written();
    const absl::StatusOr<Resp> refused = act();
    EXPECT_THAT(refused, StatusIs(code)) << reason;
    EXPECT_THAT(refused, ReasonIs(reason));
    EXPECT_EQ(Written(), before) << reason;
  }
  // The same for checking, reserving and redeeming.
  void ExpectUseless(const std::string& reason, const std::string& code, int member = 0,
                     int64_t amount = 2000) {
    ExpectRefused<v1::CheckCouponResponse>(reason, StatusCode::kFailedPrecondition,
                                           [&] { return Check(code, member, amount); });
    ExpectRefused<v1::CouponUse>(reason, StatusCode::kFailedPrecondition,
                                 [&] { return Redeem(code, member, amount); });
    ExpectRefused<v1::CouponUse>(reason, StatusCode::kFailedPrecondition, [&] {
      return Ask(&H::ReserveCoupon, Typed<v1::ReserveCouponRequest>(code, member, amount));
    });
  }

  std::unique_ptr<Process> process_;
};

TEST_F(CouponTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(process_->pool->Prepare(CouponWorkStatements()));
  CLM_EXPECT_OK(process_->pool->Prepare(CouponReaderStatements()));
  CLM_EXPECT_OK(process_->pool->Prepare(CouponPeopleStatements()));
}

TEST_F(CouponTest, ACodeIsFoundHoweverItIsTyped) {
  const v1::Coupon coupon = Create(NewRequest("Summer Sale-20"));
  EXPECT_EQ(coupon.code(), "Summer Sale-20");
  for (const char* typed : {"SUMMERSALE20", "summer-sale-2O", " svmmer 5ale", "SUMMERSA1E20"}) {
    v1::LookupCouponRequest request;
    request.set_parent(kProgram);
    request.set_code(typed);
    const auto found = Ask(&H::LookupCoupon, request);
    if (std::string(typed) == " svmmer 5ale") {
      EXPECT_THAT(found, Not(IsOk()));
    } else {
      CLM_ASSERT_OK(found);
      EXPECT_EQ(found->name(), coupon.name());
    }
  }
  EXPECT_EQ(Redeem("summer sale 20")->discount_minor(), 500);
}

TEST_F(CouponTest, AMadeCodeFindsMistypingsAndIsToldApartFromAnUnknownOne) {
  auto request = NewRequest("");
  request.mutable_code_format()->set_prefix("SPRING");
  const v1::Coupon coupon = Create(request);
  EXPECT_THAT(coupon.code(), MatchesRegex("SPRING-[0-9A-Z-]+"));
  std::string mistyped = coupon.code();
  mistyped.back() = mistyped.back() == '7' ? '8' : '7';
  ExpectRefused<v1::CouponUse>("CODE_MALFORMED", StatusCode::kInvalidArgument,
                               [&] { return Redeem(mistyped); });
  ExpectRefused<v1::CouponUse>("CODE_MALFORMED", StatusCode::kInvalidArgument,
                               [&] { return Redeem("no/code"); });
  // Of another programme, so that it is right in itself.
  CLM_ASSERT_OK_AND_ASSIGN(const std::string unknown, MakeCode({}, std::vector<uint8_t>(32, 5)));
  ExpectRefused<v1::CouponUse>("CODE_UNKNOWN", StatusCode::kNotFound,
                               [&] { return Redeem(unknown); });
  auto elsewhere = Typed<v1::RedeemCouponRequest>(coupon.code());
  elsewhere.set_parent("tenants/globex/programs/club");
  EXPECT_THAT(Ask(&H::RedeemCoupon, elsewhere), StatusIs(StatusCode::kNotFound));
  CLM_EXPECT_OK(Redeem(coupon.code()));
}

TEST_F(CouponTest, ACodeIsGivenOutOnce) {
  Create(NewRequest("SUMMER"));
  ExpectRefused<v1::Coupon>("CODE_TAKEN", StatusCode::kAlreadyExists,
                            [&] { return Ask(&H::CreateCoupon, NewRequest("s-u-m-m-e-r")); });
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> made{0}, taken{0};
  clm::testing::AtOnce(32, [&](int i) {
    const auto outcome = Ask(&H::CreateCoupon, NewRequest("AUTUMN"), &processes[i % 4]);
    if (outcome.ok()) ++made;
    if (error::Reason(outcome.status()) == "CODE_TAKEN") ++taken;
  });
  EXPECT_EQ(made, 1);
  EXPECT_EQ(taken, 31);
}

TEST_F(CouponTest, ABatchHasManyCodesOfOneKind) {
  v1::BatchCreateCouponsRequest request;
  request.set_parent(kProgram);
  *request.mutable_coupon() = NewRequest("").coupon();
  request.mutable_coupon()->set_batch("mailing-7");
  request.mutable_coupon()->set_usage_limit(1);
  request.set_count(100);
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  CLM_ASSERT_OK_AND_ASSIGN(const auto made, Ask(&H::BatchCreateCoupons, request));
  Create(NewRequest());
  std::set<std::string> codes;
  for (const v1::Coupon& coupon : made.coupons()) codes.insert(coupon.code());
  EXPECT_THAT(codes, SizeIs(100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Ask(&H::BatchCreateCoupons, request));
  EXPECT_EQ(again.SerializeAsString(), made.SerializeAsString());

  v1::ListCouponsRequest list;
  list.set_parent(kProgram);
  list.set_batch("mailing-7");
  list.set_page_size(60);
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Ask(&H::ListCoupons, list));
  list.set_page_token(first.next_page_token());
  CLM_ASSERT_OK_AND_ASSIGN(const auto second, Ask(&H::ListCoupons, list));
  EXPECT_THAT(first.coupons(), SizeIs(60));
  EXPECT_THAT(second.coupons(), SizeIs(40));
  EXPECT_EQ(second.next_page_token(), "");
  EXPECT_EQ(first.coupons(0).name(), made.coupons(0).name());

  const std::string& code = made.coupons(41).code();
  CLM_EXPECT_OK(Redeem(code));
  ExpectUseless("COUPON_USED_UP", code);
  CLM_EXPECT_OK(Redeem(made.coupons(42).code()));
  ExpectCounted();
}

TEST_F(CouponTest, CodesThatAreTooShortForTheirNumberAreRefused) {
  v1::BatchCreateCouponsRequest request;
  request.set_parent(kProgram);
  *request.mutable_coupon() = NewRequest("").coupon();
  request.mutable_coupon()->set_batch("b");
  request.set_count(1);
  request.mutable_code_format()->set_random_characters(5);
  EXPECT_THAT(Ask(&H::BatchCreateCoupons, request), StatusIs(StatusCode::kInvalidArgument));
  request.mutable_code_format()->set_random_characters(6);
  CLM_EXPECT_OK(Ask(&H::BatchCreateCoupons, request));
}

TEST_F(CouponTest, EveryRefusalHasAReasonAndChangesNothing) {
  CLM_ASSERT_OK(EnrolMember(1));
  CLM_ASSERT_OK(EnrolMember(2));
  const auto with = [&](const std::string& code, auto set) {
    auto request = NewRequest(code);
    set(*request.mutable_coupon());
    Create(request);
  };
  with("DARK", [](v1::Coupon& c) { c.set_disabled(true); });
  ExpectUseless("COUPON_DISABLED", "DARK");
  with("EARLY",
       [&](v1::Coupon& c) { clm::ToProto(clock_.Now() + absl::Hours(1), c.mutable_start_time()); });
  ExpectUseless("COUPON_NOT_STARTED", "EARLY");
  with("LATE", [&](v1::Coupon& c) { clm::ToProto(clock_.Now(), c.mutable_end_time()); });
  ExpectUseless("COUPON_EXPIRED", "LATE");
  with("HERS", [&](v1::Coupon& c) { c.set_member(MemberName(1)); });
  ExpectUseless("COUPON_OF_ANOTHER_MEMBER", "HERS", 2);
  ExpectUseless("COUPON_OF_ANOTHER_MEMBER", "HERS");
  CLM_EXPECT_OK(Redeem("HERS", 1));
  with("EACH", [](v1::Coupon& c) { c.set_member_limit(1); });
  ExpectUseless("COUPON_MEMBER_NEEDED", "EACH");
  CLM_EXPECT_OK(Redeem("EACH", 1));
  ExpectUseless("COUPON_MEMBER_LIMIT", "EACH", 1);
  CLM_EXPECT_OK(Redeem("EACH", 2));
  with("BIG", [](v1::Coupon& c) { c.set_minimum_minor(2001); });
  ExpectUseless("COUPON_MINIMUM", "BIG");
  with("TWICE", [](v1::Coupon& c) { c.set_usage_limit(2); });
  CLM_EXPECT_OK(Redeem("TWICE"));
  CLM_EXPECT_OK(Reserve("TWICE"));
  ExpectUseless("COUPON_USED_UP", "TWICE");
  with("GIFT", [](v1::Coupon& c) {
    c.set_amount_minor(10000);
    c.set_value_limit_minor(3000);
  });
  EXPECT_EQ(Redeem("GIFT")->discount_minor(), 2000);
  EXPECT_EQ(Check("GIFT")->discount_minor(), 1000);
  EXPECT_EQ(Redeem("GIFT")->discount_minor(), 1000);
  ExpectUseless("COUPON_VALUE_USED_UP", "GIFT");
  ExpectUseless("COUPON_NO_DISCOUNT", "HERS", 1, 0);
  with("DOLLAR", [](v1::Coupon& c) { c.set_currency("USD"); });
  ExpectUseless("COUPON_CURRENCY", "DOLLAR");
  CLM_ASSERT_OK(CreateBudget(1, 0, "one"));
  CLM_ASSERT_OK(CreateBudget(0, 700, "seven"));
  with("ONE", [](v1::Coupon& c) { c.set_budget(BudgetName("one")); });
  with("SEVEN", [](v1::Coupon& c) { c.set_budget(BudgetName("seven")); });
  CLM_EXPECT_OK(Redeem("ONE"));
  ExpectUseless("COUPON_BUDGET_USES", "ONE");
  CLM_EXPECT_OK(Redeem("SEVEN"));
  ExpectUseless("COUPON_BUDGET_VALUE", "SEVEN");
  EXPECT_EQ(Redeem("SEVEN", 0, 200)->discount_minor(), 200);
  ExpectRefused<v1::CouponUse>("NOT_FOUND", StatusCode::kNotFound,
                               [&] { return Redeem("EACH", 3); });
  ExpectCounted();
}

TEST_F(CouponTest, ReservationsAtATimeAreLimited) {
  auto request = NewRequest();
  request.mutable_coupon()->set_reservation_limit(1);
  Create(request);
  CLM_ASSERT_OK(Reserve("SUMMER"));
  ExpectRefused<v1::CouponUse>("COUPON_RESERVATION_LIMIT", StatusCode::kFailedPrecondition,
                               [&] { return Reserve("SUMMER"); });
  CLM_EXPECT_OK(Redeem("SUMMER"));
}

TEST_F(CouponTest, OfTheLastUsesExactlyTheLimitGoesThrough) {
  auto request = NewRequest();
  request.mutable_coupon()->set_usage_limit(7);
  const v1::Coupon coupon = Create(request);
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> used{0}, refused{0};
  clm::testing::AtOnce(64, [&](int i) {
    Process* process = &processes[i % 4];
    const auto outcome =
        i % 3 == 0 ? Ask(&H::ReserveCoupon, Typed<v1::ReserveCouponRequest>("SUMMER"), process)
                   : Ask(&H::RedeemCoupon, Typed<v1::RedeemCouponRequest>("SUMMER"), process);
    if (outcome.ok()) ++used;
    if (error::Reason(outcome.status()) == "COUPON_USED_UP") ++refused;
  });
  EXPECT_EQ(used, 7);
  EXPECT_EQ(refused, 57);
  const v1::CouponCounts counts = Get(coupon.name()).counts();
  EXPECT_EQ(counts.used() + counts.reserved(), 7);
  EXPECT_EQ(counts.value_minor(), 3500);
  ExpectCounted();
}

TEST_F(CouponTest, ABudgetInMoneyIsNeverOverdrawnByCouponsOnManyShards) {
  CLM_ASSERT_OK(CreateBudget(0, 5 * 500 + 499));
  for (int i = 0; i < 16; ++i) {
    auto request = NewRequest(absl::StrCat("MANY", i));
    request.mutable_coupon()->set_budget(BudgetName());
    Create(request);
  }
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> used{0}, refused{0};
  clm::testing::AtOnce(64, [&](int i) {
    const auto request = Typed<v1::RedeemCouponRequest>(absl::StrCat("MANY", i / 4));
    const auto outcome = Ask(&H::RedeemCoupon, request, &processes[i % 4]);
    if (outcome.ok()) ++used;
    if (error::Reason(outcome.status()) == "COUPON_BUDGET_VALUE") ++refused;
  });
  EXPECT_EQ(used, 5);
  EXPECT_EQ(refused, 59);
  EXPECT_EQ(Budget().uses(), 5);
  EXPECT_EQ(Budget().value_minor(), 2500);
  ExpectCounted();
}

TEST_F(CouponTest, AnOrderCountsOnceForEver) {
  Create(NewRequest("SUMMER"));
  Create(NewRequest("AUTUMN"));
  CLM_ASSERT_OK(EnrolMember(1));
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Redeem("SUMMER", 1, 2000, "order-1042"));
  CLM_ASSERT_OK(Cancel(first.name()));
  const int64_t written = Written();
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Redeem("s-ummer", 1, 2000, "order-1042"));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Written(), written);
  for (const auto& other :
       {Redeem("SUMMER", 1, 2001, "order-1042"), Redeem("SUMMER", 0, 2000, "order-1042"),
        Redeem("AUTUMN", 1, 2000, "order-1042")}) {
    EXPECT_THAT(other, StatusIs(StatusCode::kAlreadyExists));
    EXPECT_THAT(other, ReasonIs("EXTERNAL_ID_REUSED"));
  }
  EXPECT_EQ(Written(), written);
  ExpectCounted();
}

TEST_F(CouponTest, TwinsOfOneOrderHaveOneEffectWhateverCodesTheyBring) {
  for (int i = 0; i < 8; ++i) Create(NewRequest(absl::StrCat("MANY", i)));
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> ok{0}, reused{0};
  clm::testing::AtOnce(32, [&](int i) {
    auto request = Typed<v1::RedeemCouponRequest>(absl::StrCat("MANY", i % 8));
    request.set_external_id("order-7");
    const auto outcome = Ask(&H::RedeemCoupon, request, &processes[i % 4]);
    if (outcome.ok()) ++ok;
    if (error::Reason(outcome.status()) == "EXTERNAL_ID_REUSED") ++reused;
  });
  EXPECT_EQ(ok, 4);
  EXPECT_EQ(reused, 28);
  EXPECT_EQ(Count("SELECT count(*) FROM coupon_use"), 1);
}

TEST_F(CouponTest, ARequestIsAnsweredOnce) {
  const v1::Coupon coupon = Create(NewRequest());
  auto request = Typed<v1::RedeemCouponRequest>("SUMMER");
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Ask(&H::RedeemCoupon, request));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Ask(&H::RedeemCoupon, request));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Get(coupon.name()).counts().used(), 1);
}

TEST_F(CouponTest, AReservationCountsUntilItsTimeIsOver) {
  CLM_ASSERT_OK(CreateBudget(1, 500));
  auto request = NewRequest();
  request.mutable_coupon()->set_usage_limit(1);
  request.mutable_coupon()->set_budget(BudgetName());
  const v1::Coupon coupon = Create(request);
  auto other = NewRequest("AUTUMN");
  other.mutable_coupon()->set_budget(BudgetName());
  Create(other);
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Reserve("SUMMER"));
  EXPECT_EQ(use.state(), v1::CouponUse::STATE_RESERVED);
  EXPECT_EQ(clm::FromProto(use.expire_time()), clock_.Now() + absl::Minutes(15));
  EXPECT_EQ(Get(coupon.name()).counts().reserved(), 1);
  EXPECT_EQ(Budget().value_minor(), 500);
  ExpectUseless("COUPON_USED_UP", "SUMMER");
  ExpectUseless("COUPON_BUDGET_USES", "AUTUMN");
  clock_.Advance(absl::Minutes(15) - absl::Microseconds(1));
  ExpectUseless("COUPON_USED_UP", "SUMMER");
  ExpectUseless("COUPON_BUDGET_USES", "AUTUMN");

  clock_.Advance(absl::Microseconds(1));
  EXPECT_EQ(Get(coupon.name()).counts().reserved(), 0);
  EXPECT_EQ(Budget().uses(), 0);
  v1::GetCouponUseRequest get;
  get.set_name(use.name());
  EXPECT_EQ(Ask(&H::GetCouponUse, get)->state(), v1::CouponUse::STATE_TIMED_OUT);
  ExpectRefused<v1::CouponUse>("COUPON_RESERVATION_TIMED_OUT", StatusCode::kFailedPrecondition,
                               [&] { return RedeemReserved(use.name()); });
  ExpectRefused<v1::CouponUse>("COUPON_RESERVATION_TIMED_OUT", StatusCode::kFailedPrecondition,
                               [&] { return Release(use.name()); });
  // The budget is free for others though nobody has looked at the coupon since.
  CLM_ASSERT_OK_AND_ASSIGN(const auto autumn, Redeem("AUTUMN"));
  EXPECT_EQ(Budget().uses(), 1);
  CLM_EXPECT_OK(Cancel(autumn.name()));
  CLM_EXPECT_OK(Redeem("SUMMER"));
  EXPECT_EQ(Budget().uses(), 1);
  EXPECT_EQ(Get(coupon.name()).counts().used(), 1);
  EXPECT_EQ(Ask(&H::GetCouponUse, get)->state(), v1::CouponUse::STATE_TIMED_OUT);
  ExpectCounted();
}

TEST_F(CouponTest, AReservationLastsAsLongAsTheProgrammeSaysOfHolds) {
  Create(NewRequest());
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Reserve("SUMMER", 0, ""));
  EXPECT_EQ(clm::FromProto(use.expire_time()), clock_.Now() + absl::Minutes(30));
  EXPECT_THAT(Reserve("SUMMER", 0, "soon"), StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(CouponTest, WhatIsReservedIsRedeemedAsItWasReserved) {
  CLM_ASSERT_OK(EnrolMember(1));
  auto request = NewRequest();
  request.mutable_coupon()->set_usage_limit(1);
  request.mutable_coupon()->set_member_limit(1);
  clm::ToProto(clock_.Now() + absl::Minutes(5), request.mutable_coupon()->mutable_end_time());
  const v1::Coupon coupon = Create(request);
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Reserve("SUMMER", 1));
  // Its validity ends meanwhile.
  clock_.Advance(absl::Minutes(10));
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, RedeemReserved(use.name()));
  EXPECT_EQ(redeemed.name(), use.name());
  EXPECT_EQ(redeemed.state(), v1::CouponUse::STATE_REDEEMED);
  EXPECT_EQ(redeemed.discount_minor(), 500);
  EXPECT_EQ(redeemed.member(), MemberName(1));
  EXPECT_EQ(Get(coupon.name()).counts().used(), 1);
  EXPECT_EQ(Get(coupon.name()).counts().reserved(), 0);
  EXPECT_THAT(RedeemReserved(use.name()), ReasonIs("COUPON_USE_STATE"));
  EXPECT_THAT(Release(use.name()), ReasonIs("COUPON_USE_STATE"));
  // Also when its time would be over by now.
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Get(coupon.name()).counts().used(), 1);
  ExpectCounted();
}

TEST_F(CouponTest, AnOrderThatHasChangedIsJudgedAgainWithoutItsOwnReservation) {
  CLM_ASSERT_OK(EnrolMember(1));
  CLM_ASSERT_OK(CreateBudget(1, 500));
  auto request = NewRequest();
  request.mutable_coupon()->set_usage_limit(1);
  request.mutable_coupon()->set_member_limit(1);
  request.mutable_coupon()->set_value_limit_minor(500);
  request.mutable_coupon()->set_budget(BudgetName());
  Create(request);
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Reserve("SUMMER", 1));
  v1::RedeemReservedCouponRequest redeem;
  redeem.set_use(use.name());
  redeem.mutable_order()->set_currency("USD");
  redeem.mutable_order()->set_amount_minor(300);
  redeem.set_source("shop");
  redeem.set_external_id("order-1");
  EXPECT_THAT(Ask(&H::RedeemReservedCoupon, redeem), ReasonIs("COUPON_CURRENCY"));
  redeem.mutable_order()->set_currency("EUR");
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, Ask(&H::RedeemReservedCoupon, redeem));
  EXPECT_EQ(redeemed.discount_minor(), 300);
  EXPECT_EQ(redeemed.order().amount_minor(), 300);
  EXPECT_EQ(redeemed.external_id(), "order-1");
  EXPECT_EQ(Budget().value_minor(), 300);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Ask(&H::RedeemReservedCoupon, redeem));
  EXPECT_EQ(again.SerializeAsString(), redeemed.SerializeAsString());
  ExpectCounted();
}

TEST_F(CouponTest, ReleasingAndCancellingGiveBack) {
  CLM_ASSERT_OK(CreateBudget(1, 500));
  CLM_ASSERT_OK(EnrolMember(1));
  auto request = NewRequest();
  request.mutable_coupon()->set_usage_limit(1);
  request.mutable_coupon()->set_member_limit(1);
  request.mutable_coupon()->set_budget(BudgetName());
  const v1::Coupon coupon = Create(request);
  CLM_ASSERT_OK_AND_ASSIGN(const auto reserved, Reserve("SUMMER", 1));
  EXPECT_THAT(Cancel(reserved.name()), ReasonIs("COUPON_USE_STATE"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto released, Release(reserved.name()));
  EXPECT_EQ(released.state(), v1::CouponUse::STATE_RELEASED);
  EXPECT_EQ(Budget().uses(), 0);
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, Redeem("SUMMER", 1));
  CLM_ASSERT_OK_AND_ASSIGN(const auto cancelled, Cancel(redeemed.name()));
  EXPECT_EQ(cancelled.state(), v1::CouponUse::STATE_CANCELLED);
  ExpectRefused<v1::CouponUse>("COUPON_USE_STATE", StatusCode::kFailedPrecondition,
                               [&] { return Cancel(redeemed.name()); });
  CLM_EXPECT_OK(Redeem("SUMMER", 1));
  EXPECT_EQ(Budget().uses(), 1);
  EXPECT_EQ(Budget().value_minor(), 500);
  ExpectCounted();
  v1::ListCouponUsesRequest list;
  list.set_parent(coupon.name());
  CLM_ASSERT_OK_AND_ASSIGN(const auto uses, Ask(&H::ListCouponUses, list));
  ASSERT_THAT(uses.uses(), SizeIs(3));
  EXPECT_EQ(uses.uses(1).name(), redeemed.name());
  EXPECT_EQ(uses.uses(2).name(), reserved.name());
}

TEST_F(CouponTest, TermsChangeForWhatComesLaterAndTheCountsStay) {
  const v1::Coupon coupon = Create(NewRequest());
  CLM_ASSERT_OK(Redeem("SUMMER"));
  v1::UpdateCouponRequest request;
  request.mutable_coupon()->set_name(coupon.name());
  request.mutable_coupon()->set_etag(coupon.etag());
  request.mutable_coupon()->set_amount_minor(300);
  request.mutable_coupon()->set_usage_limit(2);
  request.mutable_update_mask()->add_paths("amount_minor");
  request.mutable_update_mask()->add_paths("usage_limit");
  CLM_ASSERT_OK_AND_ASSIGN(const auto changed, Ask(&H::UpdateCoupon, request));
  EXPECT_EQ(changed.counts().used(), 1);
  EXPECT_EQ(changed.code(), "SUMMER");
  EXPECT_THAT(Ask(&H::UpdateCoupon, request), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(Redeem("SUMMER")->discount_minor(), 300);
  ExpectUseless("COUPON_USED_UP", "SUMMER");
  for (const char* path : {"code", "currency", "member", "budget", "batch", "counts"}) {
    v1::UpdateCouponRequest fixed;
    fixed.mutable_coupon()->set_name(coupon.name());
    fixed.mutable_update_mask()->add_paths(path);
    EXPECT_THAT(Ask(&H::UpdateCoupon, fixed), StatusIs(StatusCode::kInvalidArgument)) << path;
  }
  request.mutable_coupon()->set_etag("");
  request.mutable_coupon()->set_amount_minor(0);
  EXPECT_THAT(Ask(&H::UpdateCoupon, request),
              StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("coupon.amount_minor")));
  ExpectCounted();
}

TEST_F(CouponTest, ABudgetIsRaisedAndKeepsWhatIsGone) {
  CLM_ASSERT_OK_AND_ASSIGN(const auto budget, CreateBudget(1, 0));
  EXPECT_THAT(CreateBudget(2, 0), ReasonIs("COUPON_BUDGET_EXISTS"));
  auto request = NewRequest();
  request.mutable_coupon()->set_budget(BudgetName());
  Create(request);
  CLM_ASSERT_OK(Redeem("SUMMER"));
  ExpectUseless("COUPON_BUDGET_USES", "SUMMER");
  v1::UpdateCouponBudgetRequest raise;
  raise.mutable_coupon_budget()->set_name(budget.name());
  raise.mutable_coupon_budget()->set_etag(budget.etag());
  raise.mutable_coupon_budget()->set_use_limit(2);
  CLM_ASSERT_OK_AND_ASSIGN(const auto raised, Ask(&H::UpdateCouponBudget, raise));
  EXPECT_EQ(raised.uses(), 1);
  EXPECT_THAT(Ask(&H::UpdateCouponBudget, raise), StatusIs(StatusCode::kAborted));
  CLM_ASSERT_OK(Redeem("SUMMER"));
  ExpectUseless("COUPON_BUDGET_USES", "SUMMER");
  request.mutable_coupon()->set_code("AUTUMN");
  request.mutable_coupon()->set_budget(BudgetName("winter"));
  EXPECT_THAT(Ask(&H::CreateCoupon, request), StatusIs(StatusCode::kNotFound));
}

TEST_F(CouponTest, TheJournalTellsEverythingButCodes) {
  auto request = NewRequest("SECRETCODE");
  const v1::Coupon coupon = Create(request);
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Redeem("SECRETCODE", 0, 2000, "order-1"));
  CLM_ASSERT_OK(Cancel(use.name()));
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type LIKE 'clm.loyalty.v1.Coupon%'"), 3);
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE position('SECRETC0DE' in "
                  "encode(event, 'escape')) > 0 OR position('SECRETCODE' in encode(event, "
                  "'escape')) > 0"),
            0);
}

TEST_F(CouponTest, WhoWasMergedUsesWhatWasTheirsAndIsCountedAsOne) {
  for (int member : {1, 2}) CLM_ASSERT_OK(EnrolMember(member));
  auto personal = NewRequest("HERS");
  personal.mutable_coupon()->set_member(MemberName(1));
  const v1::Coupon hers = Create(personal);
  auto each = NewRequest("EACH");
  each.mutable_coupon()->set_member_limit(2);
  Create(each);
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Redeem("EACH", 1, 2000, "order-1"));
  CLM_ASSERT_OK(Redeem("EACH", 2));
  CLM_ASSERT_OK(Merge(2, 1));
  // Before and after their points have followed.
  for (int round : {1, 2}) {
    ExpectUseless("COUPON_MEMBER_LIMIT", "EACH", 1);
    ExpectUseless("COUPON_MEMBER_LIMIT", "EACH", 2);
    EXPECT_EQ(Get(hers.name()).member(), MemberName(2));
    CLM_ASSERT_OK_AND_ASSIGN(const auto used, Redeem("HERS", round));
    EXPECT_EQ(used.member(), MemberName(2));
    if (round == 1) {
      EXPECT_EQ(RunDue(), 1);
    }
  }
  // The answer of then.
  EXPECT_EQ(Redeem("EACH", 1, 2000, "order-1")->SerializeAsString(), use.SerializeAsString());
  v1::ListCouponsRequest list;
  list.set_parent(kProgram);
  for (int member : {1, 2}) {
    list.set_member(MemberName(member));
    CLM_ASSERT_OK_AND_ASSIGN(const auto listed, Ask(&H::ListCoupons, list));
    ASSERT_THAT(listed.coupons(), SizeIs(1));
    EXPECT_EQ(listed.coupons(0).name(), hers.name());
  }
  CLM_ASSERT_OK(Cancel(use.name()));
  CLM_EXPECT_OK(Redeem("EACH", 1));
  ExpectCounted();
}

TEST_F(CouponTest, AnErasureTakesThePersonAwayAndLeavesTheSums) {
  for (int member : {1, 2, 3}) CLM_ASSERT_OK(EnrolMember(member));
  auto personal = NewRequest("HERS");
  personal.mutable_coupon()->set_member(MemberName(1));
  const v1::Coupon hers = Create(personal);
  Create(NewRequest("SUMMER"));
  CLM_ASSERT_OK(Redeem("SUMMER", 1, 2000, "order-1"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto reserved, Reserve("HERS", 1));
  CLM_ASSERT_OK(Redeem("SUMMER", 3));
  CLM_ASSERT_OK(Merge(2, 1));
  EXPECT_EQ(RunDue(), 1);
  v1::UpdateCouponRequest update;
  update.mutable_coupon()->set_name(hers.name());
  update.mutable_coupon()->set_display_name("Hers");
  update.set_request_id("11111111-2222-4333-8444-555555555555");
  CLM_ASSERT_OK(Ask(&H::UpdateCoupon, update));
  CLM_ASSERT_OK(Erase(2));
  CLM_ASSERT_OK(Erase(2));
  EXPECT_EQ(Count("SELECT count(*) FROM request"), 0) << "answers name them";
  EXPECT_EQ(Count("SELECT count(*) FROM coupon WHERE contact_id IS NOT NULL"), 0);
  EXPECT_EQ(Count("SELECT count(*) FROM coupon_use WHERE contact_id IS NOT NULL"), 1);
  EXPECT_TRUE(Get(hers.name()).member_erased());
  EXPECT_EQ(Get(hers.name()).member(), "");
  // What was for one person is not for everybody now.
  for (int member : {0, 3}) ExpectUseless("COUPON_MEMBER_ERASED", "HERS", member);
  EXPECT_THAT(Redeem("SUMMER", 2), ReasonIs("MEMBER_ERASED"));
  EXPECT_THAT(Redeem("SUMMER", 1), ReasonIs("MEMBER_ERASED"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Redeem("SUMMER", 1, 2000, "order-1"));
  EXPECT_EQ(again.member(), "");
  CLM_ASSERT_OK_AND_ASSIGN(const auto released, Release(reserved.name()));
  EXPECT_EQ(released.member(), "");
  ExpectCounted();
}

TEST_F(CouponTest, ProductsAreFreeByTheLinesOfTheOrder) {
  auto request = NewRequest("3FOR2");
  request.mutable_coupon()->set_kind(v1::Coupon::KIND_BUY_X_GET_Y);
  request.mutable_coupon()->clear_amount_minor();
  EXPECT_THAT(Ask(&H::CreateCoupon, request), StatusIs(StatusCode::kInvalidArgument));
  request.mutable_coupon()->add_skus("mug");
  request.mutable_coupon()->add_skus("cap");
  request.mutable_coupon()->set_buy_quantity(2);
  request.mutable_coupon()->set_free_quantity(1);
  request.mutable_coupon()->set_most_applications(2);
  const v1::Coupon coupon = Create(request);
  EXPECT_EQ(Get(coupon.name()).SerializeAsString(), coupon.SerializeAsString());
  EXPECT_EQ(coupon.kind(), v1::Coupon::KIND_BUY_X_GET_Y);
  EXPECT_THAT(coupon.skus(), ElementsAre("mug", "cap"));
  EXPECT_EQ(coupon.most_applications(), 2);

  ExpectUseless("COUPON_LINES_NEEDED", "3FOR2");
  const auto with_mugs = [](auto typed, int64_t mugs) {
    for (const auto& [sku, price] : {std::pair("mug", 900), std::pair("cap", 500)}) {
      v1::CouponOrderLine* line = typed.mutable_order()->add_lines();
      line->set_sku(sku);
      line->set_quantity(sku == std::string("mug") ? mugs : 1);
      line->set_unit_price_minor(price);
    }
    return typed;
  };
  auto check = with_mugs(Typed<v1::CheckCouponRequest>("3FOR2", 0, 100000), 1);
  ExpectRefused<v1::CheckCouponResponse>("COUPON_PRODUCTS", StatusCode::kFailedPrecondition,
                                         [&] { return Ask(&H::CheckCoupon, check); });
  for (const auto& [mugs, off] : {std::pair(2, 500), std::pair(5, 1400), std::pair(99, 1400)}) {
    check = with_mugs(Typed<v1::CheckCouponRequest>("3FOR2", 0, 100000), mugs);
    CLM_ASSERT_OK_AND_ASSIGN(const auto answer, Ask(&H::CheckCoupon, check));
    EXPECT_EQ(answer.discount_minor(), off) << mugs;
  }
  auto reserve = with_mugs(Typed<v1::ReserveCouponRequest>("3FOR2", 0, 100000), 2);
  reserve.set_duration("15m");
  CLM_ASSERT_OK_AND_ASSIGN(const auto use, Ask(&H::ReserveCoupon, reserve));
  EXPECT_EQ(use.discount_minor(), 500);
  EXPECT_THAT(use.order().lines(), IsEmpty());
  CLM_ASSERT_OK(RedeemReserved(use.name()));
  auto redeem = with_mugs(Typed<v1::RedeemCouponRequest>("3FOR2", 0, 100000), 5);
  redeem.set_external_id("order-1");
  CLM_ASSERT_OK_AND_ASSIGN(const auto redeemed, Ask(&H::RedeemCoupon, redeem));
  EXPECT_EQ(redeemed.discount_minor(), 1400);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Ask(&H::RedeemCoupon, redeem));
  EXPECT_EQ(again.SerializeAsString(), redeemed.SerializeAsString());
  // Other lines are another request.
  redeem.mutable_order()->mutable_lines(0)->set_quantity(6);
  EXPECT_THAT(Ask(&H::RedeemCoupon, redeem), ReasonIs("EXTERNAL_ID_REUSED"));
  redeem.mutable_order()->mutable_lines(0)->set_unit_price_minor(int64_t{1} << 52);
  EXPECT_THAT(Ask(&H::RedeemCoupon, redeem), StatusIs(StatusCode::kAlreadyExists));
  redeem.set_external_id("order-2");
  EXPECT_THAT(Ask(&H::RedeemCoupon, redeem),
              StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("order.lines")));
  EXPECT_EQ(Get(coupon.name()).counts().used(), 2);
  EXPECT_EQ(Get(coupon.name()).counts().value_minor(), 1900);
  ExpectCounted();
}

TEST_F(CouponTest, AShareCouponBecomesOneForFreeProducts) {
  const v1::Coupon coupon = Create(NewRequest());
  v1::UpdateCouponRequest update;
  update.mutable_coupon()->set_name(coupon.name());
  update.mutable_coupon()->set_kind(v1::Coupon::KIND_FREE_PRODUCT);
  update.mutable_coupon()->add_skus("mug");
  update.mutable_coupon()->set_free_quantity(1);
  for (const char* path : {"kind", "skus", "free_quantity"}) {
    update.mutable_update_mask()->add_paths(path);
  }
  EXPECT_THAT(Ask(&H::UpdateCoupon, update),
              StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("coupon.amount_minor")));
  update.mutable_update_mask()->add_paths("amount_minor");
  CLM_ASSERT_OK(Ask(&H::UpdateCoupon, update));
  auto check = Typed<v1::CheckCouponRequest>("SUMMER");
  v1::CouponOrderLine* line = check.mutable_order()->add_lines();
  line->set_sku("mug");
  line->set_quantity(2);
  line->set_unit_price_minor(750);
  CLM_ASSERT_OK_AND_ASSIGN(const auto answer, Ask(&H::CheckCoupon, check));
  EXPECT_EQ(answer.discount_minor(), 750);
}

// What a gift card is but for its owner, who may also put more into it.
TEST_F(CouponTest, AnElectronicWalletIsSpentToTheLastCentAndFilledUp) {
  for (int member : {1, 2}) CLM_ASSERT_OK(EnrolMember(member));
  auto request = NewRequest("WALLET");
  request.mutable_coupon()->set_member(MemberName(1));
  request.mutable_coupon()->set_amount_minor(5000);
  request.mutable_coupon()->set_value_limit_minor(5000);
  const v1::Coupon wallet = Create(request);
  EXPECT_THAT(Redeem("WALLET", 2, 100), ReasonIs("COUPON_OF_ANOTHER_MEMBER"));
  EXPECT_EQ(Redeem("WALLET", 1, 1999)->discount_minor(), 1999);
  EXPECT_EQ(Redeem("WALLET", 1, 9999)->discount_minor(), 3001);
  EXPECT_THAT(Redeem("WALLET", 1, 1), ReasonIs("COUPON_VALUE_USED_UP"));
  v1::UpdateCouponRequest fill;
  *fill.mutable_coupon() = Get(wallet.name());
  fill.mutable_coupon()->set_value_limit_minor(7000);
  fill.mutable_coupon()->set_amount_minor(7000);
  CLM_ASSERT_OK(Ask(&H::UpdateCoupon, fill));
  EXPECT_EQ(Redeem("WALLET", 1, 9999)->discount_minor(), 2000);
  EXPECT_THAT(Redeem("WALLET", 1, 1), ReasonIs("COUPON_VALUE_USED_UP"));
  ExpectCounted();
}

TEST_F(CouponTest, AnotherTenantSeesNothing) {
  CLM_ASSERT_OK(CreateBudget(1, 0));
  Create(NewRequest());
  v1::ListCouponsRequest list;
  list.set_parent("tenants/globex/programs/club");
  EXPECT_THAT(Ask(&H::ListCoupons, list), StatusIs(StatusCode::kNotFound));
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  for (const char* table : {"coupon", "coupon_budget", "coupon_use", "coupon_key"}) {
    CLM_ASSERT_OK(pool->Read({pg::Scope::Tenant("globex")}, [&](pg::Tx& tx) {
      const auto rows = tx.ExecDynamic(absl::StrCat("SELECT count(*) FROM ", table));
      if (rows.ok()) {
        EXPECT_EQ((*rows)[0].Int(0), 0) << table;
      }
      return rows.status();
    }));
  }
}

}  // namespace
}  // namespace clm::loyalty
