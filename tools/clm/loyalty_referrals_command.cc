#include "tools/clm/loyalty_referrals_command.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clm/loyalty/v1/referral_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/loyalty_identifiers.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_values.h"
#include "tools/clm/values.h"
#include "tools/terminal/table.h"

namespace clm::cli {
namespace {

using loyalty::v1::Referral;
using loyalty::v1::ReferralCode;
using loyalty::v1::ReferralIdentifier;
using Stub = loyalty::v1::ReferralService::Stub;

struct ReferralFlags {
  std::string program, request_id;
  std::string who, code, referral, advocate, friend_, state, prefix, start, end;
  std::vector<std::string> identifiers;
  int64_t usage_limit = 0, random = 0, limit = 100;
  bool replace = false;
};

const std::vector<std::pair<std::string, Referral::State>>& States() {
  static const auto* const kStates = new std::vector<std::pair<std::string, Referral::State>>{
      {"claimed", Referral::STATE_CLAIMED},   {"qualified", Referral::STATE_QUALIFIED},
      {"rewarded", Referral::STATE_REWARDED}, {"reversing", Referral::STATE_REVERSING},
      {"reversed", Referral::STATE_REVERSED}, {"cancelled", Referral::STATE_CANCELLED},
      {"expired", Referral::STATE_EXPIRED}};
  return *kStates;
}

std::string EndReasonText(Referral::EndReason reason) {
  if (reason == Referral::END_REASON_UNSPECIFIED) return "";
  return EnumText("END_REASON_", Referral::EndReason_Name(reason));
}

terminal::Table CodeTable(const Cli& cli, const std::vector<ReferralCode>& codes) {
  terminal::Table table({{"name", "ID"},
                         {"code"},
                         {"advocate"},
                         {"uses"},
                         {"usage_limit", "OF"},
                         {"expire_time", "ENDS"},
                         {"revoke_time", "REPLACED"},
                         {"friend", "ONLY FOR", true},
                         {"start_time", "BEGINS", true},
                         {"create_time", "MADE", true}});
  table.set_empty_text("no code");
  for (const ReferralCode& c : codes) {
    table.Add({ShownName(cli, c.name()), c.code(), TextCell(LastPart(c.advocate())), c.uses(),
               c.usage_limit() == 0 ? terminal::Cell() : terminal::Cell(c.usage_limit()),
               TimeCell(c.has_expire_time(), c.expire_time()),
               TimeCell(c.has_revoke_time(), c.revoke_time()), TextCell(LastPart(c.friend_())),
               TimeCell(c.has_start_time(), c.start_time()),
               TimeCell(c.has_create_time(), c.create_time())});
  }
  return table;
}

terminal::Table ReferralTable(const Cli& cli, const std::vector<Referral>& referrals) {
  terminal::Table table({{"name", "REFERRAL"},
                         {"state"},
                         {"advocate"},
                         {"friend"},
                         {"advocate_points", "ADVOCATE GOT"},
                         {"friend_points", "FRIEND GOT"},
                         {"claim_time", "CLAIMED"},
                         {"due_time", "DUE"},
                         {"end_reason", "BECAUSE"},
                         {"reward_time", "REWARDED", true},
                         {"end_time", "ENDED", true}});
  table.set_empty_text("no referral");
  for (const Referral& r : referrals) {
    table.Add({ShownName(cli, r.name()), EnumText("STATE_", Referral::State_Name(r.state())),
               TextCell(LastPart(r.advocate())), TextCell(LastPart(r.friend_())),
               r.advocate_points() - r.advocate_points_returned(),
               r.friend_points() - r.friend_points_returned(),
               TimeCell(r.has_claim_time(), r.claim_time()),
               TimeCell(r.has_due_time(), r.due_time()), TextCell(EndReasonText(r.end_reason())),
               TimeCell(r.has_reward_time(), r.reward_time()),
               TimeCell(r.has_end_time(), r.end_time())});
  }
  return table;
}

absl::Status ShowCodes(const Cli& cli, bool list, const std::vector<ReferralCode>& codes) {
  return cli.Print(Pointers(codes), list, [&] { return CodeTable(cli, codes); });
}

absl::Status ShowReferrals(const Cli& cli, bool list, const std::vector<Referral>& referrals) {
  return cli.Print(Pointers(referrals), list, [&] { return ReferralTable(cli, referrals); });
}

absl::Status ShowReferral(const Cli& cli, const absl::StatusOr<Referral>& referral) {
  CLM_RETURN_IF_ERROR(referral.status());
  return ShowReferrals(cli, false, {*referral});
}

absl::StatusOr<std::string> BelowProgram(Cli& cli, const ReferralFlags& flags,
                                         const char* collection, const std::string& id) {
  if (absl::StartsWith(id, "tenants/")) return id;
  CLM_ASSIGN_OR_RETURN(const std::string program, ProgramName(cli, flags.program));
  return absl::StrCat(program, "/", collection, "/", id);
}

absl::Status MakeCode(Cli& cli, const ReferralFlags& flags) {
  loyalty::v1::CreateReferralCodeRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  ReferralCode* code = request.mutable_referral_code();
  CLM_ASSIGN_OR_RETURN(*code->mutable_advocate(), MemberName(cli, flags.program, flags.who));
  if (!flags.friend_.empty()) {
    CLM_ASSIGN_OR_RETURN(*code->mutable_friend_(), MemberName(cli, flags.program, flags.friend_));
  }
  code->set_usage_limit(flags.usage_limit);
  const absl::Time now = absl::Now();
  if (!flags.start.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time start, ParseMomentAhead("--start", flags.start, now));
    SetTime(start, code->mutable_start_time());
  }
  if (!flags.end.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time end, ParseMomentAhead("--end", flags.end, now));
    SetTime(end, code->mutable_expire_time());
  }
  if (!flags.prefix.empty()) request.mutable_code_format()->set_prefix(flags.prefix);
  request.set_replace(flags.replace);
  request.set_request_id(flags.request_id);
  CLM_RETURN_IF_ERROR(AddIdentifiers(flags.identifiers, request.mutable_identifiers()));
  CLM_ASSIGN_OR_RETURN(const ReferralCode made, cli.Call(&Stub::CreateReferralCode, request));
  return ShowCodes(cli, false, {made});
}

absl::Status ListCodes(Cli& cli, const ReferralFlags& flags) {
  loyalty::v1::ListReferralCodesRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  if (!flags.advocate.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_advocate(),
                         MemberName(cli, flags.program, flags.advocate));
  }
  CLM_ASSIGN_OR_RETURN(
      const std::vector<ReferralCode> codes,
      cli.List(&Stub::ListReferralCodes, request,
               &loyalty::v1::ListReferralCodesResponse::referral_codes, flags.limit));
  return ShowCodes(cli, true, codes);
}

absl::Status Claim(Cli& cli, const ReferralFlags& flags) {
  loyalty::v1::ClaimReferralRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  CLM_ASSIGN_OR_RETURN(*request.mutable_friend_(), MemberName(cli, flags.program, flags.who));
  request.set_code(flags.code);
  request.set_request_id(flags.request_id);
  CLM_RETURN_IF_ERROR(AddIdentifiers(flags.identifiers, request.mutable_identifiers()));
  return ShowReferral(cli, cli.Call(&Stub::ClaimReferral, request));
}

absl::Status List(Cli& cli, const ReferralFlags& flags) {
  loyalty::v1::ListReferralsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  if (!flags.advocate.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_advocate(),
                         MemberName(cli, flags.program, flags.advocate));
  }
  if (!flags.friend_.empty()) {
    CLM_ASSIGN_OR_RETURN(*request.mutable_friend_(), MemberName(cli, flags.program, flags.friend_));
  }
  for (const auto& [word, state] : States()) {
    if (word == flags.state) request.set_state(state);
  }
  CLM_ASSIGN_OR_RETURN(const std::vector<Referral> referrals,
                       cli.List(&Stub::ListReferrals, request,
                                &loyalty::v1::ListReferralsResponse::referrals, flags.limit));
  return ShowReferrals(cli, true, referrals);
}

absl::Status Show(Cli& cli, const ReferralFlags& flags) {
  loyalty::v1::GetReferralRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(),
                       BelowProgram(cli, flags, "referrals", flags.referral));
  return ShowReferral(cli, cli.Call(&Stub::GetReferral, request));
}

absl::Status Cancel(Cli& cli, const ReferralFlags& flags) {
  loyalty::v1::CancelReferralRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(),
                       BelowProgram(cli, flags, "referrals", flags.referral));
  request.set_request_id(flags.request_id);
  return ShowReferral(cli, cli.Call(&Stub::CancelReferral, request));
}

struct ReferralCommand {
  Command command;
  std::shared_ptr<ReferralFlags> flags;

  void Identifiers() const {
    command
        .AddOption("--identifier", flags->identifiers,
                   "what tells them from others, to find who refers themselves; may be repeated")
        .TypeName("email|phone|device|card=VALUE");
  }
  void Advocate() const {
    command.AddOption("--advocate", flags->advocate, "those of who brings others")
        .TypeName("CONTACT");
  }
  void Limit() const {
    command.AddOption("--limit", flags->limit, "most to show; 0: all").Counts().ShowDefault();
  }
  void Referral() const {
    command.AddOption("REFERRAL", flags->referral, "its id or full name").Required();
  }
  void RequestId() const { AddRequestIdOption(command, flags->request_id); }
};

ReferralCommand Add(Cli& cli, Command group, const char* name, const char* description,
                    const std::vector<std::string>& examples,
                    absl::Status (*run)(Cli&, const ReferralFlags&)) {
  auto flags = std::make_shared<ReferralFlags>();
  ReferralCommand made{cli.AddCommand(group, name, description, examples,
                                      [&cli, flags, run] { return run(cli, *flags); }),
                       flags};
  AddProgramOption(made.command, flags->program);
  return made;
}

}  // namespace

void AddLoyaltyReferralsCommands(Cli& cli, Command loyalty) {
  Command group = loyalty.AddGroup("referrals", "Members who bring others, and what both get");
  ReferralCommand made =
      Add(cli, group, "code", "Make the code by which a member brings others",
          {"clm loyalty referrals code ada@example.com --prefix ADA",
           "clm loyalty referrals code ada@example.com --replace --usage-limit 5 --end 90d"},
          &MakeCode);
  made.command.AddOption("CONTACT", made.flags->who, kContactHelp).Required();
  made.command.AddOption("--prefix", made.flags->prefix, "what the code begins with");
  made.command.AddOption("--usage-limit", made.flags->usage_limit, "claims; 0: no limit").Counts();
  made.command.AddOption("--friend", made.flags->friend_, "the only one who may claim it")
      .TypeName("CONTACT");
  made.command.AddOption("--start", made.flags->start,
                         "good from then on: a day, a time, or a span ahead");
  made.command.AddOption("--end", made.flags->end,
                         "good until then: a day, a time, or a span ahead");
  made.command.AddFlag("--replace", made.flags->replace, "it takes the place of the one before");
  made.Identifiers();
  made.RequestId();

  made =
      Add(cli, group, "codes", "List the codes, in the order they were made",
          {"clm loyalty referrals codes", "clm loyalty referrals codes --advocate ada@example.com"},
          &ListCodes);
  made.Advocate();
  made.Limit();

  made = Add(cli, group, "claim", "A new customer names the code of who has brought them",
             {"clm loyalty referrals claim grace@example.com ADA-7K2M-9QXF-1C",
              "clm loyalty referrals claim grace@example.com ADA-7K2M-9QXF-1C "
              "--identifier device=8f2c"},
             &Claim);
  made.command.AddOption("CONTACT", made.flags->who, "the new customer: as for code").Required();
  made.command.AddOption("CODE", made.flags->code, "as it was typed").Required();
  made.Identifiers();
  made.RequestId();

  made = Add(cli, group, "list", "List referrals and what became of them",
             {"clm loyalty referrals list --state qualified",
              "clm loyalty referrals list --advocate ada@example.com -o json"},
             &List);
  made.Advocate();
  made.command.AddOption("--friend", made.flags->friend_, "the one by which they were brought")
      .TypeName("CONTACT");
  std::vector<std::string> words;
  for (const auto& [word, state] : States()) words.push_back(word);
  made.command.AddOption("--state", made.flags->state, "those of which this has become")
      .OneOf(words);
  made.Limit();

  made = Add(cli, group, "show", "Show a referral",
             {"clm loyalty referrals show 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3 -o json"}, &Show);
  made.Referral();

  made = Add(cli, group, "cancel", "Give a referral up; points that were given are taken back",
             {"clm loyalty referrals cancel 0190f7a2-6c1e-7d54-9a57-0c2f4be0a1d3"}, &Cancel);
  made.Referral();
  made.RequestId();
}

}  // namespace clm::cli
