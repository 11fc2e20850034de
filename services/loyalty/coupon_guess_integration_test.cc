#include <atomic>
#include <deque>
#include <functional>
#include <thread>

#include "libs/testing/at_once.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_guesses.h"
#include "services/loyalty/coupon_module_part.h"
#include "services/loyalty/loyalty_fixture.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::IsOk;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::HasSubstr;

// That nobody has, though it is not mistyped.
std::string Unknown() {
  for (const char last : std::string("0123456789ABCDEFGHJKMNPQRSTVWXYZ")) {
    if (HasRightCheck(absl::StrCat("W1NTER", std::string(1, last)))) {
      return absl::StrCat("winter", std::string(1, last));
    }
  }
  return "";
}

class CouponGuessTest : public LoyaltyTest {
 protected:
  using Handlers = CouponHandlers;
  // A process of its own on the same database.
  struct Server {
    Server(const std::string& dsn, const Clock* clock)
        : pool(pg::NewPool({.dsn = dsn, .checkout_timeout = absl::Seconds(30)})),
          part(pool.get(), clock, &tokens) {}
    PageTokens tokens{"secret"};
    std::unique_ptr<pg::Pool> pool;
    CouponModulePart part;
  };

  void SetUp() override {
    server_ = std::make_unique<Server>(database_.app_dsn, &clock_);
    CLM_ASSERT_OK(CreateProgram());
    for (int member : {1, 2, 3}) {
      v1::EnrolMemberRequest enrol;
      enrol.set_parent(kProgram);
      enrol.set_contact(EntityName(kContacts, {"acme", Id(member)}));
      CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::EnrolMember, enrol));
    }
    v1::CreateCouponRequest create;
    create.set_parent(kProgram);
    create.mutable_coupon()->set_code("SUMMER");
    create.mutable_coupon()->set_kind(v1::Coupon::KIND_PERCENT);
    create.mutable_coupon()->set_basis_points(1000);
    CLM_ASSERT_OK(Ask(&Handlers::CreateCoupon, create));
  }

  rpc::Call CallBy(const std::string& actor) const {
    rpc::Call call = CallNow();
    call.caller.actor = actor;
    return call;
  }
  template <class Req, class Resp>
  absl::StatusOr<Resp> Ask(void (Handlers::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                           const Req& request) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    (server_->part.handlers().*rpc)(CallNow(), request,
                                    rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
                                      result = std::move(r);
                                      done.Notify();
                                    }));
    done.WaitForNotification();
    return result;
  }
  template <class Req>
  static Req Typed(const std::string& code, int member) {
    Req request;
    request.set_parent(kProgram);
    request.set_code(code);
    if (member != 0) request.set_member(MemberName(member));
    request.mutable_order()->set_currency("EUR");
    request.mutable_order()->set_amount_minor(2000);
    return request;
  }
  absl::Status Check(const std::string& code, int member, Server* server = nullptr,
                     const std::string& actor = "token:ada") {
    return (server == nullptr ? server_.get() : server)
        ->part.handlers()
        .CheckCoupon(CallBy(actor), Typed<v1::CheckCouponRequest>(code, member))
        .status();
  }
  absl::Status Lookup(const std::string& code, const std::string& actor = "token:ada") {
    v1::LookupCouponRequest request;
    request.set_parent(kProgram);
    request.set_code(code);
    return server_->part.handlers().LookupCoupon(CallBy(actor), request).status();
  }
  void Guess(int times, int member) {
    for (int i = 0; i < times; ++i) EXPECT_THAT(Check(Unknown(), member), ReasonIs("CODE_UNKNOWN"));
  }
  absl::StatusOr<v1::Program> SetLimits(const std::function<void(v1::CouponGuessLimits&)>& set) {
    v1::UpdateProgramRequest update;
    update.mutable_program()->set_name(kProgram);
    set(*update.mutable_program()->mutable_coupon_guess_limits());
    update.mutable_update_mask()->add_paths("coupon_guess_limits");
    return Do(&Node::programs, &ProgramHandlers::UpdateProgram, update);
  }
  int64_t Rows() { return Count("SELECT count(*) FROM coupon_guess"); }

  std::unique_ptr<Server> server_;
};

TEST_F(CouponGuessTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(server_->pool->Prepare(CouponGuessesStatements()));
}

TEST_F(CouponGuessTest, WhoHasGuessedTooOftenIsToldNothingMoreUntilTheTimeIsOver) {
  CLM_EXPECT_OK(Check("SUMMER", 1));
  EXPECT_EQ(Rows(), 0) << "right codes count nothing";
  Guess(3, 1);
  clock_.Advance(absl::Minutes(10));
  EXPECT_THAT(Check("", 1), ReasonIs("CODE_MALFORMED"));
  EXPECT_THAT(Check("SUMMER!", 1), ReasonIs("CODE_MALFORMED"));
  EXPECT_THAT(Ask(&Handlers::ReserveCoupon, Typed<v1::ReserveCouponRequest>(Unknown(), 1)),
              ReasonIs("CODE_UNKNOWN"));
  EXPECT_THAT(Ask(&Handlers::RedeemCoupon, Typed<v1::RedeemCouponRequest>(Unknown(), 1)),
              ReasonIs("CODE_UNKNOWN"));
  CLM_EXPECT_OK(Check("SUMMER", 1));
  Guess(3, 1);
  const auto refused = [&](const absl::Status& status, const std::string& seconds) {
    EXPECT_THAT(status, StatusIs(StatusCode::kResourceExhausted, HasSubstr(seconds)));
    EXPECT_THAT(status, ReasonIs("COUPON_GUESSES"));
    EXPECT_EQ(error::MetadataValue(status, "limit"), "member");
    EXPECT_EQ(error::MetadataValue(status, "retry_seconds"), seconds);
    EXPECT_TRUE(status.GetPayload(error::kRetryInfoUrl).has_value());
  };
  refused(Check(Unknown(), 1), "3000");
  refused(Check("SUMMER", 1), "3000");
  refused(Ask(&Handlers::ReserveCoupon, Typed<v1::ReserveCouponRequest>("SUMMER", 1)).status(),
          "3000");
  refused(Ask(&Handlers::RedeemCoupon, Typed<v1::RedeemCouponRequest>("SUMMER", 1)).status(),
          "3000");
  // Others are not concerned, nor are the caller's other requests.
  CLM_EXPECT_OK(Check("SUMMER", 2));
  CLM_EXPECT_OK(Check("SUMMER", 0));
  CLM_EXPECT_OK(Lookup("SUMMER"));
  // Refusals put nothing off, and a restart forgets nothing.
  clock_.Advance(absl::Minutes(50) - absl::Microseconds(1));
  Server restarted(database_.app_dsn, &clock_);
  refused(Check("SUMMER", 1, &restarted), "1");
  clock_.Advance(absl::Microseconds(1));
  CLM_EXPECT_OK(Check("SUMMER", 1));
  Guess(10, 1);
  EXPECT_THAT(Check("SUMMER", 1), ReasonIs("COUPON_GUESSES"));
}

TEST_F(CouponGuessTest, ACallerIsLimitedWhomeverItAsksFor) {
  CLM_ASSERT_OK(SetLimits([](auto& limits) { limits.set_per_caller(4); }));
  Guess(1, 1);
  Guess(1, 2);
  Guess(1, 0);
  EXPECT_THAT(Lookup(Unknown()), ReasonIs("CODE_UNKNOWN"));
  for (int member : {0, 3}) {
    const absl::Status refused = Check("SUMMER", member);
    EXPECT_THAT(refused, ReasonIs("COUPON_GUESSES"));
    EXPECT_EQ(error::MetadataValue(refused, "limit"), "caller");
  }
  EXPECT_THAT(Lookup("SUMMER"), ReasonIs("COUPON_GUESSES"));
  CLM_EXPECT_OK(Lookup("SUMMER", "token:bob"));
  CLM_EXPECT_OK(Check("SUMMER", 1, nullptr, "token:bob"));
  // What was refused has counted for nobody.
  EXPECT_EQ(Count("SELECT sum(guesses) FROM coupon_guess WHERE guesser LIKE 'member/%'"), 2);
}

TEST_F(CouponGuessTest, ExactlyTheLimitIsAnsweredHoweverManyGuessAtOnce) {
  CLM_ASSERT_OK(SetLimits([](auto& limits) { limits.set_per_caller(15); }));
  std::deque<Server> servers;
  for (int i = 0; i < 4; ++i) servers.emplace_back(database_.app_dsn, &clock_);
  const auto guess = [&](int member) {
    std::atomic<int> unknown{0}, refused{0};
    clm::testing::AtOnce(24, [&](int i) {
      const std::string reason = error::Reason(Check(Unknown(), member, &servers[i % 4]));
      if (reason == "CODE_UNKNOWN") ++unknown;
      if (reason == "COUPON_GUESSES") ++refused;
    });
    EXPECT_EQ(unknown + refused, 24);
    return unknown.load();
  };
  EXPECT_EQ(guess(1), 10);
  EXPECT_EQ(guess(0), 5);
  EXPECT_EQ(Count("SELECT guesses FROM coupon_guess WHERE guesser = 'caller/token:ada'"), 15);
}

TEST_F(CouponGuessTest, ARightCodeIsFoundOnlyOnceEarlierGuessesAreCounted) {
  auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 2});
  std::atomic<bool> answered{false};
  absl::Status found;
  std::thread asker;
  CLM_ASSERT_OK(pool->Transact({pg::Scope::Suite()}, [&](pg::Tx& tx) -> absl::Status {
    // Another look-up for the member is under way.
    CLM_RETURN_IF_ERROR(tx.ExecDynamic(absl::StrCat("SELECT pg_advisory_xact_lock(hashtextextended("
                                                    "'coupon_guess/acme/club/",
                                                    Id(1).ToString(), "', 0))::text"))
                            .status());
    asker = std::thread([&] {
      found = Check("SUMMER", 1);
      answered = true;
    });
    while (!answered && Count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                              "AND NOT granted") == 0) {
      std::this_thread::yield();
    }
    return tx
        .ExecDynamic(absl::StrCat(
            "INSERT INTO coupon_guess (tenant_id, program_id, guesser, guesses, until_time) "
            "VALUES ('acme', 'club', 'member/",
            Id(1).ToString(), "', 10, 'infinity')"))
        .status();
  }));
  asker.join();
  EXPECT_THAT(found, ReasonIs("COUPON_GUESSES"));
}

TEST_F(CouponGuessTest, ProgrammesSetTheirLimitsAndTheyCountAtOnce) {
  EXPECT_THAT(SetLimits([](auto& limits) { limits.set_window("2M"); }),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("program.coupon_guess_limits.window: must be at most 31 days")));
  EXPECT_THAT(
      SetLimits([](auto& limits) { limits.set_window("soon"); }),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("program.coupon_guess_limits.window")));
  CLM_ASSERT_OK_AND_ASSIGN(const auto program, SetLimits([](auto& limits) {
                             limits.set_per_member(2);
                             limits.set_window("10m");
                           }));
  EXPECT_EQ(program.coupon_guess_limits().per_member(), 2);
  EXPECT_EQ(program.coupon_guess_limits().per_caller(), 1000);
  EXPECT_EQ(program.coupon_guess_limits().window(), "10m");
  Guess(2, 1);
  EXPECT_THAT(Check("SUMMER", 1), ReasonIs("COUPON_GUESSES"));
  CLM_ASSERT_OK(SetLimits([](auto& limits) { limits.set_per_member(3); }));
  CLM_EXPECT_OK(Check("SUMMER", 1));
  Guess(1, 1);
  EXPECT_THAT(Check("SUMMER", 1), ReasonIs("COUPON_GUESSES"));
  CLM_ASSERT_OK(SetLimits([](auto& limits) { limits.set_unlimited(true); }));
  CLM_EXPECT_OK(Check("SUMMER", 1));
  Guess(12, 1);
}

TEST_F(CouponGuessTest, WhoWasMergedGuessesWithTheSurvivorAndAnErasureForgets) {
  CLM_ASSERT_OK(Merge(2, 1));
  Guess(5, 1);
  Guess(5, 2);
  for (int member : {1, 2}) EXPECT_THAT(Check("SUMMER", member), ReasonIs("COUPON_GUESSES"));
  Guess(1, 3);
  CLM_ASSERT_OK(Erase(2));
  EXPECT_EQ(Count("SELECT count(*) FROM coupon_guess WHERE guesser LIKE 'member/%'"), 1);
}

TEST_F(CouponGuessTest, WhatIsForgottenIsDeletedAsOthersAreCounted) {
  for (int member = 10; member < 40; ++member) Guess(1, member);
  EXPECT_EQ(Rows(), 31);
  clock_.Advance(absl::Hours(1));
  for (int member = 40; member < 45; ++member) Guess(1, member);
  EXPECT_EQ(Rows(), 6);
}

TEST_F(CouponGuessTest, WhereThereIsNoProgrammeNothingIsCounted) {
  v1::LookupCouponRequest request;
  request.set_parent("tenants/acme/programs/none");
  request.set_code(Unknown());
  EXPECT_THAT(server_->part.handlers().LookupCoupon(CallNow(), request),
              StatusIs(StatusCode::kNotFound));
  request.set_parent("tenants/globex/programs/club");
  EXPECT_THAT(server_->part.handlers().LookupCoupon(CallNow(), request),
              StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(Rows(), 0);
  Guess(1, 1);
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  for (const auto& [tenant, rows] : {std::pair("globex", 0), std::pair("acme", 2)}) {
    CLM_ASSERT_OK(pool->Read({pg::Scope::Tenant(tenant)}, [&, expected = rows](pg::Tx& tx) {
      const auto found = tx.ExecDynamic("SELECT count(*) FROM coupon_guess");
      if (found.ok()) {
        EXPECT_EQ((*found)[0].Int(0), expected);
      }
      return found.status();
    }));
  }
}

}  // namespace
}  // namespace clm::loyalty
