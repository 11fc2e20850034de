#include "tools/clm/loyalty_adjustments_command.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/adjustment_service.grpc.pb.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/table.h"

namespace clm::cli {
namespace {

using loyalty::v1::Adjustment;
using Stub = loyalty::v1::AdjustmentService::Stub;

struct AdjustmentFlags {
  std::string program, contact, wallet, adjustment, reason, expiry, state, request_id;
  int64_t amount = 0, limit = 100;
};

const std::vector<std::pair<std::string, Adjustment::State>>& States() {
  static const auto* const kStates = new std::vector<std::pair<std::string, Adjustment::State>>{
      {"proposed", Adjustment::STATE_PROPOSED},
      {"approved", Adjustment::STATE_APPROVED},
      {"rejected", Adjustment::STATE_REJECTED},
      {"lapsed", Adjustment::STATE_LAPSED}};
  return *kStates;
}

absl::Status Print(const Cli& cli, bool list, const std::vector<Adjustment>& adjustments) {
  return cli.Print(Pointers(adjustments), list, [&] {
    terminal::Table table({{"name", "ADJUSTMENT"},
                           {"state"},
                           {"member"},
                           {"wallet"},
                           {"amount"},
                           {"reason", "BECAUSE"},
                           {"proposed_by", "BY"},
                           {"lapse_time", "LAPSES"},
                           {"decided_by", "DECIDED BY"},
                           {"posting"},
                           {"reject_reason", "REJECTED BECAUSE", true},
                           {"expiry", "", true},
                           {"propose_time", "PROPOSED", true},
                           {"decide_time", "DECIDED", true}});
    table.set_empty_text("nothing was proposed");
    for (const Adjustment& a : adjustments) {
      const bool waits = a.state() == Adjustment::STATE_PROPOSED;
      table.Add({ShownName(cli, a.name()), EnumText("STATE_", Adjustment::State_Name(a.state())),
                 TextCell(LastPart(a.member())), a.wallet(), a.amount(), TextCell(a.reason()),
                 TextCell(a.proposed_by()), TimeCell(waits, a.lapse_time()),
                 TextCell(a.decided_by()), TextCell(LastPart(a.posting())),
                 TextCell(a.reject_reason()), TextCell(a.expiry()),
                 TimeCell(a.has_propose_time(), a.propose_time()),
                 TimeCell(a.has_decide_time(), a.decide_time())});
    }
    return table;
  });
}

absl::Status ShowOne(const Cli& cli, const absl::StatusOr<Adjustment>& adjustment) {
  CLM_RETURN_IF_ERROR(adjustment.status());
  return Print(cli, false, {*adjustment});
}

absl::StatusOr<std::string> AdjustmentName(Cli& cli, const AdjustmentFlags& flags) {
  if (absl::StartsWith(flags.adjustment, "tenants/")) return flags.adjustment;
  CLM_ASSIGN_OR_RETURN(const std::string program, ProgramName(cli, flags.program));
  return absl::StrCat(program, "/adjustments/", flags.adjustment);
}

absl::Status Propose(Cli& cli, const AdjustmentFlags& flags) {
  loyalty::v1::ProposeAdjustmentRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.contact));
  request.set_wallet(flags.wallet);
  request.set_amount(flags.amount);
  request.set_reason(flags.reason);
  request.set_expiry(flags.expiry);
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(const Adjustment proposed, cli.Call(&Stub::ProposeAdjustment, request));
  cli.Note("nothing has moved yet: somebody else approves it, with a token of their own");
  return ShowOne(cli, proposed);
}

absl::Status List(Cli& cli, const AdjustmentFlags& flags) {
  loyalty::v1::ListAdjustmentsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  if (!flags.contact.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_member(), MemberName(cli, flags.program, flags.contact));
  }
  for (const auto& [word, state] : States()) {
    if (word == flags.state) request.set_state(state);
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<Adjustment> adjustments,
                       cli.List(&Stub::ListAdjustments, request,
                                &loyalty::v1::ListAdjustmentsResponse::adjustments, flags.limit));
  return Print(cli, true, adjustments);
}

absl::Status Show(Cli& cli, const AdjustmentFlags& flags) {
  loyalty::v1::GetAdjustmentRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), AdjustmentName(cli, flags));
  return ShowOne(cli, cli.Call(&Stub::GetAdjustment, request));
}

absl::Status Approve(Cli& cli, const AdjustmentFlags& flags) {
  loyalty::v1::ApproveAdjustmentRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), AdjustmentName(cli, flags));
  request.set_request_id(flags.request_id);
  return ShowOne(cli, cli.Call(&Stub::ApproveAdjustment, request));
}

absl::Status Reject(Cli& cli, const AdjustmentFlags& flags) {
  loyalty::v1::RejectAdjustmentRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), AdjustmentName(cli, flags));
  request.set_reason(flags.reason);
  request.set_request_id(flags.request_id);
  return ShowOne(cli, cli.Call(&Stub::RejectAdjustment, request));
}

// A command and the flags that it fills.
struct AdjustmentCommand {
  Command command;
  std::shared_ptr<AdjustmentFlags> flags;

  void Adjustment() const {
    command.AddOption("ADJUSTMENT", flags->adjustment, "its id or full name").Required();
  }
  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
};

AdjustmentCommand Add(Cli& cli, Command group, const char* name, const char* description,
                      const std::vector<std::string>& examples,
                      absl::Status (*run)(Cli&, const AdjustmentFlags&)) {
  auto flags = std::make_shared<AdjustmentFlags>();
  AdjustmentCommand made{cli.AddCommand(group, name, description, examples,
                                        [&cli, flags, run] { return run(cli, *flags); }),
                         flags};
  AddProgramOption(made.command, flags->program);
  return made;
}

}  // namespace

void AddLoyaltyAdjustmentsCommands(Cli& cli, Command loyalty) {
  const Command group = loyalty.AddGroup(
      "adjustments", "Corrections of balances that one person proposes and another one approves");
  AdjustmentCommand made =
      Add(cli, group, "propose", "Propose to correct a balance; below 0 takes points",
          {"clm loyalty adjustments propose ada@example.com 5000 --reason 'a lost month'",
           "clm loyalty adjustments propose ada@example.com -5000 --reason 'given twice'"},
          &Propose);
  made.command.AddOption("CONTACT", made.flags->contact, kContactHelp).Required();
  // What a double, and so JSON, can count exactly.
  constexpr int64_t kMost = (int64_t{1} << 53) - 1;
  made.command.AddOption("AMOUNT", made.flags->amount, "how many points")
      .Required()
      .Between(-kMost, kMost);
  made.command.AddOption("--wallet", made.flags->wallet,
                         "id of the kind of points; default: the first");
  made.command.AddOption("--reason", made.flags->reason, "why; who approves it reads this")
      .Required();
  made.command.AddOption("--expiry", made.flags->expiry,
                         "how long they are good for, 12M; or never; default: as the wallet says");
  made.RequestId();

  made = Add(cli, group, "list", "List what was proposed, newest first",
             {"clm loyalty adjustments list --state proposed",
              "clm loyalty adjustments list --member ada@example.com -o json"},
             &List);
  made.command.AddOption("--member", made.flags->contact, kContactHelp).TypeName("CONTACT");
  std::vector<std::string> words;
  for (const auto& [word, state] : States()) words.push_back(word);
  made.command.AddOption("--state", made.flags->state, "those of which this has become")
      .OneOf(words);
  made.command.AddOption("--limit", made.flags->limit, "most to show; 0: all")
      .Counts()
      .ShowDefault();

  made = Add(cli, group, "show", "Show what was proposed and what became of it",
             {"clm loyalty adjustments show 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3 -o json"}, &Show);
  made.Adjustment();

  made = Add(cli, group, "approve", "Approve what somebody else has proposed: the points move",
             {"clm loyalty adjustments approve 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3"}, &Approve);
  made.Adjustment();
  made.RequestId();

  made = Add(cli, group, "reject", "Say no to what was proposed, or withdraw it",
             {"clm loyalty adjustments reject 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3 "
              "--reason 'the parcel came'"},
             &Reject);
  made.Adjustment();
  made.command.AddOption("--reason", made.flags->reason, "why; for who proposed it").Required();
  made.RequestId();
}

}  // namespace clm::cli
