#include "tools/clm/loyalty_programs_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::EarnRule;
using loyalty::v1::Program;
using loyalty::v1::Wallet;
using Stub = loyalty::v1::ProgramService::Stub;

struct ProgramFlags {
  std::string id, from, display_name, time_zone, join, hold_duration, request_id;
  WalletFlags wallets;
  int64_t limit = 100;
};

// "points earned" of BASIS_POINTS_EARNED.
std::string WordsOf(absl::string_view name, absl::string_view prefix) {
  absl::ConsumePrefix(&name, prefix);
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

// "1 per 100 minor units of EUR of purchase, at most 500 a month".
std::string RuleText(const EarnRule& rule) {
  std::string text = absl::StrCat(rule.points());
  if (rule.earning() == EarnRule::EARNING_PER_MONEY) {
    absl::StrAppend(&text, " per ", rule.per(), " minor units of ", rule.currency());
  } else if (rule.earning() == EarnRule::EARNING_PER_UNIT) {
    absl::StrAppend(&text, " per ", rule.per(), rule.per() == 1 ? " piece" : " pieces");
  }
  absl::StrAppend(&text, " of ", rule.event_type());
  if (!rule.condition().empty()) absl::StrAppend(&text, " where ", rule.condition());
  for (const loyalty::v1::EarnCap& cap : rule.caps()) {
    const std::string period = WordsOf(loyalty::v1::EarnCap::Period_Name(cap.period()), "PERIOD_");
    absl::StrAppend(&text, ", at most ", cap.points(),
                    period == "lifetime" ? " ever" : absl::StrCat(" a ", period));
  }
  return text;
}

std::string TierText(const loyalty::v1::TierScheme& scheme, const loyalty::v1::Tier& tier) {
  std::string text =
      absl::StrCat("from ", tier.threshold(), " ",
                   WordsOf(loyalty::v1::TierScheme::Basis_Name(scheme.basis()), "BASIS_"));
  if (tier.entry_points() > 0) absl::StrAppend(&text, ", brings ", tier.entry_points());
  if (!tier.perks().empty()) absl::StrAppend(&text, ": ", absl::StrJoin(tier.perks(), ", "));
  return text;
}

std::string ReferralText(const loyalty::v1::ReferralTerms& terms) {
  std::string text = absl::StrCat(terms.advocate_points(), " for who brings somebody, ",
                                  terms.friend_points(), " for whom they bring");
  if (terms.minimum_minor() > 0) {
    absl::StrAppend(&text, ", for a first purchase of ",
                    terminal::MoneyDecimal(terms.minimum_minor(), terms.currency()), " ",
                    terms.currency());
  }
  if (terms.closed()) absl::StrAppend(&text, "; closed");
  return text;
}

std::string GuessText(const loyalty::v1::CouponGuessLimits& limits) {
  if (limits.unlimited()) return "unlimited";
  return absl::StrCat(limits.per_member(), " wrong codes of a member, ", limits.per_caller(),
                      " of a caller, within ", limits.window());
}

absl::Status PrintProgram(const Cli& cli, const Program& program) {
  return cli.PrintReport(program, [&] {
    terminal::Table table({{"field"}, {"value"}});
    table.Add({"name", LastPart(program.name())});
    table.Add({"display_name", TextCell(program.display_name())});
    table.Add({"time_zone", program.time_zone().empty() ? "UTC" : program.time_zone()});
    table.Add({"join_policy", JoinPolicyWord(program.join_policy())});
    table.Add({"hold_duration", TextCell(program.hold_duration())});
    for (const Wallet& wallet : program.wallets()) {
      const auto add = [&](const char* field, const std::string& value) {
        table.Add({absl::StrCat(wallet.id(), ".", field), TextCell(value)});
      };
      add("unit", wallet.unit());
      add("pending", wallet.pending());
      add("expiry", wallet.expiry());
      add("expiry_rounding", RoundingWord(wallet.expiry_rounding()));
      add("expiry_warning",
          wallet.expiry_warning_days().empty()
              ? ""
              : absl::StrCat(absl::StrJoin(wallet.expiry_warning_days(), ", "), " days before"));
      add("return_policy", ReturnPolicyWord(wallet.return_policy()));
      add("value", PointsValueText(wallet));
      add("adjustment_limit",
          wallet.adjustment_limit() == 0 ? "" : absl::StrCat(wallet.adjustment_limit(), " a day"));
      constexpr double kWhole = 10'000;
      table.Add({absl::StrCat(wallet.id(), ".breakage"),
                 terminal::Share{wallet.breakage_basis_points() / kWhole}});
    }
    for (const EarnRule& rule : program.earn_rules()) {
      table.Add({absl::StrCat("rule ", rule.id()), RuleText(rule)});
    }
    for (const loyalty::v1::Tier& tier : program.tier_scheme().tiers()) {
      table.Add({absl::StrCat("tier ", tier.id()), TierText(program.tier_scheme(), tier)});
    }
    if (program.has_referral_terms()) {
      table.Add({"referrals", ReferralText(program.referral_terms())});
    }
    if (program.has_coupon_guess_limits()) {
      table.Add({"coupon_guesses", GuessText(program.coupon_guess_limits())});
    }
    table.Add({"create_time", TimeCell(program.has_create_time(), program.create_time())});
    table.Add({"update_time", TimeCell(program.has_update_time(), program.update_time())});
    return table;
  });
}

absl::Status Show(const Cli& cli, const absl::StatusOr<Program>& program) {
  CLM_RETURN_IF_ERROR(program.status());
  return PrintProgram(cli, *program);
}

absl::Status List(Cli& cli, int64_t limit) {
  loyalty::v1::ListProgramsRequest request;
  request.set_parent(cli.tenant_name());
  CLM_ASSIGN_OR_RETURN(
      const std::vector<Program> programs,
      cli.List(&Stub::ListPrograms, request, &loyalty::v1::ListProgramsResponse::programs, limit));
  return cli.Print(Pointers(programs), true, [&] {
    terminal::Table table({{"name", "PROGRAM"},
                           {"display_name", "TITLE"},
                           {"wallets"},
                           {"join_policy", "JOINED BY"},
                           {"time_zone", "TIME ZONE"},
                           {"update_time", "CHANGED"},
                           {"hold_duration", "HOLDS LAST", true},
                           {"create_time", "MADE", true},
                           {"etag", "", true}});
    table.set_empty_text("no programme yet");
    for (const Program& p : programs) {
      const std::string wallets = absl::StrJoin(
          p.wallets(), ", ",
          [](std::string* out, const Wallet& wallet) { absl::StrAppend(out, wallet.id()); });
      table.Add({LastPart(p.name()), TextCell(p.display_name()), wallets,
                 JoinPolicyWord(p.join_policy()), p.time_zone().empty() ? "UTC" : p.time_zone(),
                 TimeCell(p.has_update_time(), p.update_time()), TextCell(p.hold_duration()),
                 TimeCell(p.has_create_time(), p.create_time()), TextCell(p.etag())});
    }
    return table;
  });
}

absl::StatusOr<Program> Get(Cli& cli, const std::string& id) {
  loyalty::v1::GetProgramRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), ProgramName(cli, id));
  return cli.Call(&Stub::GetProgram, request);
}

// What the line says; the paths of what it changes are added to `mask`.
absl::Status Change(const ProgramFlags& flags, Program* program,
                    google::protobuf::FieldMask* mask) {
  if (!flags.from.empty()) {
    Program told;
    CLM_RETURN_IF_ERROR(ReadMessage(flags.from, &told));
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    Program::GetReflection()->ListFields(told, &fields);
    for (const auto* field : fields) {
      const std::string path(field->name());
      if (path == "name" || path == "etag" || absl::EndsWith(path, "_time")) continue;
      Program::GetReflection()->ClearField(program, field);
      mask->add_paths(path);
    }
    told.clear_name();
    told.clear_etag();
    told.clear_create_time();
    told.clear_update_time();
    program->MergeFrom(told);
  }
  const auto set = [&](const std::string& text, const char* path, std::string* field) {
    if (text.empty()) return;
    *field = text;
    mask->add_paths(path);
  };
  set(flags.display_name, "display_name", program->mutable_display_name());
  set(flags.time_zone, "time_zone", program->mutable_time_zone());
  set(flags.hold_duration, "hold_duration", program->mutable_hold_duration());
  if (!flags.join.empty()) {
    CLM_ASSIGN_OR_RETURN(const auto join, ParseJoinPolicy("--join", flags.join));
    program->set_join_policy(join);
    mask->add_paths("join_policy");
  }
  if (!flags.wallets.wallets.empty() || flags.wallets.AnyTerm()) {
    CLM_RETURN_IF_ERROR(ChangeWallets(flags.wallets, program));
    mask->add_paths("wallets");
  }
  return absl::OkStatus();
}

absl::Status Create(Cli& cli, ProgramFlags flags) {
  loyalty::v1::CreateProgramRequest request;
  request.set_parent(cli.tenant_name());
  request.set_program_id(flags.id);
  request.set_request_id(flags.request_id);
  if (flags.wallets.wallets.empty() && flags.from.empty()) flags.wallets.wallets = {"points"};
  google::protobuf::FieldMask all;
  CLM_RETURN_IF_ERROR(Change(flags, request.mutable_program(), &all));
  return Show(cli, cli.Call(&Stub::CreateProgram, request));
}

absl::Status Update(Cli& cli, const ProgramFlags& flags) {
  loyalty::v1::UpdateProgramRequest request;
  // With its etag: wallets go as a whole, and what somebody else changes meanwhile is not undone.
  CLM_ASSIGN_OR_RETURN(*request.mutable_program(), Get(cli, flags.id));
  CLM_RETURN_IF_ERROR(Change(flags, request.mutable_program(), request.mutable_update_mask()));
  if (request.update_mask().paths().empty()) {
    return error::Make(absl::StatusCode::kInvalidArgument, "USAGE", "say what is to change");
  }
  request.set_request_id(flags.request_id);
  return Show(cli, cli.Call(&Stub::UpdateProgram, request));
}

void AddProgramFlags(Command command, ProgramFlags& flags) {
  command
      .AddOption("--from", flags.from,
                 "a file with a Program as JSON, - for stdin: what it says is so, earnRules and "
                 "tierScheme, referralTerms and couponGuessLimits among it")
      .TypeName("FILE");
  command.AddOption("--display-name", flags.display_name, "shown to people");
  command.AddOption("--time-zone", flags.time_zone,
                    "in whose days points become active and expire, Europe/Berlin; default: UTC");
  command.AddOption("--join", flags.join, "when somebody becomes a member")
      .OneOf(JoinPolicyWords());
  command.AddOption("--hold-duration", flags.hold_duration,
                    "how long points are set aside, 2h; default: 30m");
  command.AddOption("--unit", flags.wallets.unit, "what the points are called");
  command.AddOption("--pending", flags.wallets.pending,
                    "how long earned points wait, 14D; immediate; or on_action");
  command.AddOption("--expiry", flags.wallets.expiry,
                    "how long points are good for, 12M; or never");
  command
      .AddOption("--expiry-rounding", flags.wallets.expiry_rounding,
                 "an expiry goes on to the end of its")
      .OneOf(RoundingWords());
  command
      .AddOption("--expiry-warning", flags.wallets.expiry_warning,
                 "days before points expire at which an event tells of it, 30,7; or never")
      .TypeName("DAYS");
  command
      .AddOption("--return-policy", flags.wallets.return_policy,
                 "what is taken back of points when something is returned")
      .OneOf(ReturnPolicyWords());
  command
      .AddOption("--value", flags.wallets.value,
                 "what points are worth: 1EUR/100 for a hundred, 0.01EUR for one")
      .TypeName("MONEY[/POINTS]");
  command
      .AddOption("--breakage", flags.wallets.breakage,
                 "share that is expected never to be redeemed")
      .TypeName("PERCENT");
  command
      .AddOption("--adjustment-limit", flags.wallets.adjustment_limit,
                 "most by which one person may correct one balance in a day; or none")
      .TypeName("POINTS");
  AddRequestIdOption(command, flags.request_id);
}

}  // namespace

void AddLoyaltyProgramsCommands(Cli& cli, Command group) {
  auto list = std::make_shared<ProgramFlags>();
  Command command = cli.AddCommand(group, "programs", "List the loyalty programmes",
                                   {"clm loyalty programs", "clm loyalty programs -o json"},
                                   [&cli, list] { return List(cli, list->limit); });
  command.AddOption("--limit", list->limit, "most to show; 0: all").Counts().ShowDefault();

  auto get = std::make_shared<ProgramFlags>();
  command = cli.AddCommand(group, "program", "Show a programme and the terms of its points",
                           {"clm loyalty program stars", "clm loyalty program stars -o yaml"},
                           [&cli, get] { return Show(cli, Get(cli, get->id)); });
  command.AddOption("PROGRAM", get->id, "its id").Required();

  auto create = std::make_shared<ProgramFlags>();
  command = cli.AddCommand(
      group, "create-program", "Make a programme; what is said of points is so in all its wallets",
      {"clm loyalty create-program stars --expiry 12M --value 1EUR/100",
       "clm loyalty create-program air --wallet miles --wallet status --pending 14D "
       "--time-zone Europe/Berlin",
       "clm loyalty create-program club --from club.json"},
      [&cli, create] { return Create(cli, *create); });
  command.AddOption("ID", create->id, "its id, chosen by you").Required();
  command.AddOption("--wallet", create->wallets.wallets,
                    "id of a kind of points, the usual one first; may be repeated; default: "
                    "points");
  AddProgramFlags(command, *create);

  auto update = std::make_shared<ProgramFlags>();
  command = cli.AddCommand(group, "update-program",
                           "Change what is given; earned points keep their terms",
                           {"clm loyalty update-program stars --expiry 24M --expiry-rounding year",
                            "clm loyalty update-program air --wallet status --expiry never",
                            "clm loyalty program club -o json > club.json && "
                            "clm loyalty update-program club --from club.json"},
                           [&cli, update] { return Update(cli, *update); });
  command.AddOption("PROGRAM", update->id, "its id").Required();
  command.AddOption("--wallet", update->wallets.wallets,
                    "whose points are meant, if there are several; a new one is added; may be "
                    "repeated");
  AddProgramFlags(command, *update);
}

}  // namespace clm::cli
