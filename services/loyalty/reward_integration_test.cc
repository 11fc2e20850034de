#include <atomic>
#include <deque>
#include <functional>

#include "clm/loyalty/v1/reward_event.pb.h"
#include "libs/testing/at_once.h"
#include "services/loyalty/coupon_module_part.h"
#include "services/loyalty/loyalty_fixture.h"
#include "services/loyalty/reward_module_part.h"

namespace clm::loyalty {
namespace {

using absl::StatusCode;
using clm::testing::ReasonIs;
using clm::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using C = CouponHandlers;
using H = RewardHandlers;

class RewardTest : public LoyaltyTest {
 protected:
  // A process of its own on the same database.
  struct Process {
    Process(const std::string& dsn, const Clock* clock)
        : pool(pg::NewPool({.dsn = dsn, .checkout_timeout = absl::Seconds(30)})),
          coupons(pool.get(), clock, &tokens),
          rewards(pool.get(), clock, &tokens) {}
    H& Handlers(H*) { return rewards.handlers(); }
    C& Handlers(C*) { return coupons.handlers(); }
    PageTokens tokens{"secret"};
    std::unique_ptr<pg::Pool> pool;
    CouponModulePart coupons;
    RewardModulePart rewards;
  };

  void SetUp() override {
    process_ = std::make_unique<Process>(database_.app_dsn, &clock_);
    CLM_ASSERT_OK(CreateProgram("", "12M"));
  }

  template <class S, class Req, class Resp>
  absl::StatusOr<Resp> Ask(void (S::*rpc)(const rpc::Call&, const Req&, rpc::Reply<Resp>),
                           const Req& request, Process* process = nullptr) {
    absl::StatusOr<Resp> result;
    absl::Notification done;
    ((process == nullptr ? *process_ : *process).Handlers(static_cast<S*>(nullptr)).*rpc)(
        CallNow(), request, rpc::Reply<Resp>::To([&](absl::StatusOr<Resp> r) {
          result = std::move(r);
          done.Notify();
        }));
    done.WaitForNotification();
    return result;
  }
  template <class S, class Req, class Resp>
  absl::StatusOr<Resp> Ask(absl::StatusOr<Resp> (S::*rpc)(const rpc::Call&, const Req&),
                           const Req& request) {
    return (process_->Handlers(static_cast<S*>(nullptr)).*rpc)(CallNow(), request);
  }

  static std::string RewardName(const std::string& id = "mug") {
    return absl::StrCat(kProgram, "/rewards/", id);
  }
  // For 100 points.
  static v1::CreateRewardRequest NewRequest(const std::string& id = "mug") {
    v1::CreateRewardRequest request;
    request.set_parent(kProgram);
    request.set_reward_id(id);
    request.mutable_reward()->set_display_name("A mug");
    request.mutable_reward()->set_cost(100);
    return request;
  }
  // 5.00 EUR off, once.
  static v1::CreateRewardRequest NewVoucher(const std::string& id = "voucher") {
    auto request = NewRequest(id);
    v1::RewardCoupon& coupon = *request.mutable_reward()->mutable_coupon();
    coupon.mutable_terms()->set_kind(v1::Coupon::KIND_AMOUNT);
    coupon.mutable_terms()->set_amount_minor(500);
    coupon.mutable_terms()->set_currency("EUR");
    coupon.mutable_terms()->set_usage_limit(1);
    coupon.mutable_terms()->set_batch("vouchers");
    coupon.mutable_code_format()->set_prefix("GIFT");
    coupon.set_valid_for("90D");
    return request;
  }
  v1::Reward Create(const v1::CreateRewardRequest& request) {
    const auto made = Ask(&H::CreateReward, request);
    CLM_EXPECT_OK(made);
    return made.value_or(v1::Reward());
  }
  v1::Reward CreateWith(const std::string& id, const std::function<void(v1::Reward&)>& set) {
    auto request = NewRequest(id);
    set(*request.mutable_reward());
    return Create(request);
  }
  v1::Reward Get(const std::string& id = "mug") {
    v1::GetRewardRequest request;
    request.set_name(RewardName(id));
    return Ask(&H::GetReward, request).value_or(v1::Reward());
  }
  static v1::RedeemRewardRequest TakeRequest(int member, const std::string& id = "mug",
                                             const std::string& external_id = "") {
    v1::RedeemRewardRequest request;
    request.set_reward(RewardName(id));
    request.set_member(MemberName(member));
    request.set_external_id(external_id);
    return request;
  }
  absl::StatusOr<v1::RedeemRewardResponse> Take(int member, const std::string& id = "mug",
                                                const std::string& external_id = "") {
    return Ask(&H::RedeemReward, TakeRequest(member, id, external_id));
  }
  absl::StatusOr<v1::RewardRedemption> GiveBack(const std::string& redemption,
                                                Process* process = nullptr) {
    v1::CancelRewardRedemptionRequest request;
    request.set_redemption(redemption);
    request.set_reason("broken");
    return Ask(&H::CancelRewardRedemption, request, process);
  }
  v1::RewardRedemption GetRedemption(const std::string& name) {
    v1::GetRewardRedemptionRequest request;
    request.set_name(name);
    const auto found = Ask(&H::GetRewardRedemption, request);
    CLM_EXPECT_OK(found);
    return found.value_or(v1::RewardRedemption());
  }
  std::vector<std::string> Redemptions(int member, const std::string& id = "") {
    v1::ListRewardRedemptionsRequest request;
    request.set_parent(kProgram);
    if (member != 0) request.set_member(MemberName(member));
    if (!id.empty()) request.set_reward(RewardName(id));
    request.set_page_size(2);
    std::vector<std::string> names;
    do {
      const auto page = Ask(&H::ListRewardRedemptions, request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) break;
      for (const auto& redemption : page->redemptions()) names.push_back(redemption.name());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return names;
  }
  v1::Coupon GetIssued(const std::string& name) {
    v1::GetCouponRequest request;
    request.set_name(name);
    const auto found = Ask(&C::GetCoupon, request);
    CLM_EXPECT_OK(found);
    return found.value_or(v1::Coupon());
  }
  template <class Req>
  static Req Checkout(const std::string& code, int member) {
    Req request;
    request.set_parent(kProgram);
    request.set_code(code);
    request.set_member(MemberName(member));
    request.mutable_order()->set_currency("EUR");
    request.mutable_order()->set_amount_minor(2000);
    return request;
  }

  // What rewards count is what their redemptions add up to, and the ledger is sound.
  void ExpectCounted() {
    EXPECT_EQ(Count(R"sql(SELECT count(*) FROM reward r WHERE r.redeemed <> (
        SELECT count(*) FROM reward_redemption d WHERE d.tenant_id = r.tenant_id
          AND d.program_id = r.program_id AND d.reward_id = r.id AND d.state = 1))sql"),
              0);
    ExpectSound();
  }
  int64_t Written() {
    return Count(
        "SELECT (SELECT count(*) FROM journal) + (SELECT count(*) FROM posting) + "
        "(SELECT count(*) FROM reward) + (SELECT count(*) FROM reward_redemption) + "
        "(SELECT count(*) FROM reward_key) + (SELECT count(*) FROM coupon) + "
        "(SELECT count(*) FROM request)");
  }
  // Refused for that reason, and nothing is written.
  template <class Act>
  void ExpectRefused(const std::string& reason, StatusCode code, Act act) {
    const int64_t before = Written();
    const auto refused = act();
    EXPECT_THAT(refused, StatusIs(code)) << reason;
    EXPECT_THAT(refused, ReasonIs(reason));
    EXPECT_EQ(Written(), before) << reason;
  }
  void ExpectNotGiven(const std::string& reason, int member, const std::string& id = "mug") {
    ExpectRefused(reason, StatusCode::kFailedPrecondition, [&] { return Take(member, id); });
    ExpectRefused(reason, StatusCode::kFailedPrecondition, [&] {
      auto request = TakeRequest(member, id);
      request.set_dry_run(true);
      return Ask(&H::RedeemReward, request);
    });
  }
  // Bronze and silver, by the points earned.
  void AddTiers() {
    v1::GetProgramRequest get;
    get.set_name(kProgram);
    CLM_ASSERT_OK_AND_ASSIGN(v1::Program program,
                             Do(&Node::programs, &ProgramHandlers::GetProgram, get));
    for (const auto& [id, threshold] : {std::pair("bronze", 0), std::pair("silver", 1000)}) {
      v1::Tier* tier = program.mutable_tier_scheme()->add_tiers();
      tier->set_id(id);
      tier->set_threshold(threshold);
    }
    v1::UpdateProgramRequest update;
    *update.mutable_program() = program;
    CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::UpdateProgram, update));
  }

  std::unique_ptr<Process> process_;
};

TEST_F(RewardTest, EveryStatementFitsTheSchema) {
  CLM_EXPECT_OK(process_->pool->Prepare(RewardWorkStatements()));
  CLM_EXPECT_OK(process_->pool->Prepare(RewardReaderStatements()));
}

TEST_F(RewardTest, AMemberGetsARewardForPoints) {
  const v1::Reward mug = Create(NewRequest());
  EXPECT_EQ(mug.name(), RewardName());
  EXPECT_THAT(Ask(&H::CreateReward, NewRequest()), ReasonIs("REWARD_EXISTS"));
  CLM_ASSERT_OK(Earn(1, 250));
  clock_.Advance(absl::Seconds(1));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(1, "mug", "order-1"));
  EXPECT_EQ(taken.balance().active(), 150);
  EXPECT_EQ(BalanceOf(1).active(), 150);
  EXPECT_EQ(BalanceOf(1).redeemed(), 100);
  const v1::RewardRedemption& redemption = taken.redemption();
  EXPECT_EQ(redemption.state(), v1::RewardRedemption::STATE_REDEEMED);
  EXPECT_EQ(redemption.member(), MemberName(1));
  EXPECT_EQ(redemption.cost(), 100);
  EXPECT_EQ(redemption.coupon(), "");
  EXPECT_EQ(clm::FromProto(redemption.create_time()), clock_.Now());
  EXPECT_EQ(GetRedemption(redemption.name()).SerializeAsString(), redemption.SerializeAsString());
  EXPECT_EQ(redemption.posting(), StatementOf(1)[0].name());
  EXPECT_EQ(StatementOf(1)[0].reason(), "reward mug");
  EXPECT_EQ(Get().redeemed(), 1);
  EXPECT_EQ(Get().etag(), mug.etag());
  EXPECT_EQ(Count("SELECT count(*) FROM journal WHERE type LIKE 'clm.loyalty.v1.Reward%'"), 2);
  ExpectCounted();
}

TEST_F(RewardTest, WhatCostsNothingMovesNoPoints) {
  CreateWith("badge", [](v1::Reward& r) { r.set_cost(0); });
  CLM_ASSERT_OK(Earn(1, 10));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(1, "badge"));
  EXPECT_EQ(taken.redemption().posting(), "");
  EXPECT_THAT(StatementOf(1), SizeIs(1));
  CLM_ASSERT_OK(GiveBack(taken.redemption().name()));
  EXPECT_EQ(BalanceOf(1).active(), 10);
  ExpectCounted();
}

TEST_F(RewardTest, OfTheLastOneExactlyOneIsGivenOut) {
  CreateWith("mug", [](v1::Reward& r) { r.set_stock(1); });
  for (int member = 1; member <= 16; ++member) CLM_ASSERT_OK(Earn(member, 100));
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::vector<absl::Status> outcomes(16);
  clm::testing::AtOnce(16, [&](int i) {
    outcomes[i] = Ask(&H::RedeemReward, TakeRequest(i + 1), &processes[i % 4]).status();
  });
  int given = 0;
  for (int i = 0; i < 16; ++i) {
    if (outcomes[i].ok()) {
      ++given;
      EXPECT_EQ(BalanceOf(i + 1).active(), 0);
      continue;
    }
    EXPECT_THAT(outcomes[i], ReasonIs("REWARD_OUT_OF_STOCK"));
    EXPECT_EQ(BalanceOf(i + 1).active(), 100);
    EXPECT_THAT(StatementOf(i + 1), SizeIs(1));
  }
  EXPECT_EQ(given, 1);
  EXPECT_EQ(Get().redeemed(), 1);
  EXPECT_THAT(Redemptions(0), SizeIs(1));
  ExpectCounted();
}

TEST_F(RewardTest, AMemberLimitHoldsHoweverManyAskAtOnce) {
  CreateWith("mug", [](v1::Reward& r) { r.set_member_limit(2); });
  CLM_ASSERT_OK(Earn(1, 10000));
  CLM_ASSERT_OK(Earn(2, 10000));
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> given{0}, refused{0};
  clm::testing::AtOnce(16, [&](int i) {
    const auto outcome = Ask(&H::RedeemReward, TakeRequest(1), &processes[i % 4]);
    if (outcome.ok()) ++given;
    if (error::Reason(outcome.status()) == "REWARD_MEMBER_LIMIT") ++refused;
  });
  EXPECT_EQ(given, 2);
  EXPECT_EQ(refused, 14);
  EXPECT_EQ(BalanceOf(1).active(), 9800);
  CLM_EXPECT_OK(Take(2));
  ExpectCounted();
}

TEST_F(RewardTest, EveryRefusalHasAReasonAndChangesNothing) {
  AddTiers();
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 500));
  CreateWith("gone", [](v1::Reward& r) { r.set_archived(true); });
  ExpectNotGiven("REWARD_ARCHIVED", 1, "gone");
  CreateWith("early", [&](v1::Reward& r) {
    clm::ToProto(clock_.Now() + absl::Microseconds(1), r.mutable_start_time());
  });
  ExpectNotGiven("REWARD_NOT_STARTED", 1, "early");
  CreateWith("late", [&](v1::Reward& r) { clm::ToProto(clock_.Now(), r.mutable_end_time()); });
  ExpectNotGiven("REWARD_EXPIRED", 1, "late");
  CreateWith("fine", [](v1::Reward& r) { r.set_minimum_tier("silver"); });
  ExpectNotGiven("REWARD_TIER", 1, "fine");
  CreateWith("one", [](v1::Reward& r) { r.set_stock(1); });
  CLM_ASSERT_OK(Take(2, "one"));
  ExpectNotGiven("REWARD_OUT_OF_STOCK", 1, "one");
  CreateWith("each", [](v1::Reward& r) { r.set_member_limit(1); });
  CLM_ASSERT_OK(Take(1, "each"));
  ExpectNotGiven("REWARD_MEMBER_LIMIT", 1, "each");
  CreateWith("car", [](v1::Reward& r) { r.set_cost(100000); });
  ExpectNotGiven("POINTS_SHORT", 1, "car");
  EXPECT_EQ(error::MetadataValue(Take(1, "car").status(), "shortfall"), "99600");
  ExpectRefused("NOT_FOUND", StatusCode::kNotFound, [&] { return Take(3, "each"); });
  ExpectRefused("NOT_FOUND", StatusCode::kNotFound, [&] { return Take(1, "nothing"); });
  ExpectCounted();
}

TEST_F(RewardTest, ATierWhoseTimeIsOverOpensNothing) {
  AddTiers();
  CreateWith("fine", [](v1::Reward& r) { r.set_minimum_tier("silver"); });
  CLM_ASSERT_OK(Earn(1, 500));
  v1::SetMemberTierRequest by_hand;
  by_hand.set_name(MemberName(1));
  by_hand.set_tier("silver");
  clm::ToProto(clock_.Now() + absl::Hours(24), by_hand.mutable_until_time());
  CLM_ASSERT_OK(Do(&Node::programs, &ProgramHandlers::SetMemberTier, by_hand));
  clock_.Advance(absl::Hours(24) - absl::Microseconds(1));
  CLM_ASSERT_OK(Take(1, "fine"));
  clock_.Advance(absl::Microseconds(1));
  // No timer has run.
  EXPECT_THAT(Take(1, "fine"), ReasonIs("REWARD_TIER"));
  CLM_ASSERT_OK(Earn(1, 500));
  CLM_EXPECT_OK(Take(1, "fine"));
  ExpectCounted();
}

TEST_F(RewardTest, BadTermsAreRefusedByTheNameOfTheField) {
  struct Case {
    const char* field;
    std::function<void(v1::CreateRewardRequest&)> set;
    StatusCode code = StatusCode::kInvalidArgument;
  };
  const auto coupon = [](v1::CreateRewardRequest& r) -> v1::Coupon& {
    return *r.mutable_reward()->mutable_coupon()->mutable_terms();
  };
  const std::vector<Case> cases = {
      {"reward.name", [](auto& r) { r.mutable_reward()->set_name(RewardName("cup")); }},
      {"reward.cost", [](auto& r) { r.mutable_reward()->set_cost(-1); }},
      {"reward.cost", [](auto& r) { r.mutable_reward()->set_cost(kMaxRewardNumber + 1); }},
      {"reward.stock", [](auto& r) { r.mutable_reward()->set_stock(-1); }},
      {"reward.member_limit", [](auto& r) { r.mutable_reward()->set_member_limit(-1); }},
      {"reward.end_time",
       [&](auto& r) {
         clm::ToProto(clock_.Now(), r.mutable_reward()->mutable_start_time());
         clm::ToProto(clock_.Now(), r.mutable_reward()->mutable_end_time());
       }},
      {"reward.wallet", [](auto& r) { r.mutable_reward()->set_wallet("miles"); }},
      {"reward.minimum_tier", [](auto& r) { r.mutable_reward()->set_minimum_tier("gold"); }},
      {"reward.coupon.terms.name",
       [&](auto& r) { coupon(r).set_name(absl::StrCat(kProgram, "/coupons/x")); }},
      {"reward.coupon.terms.code", [&](auto& r) { coupon(r).set_code("SUMMER"); }},
      {"reward.coupon.terms.member", [&](auto& r) { coupon(r).set_member(MemberName(1)); }},
      {"reward.coupon.terms.usage_limit", [&](auto& r) { coupon(r).set_usage_limit(0); }},
      {"reward.coupon.terms.amount_minor", [&](auto& r) { coupon(r).set_amount_minor(0); }},
      {"reward.coupon.terms.budget",
       [&](auto& r) { coupon(r).set_budget("tenants/acme/programs/other/couponBudgets/b"); }},
      {"couponBudgets/none",
       [&](auto& r) { coupon(r).set_budget(absl::StrCat(kProgram, "/couponBudgets/none")); },
       StatusCode::kNotFound},
      {"reward.coupon.code_format",
       [](auto& r) {
         r.mutable_reward()->mutable_coupon()->mutable_code_format()->set_random_characters(3);
       }},
      {"reward.coupon.valid_for",
       [](auto& r) { r.mutable_reward()->mutable_coupon()->set_valid_for("soon"); }},
  };
  const int64_t before = Written();
  for (const Case& bad : cases) {
    auto request = NewVoucher();
    bad.set(request);
    EXPECT_THAT(Ask(&H::CreateReward, request), StatusIs(bad.code, HasSubstr(bad.field)));
  }
  auto elsewhere = NewRequest();
  elsewhere.set_parent("tenants/acme/programs/none");
  EXPECT_THAT(Ask(&H::CreateReward, elsewhere), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(Written(), before);
}

TEST_F(RewardTest, BadRequestsAreRefusedByTheNameOfTheField) {
  Create(NewRequest());
  CLM_ASSERT_OK(Earn(1, 100));
  struct Case {
    const char* field;
    std::function<void(v1::RedeemRewardRequest&)> set;
  };
  const int64_t before = Written();
  for (const Case& bad : std::vector<Case>{
           {"reward", [](auto& r) { r.set_reward("mug"); }},
           {"member", [](auto& r) { r.set_member("ada"); }},
           {"member",
            [](auto& r) {
              r.set_member(absl::StrCat("tenants/acme/programs/other/members/", Id(1).ToString()));
            }},
           {"source", [](auto& r) { r.set_source("shop"); }},
           {"now", [&](auto& r) { clm::ToProto(clock_.Now(), r.mutable_now()); }},
           {"now",
            [&](auto& r) {
              r.set_dry_run(true);
              clm::ToProto(clock_.Now() - absl::Seconds(1), r.mutable_now());
            }},
       }) {
    auto request = TakeRequest(1);
    bad.set(request);
    EXPECT_THAT(Ask(&H::RedeemReward, request),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(bad.field)));
  }
  EXPECT_THAT(GiveBack(absl::StrCat(RewardName(), "/redemptions/7")),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(GiveBack(absl::StrCat(RewardName(), "/redemptions/", Id(9).ToString())),
              StatusIs(StatusCode::kNotFound));
  v1::ListRewardRedemptionsRequest list;
  list.set_parent(kProgram);
  list.set_reward("tenants/acme/programs/other/rewards/mug");
  EXPECT_THAT(Ask(&H::ListRewardRedemptions, list), StatusIs(StatusCode::kInvalidArgument));
  list.clear_reward();
  list.set_member("tenants/acme/programs/other/members/" + Id(1).ToString());
  EXPECT_THAT(Ask(&H::ListRewardRedemptions, list), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_EQ(Written(), before);
}

TEST_F(RewardTest, AnIdOfTheCallerCountsOnceForEverAndIssuesOneCoupon) {
  Create(NewVoucher());
  Create(NewRequest());
  CLM_ASSERT_OK(Earn(1, 1000));
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Take(1, "voucher", "order-1"));
  const int64_t written = Written();
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Take(1, "voucher", "order-1"));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  for (const auto& other : {Take(1, "mug", "order-1"), Take(2, "voucher", "order-1")}) {
    EXPECT_THAT(other, StatusIs(StatusCode::kAlreadyExists));
    EXPECT_THAT(other, ReasonIs("EXTERNAL_ID_REUSED"));
  }
  EXPECT_EQ(Written(), written);
  CLM_ASSERT_OK(GiveBack(first.redemption().name()));
  CLM_ASSERT_OK_AND_ASSIGN(const auto later, Take(1, "voucher", "order-1"));
  EXPECT_EQ(later.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Count("SELECT count(*) FROM coupon"), 1);
  EXPECT_EQ(BalanceOf(1).active(), 1000);
  ExpectCounted();
}

TEST_F(RewardTest, TwinsOfOneIdHaveOneEffect) {
  Create(NewVoucher());
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 1000));
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> given{0}, reused{0};
  clm::testing::AtOnce(16, [&](int i) {
    const auto outcome =
        Ask(&H::RedeemReward, TakeRequest(1 + i % 2, "voucher", "order-7"), &processes[i % 4]);
    if (outcome.ok()) ++given;
    if (error::Reason(outcome.status()) == "EXTERNAL_ID_REUSED") ++reused;
  });
  EXPECT_EQ(given, 8);
  EXPECT_EQ(reused, 8);
  EXPECT_EQ(Count("SELECT count(*) FROM coupon"), 1);
  EXPECT_EQ(Get("voucher").redeemed(), 1);
  EXPECT_EQ(BalanceOf(1).active() + BalanceOf(2).active(), 1900);
  ExpectCounted();
}

TEST_F(RewardTest, ARequestIsAnsweredOnce) {
  Create(NewVoucher());
  CLM_ASSERT_OK(Earn(1, 1000));
  auto request = TakeRequest(1, "voucher");
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Ask(&H::RedeemReward, request));
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Ask(&H::RedeemReward, request));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(BalanceOf(1).active(), 900);
  EXPECT_EQ(Count("SELECT count(*) FROM coupon"), 1);
}

TEST_F(RewardTest, CancellingGivesBackPointsStockAndLimitOnce) {
  CreateWith("mug", [](v1::Reward& r) {
    r.set_stock(1);
    r.set_member_limit(1);
  });
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(1));
  std::deque<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(database_.app_dsn, &clock_);
  std::atomic<int> cancelled{0}, refused{0};
  clm::testing::AtOnce(8, [&](int i) {
    const auto outcome = GiveBack(taken.redemption().name(), &processes[i % 4]);
    if (outcome.ok()) ++cancelled;
    if (error::Reason(outcome.status()) == "REWARD_REDEMPTION_STATE") ++refused;
  });
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(refused, 7);
  EXPECT_EQ(BalanceOf(1).active(), 100);
  EXPECT_EQ(BalanceOf(1).redeemed(), 0);
  EXPECT_EQ(Get().redeemed(), 0);
  const auto redemption = GetRedemption(taken.redemption().name());
  EXPECT_EQ(redemption.state(), v1::RewardRedemption::STATE_CANCELLED);
  EXPECT_EQ(clm::FromProto(redemption.cancel_time()), clock_.Now());
  ExpectRefused("REWARD_REDEMPTION_STATE", StatusCode::kFailedPrecondition,
                [&] { return GiveBack(taken.redemption().name()); });
  CLM_EXPECT_OK(Take(1));
  ExpectCounted();
}

TEST_F(RewardTest, PointsThatHaveExpiredMeanwhileComeBackExpired) {
  Create(NewRequest());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(1));
  clock_.Advance(absl::Hours(24 * 400));
  CLM_ASSERT_OK(GiveBack(taken.redemption().name()));
  EXPECT_EQ(BalanceOf(1).active(), 0);
  EXPECT_EQ(BalanceOf(1).expired(), 100);
  EXPECT_EQ(BalanceOf(1).redeemed(), 0);
  EXPECT_EQ(Get().redeemed(), 0);
  ExpectCounted();
}

TEST_F(RewardTest, WhatTheLedgerGaveBackAlreadyIsNotGivenBackAgain) {
  Create(NewRequest());
  CLM_ASSERT_OK(Earn(1, 200));
  CLM_ASSERT_OK_AND_ASSIGN(const auto some, Take(1));
  CLM_ASSERT_OK_AND_ASSIGN(const auto all, Take(1));
  CLM_ASSERT_OK(Cancel(some.redemption().posting(), 30));
  CLM_ASSERT_OK(Cancel(all.redemption().posting()));
  EXPECT_EQ(BalanceOf(1).active(), 130);
  CLM_ASSERT_OK(GiveBack(some.redemption().name()));
  EXPECT_EQ(BalanceOf(1).active(), 200);
  CLM_ASSERT_OK(GiveBack(all.redemption().name()));
  EXPECT_EQ(BalanceOf(1).active(), 200);
  ExpectCounted();
}

TEST_F(RewardTest, ACouponIsForTheMemberAloneAndVoidOnceCancelled) {
  Create(NewVoucher());
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(1, "voucher"));
  const v1::Coupon& coupon = taken.coupon();
  EXPECT_EQ(coupon.name(), taken.redemption().coupon());
  EXPECT_EQ(coupon.member(), MemberName(1));
  EXPECT_EQ(coupon.batch(), "vouchers");
  EXPECT_THAT(coupon.code(), ::testing::StartsWith("GIFT-"));
  // Ninety days of the programme: the clocks change in March.
  EXPECT_EQ(clm::FromProto(coupon.end_time()), At("2026-04-25 18:00"));
  EXPECT_EQ(GetIssued(coupon.name()).SerializeAsString(), coupon.SerializeAsString());
  EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM journal WHERE position('", coupon.code(),
                               "' in encode(event, 'escape')) > 0")),
            0);
  EXPECT_THAT(Ask(&C::RedeemCoupon, Checkout<v1::RedeemCouponRequest>(coupon.code(), 2)),
              ReasonIs("COUPON_OF_ANOTHER_MEMBER"));
  CLM_ASSERT_OK(GiveBack(taken.redemption().name()));
  EXPECT_THAT(Ask(&C::RedeemCoupon, Checkout<v1::RedeemCouponRequest>(coupon.code(), 1)),
              ReasonIs("COUPON_DISABLED"));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  ExpectCounted();
}

TEST_F(RewardTest, AUsedCouponKeepsItsRedemption) {
  Create(NewVoucher());
  CLM_ASSERT_OK(Earn(1, 100));
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(1, "voucher"));
  const std::string code = taken.coupon().code();
  const auto refused = [&] {
    ExpectRefused("REWARD_COUPON_USED", StatusCode::kFailedPrecondition,
                  [&] { return GiveBack(taken.redemption().name()); });
    EXPECT_EQ(BalanceOf(1).active(), 0);
  };
  auto reserve = Checkout<v1::ReserveCouponRequest>(code, 1);
  reserve.set_duration("15m");
  CLM_ASSERT_OK(Ask(&C::ReserveCoupon, reserve));
  refused();
  clock_.Advance(absl::Minutes(15));
  CLM_ASSERT_OK_AND_ASSIGN(const auto use,
                           Ask(&C::RedeemCoupon, Checkout<v1::RedeemCouponRequest>(code, 1)));
  refused();
  v1::CancelCouponRedemptionRequest cancel;
  cancel.set_use(use.name());
  CLM_ASSERT_OK(Ask(&C::CancelCouponRedemption, cancel));
  CLM_ASSERT_OK(Ask(&C::ReserveCoupon, reserve));
  clock_.Advance(absl::Minutes(15));
  // The reservation's time is over, though nobody has looked since.
  CLM_ASSERT_OK(GiveBack(taken.redemption().name()));
  EXPECT_EQ(BalanceOf(1).active(), 100);
  ExpectCounted();
}

TEST_F(RewardTest, OfUsingACouponAndCancellingItExactlyOneTakesPlace) {
  Create(NewVoucher());
  for (int round = 1; round <= 4; ++round) {
    CLM_ASSERT_OK(Earn(round, 100));
    CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Take(round, "voucher"));
    absl::Status used, cancelled;
    clm::testing::AtOnce(2, [&](int i) {
      if (i == 0) {
        const auto checkout = Checkout<v1::RedeemCouponRequest>(taken.coupon().code(), round);
        used = Ask(&C::RedeemCoupon, checkout).status();
      } else {
        cancelled = GiveBack(taken.redemption().name()).status();
      }
    });
    EXPECT_NE(used.ok(), cancelled.ok()) << used << cancelled;
    EXPECT_EQ(BalanceOf(round).active(), cancelled.ok() ? 100 : 0);
  }
  ExpectCounted();
}

TEST_F(RewardTest, ARehearsalAnswersForAnyInstantAndChangesNothing) {
  auto voucher = NewVoucher();
  clm::ToProto(clock_.Now() + absl::Hours(24 * 500), voucher.mutable_reward()->mutable_end_time());
  Create(voucher);
  CLM_ASSERT_OK(Earn(1, 250));
  auto request = TakeRequest(1, "voucher", "order-1");
  request.set_dry_run(true);
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  const int64_t before = Written();
  CLM_ASSERT_OK_AND_ASSIGN(const auto rehearsed, Ask(&H::RedeemReward, request));
  EXPECT_EQ(rehearsed.balance().active(), 150);
  EXPECT_EQ(rehearsed.redemption().cost(), 100);
  EXPECT_EQ(rehearsed.redemption().name(), "");
  EXPECT_FALSE(rehearsed.has_coupon());
  clm::ToProto(clock_.Now() + absl::Hours(24 * 400), request.mutable_now());
  EXPECT_THAT(Ask(&H::RedeemReward, request), ReasonIs("POINTS_SHORT"));
  clm::ToProto(clock_.Now() + absl::Hours(24 * 500), request.mutable_now());
  EXPECT_THAT(Ask(&H::RedeemReward, request), ReasonIs("REWARD_EXPIRED"));
  EXPECT_EQ(Written(), before);
  EXPECT_EQ(Get("voucher").redeemed(), 0);
  EXPECT_EQ(BalanceOf(1).active(), 250);
  // It stands for nothing yet.
  CLM_EXPECT_OK(Take(1, "voucher", "order-1"));
  ExpectCounted();
}

TEST_F(RewardTest, TermsChangeForWhatComesLaterButTheCouponStays) {
  auto voucher = NewVoucher();
  voucher.mutable_reward()->set_stock(1);
  const v1::Reward reward = Create(voucher);
  CLM_ASSERT_OK(Earn(1, 1000));
  CLM_ASSERT_OK(Take(1, "voucher"));
  v1::UpdateRewardRequest request;
  request.mutable_reward()->set_name(reward.name());
  request.mutable_reward()->set_etag(reward.etag());
  request.mutable_reward()->set_stock(2);
  request.mutable_reward()->set_cost(300);
  request.mutable_update_mask()->add_paths("stock");
  request.mutable_update_mask()->add_paths("cost");
  CLM_ASSERT_OK_AND_ASSIGN(const auto changed, Ask(&H::UpdateReward, request));
  EXPECT_EQ(changed.redeemed(), 1);
  EXPECT_EQ(changed.display_name(), "A mug");
  EXPECT_THAT(Ask(&H::UpdateReward, request), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(Take(1, "voucher")->redemption().cost(), 300);
  EXPECT_THAT(Take(1, "voucher"), ReasonIs("REWARD_OUT_OF_STOCK"));
  // As it was read, with another coupon.
  v1::UpdateRewardRequest other;
  *other.mutable_reward() = changed;
  other.mutable_reward()->mutable_coupon()->mutable_terms()->set_amount_minor(700);
  ExpectRefused("REWARD_COUPON_FIXED", StatusCode::kFailedPrecondition,
                [&] { return Ask(&H::UpdateReward, other); });
  other.mutable_reward()->clear_coupon();
  other.mutable_update_mask()->add_paths("coupon");
  ExpectRefused("REWARD_COUPON_FIXED", StatusCode::kFailedPrecondition,
                [&] { return Ask(&H::UpdateReward, other); });
  v1::UpdateRewardRequest bad;
  bad.mutable_reward()->set_name(reward.name());
  bad.mutable_reward()->set_minimum_tier("gold");
  EXPECT_THAT(Ask(&H::UpdateReward, bad),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("reward.minimum_tier")));
  bad.mutable_reward()->set_name(RewardName("none"));
  EXPECT_THAT(Ask(&H::UpdateReward, bad), StatusIs(StatusCode::kNotFound));
  // Nothing to change: nothing is told.
  *other.mutable_reward() = changed;
  other.clear_update_mask();
  const int64_t before = Written();
  CLM_EXPECT_OK(Ask(&H::UpdateReward, other));
  EXPECT_EQ(Written(), before);
  ExpectCounted();
}

TEST_F(RewardTest, ListsLeaveOutWhatIsArchived) {
  for (const char* id : {"cup", "mug", "pen"}) Create(NewRequest(id));
  v1::UpdateRewardRequest archive;
  archive.mutable_reward()->set_name(RewardName("mug"));
  archive.mutable_reward()->set_archived(true);
  archive.mutable_update_mask()->add_paths("archived");
  CLM_ASSERT_OK(Ask(&H::UpdateReward, archive));
  const auto list = [&](bool archived) {
    v1::ListRewardsRequest request;
    request.set_parent(kProgram);
    request.set_show_archived(archived);
    request.set_page_size(1);
    std::vector<std::string> ids;
    do {
      const auto page = Ask(&H::ListRewards, request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) break;
      for (const auto& reward : page->rewards()) ids.push_back(reward.name());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return ids;
  };
  EXPECT_THAT(list(false), ::testing::ElementsAre(RewardName("cup"), RewardName("pen")));
  EXPECT_THAT(list(true),
              ::testing::ElementsAre(RewardName("cup"), RewardName("mug"), RewardName("pen")));
}

TEST_F(RewardTest, RedemptionsAreListedNewestFirst) {
  for (const char* id : {"cup", "mug"}) Create(NewRequest(id));
  std::vector<std::string> names;
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 1000));
  for (int i = 0; i < 6; ++i) {
    clock_.Advance(absl::Seconds(1));
    names.insert(names.begin(), Take(1 + i % 2, i < 3 ? "cup" : "mug")->redemption().name());
  }
  EXPECT_EQ(Redemptions(0), names);
  EXPECT_EQ(Redemptions(0, "cup"), std::vector(names.begin() + 3, names.end()));
  EXPECT_THAT(Redemptions(2), ::testing::ElementsAre(names[0], names[2], names[4]));
  EXPECT_THAT(Redemptions(2, "cup"), ::testing::ElementsAre(names[4]));
  EXPECT_THAT(Redemptions(3), IsEmpty());
}

TEST_F(RewardTest, WhoWasMergedIsCountedAsOneAndTheSurvivorGetsThePointsBack) {
  CreateWith("mug", [](v1::Reward& r) { r.set_member_limit(2); });
  Create(NewVoucher());
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 500));
  CLM_ASSERT_OK_AND_ASSIGN(const auto first, Take(1, "mug", "order-1"));
  CLM_ASSERT_OK_AND_ASSIGN(const auto voucher, Take(1, "voucher"));
  CLM_ASSERT_OK(Take(2));
  CLM_ASSERT_OK(Merge(2, 1));
  // Before and after their points have followed.
  for (int round : {1, 2}) {
    for (int member : {1, 2}) {
      EXPECT_THAT(Take(member), ReasonIs("REWARD_MEMBER_LIMIT"));
      EXPECT_THAT(Redemptions(member), SizeIs(3));
    }
    EXPECT_EQ(GetRedemption(first.redemption().name()).member(), MemberName(2));
    if (round == 1) {
      EXPECT_EQ(RunDue(), 1);
    }
  }
  EXPECT_EQ(BalanceOf(2).active(), 700);
  // The answer of then.
  EXPECT_EQ(Take(1, "mug", "order-1")->SerializeAsString(), first.SerializeAsString());
  CLM_ASSERT_OK_AND_ASSIGN(const auto back, GiveBack(first.redemption().name()));
  EXPECT_EQ(back.member(), MemberName(2));
  CLM_ASSERT_OK(GiveBack(voucher.redemption().name()));
  EXPECT_EQ(BalanceOf(2).active(), 900);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Take(1));
  EXPECT_EQ(again.redemption().member(), MemberName(2));
  EXPECT_EQ(BalanceOf(2).active(), 800);
  ExpectCounted();
}

TEST_F(RewardTest, PointsAreGivenBackBeforeAndAfterTheyHaveFollowedAMerge) {
  Create(NewRequest());
  for (int member : {1, 2}) CLM_ASSERT_OK(Earn(member, 500));
  std::vector<std::string> taken, paid;
  for (int i = 0; i < 4; ++i) {
    CLM_ASSERT_OK_AND_ASSIGN(const auto given, Take(1));
    taken.push_back(given.redemption().name());
    paid.push_back(given.redemption().posting());
  }
  CLM_ASSERT_OK(Merge(2, 1));
  CLM_ASSERT_OK(GiveBack(taken[0]));
  CLM_ASSERT_OK(Cancel(paid[1]));
  EXPECT_EQ(RunDue(), 1);
  EXPECT_EQ(BalanceOf(2).active(), 800);
  CLM_ASSERT_OK(GiveBack(taken[1]));
  EXPECT_EQ(BalanceOf(2).active(), 800);
  CLM_ASSERT_OK(GiveBack(taken[2]));
  CLM_ASSERT_OK(Cancel(paid[3]));
  EXPECT_EQ(BalanceOf(2).active(), 1000);
  ExpectCounted();
}

TEST_F(RewardTest, AnErasureTakesThePersonAwayAndLeavesTheSums) {
  Create(NewVoucher());
  for (int member : {1, 2, 3}) CLM_ASSERT_OK(Earn(member, 500));
  auto request = TakeRequest(1, "voucher", "order-1");
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  CLM_ASSERT_OK_AND_ASSIGN(const auto taken, Ask(&H::RedeemReward, request));
  CLM_ASSERT_OK(Take(3, "voucher"));
  CLM_ASSERT_OK(Merge(2, 1));
  EXPECT_EQ(RunDue(), 1);
  CLM_ASSERT_OK(Erase(2));
  CLM_ASSERT_OK(Erase(2));
  EXPECT_EQ(Count("SELECT count(*) FROM request"), 0) << "answers name them";
  EXPECT_EQ(Count("SELECT count(*) FROM reward_redemption WHERE contact_id IS NOT NULL"), 1);
  const auto redemption = GetRedemption(taken.redemption().name());
  EXPECT_EQ(redemption.member(), "");
  EXPECT_EQ(redemption.posting(), "");
  EXPECT_EQ(redemption.cost(), 100);
  EXPECT_THAT(Redemptions(1), IsEmpty());
  EXPECT_EQ(Get("voucher").redeemed(), 2);
  CLM_ASSERT_OK_AND_ASSIGN(const auto again, Take(1, "voucher", "order-1"));
  EXPECT_EQ(again.redemption().member(), "");
  EXPECT_EQ(again.redemption().posting(), "");
  EXPECT_EQ(again.coupon().member(), "");
  EXPECT_EQ(again.DebugString().find(Id(1).ToString()), std::string::npos);
  for (int member : {1, 2}) EXPECT_THAT(Take(member, "voucher"), ReasonIs("MEMBER_ERASED"));
  ExpectRefused("MEMBER_ERASED", StatusCode::kFailedPrecondition,
                [&] { return GiveBack(taken.redemption().name()); });
  EXPECT_THAT(Ask(&C::RedeemCoupon, Checkout<v1::RedeemCouponRequest>(taken.coupon().code(), 3)),
              ReasonIs("COUPON_MEMBER_ERASED"));
  ExpectCounted();
}

TEST_F(RewardTest, AnotherTenantSeesNothing) {
  Create(NewVoucher());
  CLM_ASSERT_OK(Earn(1, 500));
  CLM_ASSERT_OK(Take(1, "voucher", "order-1"));
  v1::ListRewardsRequest list;
  list.set_parent("tenants/globex/programs/club");
  EXPECT_THAT(Ask(&H::ListRewards, list), StatusIs(StatusCode::kNotFound));
  auto request = TakeRequest(1, "voucher");
  request.set_reward("tenants/globex/programs/club/rewards/voucher");
  EXPECT_THAT(Ask(&H::RedeemReward, request), StatusIs(StatusCode::kInvalidArgument));
  request.set_member("tenants/globex/programs/club/members/" + Id(1).ToString());
  EXPECT_THAT(Ask(&H::RedeemReward, request), StatusIs(StatusCode::kNotFound));
  auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
  for (const char* table : {"reward", "reward_redemption", "reward_key"}) {
    for (const auto& [tenant, rows] : {std::pair("globex", 0), std::pair("acme", 1)}) {
      CLM_ASSERT_OK(pool->Read({pg::Scope::Tenant(tenant)}, [&, expected = rows](pg::Tx& tx) {
        const auto found = tx.ExecDynamic(absl::StrCat("SELECT count(*) FROM ", table));
        if (found.ok()) {
          EXPECT_EQ((*found)[0].Int(0), expected) << table;
        }
        return found.status();
      }));
    }
  }
}

}  // namespace
}  // namespace clm::loyalty
