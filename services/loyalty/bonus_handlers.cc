#include "services/loyalty/bonus_handlers.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/adjusting.h"
#include "services/loyalty/bonus_granting.h"
#include "services/loyalty/bonus_proto.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/program.h"

namespace clm::loyalty {
namespace {

// The run as it begins.
absl::StatusOr<BonusRun> BeginRun(const Program& program, const BonusRun& asked,
                                  std::optional<absl::Time> as_of, absl::Time now) {
  BonusRun run = asked;
  error::FieldErrors errors;
  std::vector<std::string> tiers;
  if (program.tiers) {
    for (const Tier& tier : program.tiers->scheme.tiers) tiers.push_back(tier.id);
  }
  errors.AddStatus("bonus_run.criteria", CompileBonusCriteria(run.criteria, tiers).status());
  errors.AddStatus("bonus_run", ParseAdjustTerms(run.expiry).status());
  const auto wallet = FindWallet(program, run.wallet);
  errors.AddStatus("bonus_run", wallet.status());
  if (as_of && !run.dry_run) {
    errors.Add("bonus_run.as_of_time", "is for dry runs alone");
  } else if (as_of && *as_of < now) {
    errors.Add("bonus_run.as_of_time", "must not be in the past");
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  run.wallet = (*wallet)->id;
  run.as_of = as_of.value_or(now);
  run.create_time = now;
  return run;
}

}  // namespace

void BonusHandlers::CreateBonusRun(const rpc::Call& call, const v1::CreateBonusRunRequest& request,
                                   rpc::Reply<v1::BonusRun> reply) {
  const auto parent = ParseProgramName("parent", request.parent());
  if (!parent.ok()) return reply(parent.status());
  BonusRun asked = BonusRunFromProto(request.bonus_run());
  asked.key = {parent->tenant, parent->program, Uuid::V7(call.now)};
  asked.created_by = call.caller.actor;
  std::optional<absl::Time> as_of;
  if (request.bonus_run().has_as_of_time()) {
    as_of = clm::FromProto(request.bonus_run().as_of_time());
  }
  journal::MutationInfo info = journal::InfoFor(call, parent->tenant, request);
  info.shards.set(ShardOfRun(asked.key));
  parts_.lanes->Submit(std::make_unique<journal::MutationOf<LoyaltyWork>>(
      std::move(info), [program = *parent](LoyaltyWork& work) { work.NeedProgram(program); },
      [program = *parent, asked = std::move(asked), as_of](
          LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const Program* known = work.FindProgram(program);
        if (known == nullptr) return error::NotFound(NameOf(program));
        CLM_ASSIGN_OR_RETURN(BonusRun run, BeginRun(*known, asked, as_of, recorder.now()));
        return KeepBonusRun(work, recorder, std::move(run)).SerializeAsString();
      },
      [wake = parts_.wake,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (!answer.ok()) return reply(answer.status());
        if (wake) wake();
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

absl::StatusOr<v1::BonusRun> BonusHandlers::GetBonusRun(const rpc::Call& call,
                                                        const v1::GetBonusRunRequest& request) {
  CLM_ASSIGN_OR_RETURN(const BonusRunKey key, ParseBonusRunName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const BonusRun run, parts_.reader->Get(key, call.deadline));
  return ToProto(run);
}

absl::StatusOr<v1::ListBonusRunsResponse> BonusHandlers::ListBonusRuns(
    const rpc::Call& call, const v1::ListBonusRunsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListBonusRuns", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> before;
  if (!last.empty()) before = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto runs, parts_.reader->List(program, before, size + 1, call.deadline));
  v1::ListBonusRunsResponse response;
  const bool more = static_cast<int>(runs.size()) > size;
  if (more) runs.resize(size);
  for (const BonusRun& run : runs) *response.add_bonus_runs() = ToProto(run);
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(list, {runs.back().key.id.ToBytes()}));
  }
  return response;
}

void BonusHandlers::CancelBonusRun(const rpc::Call& call, const v1::CancelBonusRunRequest& request,
                                   rpc::Reply<v1::BonusRun> reply) {
  const auto key = ParseBonusRunName("name", request.name());
  if (!key.ok()) return reply(key.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfRun(*key));
  journal::Mutate<LoyaltyWork>(
      *parts_.lanes, std::move(info),
      [key = *key](LoyaltyWork& work) { work.bonuses().NeedStopped(key); },
      [key = *key](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const BonusRun* stored = work.bonuses().FindRun(key);
        if (stored == nullptr) return error::NotFound(NameOf(key));
        CLM_ASSIGN_OR_RETURN(BonusRun run, CancelRun(*stored, recorder.now()));
        work.bonuses().CountStaged(run);
        return KeepBonusRun(work, recorder, std::move(run)).SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::ListBonusRunMembersResponse> BonusHandlers::ListBonusRunMembers(
    const rpc::Call& call, const v1::ListBonusRunMembersRequest& request) {
  BonusReader::Query query;
  CLM_ASSIGN_OR_RETURN(query.run, ParseBonusRunName("parent", request.parent()));
  if (!request.member().empty()) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("member", request.member()));
    if (member.tenant != query.run.tenant || member.program != query.run.program) {
      return error::InvalidField("member", "is of another programme than the parent");
    }
    query.member = member.contact;
  }
  if (request.state() != v1::BonusRunMember::STATE_UNSPECIFIED) {
    query.state = static_cast<BonusMemberState>(request.state());
  }
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListBonusRunMembers", request.parent(), request.member(),
                                         absl::StrCat(static_cast<int>(request.state()))};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  if (last.size() == 2 && absl::SimpleAtoi(last[0], &query.after.spend_minor)) {
    query.after.contact = Uuid::FromBytes(last[1]);
  }
  query.limit = size + 1;
  CLM_ASSIGN_OR_RETURN(const BonusRun run, parts_.reader->Get(query.run, call.deadline));
  CLM_ASSIGN_OR_RETURN(
      const Program program,
      parts_.programs->GetProgram({run.key.tenant, run.key.program}, call.deadline));
  CLM_ASSIGN_OR_RETURN(auto members, parts_.reader->Members(query, call.deadline));
  v1::ListBonusRunMembersResponse response;
  const bool more = static_cast<int>(members.size()) > size;
  if (more) members.resize(size);
  for (const BonusMember& member : members) {
    *response.add_members() = ToProto(run, member, ZoneOf(program));
  }
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(
        list,
        {absl::StrCat(members.back().figures.spend_minor), members.back().contact.ToBytes()}));
  }
  return response;
}

}  // namespace clm::loyalty
