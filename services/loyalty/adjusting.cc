#include "services/loyalty/adjusting.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/adjustments.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/points_time.h"
#include "services/loyalty/rule_work.h"

namespace clm::loyalty {
namespace {

// Beside what earn rules count, whose ids have no colon.
CountKey DayOfAdjustments(const Program& program, const WalletTerms& wallet,
                          const MemberKey& member, absl::Time at) {
  constexpr EarnCap::Period kDay = EarnCap::Period::kDay;
  return {member, absl::StrCat("adjust:", wallet.id), kDay,
          CapPeriodStart(kDay, at, ZoneOf(program))};
}

}  // namespace

WalletSession::Admit AdmitFor(int64_t amount) {
  return amount > 0 ? WalletSession::Admit::kNewcomers : WalletSession::Admit::kMembers;
}

int64_t SpendOf(int64_t amount) { return std::max<int64_t>(0, -amount); }

absl::StatusOr<EarnTerms> ParseAdjustTerms(const std::string& expiry) {
  return ParseEarnTerms("", ToString(PendingRule()), expiry);
}

absl::StatusOr<StoredPosting> Adjust(WalletSession& session, int64_t amount, const EarnTerms& terms,
                                     PostingNote note) {
  const absl::Time now = session.now();
  CLM_ASSIGN_OR_RETURN(const Posting posting,
                       amount > 0 ? AdjustUp(session.wallet(), LotOf(session, amount, terms, now),
                                             Uuid::V7(now), now)
                                  : AdjustDown(session.wallet(), -amount, Uuid::V7(now), now));
  note.amount = amount;
  return session.Post(posting, std::move(note));
}

void NeedForAdjustments(LoyaltyWork& work) {
  for (const AdjustmentWork::Day& day : work.adjustments().days()) {
    const Program* program = work.FindProgram({day.member.tenant, day.member.program});
    if (program == nullptr) continue;
    const auto wallet = FindWallet(*program, day.wallet);
    if (!wallet.ok()) continue;
    work.rules().NeedCount(DayOfAdjustments(*program, **wallet, day.member, day.at));
  }
}

absl::Status CountAdjustment(LoyaltyWork& work, const WalletSession& session, int64_t amount,
                             absl::Time at) {
  const CountKey day = DayOfAdjustments(session.program(), session.terms(), session.member(), at);
  if (!work.rules().HasCount(day)) return ProgramChanged();
  if (work.rules().HasReceived(day.member)) {
    return error::Make(absl::StatusCode::kAborted, "MEMBER_MERGING",
                       "somebody was merged into the member at the same time; repeat the request");
  }
  const int64_t corrected = work.rules().CountOf(day);
  CLM_ASSIGN_OR_RETURN(const int64_t after,
                       CorrectedWith(session.terms().adjustment_limit, corrected, amount));
  work.rules().AddToCount(day, after - corrected);
  return absl::OkStatus();
}

}  // namespace clm::loyalty
