#include "services/loyalty/member_tier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/points_time.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

// Changes of one member that happen at once, when nobody has looked for long. What is left is found
// due again.
constexpr int kMostSteps = 1000;

// Windows of tiers begin and end with local days, or with the last change of tier: what lies
// between two of those needs no place of its own.
absl::Time PlaceOf(absl::Time at, const TierState& state, const absl::TimeZone& zone) {
  const absl::Time day = StartOfDay(absl::ToCivilDay(at, zone), zone);
  return state.since <= at ? std::max(day, state.since) : day;
}

int64_t SumOf(const TierBasisSums& sums, const BasisWindow& window) {
  int64_t sum = 0;
  for (auto it = sums.lower_bound(window.from); it != sums.end() && it->first < window.until;
       ++it) {
    sum += it->second;
  }
  // Late refunds of what was counted twice cannot be; but a basis is never below nothing.
  return std::clamp<int64_t>(sum, 0, kMaxTierValue);
}

BasisValues ValuesAt(const TierScheme& scheme, const TierState& state, const TierBasisSums& sums,
                     int64_t active, absl::Time now, const absl::TimeZone& zone) {
  BasisValues values;
  if (scheme.basis == TierBasis::kActiveBalance) {
    values.present = values.to_remain = std::min(active, kMaxTierValue);
    return values;
  }
  const BasisWindows windows = WindowsAt(scheme, state, now, zone);
  values.present = SumOf(sums, windows.present);
  values.to_remain = SumOf(sums, windows.to_remain);
  for (auto it = sums.lower_bound(windows.present.from);
       it != sums.end() && it->first < windows.present.until; ++it) {
    if (it->second == 0) continue;
    values.oldest = it->first;
    break;
  }
  return values;
}

v1::TierStanding ToProto(const TierStanding& standing, const ProgramTiers& tiers,
                         const TierState& state) {
  v1::TierStanding out;
  out.set_tier(standing.tier);
  out.set_value(standing.value);
  out.set_required_to_remain(standing.required_to_remain);
  out.set_missing_to_remain(standing.missing_to_remain);
  out.set_next_tier(standing.next_tier);
  out.set_missing_to_next(standing.missing_to_next);
  if (standing.tier_expiration) {
    clm::ToProto(*standing.tier_expiration, out.mutable_expire_time());
  }
  for (const Tier& tier : tiers.scheme.tiers) {
    if (tier.id == standing.tier) out.mutable_perks()->Add(tier.perks.begin(), tier.perks.end());
  }
  out.set_manual(!standing.tier.empty() && standing.tier == state.manual_tier &&
                 standing.tier != state.tier);
  // When one was given by hand is in its TierChanged.
  if (!standing.tier.empty() && !out.manual() && state.since > absl::InfinitePast()) {
    clm::ToProto(state.since, out.mutable_since_time());
  }
  return out;
}

void RecordTier(journal::Recorder& recorder, const MemberKey& key,
                const google::protobuf::Message& payload) {
  recorder.Record({.shard = ShardOf(key.tenant, key.contact),
                   .tenant = key.tenant,
                   .subject = NameOf(key),
                   .type = payload.GetDescriptor()->full_name(),
                   .payload = payload.SerializeAsString()});
}

absl::Status GiveEntryPoints(LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                             const MemberKey& key, const TierChange& change) {
  const ProgramTiers& tiers = *program.tiers;
  for (size_t i = 0; i < tiers.scheme.tiers.size(); ++i) {
    const std::string& tier = tiers.scheme.tiers[i].id;
    const auto& entered = change.entered;
    if (tiers.entry_points[i] == 0) continue;
    if (std::find(entered.begin(), entered.end(), tier) == entered.end()) continue;
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, key, tiers.wallet, WalletSession::Admit::kErased));
    const absl::Time now = session.now();
    NewLot lot{.id = Uuid::V7(now), .amount = tiers.entry_points[i], .earn_time = now};
    lot.expire_time = ExpireTime(session.terms().expiry, now, ZoneOf(program));
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         AdjustUp(session.wallet(), lot, Uuid::V7(now), now));
    session.Post(posting,
                 {.amount = tiers.entry_points[i], .reason = absl::StrCat("entered tier ", tier)});
    session.RecordPostings();
  }
  return absl::OkStatus();
}

int RankOf(const ProgramTiers& tiers, const std::string& tier) {
  const std::vector<Tier>& all = tiers.scheme.tiers;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].id == tier) return static_cast<int>(i);
  }
  return -1;
}

v1::TierChanged TierChangeOf(const ProgramTiers& tiers, const MemberKey& key,
                             const std::string& from, const std::string& to, absl::Time since) {
  v1::TierChanged changed;
  changed.set_member(NameOf(key));
  changed.set_from_tier(from);
  changed.set_to_tier(to);
  clm::ToProto(since, changed.mutable_since_time());
  // Ranks are told from 1 on.
  changed.set_from_rank(RankOf(tiers, from) + 1);
  changed.set_to_rank(RankOf(tiers, to) + 1);
  changed.set_direction(changed.to_rank() > changed.from_rank() ? v1::TierChanged::DIRECTION_UP
                                                                : v1::TierChanged::DIRECTION_DOWN);
  return changed;
}

void PutTierByHand(LoyaltyWork& work, journal::Recorder& recorder, const ProgramTiers& tiers,
                   const MemberKey& key, const std::string& tier, std::optional<absl::Time> until) {
  Member member = *work.FindMember(key);
  if (member.tier.manual_tier == tier && member.tier.manual_until == until) return;
  const std::string from = TierOf(tiers, member.tier);
  member.tier.manual_tier = tier;
  member.tier.manual_until = until;
  const std::string to = TierOf(tiers, member.tier);
  work.SaveMember(key, member);
  v1::TierSetByHand set;
  set.set_member(NameOf(key));
  set.set_tier(tier);
  if (until) clm::ToProto(*until, set.mutable_until_time());
  RecordTier(recorder, key, set);
  if (from == to) return;
  v1::TierChanged changed = TierChangeOf(tiers, key, from, to, recorder.now());
  changed.set_by_hand(true);
  RecordTier(recorder, key, changed);
}

struct Step {
  TierChange change;
  bool last = false;
};

// One evaluation; `member` is changed by it.
absl::StatusOr<Step> Advance(const Program& program, Member& member, const TierBasisSums& sums,
                             int64_t active, absl::Time now) {
  const absl::TimeZone zone = ZoneOf(program);
  const TierScheme& scheme = program.tiers->scheme;
  member.tier.joined = member.enrol_time;
  Step step;
  CLM_ASSIGN_OR_RETURN(step.change,
                       Evaluate(scheme, member.tier,
                                ValuesAt(scheme, member.tier, sums, active, now, zone), now, zone));
  member.tier = step.change.after;
  member.tier_due = step.change.next_due.value_or(absl::InfiniteFuture());
  step.last = step.change.kind == TierChange::Kind::kNone && member.tier_due > now;
  return step;
}

}  // namespace

void CountForTier(LoyaltyWork& work, const Program& program, const MemberKey& key, absl::Time at,
                  int64_t value) {
  const Member* member = work.FindMember(key);
  if (member == nullptr || value == 0) return;
  work.rules().AddToBasis(key, PlaceOf(at, member->tier, ZoneOf(program)), value);
}

absl::Status ProgressTier(LoyaltyWork& work, journal::Recorder& recorder, const Program& program,
                          const MemberKey& key, absl::Time at, int64_t value) {
  if (value != 0 && work.FindMember(key) != nullptr) {
    CountForTier(work, program, key, at, value);
    v1::TierProgressed progressed;
    progressed.set_member(NameOf(key));
    progressed.set_change(value);
    clm::ToProto(at, progressed.mutable_occur_time());
    RecordTier(recorder, key, progressed);
  }
  return UpdateTier(work, recorder, key, recorder.now());
}

absl::Status UpdateTier(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& key,
                        absl::Time now) {
  const Program* program = work.FindProgram({key.tenant, key.program});
  const Member* known = work.FindMember(key);
  if (program == nullptr || !program->tiers || known == nullptr || known->merged_into) {
    return absl::OkStatus();
  }
  const WalletKey wallet{key.tenant, key.program, TierWallet(*program).id, key.contact};
  // The scheme has got another wallet in this very transaction: whoever looks next sees to it.
  if (!work.HasWallet(wallet)) return absl::OkStatus();
  Member member = *known;
  for (int i = 0; i < kMostSteps; ++i) {
    CLM_ASSIGN_OR_RETURN(const Step step, Advance(*program, member, work.rules().BasisOf(key),
                                                  work.WalletOf(wallet).totals.active, now));
    const TierChange& change = step.change;
    const auto& warning = change.warning;
    if (warning && warning->tier_expiration && *warning->tier_expiration != member.tier_warned) {
      member.tier_warned = *warning->tier_expiration;
      v1::TierDropWarned warned;
      warned.set_member(NameOf(key));
      *warned.mutable_standing() = ToProto(*warning, *program->tiers, member.tier);
      RecordTier(recorder, key, warned);
    }
    if (*work.FindMember(key) != member) work.SaveMember(key, member);
    if (change.kind == TierChange::Kind::kUpgraded || change.kind == TierChange::Kind::kDropped) {
      v1::TierChanged changed =
          TierChangeOf(*program->tiers, key, change.from, change.to, change.at);
      changed.mutable_entered_tiers()->Add(change.entered.begin(), change.entered.end());
      changed.mutable_entry_rewards()->Add(change.rewards.begin(), change.rewards.end());
      RecordTier(recorder, key, changed);
      CLM_RETURN_IF_ERROR(GiveEntryPoints(work, recorder, *program, key, change));
    }
    if (step.last) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::TierStanding> SetTierByHand(LoyaltyWork& work, journal::Recorder& recorder,
                                               const Program& program, const MemberKey& key,
                                               const std::string& tier,
                                               std::optional<absl::Time> until) {
  const absl::Time now = recorder.now();
  const std::vector<Tier>& tiers = program.tiers->scheme.tiers;
  if (!tier.empty() && std::none_of(tiers.begin(), tiers.end(),
                                    [&](const Tier& known) { return known.id == tier; })) {
    return error::InvalidField("tier", "is none of the programme's tiers");
  }
  const WalletKey wallet{key.tenant, key.program, TierWallet(program).id, key.contact};
  if (!work.HasWallet(wallet)) return ProgramChanged();
  // What is due already comes before it.
  CLM_RETURN_IF_ERROR(UpdateTier(work, recorder, key, now));
  PutTierByHand(work, recorder, *program.tiers, key, tier, until);
  CLM_RETURN_IF_ERROR(UpdateTier(work, recorder, key, now));
  return StandingOf(work, program, key, work.WalletOf(wallet).totals.active, now);
}

absl::Status MoveTier(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& from,
                      const MemberKey& into) {
  work.rules().MoveAll(from, into);
  const Program* program = work.FindProgram({into.tenant, into.program});
  const TierState& given = work.FindMember(from)->tier;
  if (program != nullptr && program->tiers &&
      RankOf(*program->tiers, given.manual_tier) >
          RankOf(*program->tiers, work.FindMember(into)->tier.manual_tier)) {
    PutTierByHand(work, recorder, *program->tiers, into, given.manual_tier, given.manual_until);
  }
  return UpdateTier(work, recorder, into, recorder.now());
}

absl::StatusOr<TierChange> NextTierChange(const Program& program, const Member& member,
                                          const TierBasisSums& sums, int64_t active,
                                          absl::Time now) {
  Member copy = member;
  CLM_ASSIGN_OR_RETURN(Step step, Advance(program, copy, sums, active, now));
  return std::move(step.change);
}

std::string TierOf(const ProgramTiers& tiers, const TierState& state) {
  std::string highest;
  for (const Tier& tier : tiers.scheme.tiers) {
    if (tier.id == state.tier || tier.id == state.manual_tier) highest = tier.id;
  }
  return highest;
}

absl::StatusOr<v1::TierStanding> StandingOf(const LoyaltyWork& work, const Program& program,
                                            const MemberKey& key, int64_t active, absl::Time now) {
  Member member = *work.FindMember(key);
  const TierBasisSums& sums = work.rules().BasisOf(key);
  for (int i = 0; i < kMostSteps; ++i) {
    CLM_ASSIGN_OR_RETURN(const Step step, Advance(program, member, sums, active, now));
    if (step.last) break;
  }
  const TierScheme& scheme = program.tiers->scheme;
  const absl::TimeZone zone = ZoneOf(program);
  CLM_ASSIGN_OR_RETURN(const TierStanding standing,
                       StandingOf(scheme, member.tier,
                                  ValuesAt(scheme, member.tier, sums, active, now, zone), zone));
  return ToProto(standing, *program.tiers, member.tier);
}

}  // namespace clm::loyalty
