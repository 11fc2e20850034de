#include "tools/clm/loyalty_coupons_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/coupon_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::Coupon;
using loyalty::v1::CouponBudget;
using loyalty::v1::CouponOrder;
using loyalty::v1::CouponUse;
using Stub = loyalty::v1::CouponService::Stub;

struct CouponFlags {
  std::string program, member, request_id;
  // Which coupon or use, and for what.
  std::string coupon, use, amount, currency, duration, source, external_id;
  // Terms.
  std::string code, display_name, percent, amount_off, minimum, most, value_limit, start, end,
      budget, batch, prefix;
  std::vector<std::string> lines, products, free_products;
  int64_t buy = 0, free = 0, most_sets = 0;
  int64_t usage_limit = 0, member_limit = 0, reservation_limit = 0, random = 0, count = 1;
  bool half_up = false, disabled = false, enabled = false;
  int64_t limit = 100;
  // Of the line: whether it names a limit, which may be 0.
  std::shared_ptr<Command> command;
  bool Given(const char* name) const { return command->Given(name); }
};

terminal::Cell MoneyCell(int64_t minor, const std::string& currency) {
  if (minor == 0 || currency.empty()) return terminal::Cell();
  return terminal::Cell(terminal::Money{minor, currency});
}

// ---- Answers.

std::string LimitText(int64_t limit) { return limit == 0 ? "none" : terminal::CountText(limit); }

absl::Status ShowCoupon(const Cli& cli, const absl::StatusOr<Coupon>& answer) {
  CLM_RETURN_IF_ERROR(answer.status());
  const Coupon& coupon = *answer;
  return cli.PrintReport(coupon, [&] {
    terminal::Table table({{"field"}, {"value"}});
    const auto add = [&](const char* field, const terminal::Cell& value) {
      table.Add({field, value});
    };
    add("name", LastPart(coupon.name()));
    add("code", coupon.code());
    add("display_name", TextCell(coupon.display_name()));
    add("off", CouponOffText(coupon));
    if (coupon.most_applications() > 0) add("most_sets", coupon.most_applications());
    add("minimum", MoneyCell(coupon.minimum_minor(), coupon.currency()));
    add("most", MoneyCell(coupon.most_minor(), coupon.currency()));
    add("value_limit", MoneyCell(coupon.value_limit_minor(), coupon.currency()));
    add("usage_limit", LimitText(coupon.usage_limit()));
    add("member_limit", LimitText(coupon.member_limit()));
    add("reservation_limit", LimitText(coupon.reservation_limit()));
    add("start_time", TimeCell(coupon.has_start_time(), coupon.start_time()));
    add("end_time", TimeCell(coupon.has_end_time(), coupon.end_time()));
    add("member", TextCell(LastPart(coupon.member())));
    add("budget", TextCell(LastPart(coupon.budget())));
    add("batch", TextCell(coupon.batch()));
    add("disabled", coupon.disabled() ? "yes" : "no");
    add("used", coupon.counts().used());
    add("reserved", coupon.counts().reserved());
    add("taken_off", MoneyCell(coupon.counts().value_minor(), coupon.currency()));
    add("create_time", TimeCell(coupon.has_create_time(), coupon.create_time()));
    add("update_time", TimeCell(coupon.has_update_time(), coupon.update_time()));
    return table;
  });
}

terminal::Table CouponTable(const Cli& cli, const std::vector<Coupon>& coupons) {
  terminal::Table table({{"name", "COUPON"},
                         {"code"},
                         {"off"},
                         {"used"},
                         {"reserved"},
                         {"usage_limit", "OF"},
                         {"end_time", "ENDS"},
                         {"budget"},
                         {"batch"},
                         {"member", "", true},
                         {"disabled", "", true},
                         {"create_time", "MADE", true}});
  table.set_empty_text("no coupon");
  for (const Coupon& c : coupons) {
    table.Add({ShownName(cli, c.name()), c.code(), CouponOffText(c), c.counts().used(),
               c.counts().reserved(),
               c.usage_limit() == 0 ? terminal::Cell() : terminal::Cell(c.usage_limit()),
               TimeCell(c.has_end_time(), c.end_time()), TextCell(LastPart(c.budget())),
               TextCell(c.batch()), TextCell(LastPart(c.member())), c.disabled() ? "yes" : "no",
               TimeCell(c.has_create_time(), c.create_time())});
  }
  return table;
}

terminal::Table UseTable(const Cli& cli, const std::vector<CouponUse>& uses) {
  terminal::Table table({{"name", "USE"},
                         {"state"},
                         {"discount"},
                         {"order"},
                         {"member"},
                         {"create_time", "TIME"},
                         {"expire_time", "ENDS"},
                         {"external_id", "EXTERNAL ID"},
                         {"source", "", true},
                         {"redeem_time", "REDEEMED", true},
                         {"end_time", "GIVEN BACK", true}});
  table.set_empty_text("not used yet");
  for (const CouponUse& u : uses) {
    const std::string& currency = u.order().currency();
    table.Add({ShownName(cli, u.name()), EnumText("STATE_", CouponUse::State_Name(u.state())),
               MoneyCell(u.discount_minor(), currency),
               MoneyCell(u.order().amount_minor(), currency), TextCell(LastPart(u.member())),
               TimeCell(u.has_create_time(), u.create_time()),
               TimeCell(u.has_expire_time(), u.expire_time()), TextCell(u.external_id()),
               TextCell(u.source()), TimeCell(u.has_redeem_time(), u.redeem_time()),
               TimeCell(u.has_end_time(), u.end_time())});
  }
  return table;
}

absl::Status ShowUse(const Cli& cli, const absl::StatusOr<CouponUse>& use) {
  CLM_RETURN_IF_ERROR(use.status());
  return cli.Print({&*use}, false, [&] { return UseTable(cli, {*use}); });
}

terminal::Table BudgetTable(const Cli& cli, const std::vector<CouponBudget>& budgets) {
  terminal::Table table({{"name", "BUDGET"},
                         {"display_name", "TITLE"},
                         {"uses"},
                         {"use_limit", "OF"},
                         {"value", "TAKEN OFF"},
                         {"value_limit", "OF"},
                         {"create_time", "MADE", true},
                         {"update_time", "CHANGED", true}});
  table.set_empty_text("no budget yet");
  for (const CouponBudget& b : budgets) {
    table.Add({ShownName(cli, b.name()), TextCell(b.display_name()), b.uses(),
               b.use_limit() == 0 ? terminal::Cell() : terminal::Cell(b.use_limit()),
               b.currency().empty()
                   ? terminal::Cell()
                   : terminal::Cell(terminal::Money{b.value_minor(), b.currency()}),
               MoneyCell(b.value_limit_minor(), b.currency()),
               TimeCell(b.has_create_time(), b.create_time()),
               TimeCell(b.has_update_time(), b.update_time())});
  }
  return table;
}

absl::Status ShowBudget(const Cli& cli, const absl::StatusOr<CouponBudget>& budget) {
  CLM_RETURN_IF_ERROR(budget.status());
  return cli.Print({&*budget}, false, [&] { return BudgetTable(cli, {*budget}); });
}

// ---- What a line means.

absl::StatusOr<Coupon> Lookup(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::GetCouponRequest by_name;
  by_name.set_name(flags.coupon);
  if (absl::StrContains(flags.coupon, "/coupons/")) return cli.Call(&Stub::GetCoupon, by_name);
  loyalty::v1::LookupCouponRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  // As lists show it.
  if (Uuid::Parse(flags.coupon)) {
    by_name.set_name(absl::StrCat(request.parent(), "/coupons/", flags.coupon));
    return cli.Call(&Stub::GetCoupon, by_name);
  }
  request.set_code(flags.coupon);
  return cli.Call(&Stub::LookupCoupon, request);
}

absl::StatusOr<std::string> BudgetName(Cli& cli, const CouponFlags& flags,
                                       const std::string& budget) {
  if (absl::StartsWith(budget, "tenants/")) return budget;
  CLM_ASSIGN_OR_RETURN(const std::string parent, ProgramName(cli, flags.program));
  return absl::StrCat(parent, "/couponBudgets/", budget);
}

// What the line says of what is taken off: an amount, a share, products, or a share of products.
absl::Status ChangeKind(const CouponFlags& flags, Coupon* coupon,
                        google::protobuf::FieldMask* mask) {
  const bool about_products = flags.Given("--product") || flags.Given("--free-product") ||
                              flags.Given("--buy") || flags.Given("--free") ||
                              flags.Given("--most-sets");
  if (!about_products && flags.percent.empty() && flags.amount_off.empty()) {
    return absl::OkStatus();
  }
  const bool was_about_products =
      coupon->kind() == Coupon::KIND_FREE_PRODUCT || coupon->kind() == Coupon::KIND_BUY_X_GET_Y;
  if (flags.Given("--buy")) {
    coupon->set_kind(Coupon::KIND_BUY_X_GET_Y);
  } else if (about_products && !was_about_products) {
    coupon->set_kind(Coupon::KIND_FREE_PRODUCT);
  } else if (!about_products && (!was_about_products || flags.percent.empty())) {
    coupon->set_kind(flags.percent.empty() ? Coupon::KIND_AMOUNT : Coupon::KIND_PERCENT);
  }
  const bool products =
      coupon->kind() == Coupon::KIND_FREE_PRODUCT || coupon->kind() == Coupon::KIND_BUY_X_GET_Y;
  if (!products) {
    coupon->clear_skus();
    coupon->clear_free_skus();
    coupon->clear_buy_quantity();
    coupon->clear_free_quantity();
    coupon->clear_most_applications();
  }
  if (flags.Given("--product"))
    coupon->mutable_skus()->Assign(flags.products.begin(), flags.products.end());
  if (flags.Given("--free-product")) {
    coupon->mutable_free_skus()->Assign(flags.free_products.begin(), flags.free_products.end());
  }
  if (flags.Given("--buy")) coupon->set_buy_quantity(static_cast<int32_t>(flags.buy));
  if (flags.Given("--free")) coupon->set_free_quantity(static_cast<int32_t>(flags.free));
  if (products && coupon->free_quantity() == 0) coupon->set_free_quantity(1);
  if (flags.Given("--most-sets")) {
    coupon->set_most_applications(static_cast<int32_t>(flags.most_sets));
  }
  if (coupon->kind() != Coupon::KIND_AMOUNT) coupon->clear_amount_minor();
  if (products != was_about_products || !flags.amount_off.empty()) coupon->clear_basis_points();
  if (!flags.percent.empty()) {
    CLM_ASSIGN_OR_RETURN(const int32_t share, ParseBasisPoints("--percent", flags.percent));
    coupon->set_basis_points(share);
  }
  if (!flags.amount_off.empty()) {
    CLM_ASSIGN_OR_RETURN(const int64_t minor,
                         ParseMoney("--amount-off", flags.amount_off, coupon->currency()));
    coupon->set_amount_minor(minor);
  }
  for (const char* path : {"kind", "basis_points", "amount_minor", "skus", "free_skus",
                           "buy_quantity", "free_quantity", "most_applications"}) {
    mask->add_paths(path);
  }
  return absl::OkStatus();
}

// What the line says of the terms; the paths of what it changes are added to `mask`.
absl::Status ChangeTerms(const CouponFlags& flags, Coupon* coupon,
                         google::protobuf::FieldMask* mask) {
  if (flags.Given("--display-name")) {
    coupon->set_display_name(flags.display_name);
    mask->add_paths("display_name");
  }
  CLM_RETURN_IF_ERROR(ChangeKind(flags, coupon, mask));
  const auto money = [&](const char* flag, const std::string& text, const char* path,
                         void (Coupon::*set)(int64_t)) -> absl::Status {
    if (text.empty()) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const int64_t minor, ParseMoney(flag, text, coupon->currency()));
    (coupon->*set)(minor);
    mask->add_paths(path);
    return absl::OkStatus();
  };
  if (flags.half_up) {
    coupon->set_rounding(Coupon::ROUNDING_HALF_UP);
    mask->add_paths("rounding");
  }
  CLM_RETURN_IF_ERROR(
      money("--minimum", flags.minimum, "minimum_minor", &Coupon::set_minimum_minor));
  CLM_RETURN_IF_ERROR(money("--most", flags.most, "most_minor", &Coupon::set_most_minor));
  CLM_RETURN_IF_ERROR(money("--value-limit", flags.value_limit, "value_limit_minor",
                            &Coupon::set_value_limit_minor));
  const auto limit = [&](const char* flag, int64_t value, const char* path,
                         void (Coupon::*set)(int64_t)) {
    if (!flags.Given(flag)) return;
    (coupon->*set)(value);
    mask->add_paths(path);
  };
  limit("--usage-limit", flags.usage_limit, "usage_limit", &Coupon::set_usage_limit);
  limit("--member-limit", flags.member_limit, "member_limit", &Coupon::set_member_limit);
  limit("--reservation-limit", flags.reservation_limit, "reservation_limit",
        &Coupon::set_reservation_limit);
  if (!flags.start.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at,
                         ParseMomentAhead("--start", flags.start, absl::Now()));
    SetTime(at, coupon->mutable_start_time());
    mask->add_paths("start_time");
  }
  if (!flags.end.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at, ParseMomentAhead("--end", flags.end, absl::Now()));
    SetTime(at, coupon->mutable_end_time());
    mask->add_paths("end_time");
  }
  if (flags.disabled || flags.enabled) {
    coupon->set_disabled(flags.disabled);
    mask->add_paths("disabled");
  }
  return absl::OkStatus();
}

template <class Request>
absl::Status FillNew(Cli& cli, const CouponFlags& flags, Request* request) {
  CLM_ASSIGN_OR_RETURN(*request->mutable_parent(), ProgramName(cli, flags.program));
  Coupon* coupon = request->mutable_coupon();
  coupon->set_currency(flags.currency);
  google::protobuf::FieldMask all;
  CLM_RETURN_IF_ERROR(ChangeTerms(flags, coupon, &all));
  if (!flags.member.empty()) {
    CLM_ASSIGN_OR_RETURN(*coupon->mutable_member(), MemberName(cli, flags.program, flags.member));
  }
  if (!flags.budget.empty()) {
    CLM_ASSIGN_OR_RETURN(*coupon->mutable_budget(), BudgetName(cli, flags, flags.budget));
  }
  coupon->set_batch(flags.batch);
  request->mutable_code_format()->set_prefix(flags.prefix);
  request->mutable_code_format()->set_random_characters(static_cast<int32_t>(flags.random));
  request->set_request_id(flags.request_id);
  return absl::OkStatus();
}

absl::Status FillOrder(const CouponFlags& flags, CouponOrder* order) {
  order->set_currency(flags.currency);
  CLM_ASSIGN_OR_RETURN(const int64_t minor, ParseMoney("AMOUNT", flags.amount, flags.currency));
  order->set_amount_minor(minor);
  CLM_ASSIGN_OR_RETURN(const auto lines, ParsePairs("--line", flags.lines));
  for (const auto& [sku, text] : lines) {
    CLM_ASSIGN_OR_RETURN(const PricedUnits priced,
                         ParsePricedUnits("--line", text, flags.currency));
    if (priced.discount_minor > 0) {
      return error::InvalidField("--line", "name prices after discounts, mug=3x10.00");
    }
    loyalty::v1::CouponOrderLine* line = order->add_lines();
    line->set_sku(sku);
    line->set_quantity(priced.units);
    line->set_unit_price_minor(priced.unit_price_minor);
  }
  return absl::OkStatus();
}

// A code, by whom, and an order.
template <class Request>
absl::Status FillUse(Cli& cli, const CouponFlags& flags, Request* request) {
  CLM_ASSIGN_OR_RETURN(*request->mutable_parent(), ProgramName(cli, flags.program));
  request->set_code(flags.coupon);
  if (!flags.member.empty()) {
    CLM_ASSIGN_OR_RETURN(*request->mutable_member(), MemberName(cli, flags.program, flags.member));
  }
  return FillOrder(flags, request->mutable_order());
}

template <class Request>
void FillSource(const CouponFlags& flags, Request* request) {
  request->set_source(flags.source);
  request->set_external_id(flags.external_id);
  request->set_request_id(flags.request_id);
}

// ---- Coupons.

absl::Status Create(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::CreateCouponRequest request;
  CLM_RETURN_IF_ERROR(FillNew(cli, flags, &request));
  request.mutable_coupon()->set_code(flags.code);
  return ShowCoupon(cli, cli.Call(&Stub::CreateCoupon, request));
}

absl::Status Batch(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::BatchCreateCouponsRequest request;
  CLM_RETURN_IF_ERROR(FillNew(cli, flags, &request));
  request.set_count(static_cast<int32_t>(flags.count));
  CLM_ASSIGN_OR_RETURN(const auto made, cli.Call(&Stub::BatchCreateCoupons, request));
  const std::vector<Coupon> coupons(made.coupons().begin(), made.coupons().end());
  return cli.Print(Pointers(coupons), true, [&] { return CouponTable(cli, coupons); });
}

absl::Status List(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::ListCouponsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  request.set_batch(flags.batch);
  if (!flags.member.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.member));
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<Coupon> coupons,
                       cli.List(&Stub::ListCoupons, request,
                                &loyalty::v1::ListCouponsResponse::coupons, flags.limit));
  return cli.Print(Pointers(coupons), true, [&] { return CouponTable(cli, coupons); });
}

absl::Status ShowOne(Cli& cli, const CouponFlags& flags) {
  return ShowCoupon(cli, Lookup(cli, flags));
}

absl::Status Update(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::UpdateCouponRequest request;
  // With its etag: amounts are in its currency, and what somebody else changes is not undone.
  CLM_ASSIGN_OR_RETURN(*request.mutable_coupon(), Lookup(cli, flags));
  CLM_RETURN_IF_ERROR(ChangeTerms(flags, request.mutable_coupon(), request.mutable_update_mask()));
  if (request.update_mask().paths().empty()) {
    return error::Make(absl::StatusCode::kInvalidArgument, "USAGE", "say what is to change");
  }
  request.set_request_id(flags.request_id);
  return ShowCoupon(cli, cli.Call(&Stub::UpdateCoupon, request));
}

absl::Status Check(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::CheckCouponRequest request;
  CLM_RETURN_IF_ERROR(FillUse(cli, flags, &request));
  CLM_ASSIGN_OR_RETURN(const auto answer, cli.Call(&Stub::CheckCoupon, request));
  return cli.Print({&answer}, false, [&] {
    terminal::Table table({{"name", "COUPON"}, {"off"}, {"order"}, {"discount"}});
    table.Add({ShownName(cli, answer.coupon().name()), CouponOffText(answer.coupon()),
               MoneyCell(request.order().amount_minor(), flags.currency),
               MoneyCell(answer.discount_minor(), flags.currency)});
    return table;
  });
}

absl::Status Reserve(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::ReserveCouponRequest request;
  CLM_RETURN_IF_ERROR(FillUse(cli, flags, &request));
  request.set_duration(flags.duration);
  FillSource(flags, &request);
  return ShowUse(cli, cli.Call(&Stub::ReserveCoupon, request));
}

absl::Status Redeem(Cli& cli, const CouponFlags& flags) {
  if (absl::StrContains(flags.coupon, "/uses/")) {
    loyalty::v1::RedeemReservedCouponRequest request;
    request.set_use(flags.coupon);
    if (!flags.amount.empty()) CLM_RETURN_IF_ERROR(FillOrder(flags, request.mutable_order()));
    FillSource(flags, &request);
    return ShowUse(cli, cli.Call(&Stub::RedeemReservedCoupon, request));
  }
  loyalty::v1::RedeemCouponRequest request;
  CLM_RETURN_IF_ERROR(FillUse(cli, flags, &request));
  FillSource(flags, &request);
  return ShowUse(cli, cli.Call(&Stub::RedeemCoupon, request));
}

absl::Status Release(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::ReleaseCouponRequest request;
  request.set_use(flags.use);
  request.set_request_id(flags.request_id);
  return ShowUse(cli, cli.Call(&Stub::ReleaseCoupon, request));
}

absl::Status Cancel(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::CancelCouponRedemptionRequest request;
  request.set_use(flags.use);
  request.set_request_id(flags.request_id);
  return ShowUse(cli, cli.Call(&Stub::CancelCouponRedemption, request));
}

absl::Status Use(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::GetCouponUseRequest request;
  request.set_name(flags.use);
  return ShowUse(cli, cli.Call(&Stub::GetCouponUse, request));
}

absl::Status Uses(Cli& cli, const CouponFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const Coupon coupon, Lookup(cli, flags));
  loyalty::v1::ListCouponUsesRequest request;
  request.set_parent(coupon.name());
  CLM_ASSIGN_OR_RETURN(const std::vector<CouponUse> uses,
                       cli.List(&Stub::ListCouponUses, request,
                                &loyalty::v1::ListCouponUsesResponse::uses, flags.limit));
  return cli.Print(Pointers(uses), true, [&] { return UseTable(cli, uses); });
}

// ---- Budgets.

absl::Status ChangeCeilings(const CouponFlags& flags, CouponBudget* budget,
                            google::protobuf::FieldMask* mask) {
  if (flags.Given("--display-name")) {
    budget->set_display_name(flags.display_name);
    mask->add_paths("display_name");
  }
  if (flags.Given("--use-limit")) {
    budget->set_use_limit(flags.usage_limit);
    mask->add_paths("use_limit");
  }
  if (!flags.value_limit.empty()) {
    CLM_ASSIGN_OR_RETURN(const int64_t minor,
                         ParseMoney("--value-limit", flags.value_limit, budget->currency()));
    budget->set_value_limit_minor(minor);
    mask->add_paths("value_limit_minor");
  }
  return absl::OkStatus();
}

absl::Status CreateBudget(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::CreateCouponBudgetRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  request.set_coupon_budget_id(flags.budget);
  request.mutable_coupon_budget()->set_currency(flags.currency);
  google::protobuf::FieldMask all;
  CLM_RETURN_IF_ERROR(ChangeCeilings(flags, request.mutable_coupon_budget(), &all));
  request.set_request_id(flags.request_id);
  return ShowBudget(cli, cli.Call(&Stub::CreateCouponBudget, request));
}

absl::StatusOr<CouponBudget> GetBudget(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::GetCouponBudgetRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), BudgetName(cli, flags, flags.budget));
  return cli.Call(&Stub::GetCouponBudget, request);
}

absl::Status ShowOneBudget(Cli& cli, const CouponFlags& flags) {
  return ShowBudget(cli, GetBudget(cli, flags));
}

absl::Status UpdateBudget(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::UpdateCouponBudgetRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_coupon_budget(), GetBudget(cli, flags));
  CLM_RETURN_IF_ERROR(
      ChangeCeilings(flags, request.mutable_coupon_budget(), request.mutable_update_mask()));
  if (request.update_mask().paths().empty()) {
    return error::Make(absl::StatusCode::kInvalidArgument, "USAGE", "say what is to change");
  }
  request.set_request_id(flags.request_id);
  return ShowBudget(cli, cli.Call(&Stub::UpdateCouponBudget, request));
}

absl::Status ListBudgets(Cli& cli, const CouponFlags& flags) {
  loyalty::v1::ListCouponBudgetsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  CLM_ASSIGN_OR_RETURN(
      const std::vector<CouponBudget> budgets,
      cli.List(&Stub::ListCouponBudgets, request,
               &loyalty::v1::ListCouponBudgetsResponse::coupon_budgets, flags.limit));
  return cli.Print(Pointers(budgets), true, [&] { return BudgetTable(cli, budgets); });
}

// ---- The lines.

// A command and the flags that it fills.
struct CouponCommand {
  Command command;
  std::shared_ptr<CouponFlags> flags;

  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
  void Coupon() const {
    command.AddOption("COUPON", flags->coupon, "its code, id or full name").Required();
  }
  void Code() const { command.AddOption("CODE", flags->coupon, "as it was typed").Required(); }
  void Use() const {
    command
        .AddOption("USE", flags->use, "its full name, as reserve and redeem print it with -o name")
        .Required();
  }
  void Member(const char* help) const {
    command.AddOption("--member", flags->member, help).TypeName("CONTACT");
  }
  Option Order() const {
    command.AddOption("--currency", flags->currency, "of the order").ShowDefault();
    command
        .AddOption("--line", flags->lines,
                   "what is in it, for coupons about products: mug=3x10.00; may be repeated")
        .TypeName("SKU=UNITSxPRICE");
    return command.AddOption("AMOUNT", flags->amount, "of the order, after other discounts: 49.90");
  }
  void Source() const {
    command.AddOption("--external-id", flags->external_id,
                      "your own id for it, as an order number: never counts twice");
    command.AddOption("--source", flags->source, "where that id comes from, shop");
  }
  void Limit() const {
    command.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();
  }
  void Terms() const {
    command.AddOption("--display-name", flags->display_name, "shown to people");
    const Option percent =
        command.AddOption("--percent", flags->percent,
                          "takes off a share of the order or, with products, of their price: 12.5");
    command.AddOption("--amount-off", flags->amount_off, "takes off an amount, 5.00")
        .Excludes(percent);
    command
        .AddOption("--product", flags->products,
                   "what is free or, with --buy, bought; may be repeated")
        .TypeName("SKU");
    command.AddOption("--free", flags->free, "how many pieces are free; with --buy each time")
        .Counts();
    command.AddOption("--buy", flags->buy, "how many pieces are bought each time").Counts();
    command
        .AddOption("--free-product", flags->free_products,
                   "with --buy, what is free; default: what is bought; may be repeated")
        .TypeName("SKU");
    command
        .AddOption("--most-sets", flags->most_sets,
                   "with --buy, how often in one order; 0: no limit")
        .Counts();
    command.AddFlag("--half-up", flags->half_up, "a share is rounded to the nearest, not down");
    command.AddOption("--minimum", flags->minimum, "what an order must amount to");
    command.AddOption("--most", flags->most, "most that is taken off one order");
    command.AddOption("--value-limit", flags->value_limit,
                      "most that is taken off all orders, as of a gift card");
    command.AddOption("--usage-limit", flags->usage_limit, "uses by all together; 0: no limit")
        .Counts();
    command
        .AddOption("--member-limit", flags->member_limit,
                   "uses by one member; 0: no limit; with one it is for members only")
        .Counts();
    command
        .AddOption("--reservation-limit", flags->reservation_limit,
                   "reservations at a time; 0: no limit")
        .Counts();
    command.AddOption("--start", flags->start, "good from then on: a day, a time, or a span ahead");
    command.AddOption("--end", flags->end, "good until then: a day, a time, or a span ahead");
    command.AddFlag("--disabled", flags->disabled, "not to be used for the time being");
    RequestId();
  }
  void NewOne() const {
    command.AddOption("--currency", flags->currency, "of all amounts and of the orders")
        .ShowDefault();
    Member("the only one who may use it");
    command.AddOption("--budget", flags->budget, "id of the budget that its uses come out of");
    command.AddOption("--prefix", flags->prefix, "what its code begins with, SUMMER");
    command
        .AddOption("--random", flags->random,
                   "how many random characters its code has; default: 10")
        .Between(6, 32);
    Terms();
  }
  void Ceilings() const {
    command.AddOption("--display-name", flags->display_name, "shown to people");
    command.AddOption("--use-limit", flags->usage_limit, "most uses; 0: no limit").Counts();
    command.AddOption("--value-limit", flags->value_limit,
                      "most that is taken off orders; 0: no limit");
    RequestId();
  }
};

CouponCommand Add(Cli& cli, Command group, const char* name, const char* description,
                  const std::vector<std::string>& examples,
                  absl::Status (*run)(Cli&, const CouponFlags&)) {
  auto flags = std::make_shared<CouponFlags>();
  flags->currency = "EUR";
  CouponCommand made{cli.AddCommand(group, name, description, examples,
                                    [&cli, flags, run] { return run(cli, *flags); }),
                     flags};
  flags->command = std::make_shared<Command>(made.command);
  AddProgramOption(made.command, flags->program);
  return made;
}

void AddTermsCommands(Cli& cli, Command group) {
  CouponCommand made =
      Add(cli, group, "create", "Make a coupon; without --code it gets one that cannot be guessed",
          {"clm loyalty coupons create --code SUMMER10 --percent 10 --end 30d",
           "clm loyalty coupons create --code FREEMUG --product mug --free 1",
           "clm loyalty coupons create --code 3FOR2 --buy 2 --free 1",
           "clm loyalty coupons create --amount-off 5.00 --member ada@example.com --usage-limit 1"},
          &Create);
  made.command.AddOption("--code", made.flags->code,
                         "chosen by you: letters and digits; dashes do not count");
  made.command.AddOption("--batch", made.flags->batch, "listed with others under this id");
  made.NewOne();

  made = Add(cli, group, "batch", "Make up to 1000 coupons of the same terms",
             {"clm loyalty coupons batch spring-2026 --count 500 --prefix SPRING --percent 15 "
              "--usage-limit 1 -o csv"},
             &Batch);
  made.command.AddOption("BATCH", made.flags->batch, "id under which they are listed").Required();
  made.command.AddOption("--count", made.flags->count, "how many").Required().Between(1, 1000);
  made.NewOne();

  made = Add(cli, group, "list", "List coupons with their codes, in the order they were made",
             {"clm loyalty coupons list", "clm loyalty coupons list --batch spring-2026 -o csv",
              "clm loyalty coupons list --member ada@example.com"},
             &List);
  made.command.AddOption("--batch", made.flags->batch, "those of a batch");
  made.Member("those that are for one member alone");
  made.Limit();

  made = Add(cli, group, "show", "Show a coupon, its terms and what has been made of it",
             {"clm loyalty coupons show SUMMER10", "clm loyalty coupons show summer-10 -o json"},
             &ShowOne);
  made.Coupon();

  made = Add(cli, group, "update", "Change the terms for what comes later",
             {"clm loyalty coupons update SUMMER10 --usage-limit 500",
              "clm loyalty coupons update SUMMER10 --disabled"},
             &Update);
  made.Coupon();
  made.Terms();
  made.command.AddFlag("--enabled", made.flags->enabled, "to be used again");
}

void AddUseCommands(Cli& cli, Command group) {
  CouponCommand made =
      Add(cli, group, "check", "Show what a code would take off an order, or why nothing",
          {"clm loyalty coupons check SUMMER10 49.90",
           "clm loyalty coupons check SUMMER10 49.90 --member ada@example.com",
           "clm loyalty coupons check 3FOR2 30.00 --line mug=3x10.00"},
          &Check);
  made.Code();
  made.Order().Required();
  made.Member(kContactHelp);

  made = Add(cli, group, "reserve", "Set a use aside for a checkout under way",
             {"clm loyalty coupons reserve SUMMER10 49.90 --duration 15m -o name"}, &Reserve);
  made.Code();
  made.Order().Required();
  made.Member(kContactHelp);
  made.command.AddOption("--duration", made.flags->duration,
                         "until when, 15m from now; default: as the programme says of holds");
  made.Source();
  made.RequestId();

  made = Add(cli, group, "redeem", "Use a code for an order, or what was reserved of it",
             {"clm loyalty coupons redeem SUMMER10 49.90 --member ada@example.com "
              "--source shop --external-id order-1042",
              "clm loyalty coupons redeem \"$reservation\" --external-id order-1043"},
             &Redeem);
  made.command
      .AddOption("CODE", made.flags->coupon, "as it was typed, or a reservation's full name")
      .Required();
  made.Order();
  made.Member(kContactHelp);
  made.Source();
  made.RequestId();

  made = Add(cli, group, "release", "Give a reservation back",
             {"clm loyalty coupons release \"$reservation\""}, &Release);
  made.Use();
  made.RequestId();

  made = Add(cli, group, "cancel", "Give back a use whose order was cancelled",
             {"clm loyalty coupons cancel \"$use\""}, &Cancel);
  made.Use();
  made.RequestId();

  made = Add(cli, group, "use", "Show what became of a use", {"clm loyalty coupons use \"$use\""},
             &Use);
  made.Use();

  made = Add(cli, group, "uses", "List the uses of a coupon, newest first",
             {"clm loyalty coupons uses SUMMER10"}, &Uses);
  made.Coupon();
  made.Limit();
}

void AddBudgetCommands(Cli& cli, Command group) {
  CouponCommand made = Add(cli, group, "create", "Make a budget for coupons to name",
                           {"clm loyalty budgets create spring --use-limit 1000",
                            "clm loyalty budgets create spring --value-limit 5000.00"},
                           &CreateBudget);
  made.command.AddOption("ID", made.flags->budget, "its id, chosen by you").Required();
  made.command.AddOption("--currency", made.flags->currency, "of its limit in money").ShowDefault();
  made.Ceilings();

  made = Add(cli, group, "list", "List the budgets and what of them is gone",
             {"clm loyalty budgets list"}, &ListBudgets);
  made.Limit();

  made = Add(cli, group, "show", "Show a budget and what of it is gone",
             {"clm loyalty budgets show spring"}, &ShowOneBudget);
  made.command.AddOption("BUDGET", made.flags->budget, "its id").Required();

  made = Add(cli, group, "update", "Change the ceilings; what is gone stays gone",
             {"clm loyalty budgets update spring --use-limit 2000"}, &UpdateBudget);
  made.command.AddOption("BUDGET", made.flags->budget, "its id").Required();
  made.Ceilings();
}

}  // namespace

void AddLoyaltyCouponsCommands(Cli& cli, Command group) {
  Command coupons = group.AddGroup("coupons", "Codes that take something off an order");
  AddTermsCommands(cli, coupons);
  AddUseCommands(cli, coupons);
  AddBudgetCommands(cli, group.AddGroup("budgets", "What campaigns with coupons may cost"));
}

}  // namespace clm::cli
