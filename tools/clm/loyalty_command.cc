#include "tools/clm/loyalty_command.h"

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/loyalty/v1/ledger_service.grpc.pb.h"
#include "clm/loyalty/v1/program_service.grpc.pb.h"
#include "libs/base/error.h"
#include "tools/clm/freshness_flags.h"
#include "tools/clm/loyalty_adjustments_command.h"
#include "tools/clm/loyalty_bonuses_command.h"
#include "tools/clm/loyalty_coupons_command.h"
#include "tools/clm/loyalty_names.h"
#include "tools/clm/loyalty_orders_command.h"
#include "tools/clm/loyalty_points_command.h"
#include "tools/clm/loyalty_programs_command.h"
#include "tools/clm/loyalty_referrals_command.h"
#include "tools/clm/loyalty_rewards_command.h"
#include "tools/clm/values.h"
#include "tools/terminal/number_text.h"

namespace clm::cli {
namespace {

using loyalty::v1::Balance;
using loyalty::v1::Member;
using loyalty::v1::Posting;
using loyalty::v1::TierStanding;
using LedgerStub = loyalty::v1::LedgerService::Stub;
using ProgramStub = loyalty::v1::ProgramService::Stub;

// Reading a whole ledger takes its time.
constexpr absl::Duration kReport = absl::Minutes(5);

struct Flags {
  std::string program, contact, wallet, as_of, tier, until, request_id;
  int64_t limit = 100;
  FreshnessFlags freshness;
};

// A line for each wallet of a member.
terminal::Table MemberTable(const Cli& cli, const std::vector<Member>& members) {
  terminal::Table table({{"name", "MEMBER"},
                         {"tier_standing.tier", "TIER"},
                         {"wallet"},
                         {"active"},
                         {"pending"},
                         {"held"},
                         {"debt"},
                         {"next_expire_amount", "EXPIRE NEXT"},
                         {"next_expire_time", "ON"},
                         {"enrol_time", "SINCE"},
                         {"earned", "", true},
                         {"redeemed", "", true},
                         {"expired", "", true},
                         {"returned", "", true},
                         {"adjusted", "", true},
                         {"transferred", "", true}});
  table.set_empty_text("no members yet");
  for (const Member& m : members) {
    for (const Balance& b : m.balances()) {
      const terminal::Tone owes = b.debt() > 0 ? terminal::Tone::kWarn : terminal::Tone::kPlain;
      table.Add(
          {ShownName(cli, m.name()), TextCell(m.tier_standing().tier()), b.wallet(), b.active(),
           b.pending(), b.held(), terminal::Cell(b.debt(), owes),
           b.has_next_expire_time() ? terminal::Cell(b.next_expire_amount()) : terminal::Cell(),
           TimeCell(b.has_next_expire_time(), b.next_expire_time()),
           TimeCell(m.has_enrol_time(), m.enrol_time()), b.earned(), b.redeemed(), b.expired(),
           b.returned(), b.adjusted(), b.transferred()});
      // One name for one member.
      if (cli.output() == "name") break;
    }
  }
  return table;
}

absl::Status PrintStanding(const Cli& cli, const TierStanding& standing) {
  return cli.PrintReport(standing, [&] {
    terminal::Table table({{"field"}, {"value"}});
    table.Add({"tier", TextCell(standing.tier())});
    table.Add({"since", TimeCell(standing.has_since_time(), standing.since_time())});
    table.Add({"by hand", standing.manual() ? "yes" : "no"});
    table.Add({"counts", standing.value()});
    table.Add({"missing to stay", standing.missing_to_remain()});
    table.Add({"lost on", TimeCell(standing.has_expire_time(), standing.expire_time())});
    table.Add({"next tier", TextCell(standing.next_tier())});
    table.Add({"missing to it", standing.missing_to_next()});
    table.Add({"perks", TextCell(absl::StrJoin(standing.perks(), ", "))});
    return table;
  });
}

absl::Status ShowMember(const Cli& cli, const absl::StatusOr<Member>& member) {
  CLM_RETURN_IF_ERROR(member.status());
  return cli.PrintReport(*member, [&] { return MemberTable(cli, {*member}); });
}

absl::Status Enrol(Cli& cli, const Flags& flags) {
  loyalty::v1::EnrolMemberRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  CLM_ASSIGN_OR_RETURN(*request.mutable_contact(), cli.ContactName(flags.contact));
  request.set_request_id(flags.request_id);
  return ShowMember(cli, cli.Call(&ProgramStub::EnrolMember, request));
}

absl::Status GetMember(Cli& cli, const Flags& flags) {
  loyalty::v1::GetMemberRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), MemberName(cli, flags.program, flags.contact));
  if (flags.freshness.strong) request.set_consistency(loyalty::v1::CONSISTENCY_STRONG);
  CLM_RETURN_IF_ERROR(SetStaleness(flags.freshness, &request));
  return ShowMember(cli, cli.Call(&ProgramStub::GetMember, request));
}

absl::Status ShowTier(Cli& cli, const Flags& flags) {
  loyalty::v1::GetMemberRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), MemberName(cli, flags.program, flags.contact));
  CLM_ASSIGN_OR_RETURN(const Member member, cli.Call(&ProgramStub::GetMember, request));
  return PrintStanding(cli, member.tier_standing());
}

absl::Status SetTier(Cli& cli, const Flags& flags) {
  loyalty::v1::SetMemberTierRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), MemberName(cli, flags.program, flags.contact));
  if (flags.tier != "none") request.set_tier(flags.tier);
  if (!flags.until.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time until, ParseMoment("--until", flags.until, absl::Now()));
    SetTime(until, request.mutable_until_time());
  }
  request.set_request_id(flags.request_id);
  CLM_ASSIGN_OR_RETURN(const TierStanding standing, cli.Call(&ProgramStub::SetMemberTier, request));
  return PrintStanding(cli, standing);
}

absl::Status ListMembers(Cli& cli, const Flags& flags) {
  loyalty::v1::ListMembersRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), ProgramName(cli, flags.program));
  CLM_ASSIGN_OR_RETURN(const std::vector<Member> members,
                       cli.List(&ProgramStub::ListMembers, request,
                                &loyalty::v1::ListMembersResponse::members, flags.limit));
  return cli.Print(Pointers(members), true, [&] { return MemberTable(cli, members); });
}

absl::Status Statement(Cli& cli, const Flags& flags) {
  loyalty::v1::ListPostingsRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_parent(), MemberName(cli, flags.program, flags.contact));
  request.set_wallet(flags.wallet);
  CLM_ASSIGN_OR_RETURN(const std::vector<Posting> postings,
                       cli.List(&LedgerStub::ListPostings, request,
                                &loyalty::v1::ListPostingsResponse::postings, flags.limit));
  return cli.Print(Pointers(postings), true, [&] {
    terminal::Table table({{"post_time", "TIME"},
                           {"name", "POSTING"},
                           {"kind"},
                           {"amount"},
                           {"change"},
                           {"balance"},
                           {"refers_to", "OF"},
                           {"reason", "BECAUSE"},
                           {"source", "", true},
                           {"external_id", "", true},
                           {"peer", "", true},
                           {"actor", "", true}});
    table.set_empty_text("no points have moved");
    for (const Posting& p : postings) {
      table.Add({TimeCell(p.has_post_time(), p.post_time()), ShownName(cli, p.name()),
                 EnumText("KIND_", Posting::Kind_Name(p.kind())), p.amount(), p.change(),
                 p.balance(), TextCell(LastPart(p.refers_to())), TextCell(p.reason()),
                 TextCell(p.source()), TextCell(p.external_id()), TextCell(LastPart(p.peer())),
                 TextCell(p.actor())});
    }
    return table;
  });
}

absl::Status ShowLiability(Cli& cli, const Flags& flags) {
  loyalty::v1::GetLiabilityRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), ProgramName(cli, flags.program));
  if (!flags.as_of.empty()) {
    CLM_ASSIGN_OR_RETURN(const absl::Time as_of, ParseMoment("--as-of", flags.as_of, absl::Now()));
    SetTime(as_of, request.mutable_as_of());
  }
  CLM_ASSIGN_OR_RETURN(const auto liability, cli.Call(&LedgerStub::GetLiability, request, kReport));
  return cli.PrintReport(liability, [&] {
    terminal::Table table(
        {{"name", "WALLET"}, {"outstanding"}, {"debt"}, {"value"}, {"as_of", "AS OF"}});
    for (const auto& part : liability.parts()) {
      table.Add({part.wallet(), part.outstanding(), part.debt(),
                 part.currency().empty()
                     ? terminal::Cell()
                     : terminal::Cell(terminal::Money{part.value_minor(), part.currency()}),
                 TimeCell(liability.has_as_of(), liability.as_of())});
    }
    return table;
  });
}

// Scripts are told by the exit code, people by the findings.
absl::Status Audit(Cli& cli, const Flags& flags) {
  loyalty::v1::AuditProgramRequest request;
  CLM_ASSIGN_OR_RETURN(*request.mutable_name(), ProgramName(cli, flags.program));
  CLM_ASSIGN_OR_RETURN(const auto audit, cli.Call(&LedgerStub::AuditProgram, request, kReport));
  const std::string sums = absl::StrCat(
      terminal::CountText(audit.wallets()), " wallets, ", terminal::CountText(audit.postings()),
      " postings", audit.tiers() == 0 ? "" : ", ",
      audit.tiers() == 0 ? "" : absl::StrCat(terminal::CountText(audit.tiers()), " tiers"));
  CLM_RETURN_IF_ERROR(cli.PrintReport(audit, [&] {
    terminal::Table table({{"name", "MEMBER"}, {"wallet"}, {"finding"}});
    table.set_empty_text(absl::StrCat("sound: ", sums));
    for (const auto& f : audit.findings()) {
      table.Add({ShownName(cli, f.member()), f.wallet(), f.finding()});
    }
    return table;
  }));
  if (audit.findings().empty()) return absl::OkStatus();
  return error::Make(absl::StatusCode::kDataLoss, "LEDGER_UNSOUND",
                     absl::StrCat("not sound: ", audit.findings_size(), " findings in ", sums));
}

void AddMemberCommands(Cli& cli, Command group) {
  const auto about_one =
      [&](const char* name, const char* description, const std::vector<std::string>& examples,
          absl::Status (*run)(Cli&, const Flags&), const std::shared_ptr<Flags>& flags) {
        Command command = cli.AddCommand(group, name, description, examples,
                                         [&cli, flags, run] { return run(cli, *flags); });
        command.AddOption("CONTACT", flags->contact, kContactHelp).Required();
        AddProgramOption(command, flags->program);
        return command;
      };

  auto enrol = std::make_shared<Flags>();
  AddRequestIdOption(about_one("enrol", "Make a contact a member of a programme",
                               {"clm loyalty enrol ada@example.com"}, &Enrol, enrol),
                     enrol->request_id);
  auto member = std::make_shared<Flags>();
  Command show = about_one(
      "member", "Show what a member has, and what expires next",
      {"clm loyalty member ada@example.com", "clm loyalty member ada@example.com -o wide"},
      &GetMember, member);
  show.AddFlag("--strong", member->freshness.strong, "from the database, not from the cache");
  AddStalenessFlag(show, member->freshness);

  about_one("tier", "Show how a member stands in the tiers", {"clm loyalty tier ada@example.com"},
            &ShowTier, std::make_shared<Flags>());
  auto set_tier = std::make_shared<Flags>();
  Command set =
      about_one("set-tier", "Give a member a tier by hand; a higher one that was earned stays",
                {"clm loyalty set-tier ada@example.com gold --until 2027-01-01",
                 "clm loyalty set-tier ada@example.com none"},
                &SetTier, set_tier);
  set.AddOption("TIER", set_tier->tier, "its id; none: takes away what was given by hand")
      .Required();
  set.AddOption("--until", set_tier->until, "until then; default: until it is taken away")
      .TypeName("TIME");
  AddRequestIdOption(set, set_tier->request_id);

  auto members = std::make_shared<Flags>();
  Command command = cli.AddCommand(
      group, "members", "List the members of a programme and what they have",
      {"clm loyalty members", "clm loyalty members --program stars --limit 0 -o csv"},
      [&cli, members] { return ListMembers(cli, *members); });
  AddProgramOption(command, members->program);
  command.AddOption("--limit", members->limit, "most to show; 0: all").Counts().ShowDefault();

  auto statement = std::make_shared<Flags>();
  command = about_one("statement", "Show how points came and went, newest first",
                      {"clm loyalty statement ada@example.com",
                       "clm loyalty statement ada@example.com --limit 0 -o csv"},
                      &Statement, statement);
  command.AddOption("--wallet", statement->wallet, "id of the kind of points; default: the first");
  command.AddOption("--limit", statement->limit, "most to show; 0: all").Counts().ShowDefault();
}

}  // namespace

void AddLoyaltyCommands(Cli& cli) {
  Command group = cli.AddGroup("loyalty", "Points: programmes, members and the ledger");
  AddLoyaltyProgramsCommands(cli, group);
  AddMemberCommands(cli, group);
  AddLoyaltyPointsCommands(cli, group);
  AddLoyaltyAdjustmentsCommands(cli, group);
  AddLoyaltyBonusesCommands(cli, group);
  AddLoyaltyCouponsCommands(cli, group);
  AddLoyaltyReferralsCommands(cli, group);
  AddLoyaltyRewardsCommands(cli, group);
  AddLoyaltyOrdersCommands(cli, group);

  auto liability = std::make_shared<Flags>();
  Command command = cli.AddCommand(
      group, "liability", "Show how many points a programme owes, and what they are worth",
      {"clm loyalty liability", "clm loyalty liability --as-of 2026-10-01"},
      [&cli, liability] { return ShowLiability(cli, *liability); });
  AddProgramOption(command, liability->program);
  command.AddOption("--as-of", liability->as_of, "then; default: now");

  auto audit = std::make_shared<Flags>();
  command = cli.AddCommand(group, "audit",
                           "Compute every balance again from its postings; fails if one differs",
                           {"clm loyalty audit", "clm loyalty audit --program stars -o json"},
                           [&cli, audit] { return Audit(cli, *audit); });
  AddProgramOption(command, audit->program);
}

}  // namespace clm::cli
