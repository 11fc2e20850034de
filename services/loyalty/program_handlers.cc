#include "services/loyalty/program_handlers.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

int ShardOfProgram(const ProgramKey& key) {
  return ShardOf(key.tenant, absl::string_view(NameOf(key)));
}

std::string Save(LoyaltyWork& work, journal::Recorder& recorder, const Program& program) {
  work.SaveProgram(program);
  const ProgramKey key{program.tenant, program.id};
  v1::ProgramChanged changed;
  *changed.mutable_program() = ToProto(program);
  recorder.Record({.shard = ShardOfProgram(key),
                   .tenant = key.tenant,
                   .subject = NameOf(key),
                   .type = v1::ProgramChanged::descriptor()->full_name(),
                   .subject_version = program.version,
                   .payload = changed.SerializeAsString()});
  return changed.program().SerializeAsString();
}

// Who has just become a member has nothing yet.
v1::Member NewMember(const Program& program, const MemberKey& key, absl::Time enrol_time) {
  v1::Member member;
  member.set_name(NameOf(key));
  member.set_contact(EntityName(kContacts, {key.tenant, key.contact}));
  clm::ToProto(enrol_time, member.mutable_enrol_time());
  for (const WalletTerms& terms : program.wallets) {
    *member.add_balances() = ToProto(terms.id, Totals());
  }
  return member;
}

}  // namespace

void ProgramHandlers::CreateProgram(const rpc::Call& call, const v1::CreateProgramRequest& request,
                                    rpc::Reply<v1::Program> reply) {
  const auto tenant = ParseTenantName("parent", request.parent());
  if (!tenant.ok()) return reply(tenant.status());
  const ProgramKey key{*tenant, request.program_id()};
  error::FieldErrors errors;
  if (!request.program().name().empty() && request.program().name() != NameOf(key)) {
    errors.Add("program.name", absl::StrCat("must be empty, or ", NameOf(key)));
  }
  Program program = FromProto(request.program(), errors);
  program.tenant = key.tenant;
  program.id = key.program;
  errors.AddStatus("", ValidateProgram(program));
  if (!errors.empty()) return reply(errors.ToStatus());
  journal::MutationInfo info = journal::InfoFor(call, *tenant, request);
  info.shards.set(ShardOfProgram(key));
  journal::Mutate<LoyaltyWork>(
      *parts_.lanes, std::move(info), [key](LoyaltyWork& work) { work.NeedProgram(key); },
      [key, program](LoyaltyWork& work,
                     journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (work.FindProgram(key) != nullptr) {
          return error::Make(absl::StatusCode::kAlreadyExists, "PROGRAM_EXISTS",
                             absl::StrCat("program_id: '", key.program, "' exists already"));
        }
        Program created = program;
        created.create_time = created.update_time = recorder.now();
        if (created.tiers) created.tiers->start_time = created.create_time;
        created.version = 1;
        return Save(work, recorder, created);
      },
      std::move(reply));
}

absl::StatusOr<v1::Program> ProgramHandlers::GetProgram(const rpc::Call& call,
                                                        const v1::GetProgramRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey key, ParseProgramName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const Program program, parts_.reader->GetProgram(key, call.deadline));
  return ToProto(program);
}

absl::StatusOr<v1::ListProgramsResponse> ProgramHandlers::ListPrograms(
    const rpc::Call& call, const v1::ListProgramsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const std::string tenant, ParseTenantName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListPrograms", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(auto programs, parts_.reader->Programs(tenant, last.empty() ? "" : last[0],
                                                              size + 1, call.deadline));
  v1::ListProgramsResponse response;
  const bool more = static_cast<int>(programs.size()) > size;
  if (more) programs.resize(size);
  for (const Program& program : programs) *response.add_programs() = ToProto(program);
  if (more) response.set_next_page_token(parts_.tokens->Encode(list, {programs.back().id}));
  return response;
}

void ProgramHandlers::UpdateProgram(const rpc::Call& call, const v1::UpdateProgramRequest& request,
                                    rpc::Reply<v1::Program> reply) {
  const auto key = ParseProgramName("program.name", request.program().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.program());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfProgram(*key));
  journal::Mutate<LoyaltyWork>(
      *parts_.lanes, std::move(info), [key = *key](LoyaltyWork& work) { work.NeedProgram(key); },
      [key = *key, paths = *std::move(paths), patch = request.program()](
          LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const Program* before = work.FindProgram(key);
        if (before == nullptr) return error::NotFound(NameOf(key));
        CLM_RETURN_IF_ERROR(CheckEtag("program.etag", patch.etag(), before->version));
        v1::Program wire = ToProto(*before);
        rpc::ApplyMask(paths, patch, wire);
        error::FieldErrors errors;
        Program next = FromProto(wire, errors);
        next.tenant = before->tenant;
        next.id = before->id;
        next.create_time = before->create_time;
        next.update_time = before->update_time;
        next.version = before->version;
        if (next.tiers) {
          next.tiers->start_time = before->tiers ? before->tiers->start_time : recorder.now();
        }
        errors.AddStatus("", ValidateProgram(next));
        CLM_RETURN_IF_ERROR(errors.ToStatus());
        CLM_RETURN_IF_ERROR(CheckUpdate(*before, next));
        if (next == *before) return ToProto(next).SerializeAsString();
        ++next.version;
        next.update_time = recorder.now();
        if (next.tiers && next.tiers != before->tiers) work.StartTierSweep(key, next.version);
        return Save(work, recorder, next);
      },
      std::move(reply));
}

void ProgramHandlers::EnrolMember(const rpc::Call& call, const v1::EnrolMemberRequest& request,
                                  rpc::Reply<v1::Member> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  const auto contact = ParseEntityName("contact", kContacts, request.contact());
  if (!contact.ok()) return reply(contact.status());
  if (contact->tenant != program->tenant) {
    return reply(error::InvalidField("contact", "is of another tenant than the parent"));
  }
  MemberMutation<v1::Member> mutation;
  mutation.info = journal::InfoFor(call, program->tenant, request);
  mutation.member = {program->tenant, program->program, contact->id};
  mutation.declare = [program = *program](LoyaltyWork& work, const MemberKey& m) {
    work.NeedProgram(program);
    work.NeedMember(m);
  };
  mutation.apply = [program = *program](LoyaltyWork& work, journal::Recorder& recorder,
                                        const MemberKey& m) -> absl::StatusOr<v1::Member> {
    const Program* terms = work.FindProgram(program);
    if (terms == nullptr) return error::NotFound(NameOf(program));
    if (const auto into = MergedInto(work, m)) return Moved(*into);
    const Member* known = work.FindMember(m);
    if (known == nullptr) {
      Enrol(work, recorder, m);
      return NewMember(*terms, m, recorder.now());
    }
    if (known->erased) {
      return error::Precondition("MEMBER_ERASED", "contact: the person was erased");
    }
    return error::Make(absl::StatusCode::kAlreadyExists, "MEMBER_EXISTS",
                       absl::StrCat("contact: is a member already, ", NameOf(m)),
                       {{"member", NameOf(m)}});
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void ProgramHandlers::SetMemberTier(const rpc::Call& call, const v1::SetMemberTierRequest& request,
                                    rpc::Reply<v1::TierStanding> reply) {
  const auto member = ParseMemberName("name", request.name());
  if (!member.ok()) return reply(member.status());
  std::optional<absl::Time> until;
  if (request.has_until_time()) {
    until = clm::FromProto(request.until_time());
    if (request.tier().empty()) {
      return reply(error::InvalidField("until_time", "is for a tier that is given"));
    }
    if (*until <= call.now) return reply(error::InvalidField("until_time", "lies in the past"));
  }
  MemberMutation<v1::TierStanding> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.declare = [](LoyaltyWork& work, const MemberKey& m) {
    work.NeedProgram({m.tenant, m.program});
    work.NeedMember(m);
  };
  mutation.apply = [tier = request.tier(), until](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::TierStanding> {
    const ProgramKey key{m.tenant, m.program};
    const Program* program = work.FindProgram(key);
    if (program == nullptr) return error::NotFound(NameOf(key));
    if (const auto into = MergedInto(work, m)) return Moved(*into);
    const Member* known = work.FindMember(m);
    if (known == nullptr) return error::NotFound(NameOf(m));
    if (known->erased) {
      return error::Precondition("MEMBER_ERASED", "name: the person was erased");
    }
    if (!program->tiers) return error::Precondition("NO_TIERS", "name: the programme has no tiers");
    return SetTierByHand(work, recorder, *program, m, tier, until);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void ProgramHandlers::GetMember(const rpc::Call& call, const v1::GetMemberRequest& request,
                                rpc::Reply<v1::Member> reply) {
  const auto key = ParseMemberName("name", request.name());
  if (!key.ok()) return reply(key.status());
  const bool strong = request.consistency() == v1::CONSISTENCY_STRONG;
  const auto freshness = cache::FreshnessOf(call.now, strong, request);
  if (!freshness.ok()) return reply(freshness.status());
  auto done = [reply = std::move(reply)](absl::StatusOr<std::string> member) mutable {
    reply.Bytes(std::move(member));
  };
  if (strong) {
    parts_.memberships->GetStored(*key, call.deadline, std::move(done));
  } else {
    parts_.memberships->GetMember(*key, *freshness, call.deadline, std::move(done));
  }
}

absl::StatusOr<v1::ListMembersResponse> ProgramHandlers::ListMembers(
    const rpc::Call& call, const v1::ListMembersRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey key, ParseProgramName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListMembers", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> after;
  if (!last.empty()) after = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto members,
                       parts_.reader->Members(key, after, size + 1, call.now, call.deadline));
  v1::ListMembersResponse response;
  const bool more = static_cast<int>(members.size()) > size;
  if (more) members.resize(size);
  for (v1::Member& member : members) *response.add_members() = std::move(member);
  if (more) {
    const v1::Member& end = response.members(size - 1);
    CLM_ASSIGN_OR_RETURN(const MemberKey place, ParseMemberName("name", end.name()));
    response.set_next_page_token(parts_.tokens->Encode(list, {place.contact.ToBytes()}));
  }
  return response;
}

}  // namespace clm::loyalty
