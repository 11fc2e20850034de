#include "tools/clm/loyalty_rewards_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/reward_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::Coupon;
using loyalty::v1::Reward;
using loyalty::v1::RewardRedemption;
using Stub = loyalty::v1::RewardService::Stub;

struct RewardFlags {
  std::string program, reward, request_id;
  // Terms.
  std::string display_name, description, wallet, start, end, minimum_tier;
  int64_t cost = 0, stock = 0, member_limit = 0;
  // Of the coupon.
  std::string percent, amount_off, currency = "EUR", minimum, most, valid_for, batch, budget,
                                   prefix;
  std::vector<std::string> free_products;
  int64_t uses = 1;
  // Who gets it, and what became of it.
  std::string member, source, external_id, now, redemption, reason;
  bool dry_run = false, archived = false, undo = false;
  int64_t limit = 100;
  // Of the line: whether it names a number, which may be 0.
  std::shared_ptr<Command> command;
  bool Given(const char* name) const { return command->Given(name); }
};

// ---- Answers.

std::string LimitText(int64_t limit) { return limit == 0 ? "none" : terminal::CountText(limit); }

terminal::Cell IssuedCell(const Reward& reward) {
  return reward.has_coupon() ? terminal::Cell(CouponOffText(reward.coupon().terms()))
                             : terminal::Cell();
}

absl::Status ShowReward(const Cli& cli, const absl::StatusOr<Reward>& answer) {
  CLM_RETURN_IF_ERROR(answer.status());
  const Reward& reward = *answer;
  return cli.PrintReport(reward, [&] {
    terminal::Table table({{"field"}, {"value"}});
    const auto add = [&](const char* field, const terminal::Cell& value) {
      table.Add({field, value});
    };
    add("name", LastPart(reward.name()));
    add("display_name", TextCell(reward.display_name()));
    add("description", TextCell(reward.description()));
    add("cost", reward.cost());
    add("wallet", TextCell(reward.wallet()));
    add("stock", LimitText(reward.stock()));
    add("redeemed", reward.redeemed());
    add("member_limit", LimitText(reward.member_limit()));
    add("minimum_tier", TextCell(reward.minimum_tier()));
    add("start_time", TimeCell(reward.has_start_time(), reward.start_time()));
    add("end_time", TimeCell(reward.has_end_time(), reward.end_time()));
    add("coupon", IssuedCell(reward));
    if (reward.has_coupon()) {
      const Coupon& terms = reward.coupon().terms();
      add("coupon_uses", terms.usage_limit());
      add("coupon_valid_for", TextCell(reward.coupon().valid_for()));
      add("coupon_batch", TextCell(terms.batch()));
      add("coupon_budget", TextCell(LastPart(terms.budget())));
    }
    add("archived", reward.archived() ? "yes" : "no");
    add("create_time", TimeCell(reward.has_create_time(), reward.create_time()));
    add("update_time", TimeCell(reward.has_update_time(), reward.update_time()));
    return table;
  });
}

terminal::Table RewardTable(const Cli& cli, const std::vector<Reward>& rewards) {
  terminal::Table table({{"name", "REWARD"},
                         {"display_name", "TITLE"},
                         {"cost"},
                         {"redeemed", "GIVEN OUT"},
                         {"stock", "OF"},
                         {"minimum_tier", "TIER"},
                         {"coupon"},
                         {"end_time", "ENDS"},
                         {"member_limit", "PER MEMBER", true},
                         {"archived", "", true},
                         {"create_time", "MADE", true}});
  table.set_empty_text("no reward yet");
  for (const Reward& r : rewards) {
    table.Add({ShownName(cli, r.name()), TextCell(r.display_name()), r.cost(), r.redeemed(),
               r.stock() == 0 ? terminal::Cell() : terminal::Cell(r.stock()),
               TextCell(r.minimum_tier()), IssuedCell(r), TimeCell(r.has_end_time(), r.end_time()),
               r.member_limit() == 0 ? terminal::Cell() : terminal::Cell(r.member_limit()),
               r.archived() ? "yes" : "no", TimeCell(r.has_create_time(), r.create_time())});
  }
  return table;
}

// The reward's own id, which the redemption's name has in its middle.
std::string RewardIdOf(const std::string& redemption) {
  return LastPart(redemption.substr(0, redemption.find("/redemptions/")));
}

terminal::Table RedemptionTable(const Cli& cli, const std::vector<RewardRedemption>& redemptions) {
  terminal::Table table({{"name", "REDEMPTION"},
                         {"reward"},
                         {"state"},
                         {"cost"},
                         {"member"},
                         {"create_time", "TIME"},
                         {"coupon"},
                         {"external_id", "EXTERNAL ID"},
                         {"source", "", true},
                         {"posting", "", true},
                         {"cancel_time", "CANCELLED", true}});
  table.set_empty_text("nobody has got one");
  for (const RewardRedemption& r : redemptions) {
    table.Add({ShownName(cli, r.name()), RewardIdOf(r.name()),
               EnumText("STATE_", RewardRedemption::State_Name(r.state())), r.cost(),
               TextCell(LastPart(r.member())), TimeCell(r.has_create_time(), r.create_time()),
               TextCell(LastPart(r.coupon())), TextCell(r.external_id()), TextCell(r.source()),
               TextCell(LastPart(r.posting())), TimeCell(r.has_cancel_time(), r.cancel_time())});
  }
  return table;
}

// ---- What a line means.

absl::StatusOr<std::string> RewardName(Cli& cli, const RewardFlags& flags) {
  if (absl::StartsWith(flags.reward, "tenants/")) return flags.reward;
  CLM_ASSIGN_OR_RETURN(const std::string parent, ProgramName(cli, flags.program));
  return absl::StrCat(parent, "/rewards/", flags.reward);
}

absl::StatusOr<Reward> GetReward(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::GetRewardRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), RewardName(cli, flags));
  return cli.Call(&Stub::GetReward, request);
}

// What the line says of the terms; the paths of what it changes are added to `mask`.
absl::Status ChangeTerms(const RewardFlags& flags, Reward* reward,
                         google::protobuf::FieldMask* mask) {
  const auto text = [&](const char* flag, const std::string& value, const char* path,
                        void (Reward::*set)(const std::string&)) {
    if (!flags.Given(flag)) return;
    (reward->*set)(value);
    mask->add_paths(path);
  };
  text("--display-name", flags.display_name, "display_name", &Reward::set_display_name);
  text("--description", flags.description, "description", &Reward::set_description);
  text("--wallet", flags.wallet, "wallet", &Reward::set_wallet);
  text("--minimum-tier", flags.minimum_tier, "minimum_tier", &Reward::set_minimum_tier);
  const auto number = [&](const char* flag, int64_t value, const char* path,
                          void (Reward::*set)(int64_t)) {
    if (!flags.Given(flag)) return;
    (reward->*set)(value);
    mask->add_paths(path);
  };
  number("--cost", flags.cost, "cost", &Reward::set_cost);
  number("--stock", flags.stock, "stock", &Reward::set_stock);
  number("--member-limit", flags.member_limit, "member_limit", &Reward::set_member_limit);
  if (!flags.start.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at,
                         ParseMomentAhead("--start", flags.start, absl::Now()));
    SetTime(at, reward->mutable_start_time());
    mask->add_paths("start_time");
  }
  if (!flags.end.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time at, ParseMomentAhead("--end", flags.end, absl::Now()));
    SetTime(at, reward->mutable_end_time());
    mask->add_paths("end_time");
  }
  return absl::OkStatus();
}

absl::Status FillCoupon(Cli& cli, const RewardFlags& flags, Reward* reward) {
  if (flags.percent.empty() && flags.amount_off.empty() && flags.free_products.empty()) {
    for (const char* flag :
         {"--coupon-currency", "--coupon-minimum", "--coupon-most", "--coupon-uses",
          "--coupon-valid-for", "--coupon-batch", "--coupon-budget", "--coupon-prefix"}) {
      if (flags.Given(flag)) {
        return error::Make(absl::StatusCode::kInvalidArgument, "USAGE",
                           absl::StrCat(flag,
                                        " needs --coupon-percent, --coupon-amount-off or "
                                        "--coupon-free-product"));
      }
    }
    return absl::OkStatus();
  }
  Coupon* terms = reward->mutable_coupon()->mutable_terms();
  terms->set_currency(flags.currency);
  const auto money = [&](const char* flag, const std::string& text,
                         void (Coupon::*set)(int64_t)) -> absl::Status {
    if (text.empty()) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const int64_t minor, ParseMoney(flag, text, flags.currency));
    (terms->*set)(minor);
    return absl::OkStatus();
  };
  if (!flags.free_products.empty()) {
    terms->set_kind(Coupon::KIND_FREE_PRODUCT);
    terms->mutable_skus()->Assign(flags.free_products.begin(), flags.free_products.end());
    terms->set_free_quantity(1);
  } else if (!flags.percent.empty()) {
    CLM_ASSIGN_OR_RETURN(const int32_t share, ParseBasisPoints("--coupon-percent", flags.percent));
    terms->set_kind(Coupon::KIND_PERCENT);
    terms->set_basis_points(share);
  } else {
    terms->set_kind(Coupon::KIND_AMOUNT);
    CLM_RETURN_IF_ERROR(money("--coupon-amount-off", flags.amount_off, &Coupon::set_amount_minor));
  }
  CLM_RETURN_IF_ERROR(money("--coupon-minimum", flags.minimum, &Coupon::set_minimum_minor));
  CLM_RETURN_IF_ERROR(money("--coupon-most", flags.most, &Coupon::set_most_minor));
  terms->set_usage_limit(flags.uses);
  terms->set_batch(flags.batch);
  if (absl::StartsWith(flags.budget, "tenants/")) {
    terms->set_budget(flags.budget);
  } else if (!flags.budget.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string parent, ProgramName(cli, flags.program));
    terms->set_budget(absl::StrCat(parent, "/couponBudgets/", flags.budget));
  }
  reward->mutable_coupon()->mutable_code_format()->set_prefix(flags.prefix);
  reward->mutable_coupon()->set_valid_for(flags.valid_for);
  return absl::OkStatus();
}

// ---- The catalogue.

absl::Status Create(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::CreateRewardRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  request.set_reward_id(flags.reward);
  google::protobuf::FieldMask all;
  CLM_RETURN_IF_ERROR(ChangeTerms(flags, request.mutable_reward(), &all));
  CLM_RETURN_IF_ERROR(FillCoupon(cli, flags, request.mutable_reward()));
  request.set_request_id(flags.request_id);
  return ShowReward(cli, cli.Call(&Stub::CreateReward, request));
}

absl::Status Show(Cli& cli, const RewardFlags& flags) {
  return ShowReward(cli, GetReward(cli, flags));
}

absl::Status List(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::ListRewardsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  request.set_show_archived(flags.archived);
  CLM_ASSIGN_OR_RETURN(const std::vector<Reward> rewards,
                       cli.List(&Stub::ListRewards, request,
                                &loyalty::v1::ListRewardsResponse::rewards, flags.limit));
  return cli.Print(Pointers(rewards), true, [&] { return RewardTable(cli, rewards); });
}

absl::Status Update(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::UpdateRewardRequest request;
  // With its etag: what somebody else changes is not undone.
  CLM_ASSIGN_OR_RETURN(*request.mutable_reward(), GetReward(cli, flags));
  CLM_RETURN_IF_ERROR(ChangeTerms(flags, request.mutable_reward(), request.mutable_update_mask()));
  if (request.update_mask().paths().empty()) {
    return error::Make(absl::StatusCode::kInvalidArgument, "USAGE", "say what is to change");
  }
  request.set_request_id(flags.request_id);
  return ShowReward(cli, cli.Call(&Stub::UpdateReward, request));
}

absl::Status Archive(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::UpdateRewardRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_reward()->mutable_name(), RewardName(cli, flags));
  request.mutable_reward()->set_archived(!flags.undo);
  request.mutable_update_mask()->add_paths("archived");
  request.set_request_id(flags.request_id);
  return ShowReward(cli, cli.Call(&Stub::UpdateReward, request));
}

// ---- Who has got what.

absl::Status Redeem(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::RedeemRewardRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_reward(), RewardName(cli, flags));
  CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.member));
  request.set_source(flags.source);
  request.set_external_id(flags.external_id);
  request.set_dry_run(flags.dry_run);
  if (!flags.now.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time now, ParseMomentAhead("--now", flags.now, absl::Now()));
    SetTime(now, request.mutable_now());
  }
  request.set_request_id(flags.request_id);
  if (flags.dry_run) cli.Note("a rehearsal: nothing changes");
  CLM_ASSIGN_OR_RETURN(const auto answer, cli.Call(&Stub::RedeemReward, request));
  return cli.Print({&answer}, false, [&] {
    terminal::Table table({{"name", "REDEMPTION"},
                           {"reward"},
                           {"cost"},
                           {"code"},
                           {"code_ends", "CODE ENDS"},
                           {"balance"}});
    const Coupon& coupon = answer.coupon();
    table.Add({ShownName(cli, answer.redemption().name()), LastPart(request.reward()),
               answer.redemption().cost(), TextCell(coupon.code()),
               TimeCell(coupon.has_end_time(), coupon.end_time()), answer.balance().active()});
    return table;
  });
}

absl::Status Cancel(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::CancelRewardRedemptionRequest request;
  request.set_redemption(flags.redemption);
  request.set_reason(flags.reason);
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(const RewardRedemption redemption,
                       cli.Call(&Stub::CancelRewardRedemption, request));
  return cli.Print({&redemption}, false, [&] { return RedemptionTable(cli, {redemption}); });
}

absl::Status Redemptions(Cli& cli, const RewardFlags& flags) {
  loyalty::v1::ListRewardRedemptionsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  if (!flags.reward.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_reward(), RewardName(cli, flags));
  }
  if (!flags.member.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.member));
  }
  CLM_ASSIGN_OR_RETURN(
      const std::vector<RewardRedemption> redemptions,
      cli.List(&Stub::ListRewardRedemptions, request,
               &loyalty::v1::ListRewardRedemptionsResponse::redemptions, flags.limit));
  return cli.Print(Pointers(redemptions), true, [&] { return RedemptionTable(cli, redemptions); });
}

// ---- The lines.

// A command and the flags that it fills.
struct RewardCommand {
  Command command;
  std::shared_ptr<RewardFlags> flags;

  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
  void Reward() const {
    command.AddOption("REWARD", flags->reward, "its id or full name").Required();
  }
  void Limit() const {
    command.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();
  }
  void Terms() const {
    command.AddOption("--display-name", flags->display_name, "shown to people");
    command.AddOption("--description", flags->description, "shown to who wants to know more");
    command.AddOption("--cost", flags->cost, "in points; 0: for nothing").Counts();
    command.AddOption("--wallet", flags->wallet, "id of the kind of points; default: the first");
    command
        .AddOption("--stock", flags->stock, "how many there are, given out or not; 0: without end")
        .Counts();
    command
        .AddOption("--member-limit", flags->member_limit,
                   "how many one member may have; 0: no limit")
        .Counts();
    command.AddOption("--minimum-tier", flags->minimum_tier,
                      "id of the lowest tier that may have it");
    command.AddOption("--start", flags->start,
                      "to be had from then on: a day, a time, or a span ahead");
    command.AddOption("--end", flags->end, "to be had until then: a day, a time, or a span ahead");
    RequestId();
  }
  void Coupon() const {
    const Option percent = command.AddOption("--coupon-percent", flags->percent,
                                             "issues a code that takes off a share, 12.5");
    const Option amount = command
                              .AddOption("--coupon-amount-off", flags->amount_off,
                                         "issues a code that takes off an amount, 5.00")
                              .Excludes(percent);
    command
        .AddOption("--coupon-free-product", flags->free_products,
                   "issues a code for one of these for nothing; may be repeated")
        .TypeName("SKU")
        .Excludes(percent)
        .Excludes(amount);
    command.AddOption("--coupon-currency", flags->currency, "of its amounts and its orders")
        .ShowDefault();
    command.AddOption("--coupon-minimum", flags->minimum, "what an order must amount to");
    command.AddOption("--coupon-most", flags->most, "most that is taken off one order");
    command.AddOption("--coupon-uses", flags->uses, "how often it may be used")
        .Between(1, 1000000000)
        .ShowDefault();
    command.AddOption("--coupon-valid-for", flags->valid_for,
                      "how long it is good, 90D or 12M; default: without end");
    command.AddOption("--coupon-batch", flags->batch, "id under which the issued ones are listed");
    command.AddOption("--coupon-budget", flags->budget, "id of the budget its uses come out of");
    command.AddOption("--coupon-prefix", flags->prefix, "what its code begins with, GIFT");
  }
};

RewardCommand Add(Cli& cli, Command group, const char* name, const char* description,
                  const std::vector<std::string>& examples,
                  absl::Status (*run)(Cli&, const RewardFlags&)) {
  auto flags = std::make_shared<RewardFlags>();
  RewardCommand made{cli.AddCommand(group, name, description, examples,
                                    [&cli, flags, run] { return run(cli, *flags); }),
                     flags};
  flags->command = std::make_shared<Command>(made.command);
  AddProgramOption(made.command, flags->program);
  return made;
}

void AddCatalogueCommands(Cli& cli, Command group) {
  RewardCommand made =
      Add(cli, group, "create", "Put a reward into the catalogue",
          {"clm loyalty rewards create mug --display-name 'A mug' --cost 500 --stock 100",
           "clm loyalty rewards create voucher --cost 1000 --coupon-amount-off 5.00 "
           "--coupon-valid-for 90D"},
          &Create);
  made.command.AddOption("ID", made.flags->reward, "its id, chosen by you").Required();
  made.Terms();
  made.Coupon();

  made = Add(cli, group, "show", "Show a reward and how many of it were given out",
             {"clm loyalty rewards show mug", "clm loyalty rewards show mug -o json"}, &Show);
  made.Reward();

  made = Add(cli, group, "list", "List the catalogue, by id",
             {"clm loyalty rewards list", "clm loyalty rewards list --archived -o csv"}, &List);
  made.command.AddFlag("--archived", made.flags->archived, "those too that are archived");
  made.Limit();

  made = Add(cli, group, "update", "Change the terms for what comes later, or deliver more",
             {"clm loyalty rewards update mug --stock 200",
              "clm loyalty rewards update mug --cost 450 --end 30d"},
             &Update);
  made.Reward();
  made.Terms();

  made =
      Add(cli, group, "archive", "Take a reward out of the catalogue; what was given out stays",
          {"clm loyalty rewards archive mug", "clm loyalty rewards archive mug --undo"}, &Archive);
  made.Reward();
  made.command.AddFlag("--undo", made.flags->undo, "put it back");
  made.RequestId();
}

void AddRedemptionCommands(Cli& cli, Command group) {
  RewardCommand made =
      Add(cli, group, "redeem", "Give a member a reward for their points",
          {"clm loyalty rewards redeem mug ada@example.com --source shop --external-id order-1042",
           "clm loyalty rewards redeem voucher ada@example.com --dry-run --now 90d"},
          &Redeem);
  made.Reward();
  made.command.AddOption("CONTACT", made.flags->member, kContactHelp).Required();
  made.command.AddOption("--external-id", made.flags->external_id,
                         "your own id for it, as an order number: never counts twice");
  made.command.AddOption("--source", made.flags->source, "where that id comes from, shop");
  made.command.AddFlag("--dry-run", made.flags->dry_run,
                       "answer as if it had happened; change nothing");
  made.command.AddOption(
      "--now", made.flags->now,
      "with --dry-run: as if it were then: a day, a time, or a span from now on");
  made.RequestId();

  made = Add(cli, group, "cancel", "Take a reward back; the points return with their expiry",
             {"clm loyalty rewards cancel \"$redemption\" --reason broken"}, &Cancel);
  made.command
      .AddOption("REDEMPTION", made.flags->redemption,
                 "its full name, as redeem and redemptions print it with -o name")
      .Required();
  made.command.AddOption("--reason", made.flags->reason, "why, for people");
  made.RequestId();

  made = Add(cli, group, "redemptions", "List who has got what, newest first",
             {"clm loyalty rewards redemptions", "clm loyalty rewards redemptions --reward mug",
              "clm loyalty rewards redemptions --member ada@example.com -o wide"},
             &Redemptions);
  made.command.AddOption("--reward", made.flags->reward, "id of the reward");
  made.command.AddOption("--member", made.flags->member, kContactHelp).TypeName("CONTACT");
  made.Limit();
}

}  // namespace

void AddLoyaltyRewardsCommands(Cli& cli, Command group) {
  Command rewards = group.AddGroup("rewards", "What members get for points");
  AddCatalogueCommands(cli, rewards);
  AddRedemptionCommands(cli, rewards);
}

}  // namespace clm::cli
