#include "services/loyalty/merge_members.h"

#include <string>
#include <utility>

#include "clm/loyalty/v1/loyalty_event.pb.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/referral_changes.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using Admit = WalletSession::Admit;

absl::Status MergeWallet(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& merged,
                         const MemberKey& survivor, const std::string& wallet) {
  CLM_ASSIGN_OR_RETURN(WalletSession from,
                       WalletSession::Open(work, recorder, merged, wallet, Admit::kErased));
  CLM_ASSIGN_OR_RETURN(WalletSession into,
                       WalletSession::Open(work, recorder, survivor, wallet, Admit::kErased));
  for (const auto& [id, hold] : from.wallet().holds) {
    LoyaltyWork::HoldPlace place = *work.FindHold(merged, id);
    place.wallet = into.key();
    work.SaveHold(survivor, id, std::move(place));
  }
  const Totals& totals = from.wallet().totals;
  const int64_t moved = totals.active + totals.pending + totals.held - totals.debt;
  CLM_ASSIGN_OR_RETURN(const Posting posting, MergeWallets(from.wallet(), into.wallet(),
                                                           Uuid::V7(from.now()), from.now()));
  if (!posting.entries.empty()) {
    from.Post(posting, {.amount = moved, .peer = survivor.contact});
    into.Post(posting, {.amount = moved, .peer = merged.contact});
  }
  work.MoveAll(from.key(), into.key());
  CLM_RETURN_IF_ERROR(from.Record());
  CLM_RETURN_IF_ERROR(into.Record());
  return absl::OkStatus();
}

// The survivor's part in the programme: the earlier beginning of the two counts.
void JoinAs(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& survivor,
            absl::Time enrol_time) {
  const Member* known = work.FindMember(survivor);
  if (known == nullptr) Enrol(work, recorder, survivor);
  Member member = *work.FindMember(survivor);
  if (enrol_time >= member.enrol_time) return;
  member.enrol_time = enrol_time;
  work.SaveMember(survivor, member);
}

}  // namespace

absl::Status MergeMembers(LoyaltyWork& work, journal::Recorder& recorder, const EntityKey& merged,
                          const EntityKey& survivor) {
  for (const MemberKey& key : work.MembersOf(merged)) {
    Member member = *work.FindMember(key);
    if (member.merged_into) continue;
    const MemberKey to{key.tenant, key.program, survivor.id};
    JoinAs(work, recorder, to, member.enrol_time);
    for (const WalletKey& wallet : work.WalletsOf(key)) {
      CLM_RETURN_IF_ERROR(MergeWallet(work, recorder, key, to, wallet.wallet));
    }
    CLM_RETURN_IF_ERROR(MoveTier(work, recorder, key, to));
    member.merged_into = survivor.id;
    member.tier_due = absl::InfiniteFuture();
    work.SaveMember(key, member);
    v1::MembersMerged event;
    event.set_member(NameOf(to));
    event.set_merged_member(NameOf(key));
    recorder.Record({.shard = ShardOf(to.tenant, to.contact),
                     .tenant = to.tenant,
                     .subject = event.member(),
                     .type = v1::MembersMerged::descriptor()->full_name(),
                     .payload = event.SerializeAsString()});
  }
  MergeReferrals(work, recorder, merged, survivor);
  work.orders().Move(merged, survivor);
  work.adjustments().Move(merged, survivor);
  work.AliasMoved(merged, survivor.id);
  return absl::OkStatus();
}

}  // namespace clm::loyalty
