#include "services/loyalty/bonus_granting.h"

#include <string>
#include <utility>

#include "clm/loyalty/v1/bonus_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/adjusting.h"
#include "services/loyalty/bonus_proto.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

MemberKey PayeeOf(const BonusRun& run, const BonusGrant& grant) {
  return {run.key.tenant, run.key.program, grant.payee};
}

}  // namespace

int ShardOfRun(const BonusRunKey& key) {
  return ShardOf(key.tenant, absl::string_view(NameOf(key)));
}

v1::BonusRun KeepBonusRun(LoyaltyWork& work, journal::Recorder& recorder, BonusRun run) {
  ++run.version;
  work.bonuses().SaveRun(run);
  v1::BonusRun answer = ToProto(run);
  v1::BonusRunChanged changed;
  *changed.mutable_bonus_run() = answer;
  // Free text may name a person, and the journal is kept.
  changed.mutable_bonus_run()->clear_reason();
  recorder.Record({.shard = ShardOfRun(run.key),
                   .tenant = run.key.tenant,
                   .subject = NameOf(run.key),
                   .type = v1::BonusRunChanged::descriptor()->full_name(),
                   .subject_version = run.version,
                   .payload = changed.SerializeAsString()});
  return answer;
}

void NeedBonusGrant(LoyaltyWork& work, const BonusRun& run, const BonusGrant& grant) {
  const MemberKey payee = PayeeOf(run, grant);
  work.NeedProgram({payee.tenant, payee.program});
  work.NeedMember(payee);
  work.NeedWallet({payee.tenant, payee.program, run.wallet, payee.contact});
  work.bonuses().NeedGrant(run.key, grant.picked, grant.payee);
}

absl::Status GrantBonus(LoyaltyWork& work, journal::Recorder& recorder, const BonusRun& run,
                        const BonusGrant& grant) {
  const BonusRun* stored = work.bonuses().FindRun(run.key);
  if (stored == nullptr || stored->state != BonusRunState::kGranting) return absl::OkStatus();
  const BonusMember* picked = work.bonuses().FindMember(run.key, grant.picked);
  if (picked == nullptr || picked->state != BonusMemberState::kQualified) return absl::OkStatus();
  const MemberKey payee = PayeeOf(run, grant);
  if (const auto into = MergedInto(work, payee)) return Moved(*into);
  BonusMember after = *picked;
  if (work.bonuses().HasGot(run.key, grant.payee)) {
    after.state = BonusMemberState::kMerged;
    work.bonuses().SaveMember(run.key, after);
    return absl::OkStatus();
  }
  // Who somebody was merged into becomes a member by it, and need not be one yet.
  if (grant.payee != grant.picked && work.FindMember(payee) == nullptr) {
    Enrol(work, recorder, payee);
  }
  CLM_ASSIGN_OR_RETURN(const EarnTerms terms, ParseAdjustTerms(stored->expiry));
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, payee, stored->wallet, WalletSession::Admit::kMembers));
  CLM_ASSIGN_OR_RETURN(const StoredPosting posting, Adjust(session, stored->points, terms,
                                                           {.reason = BonusPostingReason(*stored),
                                                            .actor = stored->created_by}));
  CLM_RETURN_IF_ERROR(session.Record());
  after.state = BonusMemberState::kGranted;
  after.posted_for = grant.payee;
  after.posting = posting.key.number;
  work.bonuses().SaveMember(run.key, after);
  return absl::OkStatus();
}

void RefuseBonus(LoyaltyWork& work, const BonusRun& run, const BonusGrant& grant,
                 const absl::Status& why) {
  BonusMember after = *work.bonuses().FindMember(run.key, grant.picked);
  after.state = BonusMemberState::kRefused;
  after.refusal = error::Reason(why);
  work.bonuses().SaveMember(run.key, after);
}

}  // namespace clm::loyalty
