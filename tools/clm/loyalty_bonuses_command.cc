#include "tools/clm/loyalty_bonuses_command.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clm/loyalty/v1/bonus_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/table.h"

namespace clm::cli {
namespace {

using loyalty::v1::BonusRun;
using loyalty::v1::BonusRunMember;
using Stub = loyalty::v1::BonusService::Stub;

// Between two looks at a run.
constexpr absl::Duration kLook = absl::Milliseconds(100);

struct BonusFlags {
  std::string program, run, contact, state, request_id;
  int64_t points = 0, limit = 100;
  std::string wallet, expiry, reason, as_of;
  std::vector<std::string> tiers;
  std::string currency = "EUR", minimum_spend, condition, top, event_type;
  int window = 0, bought_within = 0, not_bought_for = 0;
  int64_t minimum_purchases = 0;
  bool dry_run = false, no_wait = false;
};

const std::vector<std::pair<std::string, BonusRunMember::State>>& MemberStates() {
  static const auto* const kStates = new std::vector<std::pair<std::string, BonusRunMember::State>>{
      {"qualified", BonusRunMember::STATE_QUALIFIED},
      {"granted", BonusRunMember::STATE_GRANTED},
      {"merged", BonusRunMember::STATE_MERGED},
      {"refused", BonusRunMember::STATE_REFUSED}};
  return *kStates;
}

bool IsOver(const BonusRun& run) {
  return run.state() == BonusRun::STATE_SUCCEEDED || run.state() == BonusRun::STATE_CANCELLED;
}

absl::Status PrintRuns(const Cli& cli, bool list, const std::vector<BonusRun>& runs) {
  return cli.Print(Pointers(runs), list, [&] {
    terminal::Table table({{"name", "RUN"},
                           {"state"},
                           {"dry_run", "DRY"},
                           {"points"},
                           {"reason", "FOR"},
                           {"member_count", "LOOKED AT"},
                           {"eligible_count", "ELIGIBLE"},
                           {"qualified_count", "QUALIFIED"},
                           {"granted_count", "GRANTED"},
                           {"merged_count", "MERGED", true},
                           {"refused_count", "REFUSED"},
                           {"granted_points", "GIVEN"},
                           {"wallet", "", true},
                           {"created_by", "BY", true},
                           {"as_of_time", "AS OF", true},
                           {"create_time", "MADE"},
                           {"end_time", "ENDED", true}});
    table.set_empty_text("no runs");
    for (const BonusRun& r : runs) {
      table.Add({ShownName(cli, r.name()), EnumText("STATE_", BonusRun::State_Name(r.state())),
                 r.dry_run() ? terminal::Cell("dry") : terminal::Cell(), r.points(),
                 TextCell(r.reason()), r.member_count(), r.eligible_count(), r.qualified_count(),
                 r.granted_count(), r.merged_count(), r.refused_count(), r.granted_points(),
                 r.wallet(), TextCell(r.created_by()), TimeCell(r.has_as_of_time(), r.as_of_time()),
                 TimeCell(r.has_create_time(), r.create_time()),
                 TimeCell(r.has_end_time(), r.end_time())});
    }
    return table;
  });
}

absl::Status ShowRun(const Cli& cli, const absl::StatusOr<BonusRun>& run) {
  CLM_RETURN_IF_ERROR(run.status());
  return PrintRuns(cli, false, {*run});
}

absl::StatusOr<std::string> RunName(Cli& cli, const BonusFlags& flags) {
  if (absl::StartsWith(flags.run, "tenants/")) return flags.run;
  CLM_ASSIGN_OR_RETURN(const std::string program, ProgramName(cli, flags.program));
  return absl::StrCat(program, "/bonusRuns/", flags.run);
}

absl::StatusOr<BonusRun> Find(Cli& cli, const std::string& name) {
  loyalty::v1::GetBonusRunRequest request;
  request.set_name(name);
  return cli.Call(&Stub::GetBonusRun, request);
}

// "10%" is the best tenth, "50" the best fifty.
absl::Status SetTop(const std::string& text, loyalty::v1::BonusCriteria* criteria) {
  if (text.empty()) return absl::OkStatus();
  if (absl::EndsWith(text, "%")) {
    CLM_ASSIGN_OR_RETURN(const int32_t share,
                         ParseBasisPoints("--top", text.substr(0, text.size() - 1)));
    if (share > 0) {
      criteria->set_top_basis_points(share);
      return absl::OkStatus();
    }
  } else if (int64_t count = 0; absl::SimpleAtoi(text, &count) && count > 0) {
    criteria->set_top_count(count);
    return absl::OkStatus();
  }
  return error::InvalidField("--top", "must be a share, 10%, or a number of members, 50");
}

absl::Status SetCriteria(const BonusFlags& flags, loyalty::v1::BonusCriteria* criteria) {
  criteria->mutable_tiers()->Add(flags.tiers.begin(), flags.tiers.end());
  criteria->set_currency(flags.currency);
  criteria->set_window_days(flags.window);
  if (!flags.minimum_spend.empty()) {
    CLM_ASSIGN_OR_RETURN(const int64_t minor,
                         ParseMoney("--minimum-spend", flags.minimum_spend, flags.currency));
    criteria->set_minimum_spend_minor(minor);
  }
  criteria->set_minimum_purchases(flags.minimum_purchases);
  criteria->set_bought_within_days(flags.bought_within);
  criteria->set_not_bought_for_days(flags.not_bought_for);
  criteria->set_condition(flags.condition);
  criteria->set_event_type(flags.event_type);
  return SetTop(flags.top, criteria);
}

absl::Status Create(Cli& cli, const BonusFlags& flags) {
  loyalty::v1::CreateBonusRunRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  BonusRun* run = request.mutable_bonus_run();
  CLM_RETURN_IF_ERROR(SetCriteria(flags, run->mutable_criteria()));
  run->set_points(flags.points);
  run->set_wallet(flags.wallet);
  run->set_expiry(flags.expiry);
  run->set_reason(flags.reason);
  run->set_dry_run(flags.dry_run);
  if (!flags.as_of.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time as_of,
                         ParseMomentAhead("--as-of", flags.as_of, absl::Now()));
    SetTime(as_of, run->mutable_as_of_time());
  }
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(BonusRun made, cli.Call(&Stub::CreateBonusRun, request));
  while (!flags.no_wait && !IsOver(made)) {
    absl::SleepFor(kLook);
    CLM_ASSIGN_OR_RETURN(made, Find(cli, made.name()));
  }
  if (flags.dry_run) {
    cli.Note(absl::StrCat("nothing was given; who would get it: clm loyalty bonuses members ",
                          LastPart(made.name())));
  }
  return PrintRuns(cli, false, {made});
}

absl::Status List(Cli& cli, const BonusFlags& flags) {
  loyalty::v1::ListBonusRunsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  CLM_ASSIGN_OR_RETURN(const std::vector<BonusRun> runs,
                       cli.List(&Stub::ListBonusRuns, request,
                                &loyalty::v1::ListBonusRunsResponse::bonus_runs, flags.limit));
  return PrintRuns(cli, true, runs);
}

absl::Status Show(Cli& cli, const BonusFlags& flags) {
  CLM_ASSIGN_OR_RETURN(const std::string name, RunName(cli, flags));
  return ShowRun(cli, Find(cli, name));
}

absl::Status Cancel(Cli& cli, const BonusFlags& flags) {
  loyalty::v1::CancelBonusRunRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), RunName(cli, flags));
  request.set_request_id(flags.request_id);
  return ShowRun(cli, cli.Call(&Stub::CancelBonusRun, request));
}

absl::Status Members(Cli& cli, const BonusFlags& flags) {
  loyalty::v1::ListBonusRunMembersRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), RunName(cli, flags));
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.contact));
  }
  for (const auto& [word, state] : MemberStates()) {
    if (word == flags.state) request.set_state(state);
  }
  CLM_ASSIGN_OR_RETURN(const BonusRun run, Find(cli, request.parent()));
  CLM_ASSIGN_OR_RETURN(const std::vector<BonusRunMember> members,
                       cli.List(&Stub::ListBonusRunMembers, request,
                                &loyalty::v1::ListBonusRunMembersResponse::members, flags.limit));
  const std::string& currency = run.criteria().currency();
  return cli.Print(Pointers(members), true, [&] {
    terminal::Table table({{"rank"},
                           {"member"},
                           {"state"},
                           {"tier"},
                           {"spend", "SPENT"},
                           {"purchases"},
                           {"days_since_purchase", "DAYS SINCE"},
                           {"posting"},
                           {"refusal", "REFUSED FOR", true},
                           {"last_purchase_time", "LAST PURCHASE", true},
                           {"explanation", "WHY", true}});
    table.set_empty_text("nobody was picked");
    for (const BonusRunMember& m : members) {
      table.Add(
          {m.rank(), LastPart(m.member()),
           EnumText("STATE_", BonusRunMember::State_Name(m.state())), TextCell(m.tier()),
           currency.empty() ? terminal::Cell()
                            : terminal::Cell(terminal::Money{m.spend_minor(), currency}),
           m.purchases(),
           m.has_days_since_purchase() ? terminal::Cell(m.days_since_purchase()) : terminal::Cell(),
           TextCell(LastPart(m.posting())), TextCell(m.refusal()),
           TimeCell(m.has_last_purchase_time(), m.last_purchase_time()),
           TextCell(m.explanation())});
    }
    return table;
  });
}

// A command and the flags that it fills.
struct BonusCommand {
  Command command;
  std::shared_ptr<BonusFlags> flags;

  void Run() const { command.AddOption("RUN", flags->run, "its id or full name").Required(); }
  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
  void Limit() const {
    command.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();
  }
};

BonusCommand Add(Cli& cli, Command group, const char* name, const char* description,
                 const std::vector<std::string>& examples,
                 absl::Status (*run)(Cli&, const BonusFlags&)) {
  auto flags = std::make_shared<BonusFlags>();
  BonusCommand made{cli.AddCommand(group, name, description, examples,
                                   [&cli, flags, run] { return run(cli, *flags); }),
                    flags};
  AddProgramOption(made.command, flags->program);
  return made;
}

void AddCriteria(const BonusCommand& made) {
  constexpr int kMostDays = 36500;
  const Command& command = made.command;
  BonusFlags& flags = *made.flags;
  command
      .AddOption("--top", flags.top,
                 "the best by what they spent: a share, 10%, or how many, 50; who ties is in")
      .TypeName("SHARE|COUNT");
  command.AddOption("--tier", flags.tiers, "in this tier, or in that; repeatable");
  command.AddOption("--minimum-spend", flags.minimum_spend, "who spent as much, 250.00")
      .TypeName("AMOUNT");
  command.AddOption("--currency", flags.currency, "what they spent in this one counts")
      .ShowDefault();
  command.AddOption("--minimum-purchases", flags.minimum_purchases, "who bought as often").Counts();
  command.AddOption("--window", flags.window, "only purchases of so many days count; default: all")
      .Between(0, kMostDays)
      .TypeName("DAYS");
  command
      .AddOption("--bought-within", flags.bought_within,
                 "whose last purchase is no older than so many days")
      .Between(0, kMostDays)
      .TypeName("DAYS");
  command
      .AddOption("--not-bought-for", flags.not_bought_for,
                 "whose last purchase is at least so many days old")
      .Between(0, kMostDays)
      .TypeName("DAYS");
  command
      .AddOption("--condition", flags.condition,
                 "an expression over tier, spend_minor, purchases, days_since_purchase and "
                 "member_days")
      .TypeName("EXPRESSION");
  command.AddOption("--event-type", flags.event_type,
                    "which events are purchases besides orders; "
                    "default: purchase");
}

}  // namespace

void AddLoyaltyBonusesCommands(Cli& cli, Command loyalty) {
  const Command group =
      loyalty.AddGroup("bonuses", "Points for the best members as a group, and why they got them");
  BonusCommand made = Add(
      cli, group, "create", "Give points to the best members, each of them once",
      {"clm loyalty bonuses create 500 --top 10% --window 365 --reason 'the best of the year' "
       "--dry-run",
       "clm loyalty bonuses create 200 --tier gold --not-bought-for 90 --reason 'we miss you'",
       "clm loyalty bonuses create 100 --minimum-purchases 10 --expiry 3M --reason 'ten times'"},
      &Create);
  constexpr int64_t kMostPoints = 1'000'000'000;
  made.command.AddOption("POINTS", made.flags->points, "how many each of them gets")
      .Required()
      .Between(1, kMostPoints);
  made.command.AddOption("--reason", made.flags->reason, "what for; statements say this")
      .Required();
  AddCriteria(made);
  made.command.AddOption("--wallet", made.flags->wallet,
                         "id of the kind of points; default: the first");
  made.command.AddOption("--expiry", made.flags->expiry,
                         "how long they are good for, 12M; or never; default: as the wallet says");
  made.command.AddFlag("--dry-run", made.flags->dry_run, "say who would get them; give nothing");
  made.command.AddOption(
      "--as-of", made.flags->as_of,
      "with --dry-run: as if it were then: a day, a time, or a span from now on");
  made.command.AddFlag("--no-wait", made.flags->no_wait, "do not wait until it is done");
  made.RequestId();

  made = Add(cli, group, "list", "List the runs, newest first",
             {"clm loyalty bonuses list", "clm loyalty bonuses list -o json"}, &List);
  made.Limit();

  made = Add(cli, group, "show", "Show how far a run is",
             {"clm loyalty bonuses show 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3 -o wide"}, &Show);
  made.Run();

  made = Add(cli, group, "members", "List who was picked, best first, and why",
             {"clm loyalty bonuses members 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3 -o wide",
              "clm loyalty bonuses members 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3 --state refused"},
             &Members);
  made.Run();
  made.command.AddOption("--member", made.flags->contact, kContactHelp).TypeName("CONTACT");
  std::vector<std::string> words;
  for (const auto& [word, state] : MemberStates()) words.push_back(word);
  made.command.AddOption("--state", made.flags->state, "those of whom this has become")
      .OneOf(words);
  made.Limit();

  made = Add(cli, group, "cancel", "Stop a run; what was given stays",
             {"clm loyalty bonuses cancel 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3"}, &Cancel);
  made.Run();
  made.RequestId();
}

}  // namespace clm::cli
