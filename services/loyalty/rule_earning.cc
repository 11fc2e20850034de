#include "services/loyalty/rule_earning.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/earn_terms.h"
#include "services/loyalty/member_tier.h"

namespace clm::loyalty {
namespace {

CountKey CountOf(const Program& program, const MemberKey& member, const std::string& rule,
                 EarnCap::Period period, absl::Time at) {
  return {member, rule, period, CapPeriodStart(period, at, ZoneOf(program))};
}

void AddToCounts(LoyaltyWork& work, const Program& program, const MemberKey& member,
                 const std::string& rule, absl::Time at, int64_t points) {
  for (const ProgramRule& known : program.earn_rules) {
    if (known.rule.id != rule) continue;
    for (const EarnCap& cap : known.rule.caps) {
      work.rules().AddToCount(CountOf(program, member, rule, cap.period, at), points);
    }
  }
}

WalletKey WalletOfRule(const Program& program, const MemberKey& member, const ProgramRule& rule) {
  return {program.tenant, program.id, (*FindWallet(program, rule.wallet))->id, member.contact};
}

}  // namespace

bool NeedRules(LoyaltyWork& work, const Program& program, const MemberKey& member,
               const std::string& event_type, absl::Time occur_time) {
  bool any = false;
  for (const ProgramRule& rule : program.earn_rules) {
    if (rule.rule.event_type != event_type) continue;
    any = true;
    work.NeedWallet(WalletOfRule(program, member, rule));
    for (const EarnCap& cap : rule.rule.caps) {
      work.rules().NeedCount(CountOf(program, member, rule.rule.id, cap.period, occur_time));
    }
  }
  return any;
}

void NeedTakeBack(LoyaltyWork& work, const Program& program, const MemberKey& member,
                  const Uuid& earned_by, const RuleEarning& earning, absl::Time occur_time) {
  work.NeedPosting({{program.tenant, program.id, earned_by}, earning.wallet, earning.number},
                   {program.tenant, program.id, earning.wallet, member.contact},
                   /*take_back=*/true);
  for (const ProgramRule& rule : program.earn_rules) {
    if (rule.rule.id != earning.rule) continue;
    for (const EarnCap& cap : rule.rule.caps) {
      work.rules().NeedCount(CountOf(program, member, rule.rule.id, cap.period, occur_time));
    }
  }
}

void NeedWhatRulesMayEarn(LoyaltyWork& work, const Program& program, const MemberKey& member) {
  for (const ProgramRule& rule : program.earn_rules) {
    work.NeedWholeWallet(WalletOfRule(program, member, rule));
  }
}

bool Admits(const LoyaltyWork& work, const Program& program, const MemberKey& member) {
  const Member* known = work.FindMember(member);
  if (known != nullptr && known->erased) return false;
  return known != nullptr || program.join_policy != JoinPolicy::kEnrolment;
}

absl::StatusOr<Earned> EarnByRules(LoyaltyWork& work, journal::Recorder& recorder,
                                   const Program& program, const MemberKey& member,
                                   const EarnFact& fact, absl::Time occur_time,
                                   const PostingNote& note, absl::FunctionRef<void()> join) {
  EarnMember earner;
  if (program.tiers && work.FindMember(member) != nullptr) {
    // By the tier that the member has had until now.
    CLM_RETURN_IF_ERROR(UpdateTier(work, recorder, member, recorder.now()));
    earner.tier = TierOf(*program.tiers, work.FindMember(member)->tier);
  }
  CLM_ASSIGN_OR_RETURN(const auto compiled, CompiledRules(program));
  bool counted = true;
  Earned earned;
  CLM_ASSIGN_OR_RETURN(earned.outcomes, EvaluateEarnRules(
                                            *compiled, fact, earner,
                                            [&](const std::string& rule, EarnCap::Period period) {
                                              const CountKey key = CountOf(program, member, rule,
                                                                           period, occur_time);
                                              counted &= work.rules().HasCount(key);
                                              return work.rules().CountOf(key);
                                            },
                                            occur_time));
  // A rule that came in this very transaction: what its caps have counted is not loaded.
  if (!counted) return ProgramChanged();
  for (size_t i = 0; i < earned.outcomes.size(); ++i) {
    const EarnOutcome& outcome = earned.outcomes[i];
    if (outcome.points == 0) continue;
    join();
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, member, program.earn_rules[i].wallet,
                                             WalletSession::Admit::kMembers));
    const absl::Time now = session.now();
    const NewLot lot = LotOf(session, outcome.points, {}, std::min(occur_time, now));
    // Points that would have expired by now are none.
    if (lot.expire_time <= now) continue;
    CLM_ASSIGN_OR_RETURN(const Posting posting, Earn(session.wallet(), lot, Uuid::V7(now), now));
    PostingNote own = note;
    own.amount = outcome.points;
    own.reason = absl::StrCat("rule ", outcome.rule_id, ", ", note.reason);
    own.earn_time = lot.earn_time;
    const StoredPosting posted = session.Post(posting, std::move(own));
    earned.earnings.push_back(
        {{outcome.rule_id, session.terms().id, posted.key.number, lot.id, outcome.points}, i});
    AddToCounts(work, program, member, outcome.rule_id, occur_time, outcome.points);
    session.RecordPostings();
  }
  return earned;
}

absl::StatusOr<PointsTaken> TakeBack(LoyaltyWork& work, journal::Recorder& recorder,
                                     const Program& program, const MemberKey& member,
                                     const Uuid& earned_by, const RuleEarning& earning,
                                     int64_t points, std::optional<ReturnPolicy> policy,
                                     absl::Time occur_time, PostingNote note) {
  if (points == 0) return PointsTaken();
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, member, earning.wallet, WalletSession::Admit::kMembers));
  const auto lot = session.wallet().lots.find(earning.lot);
  if (lot == session.wallet().lots.end()) return error::Internal("a lot is not stored");
  // Somebody may have taken points back by hand.
  const int64_t asked = std::min(points, lot->second.earned - lot->second.returned);
  if (asked == 0) return PointsTaken{0, points};
  const absl::Time earn_time = lot->second.earn_time;
  CLM_ASSIGN_OR_RETURN(const Return taken,
                       ReturnEarned(session.wallet(), earning.lot, asked,
                                    policy.value_or(session.terms().return_policy),
                                    Uuid::V7(session.now()), session.now()));
  if (!taken.posting.entries.empty()) {
    note.amount = asked - taken.not_taken;
    note.refers_to =
        PostingKey{{program.tenant, program.id, earned_by}, earning.wallet, earning.number};
    note.earn_time = earn_time;
    session.Post(taken.posting, std::move(note));
  }
  AddToCounts(work, program, member, earning.rule, occur_time, taken.not_taken - asked);
  session.RecordPostings();
  return PointsTaken{asked - taken.not_taken, points - asked + taken.not_taken};
}

}  // namespace clm::loyalty
