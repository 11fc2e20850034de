#include "tools/clm/demo_loyalty.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clm/loyalty/v1/bonus_service.grpc.pb.h"
#include "clm/loyalty/v1/coupon_service.grpc.pb.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "clm/loyalty/v1/referral_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "tools/clm/demo_fill.h"
#include "tools/clm/sender.h"
#include "tools/clm/values.h"
#include "tools/demo/shop.h"

namespace clm::cli {
namespace {

using Bonuses = loyalty::v1::BonusService::Stub;
using Coupons = loyalty::v1::CouponService::Stub;
using Ledger = loyalty::v1::LedgerService::Stub;
using Programs = loyalty::v1::ProgramService::Stub;
using Referrals = loyalty::v1::ReferralService::Stub;

constexpr char kWelcome[] = "WELCOME10";
constexpr char kSource[] = "demo-shop";
constexpr size_t kLanes = 16;
constexpr int kMembersPerPage = 1000;
// One customer in so many spends points, one uses the coupon, one brings somebody.
constexpr size_t kSpends = 5;
constexpr size_t kUsesCoupon = 12;
constexpr size_t kRefers = 40;
constexpr int64_t kMug = 60;
// How long the sums have to stand still to be taken for final, and how long that may take.
constexpr absl::Duration kStill = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Minutes(10);

bool IsMissing(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnimplemented ||
         error::Reason(status) == "SERVICE_MISSING";
}

absl::Status Made(const absl::Status& status) {
  return status.code() == absl::StatusCode::kAlreadyExists ? absl::OkStatus() : status;
}

std::string RequestId(const Cli& cli, absl::string_view what) {
  return Uuid::V5(Uuid(), absl::StrCat(cli.tenant(), "/", kDemoProgram, "/", what)).ToString();
}

// A bean for every euro, more in the higher tiers, and some for those who write to the shop's
// offers or become loyal; good for a year.
loyalty::v1::Program BeanProgram() {
  using loyalty::v1::EarnCap;
  using loyalty::v1::EarnRule;
  using loyalty::v1::TierScheme;
  loyalty::v1::Program program;
  program.set_display_name("Bean club");
  program.set_time_zone("Europe/Berlin");
  loyalty::v1::Wallet* wallet = program.add_wallets();
  wallet->set_id("beans");
  wallet->set_unit("beans");
  wallet->set_expiry("12M");
  wallet->set_expiry_rounding(loyalty::v1::Wallet::EXPIRY_ROUNDING_MONTH);
  wallet->add_expiry_warning_days(30);
  wallet->add_expiry_warning_days(7);
  wallet->set_value_minor(5);
  wallet->set_value_points(1);
  wallet->set_currency(demo::kCurrency);
  wallet->set_breakage_basis_points(1500);
  const auto per_euro = [&](const char* id, const char* event) {
    EarnRule* rule = program.add_earn_rules();
    rule->set_id(id);
    rule->set_event_type(event);
    rule->set_earning(EarnRule::EARNING_PER_MONEY);
    rule->set_points(1);
    rule->set_per(100);
    rule->set_currency(demo::kCurrency);
    (*rule->mutable_tier_basis_points())["roaster"] = 12'500;
    (*rule->mutable_tier_basis_points())["master"] = 15'000;
  };
  per_euro("purchases", "purchase");
  per_euro("renewals", "renewal");
  EarnRule* answers = program.add_earn_rules();
  answers->set_id("answers");
  answers->set_event_type("offer_response");
  answers->set_points(5);
  EarnCap* cap = answers->add_caps();
  cap->set_period(EarnCap::PERIOD_MONTH);
  cap->set_points(10);
  EarnRule* loyal = program.add_earn_rules();
  loyal->set_id("loyal");
  loyal->set_event_type("lifecycle.stage_entered");
  loyal->set_condition(
      absl::StrCat("properties.model = \"", kDemoModel, "\" AND properties.stage = \"loyal\""));
  loyal->set_points(20);
  loyalty::v1::ReferralTerms* referrals = program.mutable_referral_terms();
  referrals->set_advocate_points(50);
  referrals->set_friend_points(25);
  referrals->set_minimum_minor(1'500);
  referrals->set_currency(demo::kCurrency);
  referrals->set_return_window("14D");
  referrals->mutable_advocate_limit()->set_period(EarnCap::PERIOD_YEAR);
  referrals->mutable_advocate_limit()->set_count(10);
  TierScheme* scheme = program.mutable_tier_scheme();
  scheme->set_basis(TierScheme::BASIS_POINTS_EARNED);
  scheme->set_period(TierScheme::PERIOD_ROLLING_DAYS);
  scheme->set_rolling_days(365);
  scheme->set_downgrade(TierScheme::DOWNGRADE_BALANCE_BASED);
  scheme->set_term(TierScheme::TERM_FROM_TIER_START);
  scheme->set_term_months(12);
  scheme->set_grace_days(30);
  scheme->set_warn_days(30);
  const auto tier = [&](const char* id, int64_t threshold, int64_t points,
                        std::vector<const char*> perks) {
    loyalty::v1::Tier* added = scheme->add_tiers();
    added->set_id(id);
    added->set_threshold(threshold);
    added->set_entry_points(points);
    for (const char* perk : perks) added->add_perks(perk);
  };
  tier("taster", 0, 0, {});
  tier("roaster", 150, 15, {"free delivery"});
  tier("master", 350, 30, {"free delivery", "first look at new harvests"});
  return program;
}

absl::Status MakeCoupons(Cli& cli, const std::string& program) {
  loyalty::v1::CreateCouponBudgetRequest budget;
  budget.set_parent(program);
  budget.set_coupon_budget_id("welcome");
  budget.mutable_coupon_budget()->set_display_name("Welcome discounts");
  budget.mutable_coupon_budget()->set_value_limit_minor(500'000);
  budget.mutable_coupon_budget()->set_currency(demo::kCurrency);
  CLM_RETURN_IF_ERROR(Made(cli.Call(&Coupons::CreateCouponBudget, budget).status()));
  loyalty::v1::CreateCouponRequest welcome;
  welcome.set_parent(program);
  loyalty::v1::Coupon* coupon = welcome.mutable_coupon();
  coupon->set_code(kWelcome);
  coupon->set_display_name("Ten per cent off the first bag");
  coupon->set_kind(loyalty::v1::Coupon::KIND_PERCENT);
  coupon->set_basis_points(1'000);
  coupon->set_currency(demo::kCurrency);
  coupon->set_member_limit(1);
  coupon->set_budget(program + "/couponBudgets/welcome");
  CLM_RETURN_IF_ERROR(Made(cli.Call(&Coupons::CreateCoupon, welcome).status()));
  loyalty::v1::BatchCreateCouponsRequest batch;
  batch.set_parent(program);
  batch.set_count(25);
  batch.set_request_id(RequestId(cli, "win-back"));
  coupon = batch.mutable_coupon();
  coupon->set_display_name("Five euros to come back");
  coupon->set_kind(loyalty::v1::Coupon::KIND_AMOUNT);
  coupon->set_amount_minor(500);
  coupon->set_minimum_minor(1'500);
  coupon->set_currency(demo::kCurrency);
  coupon->set_usage_limit(1);
  coupon->set_batch("win-back");
  batch.mutable_code_format()->set_prefix("BACK");
  return Made(cli.Call(&Coupons::BatchCreateCoupons, batch).status());
}

// What all members have earned.
absl::StatusOr<int64_t> EarnedByAll(Cli& cli) {
  loyalty::v1::ListMembersRequest request;
  request.set_parent(cli.Name("programs", kDemoProgram));
  request.set_page_size(kMembersPerPage);
  int64_t earned = 0;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const auto page, cli.Call(&Programs::ListMembers, request));
    for (const auto& member : page.members()) {
      for (const auto& balance : member.balances()) earned += balance.earned();
    }
    if (page.next_page_token().empty()) return earned;
    request.set_page_token(page.next_page_token());
  }
}

// The service takes purchases in by itself, and tells nobody how far it is.
absl::Status AwaitPoints(Cli& cli) {
  int64_t last = -1;
  const absl::Time begun = absl::Now();
  absl::Time moved = begun;
  for (;;) {
    CLM_ASSIGN_OR_RETURN(const int64_t earned, EarnedByAll(cli));
    const absl::Time now = absl::Now();
    if (earned != last) moved = now;
    last = earned;
    if (now - moved >= kStill || now - begun > kPatience) return absl::OkStatus();
    absl::SleepFor(kStill / 4);
  }
}

// Who has too little, or is no member, does without.
absl::Status Done(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
      return absl::OkStatus();
    default:
      return status;
  }
}

// One member brings the customer after them. Who has bought something already is not new.
absl::Status Refer(Cli& cli, const std::string& program, const std::string& advocate,
                   const std::string& newcomer) {
  loyalty::v1::CreateReferralCodeRequest make;
  make.set_parent(program);
  make.mutable_referral_code()->set_advocate(advocate);
  make.mutable_code_format()->set_prefix("BEAN");
  make.set_request_id(RequestId(cli, absl::StrCat("code ", advocate)));
  const auto code = cli.Call(&Referrals::CreateReferralCode, make);
  if (!code.ok()) return Done(code.status());
  loyalty::v1::ClaimReferralRequest claim;
  claim.set_parent(program);
  claim.set_friend_(newcomer);
  claim.set_code(code->code());
  claim.set_request_id(RequestId(cli, absl::StrCat("claim ", newcomer)));
  return Done(cli.Call(&Referrals::ClaimReferral, claim).status());
}

// The best of the year get some beans, and whoever was quiet for long would get others.
absl::Status RewardBest(Cli& cli, const std::string& program) {
  loyalty::v1::CreateBonusRunRequest best;
  best.set_parent(program);
  loyalty::v1::BonusRun* run = best.mutable_bonus_run();
  run->set_points(100);
  run->set_reason("the best of the year");
  run->mutable_criteria()->set_currency(demo::kCurrency);
  run->mutable_criteria()->set_window_days(365);
  run->mutable_criteria()->set_top_basis_points(500);
  best.set_request_id(RequestId(cli, "best of the year"));
  CLM_RETURN_IF_ERROR(cli.Call(&Bonuses::CreateBonusRun, best).status());
  loyalty::v1::CreateBonusRunRequest quiet;
  quiet.set_parent(program);
  run = quiet.mutable_bonus_run();
  run->set_points(25);
  run->set_reason("we miss you");
  run->set_dry_run(true);
  run->mutable_criteria()->add_tiers("roaster");
  run->mutable_criteria()->add_tiers("master");
  run->mutable_criteria()->set_not_bought_for_days(90);
  quiet.set_request_id(RequestId(cli, "quiet ones"));
  return cli.Call(&Bonuses::CreateBonusRun, quiet).status();
}

}  // namespace

absl::Status MakeDemoProgram(Cli& cli) {
  loyalty::v1::CreateProgramRequest request;
  request.set_parent(cli.tenant_name());
  request.set_program_id(kDemoProgram);
  *request.mutable_program() = BeanProgram();
  const absl::Status made = cli.Call(&Programs::CreateProgram, request).status();
  if (IsMissing(made)) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(Made(made));
  return MakeCoupons(cli, cli.Name("programs", kDemoProgram));
}

absl::Status UseDemoProgram(Cli& cli, const std::vector<std::string>& contacts) {
  const absl::Status ready = AwaitPoints(cli);
  if (IsMissing(ready)) return absl::OkStatus();
  CLM_RETURN_IF_ERROR(ready);
  const std::string program = cli.Name("programs", kDemoProgram);
  CLM_RETURN_IF_ERROR(RewardBest(cli, program));
  Sender sender(kLanes);
  for (size_t i = 0; i < contacts.size(); ++i) {
    const std::string id = LastPart(contacts[i]);
    const std::string member = absl::StrCat(program, "/members/", id);
    if (i % kSpends == 0) {
      loyalty::v1::RedeemPointsRequest request;
      request.set_member(member);
      request.set_amount(kMug);
      request.set_reason("a mug");
      request.set_source(kSource);
      request.set_external_id(absl::StrCat("mug-", id));
      CLM_RETURN_IF_ERROR(sender.Post(i % kLanes, [&cli, request = std::move(request)] {
        return Persist(cli,
                       [&] { return Done(cli.Call(&Ledger::RedeemPoints, request).status()); });
      }));
    }
    if (i % kRefers == 1 && i + 1 < contacts.size()) {
      const std::string newcomer = absl::StrCat(program, "/members/", LastPart(contacts[i + 1]));
      CLM_RETURN_IF_ERROR(sender.Post(i % kLanes, [&cli, program, member, newcomer] {
        return Persist(cli, [&] { return Refer(cli, program, member, newcomer); });
      }));
    }
    if (i % kUsesCoupon == 0) {
      loyalty::v1::RedeemCouponRequest request;
      request.set_parent(program);
      request.set_code(kWelcome);
      request.set_member(member);
      request.mutable_order()->set_amount_minor(2'490);
      request.mutable_order()->set_currency(demo::kCurrency);
      request.set_source(kSource);
      request.set_external_id(absl::StrCat("welcome-", id));
      CLM_RETURN_IF_ERROR(sender.Post(i % kLanes, [&cli, request = std::move(request)] {
        return Persist(cli,
                       [&] { return Done(cli.Call(&Coupons::RedeemCoupon, request).status()); });
      }));
    }
  }
  return sender.Wait();
}

}  // namespace clm::cli
