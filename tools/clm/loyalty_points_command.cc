#include "tools/clm/loyalty_points_command.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "tools/clm/loyalty_identifiers.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

using loyalty::v1::Balance;
using loyalty::v1::HoldResponse;
using loyalty::v1::Posting;
using loyalty::v1::PostingResponse;
using Stub = loyalty::v1::LedgerService::Stub;

// What a double, and so JSON, can count exactly.
constexpr int64_t kMostPoints = (int64_t{1} << 53) - 1;

struct PointsFlags {
  std::string program, contact, to, name, wallet, reason, source, external_id, pending, expiry,
      duration, now, request_id;
  std::vector<std::string> identifiers;
  int64_t amount = 0;
  bool dry_run = false;
};

// ---- Answers.

std::vector<terminal::Column> With(std::vector<terminal::Column> columns,
                                   const std::vector<terminal::Column>& more) {
  columns.insert(columns.end(), more.begin(), more.end());
  return columns;
}

std::vector<terminal::Cell> With(std::vector<terminal::Cell> cells,
                                 const std::vector<terminal::Cell>& more) {
  cells.insert(cells.end(), more.begin(), more.end());
  return cells;
}

// What the member has now.
std::vector<terminal::Column> BalanceColumns() {
  return {{"wallet"}, {"active"}, {"pending"}, {"held"}, {"debt"}};
}

std::vector<terminal::Cell> BalanceCells(const Balance& balance) {
  return {balance.wallet(), balance.active(), balance.pending(), balance.held(),
          terminal::Cell(balance.debt(),
                         balance.debt() > 0 ? terminal::Tone::kWarn : terminal::Tone::kPlain)};
}

std::vector<terminal::Column> PostingColumns() {
  return {{"name", "POSTING"}, {"kind"}, {"amount"}, {"change"}};
}

std::vector<terminal::Cell> PostingCells(const Cli& cli, bool has, const Posting& posting) {
  if (!has) return std::vector<terminal::Cell>(PostingColumns().size());
  return {TextCell(ShownName(cli, posting.name())),
          EnumText("KIND_", Posting::Kind_Name(posting.kind())), posting.amount(),
          posting.change()};
}

absl::Status ShowPosting(const Cli& cli, const absl::StatusOr<PostingResponse>& answer) {
  CLM_RETURN_IF_ERROR(answer.status());
  return cli.Print({&*answer}, false, [&] {
    terminal::Table table(
        With(With(PostingColumns(), BalanceColumns()), {{"shortfall", "MISSING", true}}));
    table.Add(With(With(PostingCells(cli, answer->has_posting(), answer->posting()),
                        BalanceCells(answer->balance())),
                   {answer->shortfall()}));
    return table;
  });
}

absl::Status ShowHold(const Cli& cli, const absl::StatusOr<HoldResponse>& answer) {
  CLM_RETURN_IF_ERROR(answer.status());
  const loyalty::v1::Hold& hold = answer->hold();
  return cli.Print({&*answer}, false, [&] {
    terminal::Table table(With({{"name", "HOLD"},
                                {"state"},
                                {"amount"},
                                {"captured", "SPENT"},
                                {"expire_time", "ENDS"},
                                {"end_posting", "ENDED BY"}},
                               BalanceColumns()));
    table.Add(With({ShownName(cli, hold.name()),
                    EnumText("STATE_", loyalty::v1::Hold::State_Name(hold.state())), hold.amount(),
                    hold.captured(), TimeCell(hold.has_expire_time(), hold.expire_time()),
                    TextCell(LastPart(hold.end_posting()))},
                   BalanceCells(answer->balance())));
    return table;
  });
}

// ---- Requests, by the fields that they have in common.

template <class Request>
absl::Status FillMember(Cli& cli, const PointsFlags& flags, Request* request) {
  CLM_ASSIGN_OR_RETURN(*request->mutable_member(), MemberName(cli, flags.program, flags.contact));
  request->set_wallet(flags.wallet);
  request->set_amount(flags.amount);
  return absl::OkStatus();
}

template <class Request>
void FillNote(const PointsFlags& flags, Request* request) {
  request->set_reason(flags.reason);
  request->set_request_id(flags.request_id);
}

template <class Request>
void FillSource(const PointsFlags& flags, Request* request) {
  request->set_source(flags.source);
  request->set_external_id(flags.external_id);
}

template <class Request>
absl::Status FillRehearsal(const Cli& cli, const PointsFlags& flags, Request* request) {
  request->set_dry_run(flags.dry_run);
  if (!flags.now.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time now, ParseMomentAhead("--now", flags.now, absl::Now()));
    SetTime(now, request->mutable_now());
  }
  if (flags.dry_run) cli.Note("a rehearsal: nothing changes");
  return absl::OkStatus();
}

absl::StatusOr<std::string> PostingName(Cli& cli, const PointsFlags& flags) {
  return NameBelowMember(cli, "postings", flags.name, flags.program, flags.contact);
}

absl::StatusOr<std::string> HoldName(Cli& cli, const PointsFlags& flags) {
  return NameBelowMember(cli, "holds", flags.name, flags.program, flags.contact);
}

absl::Status Earn(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::EarnPointsRequest request;
  CLM_RETURN_IF_ERROR(FillMember(cli, flags, &request));
  FillNote(flags, &request);
  FillSource(flags, &request);
  CLM_RETURN_IF_ERROR(AddIdentifiers(flags.identifiers, request.mutable_identifiers()));
  request.set_pending(flags.pending);
  request.set_expiry(flags.expiry);
  CLM_RETURN_IF_ERROR(FillRehearsal(cli, flags, &request));
  return ShowPosting(cli, cli.Call(&Stub::EarnPoints, request));
}

absl::Status Redeem(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::RedeemPointsRequest request;
  CLM_RETURN_IF_ERROR(FillMember(cli, flags, &request));
  FillNote(flags, &request);
  FillSource(flags, &request);
  CLM_RETURN_IF_ERROR(AddIdentifiers(flags.identifiers, request.mutable_identifiers()));
  CLM_RETURN_IF_ERROR(FillRehearsal(cli, flags, &request));
  CLM_ASSIGN_OR_RETURN(const PostingResponse answer, cli.Call(&Stub::RedeemPoints, request));
  if (answer.shortfall() > 0) {
    cli.Note(absl::StrCat("would be refused: ", answer.shortfall(), " points are missing"));
  }
  return ShowPosting(cli, answer);
}

absl::Status Hold(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::HoldPointsRequest request;
  CLM_RETURN_IF_ERROR(FillMember(cli, flags, &request));
  FillNote(flags, &request);
  FillSource(flags, &request);
  CLM_RETURN_IF_ERROR(AddIdentifiers(flags.identifiers, request.mutable_identifiers()));
  request.set_duration(flags.duration);
  return ShowHold(cli, cli.Call(&Stub::HoldPoints, request));
}

absl::Status Capture(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::CaptureHoldRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_hold(), HoldName(cli, flags));
  request.set_amount(flags.amount);
  FillNote(flags, &request);
  return ShowHold(cli, cli.Call(&Stub::CaptureHold, request));
}

absl::Status Release(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::ReleaseHoldRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_hold(), HoldName(cli, flags));
  FillNote(flags, &request);
  return ShowHold(cli, cli.Call(&Stub::ReleaseHold, request));
}

absl::Status Cancel(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::CancelRedemptionRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_posting(), PostingName(cli, flags));
  request.set_amount(flags.amount);
  FillNote(flags, &request);
  return ShowPosting(cli, cli.Call(&Stub::CancelRedemption, request));
}

absl::Status Activate(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::ActivatePointsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_posting(), PostingName(cli, flags));
  FillNote(flags, &request);
  return ShowPosting(cli, cli.Call(&Stub::ActivatePoints, request));
}

absl::Status Return(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::ReturnPointsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_posting(), PostingName(cli, flags));
  request.set_amount(flags.amount);
  FillNote(flags, &request);
  FillSource(flags, &request);
  CLM_ASSIGN_OR_RETURN(const auto answer, cli.Call(&Stub::ReturnPoints, request));
  return cli.Print({&answer}, false, [&] {
    terminal::Table table(
        With(With(PostingColumns(), {{"not_taken", "NOT TAKEN"}}), BalanceColumns()));
    table.Add(
        With(With(PostingCells(cli, answer.has_posting(), answer.posting()), {answer.not_taken()}),
             BalanceCells(answer.balance())));
    return table;
  });
}

absl::Status Adjust(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::AdjustPointsRequest request;
  CLM_RETURN_IF_ERROR(FillMember(cli, flags, &request));
  FillNote(flags, &request);
  request.set_expiry(flags.expiry);
  return ShowPosting(cli, cli.Call(&Stub::AdjustPoints, request));
}

absl::Status Transfer(Cli& cli, const PointsFlags& flags) {
  loyalty::v1::TransferPointsRequest request;
  CLM_RETURN_IF_ERROR(FillMember(cli, flags, &request));
  CLM_ASSIGN_OR_RETURN(*request.mutable_to_member(), MemberName(cli, flags.program, flags.to));
  FillNote(flags, &request);
  FillSource(flags, &request);
  return ShowPosting(cli, cli.Call(&Stub::TransferPoints, request));
}

// ---- The lines.

// A command and the flags that it fills.
struct PointsCommand {
  Command command;
  std::shared_ptr<PointsFlags> flags;

  void Reason() const {
    command.AddOption("--reason", flags->reason, "why; kept with the posting");
    AddRequestIdOption(command, flags->request_id);
  }
  void Wallet() const {
    command.AddOption("--wallet", flags->wallet, "id of the kind of points; default: the first");
  }
  void Source() const {
    command.AddOption("--external-id", flags->external_id,
                      "your own id for it, as an order number: never counts twice");
    command.AddOption("--source", flags->source, "where that id comes from, shop");
  }
  void Identifiers() const {
    command
        .AddOption("--identifier", flags->identifiers,
                   "device or card that it is done with, for the programme's velocity limits; may "
                   "be repeated")
        .TypeName("email|phone|device|card=VALUE");
  }
  void Expiry() const {
    command.AddOption("--expiry", flags->expiry,
                      "how long they are good for, 12M; or never; default: as the wallet says");
  }
  void DryRun() const {
    command.AddFlag("--dry-run", flags->dry_run, "answer as if it had happened; change nothing");
    command.AddOption("--now", flags->now,
                      "with --dry-run: as if it were then: a day, a time, or a span from now on");
  }
  void Part(const char* help) const {
    command.AddOption("--amount", flags->amount, help).Between(1, kMostPoints);
  }
};

PointsCommand Add(Cli& cli, Command group, const char* name, const char* description,
                  const std::vector<std::string>& examples,
                  absl::Status (*run)(Cli&, const PointsFlags&)) {
  auto flags = std::make_shared<PointsFlags>();
  PointsCommand made{cli.AddCommand(group, name, description, examples,
                                    [&cli, flags, run] { return run(cli, *flags); }),
                     flags};
  AddProgramOption(made.command, flags->program);
  return made;
}

PointsCommand AddOfMember(Cli& cli, Command group, const char* name, const char* description,
                          const std::vector<std::string>& examples,
                          absl::Status (*run)(Cli&, const PointsFlags&)) {
  PointsCommand made = Add(cli, group, name, description, examples, run);
  made.command.AddOption("CONTACT", made.flags->contact, kContactHelp).Required();
  made.Wallet();
  return made;
}

PointsCommand AddOfPosting(Cli& cli, Command group, const char* name, const char* description,
                           const std::vector<std::string>& examples,
                           absl::Status (*run)(Cli&, const PointsFlags&)) {
  PointsCommand made = Add(cli, group, name, description, examples, run);
  made.command.AddOption("POSTING", made.flags->name, "its full name, or points-17 with --member")
      .Required();
  made.command.AddOption("--member", made.flags->contact, kContactHelp).TypeName("CONTACT");
  return made;
}

PointsCommand AddOfHold(Cli& cli, Command group, const char* name, const char* description,
                        const std::vector<std::string>& examples,
                        absl::Status (*run)(Cli&, const PointsFlags&)) {
  PointsCommand made = Add(cli, group, name, description, examples, run);
  made.command.AddOption("HOLD", made.flags->name, "its full name, or its id with --member")
      .Required();
  made.command.AddOption("--member", made.flags->contact, kContactHelp).TypeName("CONTACT");
  return made;
}

void AddAmount(const PointsCommand& made, int64_t least) {
  made.command.AddOption("AMOUNT", made.flags->amount, "how many points")
      .Required()
      .Between(least, kMostPoints);
}

void AddHoldCommands(Cli& cli, Command group) {
  PointsCommand made = AddOfMember(
      cli, group, "hold", "Set points aside for a redemption under way",
      {"clm loyalty hold ada@example.com 100 --duration 15m",
       "clm loyalty hold ada@example.com 100 --source shop --external-id cart-7 -o name"},
      &Hold);
  AddAmount(made, 1);
  made.command.AddOption("--duration", made.flags->duration,
                         "until when, 15m from now; default: as the programme says");
  made.Source();
  made.Identifiers();
  made.Reason();

  made = AddOfHold(
      cli, group, "capture", "Spend points that were set aside; what is left of them is free again",
      {"clm loyalty capture \"$(clm loyalty hold ada@example.com 100 -o name)\"",
       "clm loyalty capture 0193a5b0-7c1e-7000-8000-000000000001 --member ada@example.com "
       "--amount 60"},
      &Capture);
  made.Part("how many of them; default: all");
  made.Reason();

  made = AddOfHold(
      cli, group, "release", "Free points that were set aside",
      {"clm loyalty release 0193a5b0-7c1e-7000-8000-000000000001 --member ada@example.com"},
      &Release);
  made.Reason();
}

void AddPostingCommands(Cli& cli, Command group) {
  PointsCommand made = AddOfPosting(
      cli, group, "cancel", "Give spent points back, with the expiry they had",
      {"clm loyalty cancel points-17 --member ada@example.com --reason 'out of stock'"}, &Cancel);
  made.Part("how many of them; default: all that were not given back yet");
  made.Reason();

  made = AddOfPosting(
      cli, group, "return", "Take back points, as what they were earned with was returned",
      {"clm loyalty return points-3 --member ada@example.com --amount 40",
       "clm loyalty return points-3 --member ada@example.com --source shop --external-id rma-9"},
      &Return);
  made.Part("how many of them; default: all that were not taken back yet");
  made.Source();
  made.Reason();

  made = AddOfPosting(cli, group, "activate", "Make pending points active before their time",
                      {"clm loyalty activate points-3 --member ada@example.com"}, &Activate);
  made.Reason();
}

}  // namespace

void AddLoyaltyPointsCommands(Cli& cli, Command group) {
  PointsCommand made =
      AddOfMember(cli, group, "earn", "Give a member points",
                  {"clm loyalty earn ada@example.com 120 --source shop --external-id order-1042",
                   "clm loyalty earn ada@example.com 50 --pending immediate --expiry 3M --dry-run"},
                  &Earn);
  AddAmount(made, 1);
  made.command.AddOption(
      "--pending", made.flags->pending,
      "how long they wait, 14D; immediate; or on_action; default: as the wallet says");
  made.Expiry();
  made.Source();
  made.Identifiers();
  made.Reason();
  made.DryRun();

  made = AddOfMember(
      cli, group, "redeem", "Spend points, those first that expire first",
      {"clm loyalty redeem ada@example.com 100 --reason 'a mug' --identifier device=8f2c",
       "clm loyalty redeem ada@example.com 100 --dry-run --now 90d"},
      &Redeem);
  AddAmount(made, 1);
  made.Source();
  made.Identifiers();
  made.Reason();
  made.DryRun();

  AddHoldCommands(cli, group);
  AddPostingCommands(cli, group);

  made = AddOfMember(cli, group, "adjust", "Correct a balance by hand; below 0 takes points",
                     {"clm loyalty adjust ada@example.com 20 --reason 'a late parcel'",
                      "clm loyalty adjust ada@example.com -20 --reason 'given twice'"},
                     &Adjust);
  AddAmount(made, -kMostPoints);
  made.Expiry();
  made.command.AddOption("--reason", made.flags->reason, "why; corrections are looked at")
      .Required();
  AddRequestIdOption(made.command, made.flags->request_id);

  made = AddOfMember(cli, group, "transfer", "Give points of one member to another",
                     {"clm loyalty transfer ada@example.com grace@example.com 30"}, &Transfer);
  made.command.AddOption("TO", made.flags->to, "the contact who gets them").Required();
  AddAmount(made, 1);
  made.Source();
  made.Reason();
}

}  // namespace clm::cli
