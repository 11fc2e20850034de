// How the rules of a programme give points for something that happened, an event or an order that
// closed, and how those are taken back: one way for both.
//
// What a transaction may touch is needed before it loads, by the Need functions, once programmes
// are known; the others work on what was loaded.
#ifndef CLM_SERVICES_LOYALTY_RULE_EARNING_H_
#define CLM_SERVICES_LOYALTY_RULE_EARNING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_work.h"
#include "services/loyalty/program.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

// The wallets and caps of the rules for events of that type or, for an empty one, for orders.
// Whether there is such a rule.
bool NeedRules(LoyaltyWork& work, const Program& program, const MemberKey& member,
               const std::string& event_type, absl::Time occur_time);
// What taking back `earning` touches, whose posting is of `earned_by`: the same person, perhaps by
// an older name.
void NeedTakeBack(LoyaltyWork& work, const Program& program, const MemberKey& member,
                  const Uuid& earned_by, const RuleEarning& earning, absl::Time occur_time);
// The same for what is earned in this very transaction.
void NeedWhatRulesMayEarn(LoyaltyWork& work, const Program& program, const MemberKey& member);

// Whether the programme takes points from them: members that were not erased, and newcomers if it
// lets them in.
bool Admits(const LoyaltyWork& work, const Program& program, const MemberKey& member);

struct Earned {
  std::vector<EarnOutcome> outcomes;  // One for each rule of the programme.
  struct Earning {
    RuleEarning earning;
    size_t outcome = 0;
  };
  std::vector<Earning> earnings;  // What was posted.
};
// Lets the rules look at `fact`, which happened at `occur_time`, and posts what they give. `join`
// is called before points are posted, each time, and makes a member of who is none. `note` is that
// of the postings, with what they are for as its reason. The member's tier has to be updated
// afterwards; before, it is. ABORTED, reason PROGRAM_CHANGED.
absl::StatusOr<Earned> EarnByRules(LoyaltyWork& work, journal::Recorder& recorder,
                                   const Program& program, const MemberKey& member,
                                   const EarnFact& fact, absl::Time occur_time,
                                   const PostingNote& note, absl::FunctionRef<void()> join);

struct PointsTaken {
  int64_t taken = 0;
  // Left to the member: by the policy, because they had expired, or were taken by hand before.
  int64_t not_taken = 0;
};
// Takes back `points` of an earning, which happened at `occur_time`: as the wallet's policy says
// unless there is another one. The tier has to be updated afterwards.
absl::StatusOr<PointsTaken> TakeBack(LoyaltyWork& work, journal::Recorder& recorder,
                                     const Program& program, const MemberKey& member,
                                     const Uuid& earned_by, const RuleEarning& earning,
                                     int64_t points, std::optional<ReturnPolicy> policy,
                                     absl::Time occur_time, PostingNote note);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_RULE_EARNING_H_
