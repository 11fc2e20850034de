#include "services/loyalty/referral_handlers.h"

#include <openssl/rand.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/referral_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/identifier_hash.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/referral_changes.h"
#include "services/loyalty/referral_proto.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

// Codes that are made beyond the one that is needed: some may be taken.
constexpr int kCandidates = 4;

int ShardOfReferralCodes(const ProgramKey& key) {
  return ShardOf(key.tenant, absl::string_view(absl::StrCat(NameOf(key), "/referralCodes")));
}

// Whatever they are.
absl::StatusOr<std::vector<std::string>> HashesOf(
    const std::string& secret, const ProgramKey& program,
    const google::protobuf::RepeatedPtrField<v1::ReferralIdentifier>& identifiers) {
  CLM_ASSIGN_OR_RETURN(std::vector<HashedIdentifier> hashed,
                       HashIdentifiers(secret, program, identifiers));
  std::vector<std::string> hashes;
  for (HashedIdentifier& one : hashed) hashes.push_back(std::move(one.hash));
  return hashes;
}

void CheckProgram(absl::string_view field, const ProgramKey& program, const MemberKey& member,
                  error::FieldErrors& errors) {
  if (member.tenant == program.tenant && member.program == program.program) return;
  errors.Add(field, "is of another programme than the parent");
}

// Terms under which something new may begin.
absl::StatusOr<const ReferralTerms*> OpenTerms(const LoyaltyWork& work, const ProgramKey& key) {
  const Program* program = work.FindProgram(key);
  if (program == nullptr) return error::NotFound(NameOf(key));
  if (!program->referrals || program->referrals->closed) {
    return error::Precondition("REFERRALS_CLOSED", "the programme gives nothing for referrals");
  }
  return &*program->referrals;
}

v1::ReferralCode SaveReferralCode(LoyaltyWork& work, journal::Recorder& recorder,
                                  StoredReferralCode code) {
  ++code.version;
  v1::ReferralCodeChanged changed;
  *changed.mutable_code() = ToProto(code);
  changed.mutable_code()->clear_code();
  recorder.Record({.shard = ShardOf(code.key.tenant, *code.advocate),
                   .tenant = code.key.tenant,
                   .subject = NameOf(code.key),
                   .type = v1::ReferralCodeChanged::descriptor()->full_name(),
                   .subject_version = code.version,
                   .payload = changed.SerializeAsString()});
  work.referrals().SaveCode(code);
  return ToProto(code);
}

struct NewReferralCode {
  StoredReferralCode like;
  std::vector<std::pair<std::string, std::string>> candidates;  // Shown, folded.
  std::vector<std::string> hashes;
  bool replace = false;
};

absl::StatusOr<v1::ReferralCode> MakeReferralCode(LoyaltyWork& work, journal::Recorder& recorder,
                                                  const NewReferralCode& made,
                                                  const MemberKey& member) {
  const ProgramKey program{member.tenant, member.program};
  CLM_RETURN_IF_ERROR(OpenTerms(work, program).status());
  if (const auto into = MergedInto(work, member)) return Moved(*into);
  const Member* known = work.FindMember(member);
  if (known == nullptr) return error::NotFound(NameOf(member));
  if (known->erased) {
    return error::Precondition("MEMBER_ERASED", "advocate: the person was erased");
  }
  const auto before = work.referrals().CodesOf(member);
  if (!before.empty() && !made.replace) {
    return error::Make(absl::StatusCode::kAlreadyExists, "HAS_REFERRAL_CODE",
                       "advocate: has a code already; ask to replace it",
                       {{"code", NameOf(before.front().key)}});
  }
  const auto free = std::find_if(
      made.candidates.begin(), made.candidates.end(),
      [&](const auto& candidate) { return !work.referrals().Taken(program, candidate.second); });
  if (free == made.candidates.end()) {
    return error::Precondition("CODES_TOO_SHORT",
                               "code_format: most codes of this length are taken; ask for more "
                               "random characters");
  }
  for (StoredReferralCode code : before) {
    code.terms.revoked = true;
    code.revoke_time = recorder.now();
    SaveReferralCode(work, recorder, std::move(code));
  }
  work.referrals().AddIdentifiers(member, made.hashes);
  StoredReferralCode code = made.like;
  code.advocate = member.contact;
  code.shown_code = free->first;
  code.code = free->second;
  code.create_time = recorder.now();
  return SaveReferralCode(work, recorder, std::move(code));
}

// A claim under way: whom it is about may turn out to be somebody else by now.
struct Claim {
  journal::MutationInfo info;
  ReferralKey key;
  ReferralCodeKey code;
  MemberKey who;
  MemberKey advocate;
  std::vector<std::string> hashes;

  ProgramKey program() const { return {key.tenant, key.program}; }
};

constexpr char kAdvocateMoved[] = "ADVOCATE_MOVED";

absl::Status AdvocateMoved(const Uuid& to) {
  return error::Make(absl::StatusCode::kAborted, kAdvocateMoved, "the advocate was merged",
                     {{"contact", to.ToString()}});
}

absl::Status CheckSamePerson(const LoyaltyWork& work, const Claim& claim) {
  const auto refused = [] {
    return error::Precondition("SELF_REFERRAL",
                               "friend: is the advocate, or shares an identifier with them");
  };
  if (claim.who == claim.advocate) return refused();
  const auto& theirs = work.referrals().IdentifiersOf(claim.advocate);
  const auto& own = work.referrals().IdentifiersOf(claim.who);
  const auto shared = [&](const std::string& hash) { return theirs.contains(hash); };
  if (std::any_of(claim.hashes.begin(), claim.hashes.end(), shared) ||
      std::any_of(own.begin(), own.end(), shared)) {
    return refused();
  }
  return absl::OkStatus();
}

// That the friend is new to the programme.
absl::Status CheckNew(const LoyaltyWork& work, const MemberKey& who) {
  for (const StoredReferral& referral : work.referrals().ReferralsOf(who)) {
    if (referral.course.state == ReferralState::kCancelled ||
        referral.course.state == ReferralState::kExpired) {
      continue;
    }
    return error::Precondition("REFERRED_BEFORE", "friend: was brought by somebody already");
  }
  if (work.referrals().FirstPurchaseOf(who) != nullptr) {
    return error::Precondition("FRIEND_NOT_NEW", "friend: has bought something before");
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const LoyaltyWork& work, const Claim& claim, const ReferralTerms& terms) {
  const auto count = work.referrals().CountOf(claim.advocate, terms.advocate_limit);
  if (!count) return ProgramChanged();
  CLM_RETURN_IF_ERROR(
      CheckReferralLimit(terms.advocate_limit, *count, "ADVOCATE_LIMIT_REACHED",
                         "code: the advocate has brought as many as count in this period"));
  for (const std::string& hash : claim.hashes) {
    const auto claims = work.referrals().ClaimsOf(claim.program(), hash, terms.identifier_limit);
    if (!claims) return ProgramChanged();
    CLM_RETURN_IF_ERROR(
        CheckReferralLimit(terms.identifier_limit, *claims, "CLAIM_LIMIT_REACHED",
                           "identifiers: with one of them too much was claimed in this period"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Referral> ApplyClaim(LoyaltyWork& work, journal::Recorder& recorder,
                                        const Claim& claim) {
  CLM_ASSIGN_OR_RETURN(const ReferralTerms* terms, OpenTerms(work, claim.program()));
  if (const auto into = MergedInto(work, claim.who)) return Moved(*into);
  if (const auto into = MergedInto(work, claim.advocate)) return AdvocateMoved(*into);
  const StoredReferralCode* code = work.referrals().FindCode(claim.code);
  if (code == nullptr) return error::NotFound(NameOf(claim.code));
  if (!code->advocate) {
    return error::Precondition("CODE_REVOKED", "code: its owner was erased");
  }
  if (*code->advocate != claim.advocate.contact) return AdvocateMoved(*code->advocate);
  const Program& program = *work.FindProgram(claim.program());
  const Member* known = work.FindMember(claim.who);
  if (known == nullptr && program.join_policy == JoinPolicy::kEnrolment) {
    return error::NotFound(NameOf(claim.who));
  }
  if (known != nullptr && known->erased) {
    return error::Precondition("MEMBER_ERASED", "friend: the person was erased");
  }
  const absl::Time now = recorder.now();
  CLM_RETURN_IF_ERROR(CheckReferralCode(code->terms, claim.who.contact, now));
  CLM_RETURN_IF_ERROR(CheckSamePerson(work, claim));
  CLM_RETURN_IF_ERROR(CheckNew(work, claim.who));
  CLM_RETURN_IF_ERROR(CheckLimits(work, claim, *terms));

  StoredReferralCode used = *code;
  ++used.terms.uses;
  SaveReferralCode(work, recorder, std::move(used));
  work.referrals().AddIdentifiers(claim.who, claim.hashes);
  for (const std::string& hash : claim.hashes) {
    work.referrals().AddClaim(claim.program(), hash, now);
  }
  StoredReferral referral;
  referral.key = claim.key;
  referral.code = claim.code.id;
  referral.friend_contact = claim.who.contact;
  referral.advocate = claim.advocate.contact;
  ReferralTerms kept = *terms;
  CLM_ASSIGN_OR_RETURN(const WalletTerms* wallet, FindWallet(program, kept.wallet));
  kept.wallet = wallet->id;
  referral.course = ClaimedAt(kept, now, ZoneOf(program));
  SaveReferral(work, recorder, referral);
  // Who claims need not know whose code it was, and an erasure of the advocate could not find it.
  referral.advocate.reset();
  return ToProto(referral);
}

void RunClaim(journal::Lanes& lanes, Claim claim, rpc::Reply<v1::Referral> reply,
              int tries = kMovedTries) {
  auto shared = std::make_shared<const Claim>(std::move(claim));
  journal::MutationInfo info = shared->info;
  for (const MemberKey* key : {&shared->who, &shared->advocate}) {
    info.shards.set(ShardOf(key->tenant, key->contact));
  }
  for (const std::string& hash : shared->hashes) {
    info.shards.set(ShardOfIdentifier(shared->program(), hash));
  }
  info.aggregate = shared->who.contact;
  lanes.Submit(std::make_unique<journal::MutationOf<LoyaltyWork>>(
      std::move(info),
      [shared](LoyaltyWork& work) {
        work.NeedProgram(shared->program());
        ReferralWork& referrals = work.referrals();
        for (const MemberKey& key : {shared->who, shared->advocate}) {
          work.NeedMember(key);
          referrals.NeedIdentifiers(key);
        }
        referrals.NeedFriend(shared->who);
        referrals.NeedCode(shared->code);
        referrals.NeedCount(shared->advocate);
        for (const std::string& hash : shared->hashes) {
          referrals.NeedClaims(shared->program(), hash);
        }
      },
      [shared](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_ASSIGN_OR_RETURN(const v1::Referral referral, ApplyClaim(work, recorder, *shared));
        return referral.SerializeAsString();
      },
      [&lanes, shared, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        const auto friend_to = MovedTo(answer.status());
        std::optional<Uuid> advocate_to;
        if (error::Reason(answer.status()) == kAdvocateMoved) {
          advocate_to = Uuid::Parse(error::MetadataValue(answer.status(), "contact"));
        }
        if ((friend_to || advocate_to) && tries > 1) {
          Claim again = *shared;
          if (friend_to) again.who.contact = *friend_to;
          if (advocate_to) again.advocate.contact = *advocate_to;
          return RunClaim(lanes, std::move(again), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

}  // namespace

void ReferralHandlers::CreateReferralCode(const rpc::Call& call,
                                          const v1::CreateReferralCodeRequest& request,
                                          rpc::Reply<v1::ReferralCode> reply) {
  const v1::ReferralCode& wire = request.referral_code();
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  const auto advocate = ParseMemberName("referral_code.advocate", wire.advocate());
  if (!advocate.ok()) return reply(advocate.status());
  error::FieldErrors errors;
  NewReferralCode made;
  CheckProgram("referral_code.advocate", *program, *advocate, errors);
  if (!wire.name().empty()) errors.Add("referral_code.name", "must be empty: it is given");
  if (!wire.friend_().empty()) {
    const auto only = ParseMemberName("referral_code.friend", wire.friend_());
    if (!only.ok()) return reply(only.status());
    CheckProgram("referral_code.friend", *program, *only, errors);
    if (only->contact == advocate->contact) {
      errors.Add("referral_code.friend", "must not be the advocate");
    }
    made.like.terms.friend_only = true;
    made.like.terms.only_friend = only->contact;
  }
  made.like.terms.usage_limit = wire.usage_limit();
  if (wire.has_start_time()) made.like.terms.start = clm::FromProto(wire.start_time());
  if (wire.has_expire_time()) made.like.terms.expire = clm::FromProto(wire.expire_time());
  if (made.like.terms.expire <= std::max(call.now, made.like.terms.start)) {
    errors.Add("referral_code.expire_time", "must be later than now and than start_time");
  }
  const CodeFormat format = FromProto(request.code_format());
  errors.AddStatus("code_format", ValidateCodeFormat(format));
  auto hashes = HashesOf(parts_.secret, *program, request.identifiers());
  errors.AddStatus("", hashes.status());
  if (!errors.empty()) return reply(errors.ToStatus());
  made.hashes = *std::move(hashes);
  made.replace = request.replace();
  made.like.key = {program->tenant, program->program, Uuid::V7(call.now)};
  for (int i = 0; i < kCandidates; ++i) {
    uint8_t random[kMaxCodeRandom];
    if (RAND_bytes(random, kMaxCodeRandom) != 1) std::abort();
    auto shown = MakeCode(format, random);
    if (!shown.ok()) return reply(shown.status());
    auto folded = FoldCode("code", *shown);
    if (!folded.ok()) return reply(folded.status());
    made.candidates.emplace_back(*std::move(shown), *std::move(folded));
  }
  const auto shared = std::make_shared<const NewReferralCode>(std::move(made));
  MemberMutation<v1::ReferralCode> mutation;
  mutation.info = journal::InfoFor(call, program->tenant, request);
  mutation.info.shards.set(ShardOfReferralCodes(*program));
  mutation.member = *advocate;
  mutation.declare = [shared](LoyaltyWork& work, const MemberKey& member) {
    const ProgramKey of{member.tenant, member.program};
    work.NeedProgram(of);
    work.NeedMember(member);
    work.referrals().NeedCodesOf(member);
    work.referrals().NeedIdentifiers(member);
    for (const auto& [shown, folded] : shared->candidates) work.referrals().NeedTaken(of, folded);
  };
  mutation.apply = [shared](LoyaltyWork& work, journal::Recorder& recorder,
                            const MemberKey& member) {
    return MakeReferralCode(work, recorder, *shared, member);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

absl::StatusOr<v1::ReferralCode> ReferralHandlers::GetReferralCode(
    const rpc::Call& call, const v1::GetReferralCodeRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ReferralCodeKey key, ParseReferralCodeName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredReferralCode code, parts_.reader->GetCode(key, call.deadline));
  return ToProto(code);
}

absl::StatusOr<v1::ListReferralCodesResponse> ReferralHandlers::ListReferralCodes(
    const rpc::Call& call, const v1::ListReferralCodesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  std::optional<Uuid> advocate;
  if (!request.advocate().empty()) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("advocate", request.advocate()));
    error::FieldErrors errors;
    CheckProgram("advocate", program, member, errors);
    CLM_RETURN_IF_ERROR(errors.ToStatus());
    advocate = member.contact;
  }
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListReferralCodes", request.parent(), request.advocate()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> after;
  if (!last.empty()) after = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto codes,
                       parts_.reader->Codes(program, advocate, after, size + 1, call.deadline));
  v1::ListReferralCodesResponse response;
  const bool more = static_cast<int>(codes.size()) > size;
  if (more) codes.resize(size);
  for (const StoredReferralCode& code : codes) *response.add_referral_codes() = ToProto(code);
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(list, {codes.back().key.id.ToBytes()}));
  }
  return response;
}

void ReferralHandlers::ClaimReferral(const rpc::Call& call, const v1::ClaimReferralRequest& request,
                                     rpc::Reply<v1::Referral> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  const auto who = ParseMemberName("friend", request.friend_());
  if (!who.ok()) return reply(who.status());
  error::FieldErrors errors;
  CheckProgram("friend", *program, *who, errors);
  auto hashes = HashesOf(parts_.secret, *program, request.identifiers());
  errors.AddStatus("", hashes.status());
  if (!errors.empty()) return reply(errors.ToStatus());
  const auto code =
      parts_.guesses->FindReferralCode(call, *program, who->contact, "code", request.code());
  if (!code.ok()) return reply(code.status());
  if (!code->advocate) {
    return reply(error::Precondition("CODE_REVOKED", "code: its owner was erased"));
  }
  Claim claim;
  claim.info = journal::InfoFor(call, program->tenant, request);
  claim.key = {program->tenant, program->program, Uuid::V7(call.now)};
  claim.code = code->key;
  claim.who = *who;
  claim.advocate = {program->tenant, program->program, *code->advocate};
  claim.hashes = *std::move(hashes);
  RunClaim(*parts_.lanes, std::move(claim), std::move(reply));
}

absl::StatusOr<v1::Referral> ReferralHandlers::GetReferral(const rpc::Call& call,
                                                           const v1::GetReferralRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ReferralKey key, ParseReferralName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredReferral referral,
                       parts_.reader->GetReferral(key, call.deadline));
  return ToProto(referral);
}

absl::StatusOr<v1::ListReferralsResponse> ReferralHandlers::ListReferrals(
    const rpc::Call& call, const v1::ListReferralsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  ReferralReader::Filter filter;
  error::FieldErrors errors;
  const auto read = [&](const char* field, const std::string& name,
                        std::optional<Uuid>& out) -> absl::Status {
    if (name.empty()) return absl::OkStatus();
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName(field, name));
    CheckProgram(field, program, member, errors);
    out = member.contact;
    return absl::OkStatus();
  };
  CLM_RETURN_IF_ERROR(read("advocate", request.advocate(), filter.advocate));
  CLM_RETURN_IF_ERROR(read("friend", request.friend_(), filter.friend_contact));
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  filter.state = static_cast<int>(request.state());
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListReferrals", request.parent(), request.advocate(),
                                         request.friend_(), absl::StrCat(filter.state)};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> after;
  if (!last.empty()) after = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto referrals,
                       parts_.reader->Referrals(program, filter, after, size + 1, call.deadline));
  v1::ListReferralsResponse response;
  const bool more = static_cast<int>(referrals.size()) > size;
  if (more) referrals.resize(size);
  for (const StoredReferral& referral : referrals) *response.add_referrals() = ToProto(referral);
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(list, {referrals.back().key.id.ToBytes()}));
  }
  return response;
}

void ReferralHandlers::CancelReferral(const rpc::Call& call,
                                      const v1::CancelReferralRequest& request,
                                      rpc::Reply<v1::Referral> reply) {
  const auto key = ParseReferralName("name", request.name());
  if (!key.ok()) return reply(key.status());
  auto known = parts_.reader->GetReferral(*key, call.deadline);
  if (!known.ok()) return reply(known.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  for (const auto& contact : {known->friend_contact, known->advocate}) {
    if (contact) info.shards.set(ShardOf(key->tenant, *contact));
  }
  if (info.shards.none()) info.shards.set(ShardOf(key->tenant, key->id));
  info.aggregate = known->friend_contact;
  const auto shared = std::make_shared<const StoredReferral>(*std::move(known));
  journal::Mutate<LoyaltyWork>(
      *parts_.lanes, std::move(info),
      [shared](LoyaltyWork& work) { NeedReferralSides(work, *shared); },
      [shared](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        CLM_RETURN_IF_ERROR(clm::loyalty::CancelReferral(work, recorder, *shared));
        StoredReferral referral = *work.referrals().FindReferral(shared->key);
        // The answer is kept where an erasure of the advocate would not find it.
        referral.advocate.reset();
        return ToProto(referral).SerializeAsString();
      },
      std::move(reply));
}

}  // namespace clm::loyalty
