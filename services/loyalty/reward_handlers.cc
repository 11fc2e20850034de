#include "services/loyalty/reward_handlers.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/reward_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/field_mask.h"
#include "libs/rpc/fingerprint.h"
#include "services/loyalty/coupon_mutation.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/give_back.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/points_time.h"
#include "services/loyalty/reward_proto.h"
#include "services/loyalty/wallet_request.h"

namespace clm::loyalty {
namespace {

// Codes to choose from: some may be taken.
constexpr int kCodesForOne = 8;

int ShardOfReward(const RewardKey& key) {
  return ShardOf(key.tenant, absl::string_view(NameOf(key)));
}

int ShardOfRewardExternal(const RewardExternalKey& key) {
  return ShardOf(key.tenant, absl::string_view(absl::StrCat(
                                 NameOf(ProgramKey{key.tenant, key.program}), "/rewardKeys/",
                                 key.source.size(), "/", key.source, "/", key.external_id)));
}

v1::Reward KeepReward(RewardWork& work, journal::Recorder& recorder, const StoredReward& reward) {
  work.SaveReward(reward);
  v1::RewardChanged changed;
  *changed.mutable_reward() = ToProto(reward);
  recorder.Record({.shard = ShardOfReward(reward.key),
                   .tenant = reward.key.tenant,
                   .subject = NameOf(reward.key),
                   .type = v1::RewardChanged::descriptor()->full_name(),
                   .subject_version = reward.version,
                   .payload = changed.SerializeAsString()});
  return changed.reward();
}

v1::RewardRedemption KeepRedemption(RewardWork& work, journal::Recorder& recorder,
                                    StoredRedemption redemption) {
  ++redemption.version;
  work.SaveRedemption(redemption);
  const RewardKey& reward = redemption.key.reward;
  v1::RewardRedemptionChanged changed;
  *changed.mutable_redemption() = ToProto(redemption);
  changed.set_redeemed(work.FindReward(reward)->redeemed);
  recorder.Record({.shard = ShardOfReward(reward),
                   .tenant = reward.tenant,
                   .subject = NameOf(redemption.key),
                   .type = v1::RewardRedemptionChanged::descriptor()->full_name(),
                   .subject_version = redemption.version,
                   .payload = changed.SerializeAsString()});
  return changed.redemption();
}

// ---- The catalogue.

// What the coupons of a reward are like; their terms have been checked by ValidateTerms.
absl::StatusOr<StoredCoupon> CouponLike(const ProgramKey& program, const v1::RewardCoupon& coupon) {
  StoredCoupon like;
  TermsFromProto(coupon.terms(), like);
  like.batch = coupon.terms().batch();
  if (!coupon.terms().budget().empty()) {
    CLM_ASSIGN_OR_RETURN(const CouponBudgetKey budget,
                         ParseCouponBudgetName("coupon.terms.budget", coupon.terms().budget()));
    if (budget.tenant != program.tenant || budget.program != program.program) {
      return error::InvalidField("coupon.terms.budget", "is of another programme");
    }
    like.budget = budget.id;
  }
  return like;
}

// What can be said of a reward without anything else. Paths are relative to it.
absl::Status ValidateStored(const StoredReward& reward) {
  error::FieldErrors errors;
  errors.AddStatus("", ValidateReward(reward.terms));
  if (reward.coupon) {
    const v1::Coupon& terms = reward.coupon->terms();
    const auto like = CouponLike({reward.key.tenant, reward.key.program}, *reward.coupon);
    errors.AddStatus("", like.status());
    if (like.ok()) errors.AddStatus("coupon.terms", ValidateCoupon(like->terms));
    for (const auto& [field, set] :
         {std::pair("name", !terms.name().empty()), std::pair("code", !terms.code().empty()),
          std::pair("member", !terms.member().empty())}) {
      if (set) {
        errors.Add(absl::StrCat("coupon.terms.", field), "must be empty: each gets one of its own");
      }
    }
    if (terms.usage_limit() == 0) {
      errors.Add("coupon.terms.usage_limit", "must be set: so often what is issued is used");
    }
    errors.AddStatus("coupon.code_format",
                     ValidateCodeFormat(FromProto(reward.coupon->code_format())));
    if (!reward.coupon->valid_for().empty()) {
      errors.AddStatus("",
                       ParseDurationSpec("coupon.valid_for", reward.coupon->valid_for()).status());
    }
  }
  return errors.ToStatus();
}

// What the programme has to say about the terms.
absl::Status CheckTermsInProgram(const Program& program, const StoredReward& reward) {
  error::FieldErrors errors;
  errors.AddStatus("reward", FindWallet(program, reward.terms.wallet).status());
  const std::string& tier = reward.terms.minimum_tier;
  if (!tier.empty()) {
    bool known = false;
    if (program.tiers) {
      for (const Tier& one : program.tiers->scheme.tiers) known = known || one.id == tier;
    }
    if (!known) errors.Add("reward.minimum_tier", "is none of the programme's tiers");
  }
  return errors.ToStatus();
}

// The coupon's budget, if it has one, is its too.
absl::Status CheckInProgram(const CouponWork& work, const Program& program,
                            const StoredReward& reward) {
  CLM_RETURN_IF_ERROR(CheckTermsInProgram(program, reward));
  if (!reward.coupon) return absl::OkStatus();
  const ProgramKey key{program.tenant, program.id};
  CLM_ASSIGN_OR_RETURN(const StoredCoupon like, CouponLike(key, *reward.coupon));
  return CheckBudgetOf(work, like, key);
}

// What CheckInProgram reads.
absl::Status DeclareProgram(RewardWork& work, const StoredReward& reward) {
  const ProgramKey program{reward.key.tenant, reward.key.program};
  work.points().NeedProgram(program);
  if (!reward.coupon) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(const StoredCoupon like, CouponLike(program, *reward.coupon));
  if (!like.budget.empty()) {
    work.coupons().NeedBudget({program.tenant, program.program, like.budget});
  }
  return absl::OkStatus();
}

// ---- Redeeming.

struct RewardExternal {
  std::optional<RewardExternalKey> key;
  std::string fingerprint;
};

absl::StatusOr<RewardExternal> RewardExternalOf(const rpc::Call& call, const RewardKey& reward,
                                                const v1::RedeemRewardRequest& request) {
  if (request.external_id().empty()) {
    if (request.source().empty()) return RewardExternal();
    return error::InvalidField("source", "is for external_id only");
  }
  return RewardExternal{
      RewardExternalKey{reward.tenant, reward.program, request.source(), request.external_id()},
      rpc::Fingerprint(request, call.method)};
}

// What the same request was answered before.
absl::StatusOr<std::optional<v1::RedeemRewardResponse>> FindRewardAnswer(
    const RewardWork& work, const RewardExternal& external) {
  const RewardExternalUse* known = external.key ? work.FindExternal(*external.key) : nullptr;
  if (known == nullptr) return std::nullopt;
  if (known->fingerprint != external.fingerprint) {
    return error::Make(absl::StatusCode::kAlreadyExists, "EXTERNAL_ID_REUSED",
                       "external_id: stands for another request already",
                       {{"redemption", NameOf(known->redemption)}});
  }
  v1::RedeemRewardResponse response;
  if (!response.ParseFromString(known->response)) {
    return error::Internal("the stored answer cannot be read");
  }
  if (!known->contact) return response;
  const RewardKey& reward = known->redemption.reward;
  const MemberKey member{reward.tenant, reward.program, *known->contact};
  response.mutable_redemption()->set_member(NameOf(member));
  if (known->posting != 0) {
    response.mutable_redemption()->set_posting(
        NameOf(PostingKey{member, known->wallet, known->posting}));
  }
  if (response.has_coupon()) response.mutable_coupon()->set_member(NameOf(member));
  return response;
}

void SaveRewardExternal(RewardWork& work, const RewardExternal& external,
                        const StoredRedemption& redemption, v1::RedeemRewardResponse response) {
  if (!external.key) return;
  // An erasure takes it from the redemption.
  response.mutable_redemption()->clear_member();
  response.mutable_redemption()->clear_posting();
  if (response.has_coupon()) response.mutable_coupon()->clear_member();
  work.SaveExternal(*external.key,
                    {redemption.key, external.fingerprint, response.SerializeAsString(),
                     redemption.contact, redemption.wallet, redemption.posting});
}

// What a redemption is about, as it was read before the lanes.
struct WantedReward {
  StoredReward reward;
  StoredCoupon like;  // With a coupon.
  std::vector<NewCode> codes;
  Uuid coupon;
  RewardExternal external;
  Rehearsal rehearsal;
  std::string source;
  std::string external_id;
};

// The member's coupon.
absl::StatusOr<v1::Coupon> Issue(RewardWork& work, journal::Recorder& recorder,
                                 const WantedReward& wanted, const Program& program,
                                 const MemberKey& member) {
  const ProgramKey key{program.tenant, program.id};
  StoredCoupon coupon = wanted.like;
  const NewCode* code = nullptr;
  for (const NewCode& one : wanted.codes) {
    if (code == nullptr && !work.coupons().CodeTaken(key, one.folded)) code = &one;
  }
  if (code == nullptr) {
    return error::Precondition("CODES_TOO_SHORT",
                               "the reward's codes are too short: most of them are taken");
  }
  coupon.key = {key.tenant, key.program, wanted.coupon};
  coupon.code = code->folded;
  coupon.shown_code = code->shown;
  coupon.contact = member.contact;
  coupon.terms.member = member.contact.ToString();
  coupon.create_time = coupon.update_time = recorder.now();
  coupon.version = 1;
  const std::string& valid_for = wanted.reward.coupon->valid_for();
  if (!valid_for.empty()) {
    CLM_ASSIGN_OR_RETURN(const DurationSpec lasts, ParseDurationSpec("valid_for", valid_for));
    const auto end =
        ActiveFrom({PendingRule::Kind::kAfter, lasts}, recorder.now(), ZoneOf(program));
    if (end) coupon.terms.end = std::min(coupon.terms.end, *end);
  }
  return KeepCoupon(work.coupons(), recorder, coupon);
}

absl::StatusOr<v1::RedeemRewardResponse> Give(RewardWork& work, journal::Recorder& recorder,
                                              const rpc::Call& call, const WantedReward& wanted,
                                              const MemberKey& member) {
  const RewardKey& key = wanted.reward.key;
  const StoredReward* reward = work.FindReward(key);
  if (reward == nullptr) return error::NotFound(NameOf(key));
  if (reward->version != wanted.reward.version) {
    return error::Make(absl::StatusCode::kAborted, "REWARD_CHANGED",
                       "the reward was changed at the same time; repeat the request");
  }
  CLM_ASSIGN_OR_RETURN(WalletSession session,
                       WalletSession::Open(work.points(), recorder, member, reward->terms.wallet,
                                           WalletSession::Admit::kMembers, wanted.rehearsal.now));
  const Program& program = session.program();
  std::string tier;
  std::vector<Tier> tiers;
  if (program.tiers) {
    // What is due of it comes first: a tier whose time is over opens nothing.
    CLM_RETURN_IF_ERROR(UpdateTier(work.points(), recorder, member, session.now()));
    tiers = program.tiers->scheme.tiers;
    tier = TierOf(*program.tiers, work.points().FindMember(member)->tier);
  }
  CLM_RETURN_IF_ERROR(CheckReward(
      reward->terms,
      {.redeemed = reward->redeemed, .redeemed_by_member = work.CountOf(key, member.contact)},
      tiers, tier, session.now()));
  StoredRedemption redemption;
  redemption.key = {key, Uuid::V7(recorder.now())};
  redemption.contact = redemption.person = member.contact;
  redemption.cost = reward->terms.cost;
  redemption.wallet = session.terms().id;
  redemption.source = wanted.source;
  redemption.external_id = wanted.external_id;
  redemption.create_time = session.now();
  if (redemption.cost > 0) {
    CLM_ASSIGN_OR_RETURN(const Redemption paid, Redeem(session.wallet(), redemption.cost,
                                                       Uuid::V7(session.now()), session.now()));
    redemption.posting = session
                             .Post(paid.posting, {.amount = redemption.cost,
                                                  .reason = absl::StrCat("reward ", key.id),
                                                  .actor = call.caller.actor,
                                                  .source = wanted.source,
                                                  .external_id = wanted.external_id})
                             .key.number;
  }
  CLM_RETURN_IF_ERROR(session.Record());
  v1::RedeemRewardResponse response;
  if (reward->coupon && !wanted.rehearsal.dry_run) {
    redemption.coupon = wanted.coupon;
    CLM_ASSIGN_OR_RETURN(*response.mutable_coupon(),
                         Issue(work, recorder, wanted, program, member));
  }
  *response.mutable_balance() = session.balance();
  *response.mutable_redemption() = KeepRedemption(work, recorder, redemption);
  if (wanted.rehearsal.dry_run) {
    response.mutable_redemption()->clear_name();
    response.mutable_redemption()->clear_posting();
  }
  SaveRewardExternal(work, wanted.external, redemption, response);
  return response;
}

}  // namespace

void RewardHandlers::CreateReward(const rpc::Call& call, const v1::CreateRewardRequest& request,
                                  rpc::Reply<v1::Reward> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  StoredReward reward;
  reward.key = {program->tenant, program->program, request.reward_id()};
  TermsFromProto(request.reward(), reward);
  error::FieldErrors errors;
  if (!request.reward().name().empty() && request.reward().name() != NameOf(reward.key)) {
    errors.Add("reward.name", absl::StrCat("must be empty, or ", NameOf(reward.key)));
  }
  errors.AddStatus("reward", ValidateStored(reward));
  if (!errors.empty()) return reply(errors.ToStatus());
  journal::MutationInfo info = journal::InfoFor(call, program->tenant, request);
  info.shards.set(ShardOfReward(reward.key));
  journal::Mutate<RewardWork>(
      *parts_.lanes, std::move(info),
      [reward](RewardWork& work) {
        work.NeedReward(reward.key);
        static_cast<void>(DeclareProgram(work, reward));
      },
      [program = *program, reward](RewardWork& work,
                                   journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const Program* known = work.points().FindProgram(program);
        if (known == nullptr) return error::NotFound(NameOf(program));
        if (work.FindReward(reward.key) != nullptr) {
          return error::Make(absl::StatusCode::kAlreadyExists, "REWARD_EXISTS",
                             absl::StrCat("reward_id: '", reward.key.id, "' exists already"));
        }
        CLM_RETURN_IF_ERROR(CheckInProgram(work.coupons(), *known, reward));
        StoredReward created = reward;
        created.create_time = created.update_time = recorder.now();
        created.version = 1;
        return KeepReward(work, recorder, created).SerializeAsString();
      },
      std::move(reply));
}

void RewardHandlers::UpdateReward(const rpc::Call& call, const v1::UpdateRewardRequest& request,
                                  rpc::Reply<v1::Reward> reply) {
  const auto key = ParseRewardName("reward.name", request.reward().name());
  if (!key.ok()) return reply(key.status());
  auto paths = rpc::UpdatePaths("update_mask", request.update_mask(), request.reward());
  if (!paths.ok()) return reply(paths.status());
  journal::MutationInfo info = journal::InfoFor(call, key->tenant, request);
  info.shards.set(ShardOfReward(*key));
  journal::Mutate<RewardWork>(
      *parts_.lanes, std::move(info),
      [key = *key](RewardWork& work) {
        work.NeedReward(key);
        work.points().NeedProgram({key.tenant, key.program});
      },
      [key = *key, paths = *std::move(paths), wire = request.reward()](
          RewardWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        const StoredReward* before = work.FindReward(key);
        if (before == nullptr) return error::NotFound(NameOf(key));
        CLM_RETURN_IF_ERROR(CheckEtag("reward.etag", wire.etag(), before->version));
        v1::Reward patched = ToProto(*before);
        const std::string coupon = patched.coupon().SerializeAsString();
        rpc::ApplyMask(paths, wire, patched);
        StoredReward next = *before;
        TermsFromProto(patched, next);
        error::FieldErrors errors;
        errors.AddStatus("reward", ValidateStored(next));
        CLM_RETURN_IF_ERROR(errors.ToStatus());
        if (patched.coupon().SerializeAsString() != coupon) {
          return error::Precondition(
              "REWARD_COUPON_FIXED",
              "reward.coupon: cannot be changed; archive the reward and create another");
        }
        if (BodyOf(next) == BodyOf(*before)) return ToProto(next).SerializeAsString();
        CLM_RETURN_IF_ERROR(
            CheckTermsInProgram(*work.points().FindProgram({key.tenant, key.program}), next));
        ++next.version;
        next.update_time = recorder.now();
        return KeepReward(work, recorder, next).SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::Reward> RewardHandlers::GetReward(const rpc::Call& call,
                                                     const v1::GetRewardRequest& request) {
  CLM_ASSIGN_OR_RETURN(const RewardKey key, ParseRewardName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredReward reward, parts_.reader->GetReward(key, call.deadline));
  return ToProto(reward);
}

absl::StatusOr<v1::ListRewardsResponse> RewardHandlers::ListRewards(
    const rpc::Call& call, const v1::ListRewardsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListRewards", request.parent(),
                                         request.show_archived() ? "all" : ""};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  CLM_ASSIGN_OR_RETURN(
      auto rewards, parts_.reader->Rewards(program, request.show_archived(),
                                           last.empty() ? "" : last[0], size + 1, call.deadline));
  v1::ListRewardsResponse response;
  const bool more = static_cast<int>(rewards.size()) > size;
  if (more) rewards.resize(size);
  for (const StoredReward& reward : rewards) *response.add_rewards() = ToProto(reward);
  if (more) response.set_next_page_token(parts_.tokens->Encode(list, {rewards.back().key.id}));
  return response;
}

void RewardHandlers::RedeemReward(const rpc::Call& call, const v1::RedeemRewardRequest& request,
                                  rpc::Reply<v1::RedeemRewardResponse> reply) {
  const auto key = ParseRewardName("reward", request.reward());
  if (!key.ok()) return reply(key.status());
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  if (member->tenant != key->tenant || member->program != key->program) {
    return reply(error::InvalidField("member", "is of another programme than the reward"));
  }
  auto external = RewardExternalOf(call, *key, request);
  if (!external.ok()) return reply(external.status());
  const auto rehearsal = RehearsalOf(call, request);
  if (!rehearsal.ok()) return reply(rehearsal.status());
  auto reward = parts_.reader->GetReward(*key, call.deadline);
  if (!reward.ok()) return reply(reward.status());

  const ProgramKey program{key->tenant, key->program};
  auto wanted = std::make_shared<WantedReward>();
  wanted->reward = *std::move(reward);
  wanted->external = *std::move(external);
  wanted->rehearsal = *rehearsal;
  wanted->source = request.source();
  wanted->external_id = request.external_id();
  MemberMutation<v1::RedeemRewardResponse, RewardWork> mutation;
  mutation.info = journal::InfoFor(call, key->tenant, request);
  mutation.info.shards.set(ShardOfReward(*key));
  if (wanted->external.key) {
    mutation.info.shards.set(ShardOfRewardExternal(*wanted->external.key));
  }
  if (wanted->reward.coupon) {
    auto like = CouponLike(program, *wanted->reward.coupon);
    if (!like.ok()) return reply(like.status());
    wanted->like = *std::move(like);
    auto codes = MakeCodes(FromProto(wanted->reward.coupon->code_format()), kCodesForOne);
    if (!codes.ok()) return reply(codes.status());
    wanted->codes = *std::move(codes);
    wanted->coupon = Uuid::V7(call.now);
    mutation.info.shards.set(ShardOfCodes(program));
    mutation.info.shards.set(ShardOf(key->tenant, wanted->coupon));
  }
  mutation.member = *member;
  mutation.rehearsal = wanted->rehearsal.dry_run;
  mutation.declare = [wanted, program](RewardWork& work, const MemberKey& m) {
    DeclareMember(work.points(), m);
    work.points().NeedWallet(WalletOf(m, wanted->reward.terms.wallet), wanted->reward.terms.cost);
    if (wanted->rehearsal.now) work.points().NeedDueBy(*wanted->rehearsal.now);
    work.NeedReward(wanted->reward.key);
    work.NeedCount(wanted->reward.key, m.contact);
    if (wanted->external.key) work.NeedExternal(*wanted->external.key);
    for (const NewCode& code : wanted->codes) work.coupons().NeedCode(program, code.folded);
  };
  mutation.apply = [wanted, call](RewardWork& work, journal::Recorder& recorder,
                                  const MemberKey& m) -> absl::StatusOr<v1::RedeemRewardResponse> {
    CLM_ASSIGN_OR_RETURN(auto answer, FindRewardAnswer(work, wanted->external));
    if (answer) return *std::move(answer);
    return Give(work, recorder, call, *wanted, m);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void RewardHandlers::CancelRewardRedemption(const rpc::Call& call,
                                            const v1::CancelRewardRedemptionRequest& request,
                                            rpc::Reply<v1::RewardRedemption> reply) {
  const auto key = ParseRedemptionName("redemption", request.redemption());
  if (!key.ok()) return reply(key.status());
  // What it has paid and issued never changes.
  const auto known = parts_.reader->GetRedemption(*key, call.deadline);
  if (!known.ok()) return reply(known.status());
  if (!known->contact) {
    return reply(error::Precondition("MEMBER_ERASED",
                                     "redemption: the person was erased; their points do not move "
                                     "any more"));
  }
  const RewardKey& reward = key->reward;
  std::optional<PostingKey> paid;
  if (known->posting != 0) {
    paid =
        PostingKey{{reward.tenant, reward.program, *known->contact}, known->wallet, known->posting};
  }
  std::optional<CouponKey> issued;
  if (known->coupon) issued = CouponKey{reward.tenant, reward.program, *known->coupon};
  MemberMutation<v1::RewardRedemption, RewardWork> mutation;
  mutation.info = journal::InfoFor(call, reward.tenant, request);
  mutation.info.shards.set(ShardOfReward(reward));
  if (issued) mutation.info.shards.set(ShardOfCoupon(*issued));
  // Their points may not have followed a merge yet; when they have, it is run for the survivor.
  mutation.member = {reward.tenant, reward.program, *known->contact};
  mutation.declare = [key = *key, paid, issued, wallet = known->wallet](RewardWork& work,
                                                                        const MemberKey& m) {
    DeclareMember(work.points(), m);
    work.points().NeedWallet(WalletOf(m, wallet));
    if (paid) work.points().NeedPosting(*paid, WalletOf(m, wallet));
    if (issued) work.coupons().NeedCoupon(*issued);
    work.NeedReward(key.reward);
    work.NeedRedemption(key);
  };
  mutation.apply = [key = *key, paid, issued, wallet = known->wallet, call,
                    reason = request.reason()](
                       RewardWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::RewardRedemption> {
    StoredRedemption redemption = *work.FindRedemption(key);
    if (redemption.state != RedemptionState::kRedeemed) {
      return error::Precondition("REWARD_REDEMPTION_STATE", "redemption: is cancelled already");
    }
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work.points(), recorder, m, wallet, WalletSession::Admit::kMembers));
    if (issued) {
      StoredCoupon coupon = *work.coupons().FindCoupon(*issued);
      if (coupon.used > 0 || coupon.reserved > 0) {
        return error::Precondition("REWARD_COUPON_USED",
                                   "redemption: the coupon was used, or is reserved",
                                   {{"coupon", NameOf(*issued)}});
      }
      coupon.terms.enabled = false;
      ++coupon.version;
      coupon.update_time = recorder.now();
      KeepCoupon(work.coupons(), recorder, coupon);
    }
    if (paid) {
      const StoredPosting& redeemed = *work.points().FindPosting(*paid);
      // Some may have been given back by the ledger already.
      if (LeftToGiveBack(work.points(), redeemed) > 0) {
        CLM_RETURN_IF_ERROR(GivePointsBack(work.points(), session, redeemed, std::nullopt,
                                           {.reason = reason, .actor = call.caller.actor})
                                .status());
      }
    }
    CLM_RETURN_IF_ERROR(session.Record());
    redemption.state = RedemptionState::kCancelled;
    redemption.cancel_time = recorder.now();
    return KeepRedemption(work, recorder, redemption);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

absl::StatusOr<v1::RewardRedemption> RewardHandlers::GetRewardRedemption(
    const rpc::Call& call, const v1::GetRewardRedemptionRequest& request) {
  CLM_ASSIGN_OR_RETURN(const RedemptionKey key, ParseRedemptionName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredRedemption redemption,
                       parts_.reader->GetRedemption(key, call.deadline));
  return ToProto(redemption);
}

absl::StatusOr<v1::ListRewardRedemptionsResponse> RewardHandlers::ListRewardRedemptions(
    const rpc::Call& call, const v1::ListRewardRedemptionsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey program, ParseProgramName("parent", request.parent()));
  RewardReader::Filter filter;
  error::FieldErrors errors;
  if (!request.reward().empty()) {
    CLM_ASSIGN_OR_RETURN(const RewardKey reward, ParseRewardName("reward", request.reward()));
    if (reward.tenant != program.tenant || reward.program != program.program) {
      errors.Add("reward", "is of another programme than the parent");
    }
    filter.reward = reward.id;
  }
  if (!request.member().empty()) {
    CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("member", request.member()));
    if (member.tenant != program.tenant || member.program != program.program) {
      errors.Add("member", "is of another programme than the parent");
    }
    filter.member = member.contact;
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListRewardRedemptions", request.parent(),
                                         request.reward(), request.member()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> before;
  if (!last.empty()) before = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto redemptions, parts_.reader->Redemptions(program, filter, before,
                                                                    size + 1, call.deadline));
  v1::ListRewardRedemptionsResponse response;
  const bool more = static_cast<int>(redemptions.size()) > size;
  if (more) redemptions.resize(size);
  for (const StoredRedemption& one : redemptions) *response.add_redemptions() = ToProto(one);
  if (more) {
    response.set_next_page_token(
        parts_.tokens->Encode(list, {redemptions.back().key.id.ToBytes()}));
  }
  return response;
}

}  // namespace clm::loyalty
