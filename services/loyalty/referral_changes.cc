#include "services/loyalty/referral_changes.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/referral_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/earn_terms.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_tier.h"
#include "services/loyalty/referral_proto.h"
#include "services/loyalty/rule_earning.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

MemberKey MemberIn(const ReferralKey& key, const Uuid& contact) {
  return {key.tenant, key.program, contact};
}

void SaveIfChanged(LoyaltyWork& work, journal::Recorder& recorder, StoredReferral referral,
                   ReferralCourse course) {
  if (course == referral.course) return;
  referral.course = std::move(course);
  SaveReferral(work, recorder, std::move(referral));
}

absl::Status GiveReward(LoyaltyWork& work, journal::Recorder& recorder,
                        const StoredReferral& referral, const std::optional<Uuid>& contact,
                        int64_t points, ReferralReward& reward) {
  if (!contact || points == 0) return absl::OkStatus();
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, MemberIn(referral.key, *contact),
                          referral.course.terms.wallet, WalletSession::Admit::kNewcomers));
  const absl::Time now = session.now();
  const NewLot lot = LotOf(session, points, {}, now);
  CLM_ASSIGN_OR_RETURN(const Posting posting, Earn(session.wallet(), lot, Uuid::V7(now), now));
  PostingNote note;
  note.amount = points;
  note.reason = absl::StrCat("referral ", referral.key.id.ToString());
  note.earn_time = lot.earn_time;
  const StoredPosting posted = session.Post(posting, std::move(note));
  reward = {*contact, posted.key.number, lot.id, points, 0};
  return session.Record();
}

absl::Status TakeBackReward(LoyaltyWork& work, journal::Recorder& recorder,
                            const StoredReferral& referral, const std::optional<Uuid>& contact,
                            ReferralReward& reward) {
  if (!contact || !reward.lot || !reward.member) return absl::OkStatus();
  const MemberKey member = MemberIn(referral.key, *contact);
  const Program& program = *work.FindProgram({member.tenant, member.program});
  PostingNote note;
  note.reason = absl::StrCat("referral ", referral.key.id.ToString());
  CLM_ASSIGN_OR_RETURN(
      const PointsTaken taken,
      TakeBack(work, recorder, program, member, *reward.member,
               {"", referral.course.terms.wallet, reward.number, *reward.lot, reward.points},
               reward.points, std::nullopt, recorder.now(), std::move(note)));
  reward.returned = taken.taken;
  return UpdateTier(work, recorder, member, recorder.now());
}

absl::Status TakeBackBoth(LoyaltyWork& work, journal::Recorder& recorder,
                          StoredReferral& referral) {
  CLM_RETURN_IF_ERROR(
      TakeBackReward(work, recorder, referral, referral.friend_contact, referral.friend_reward));
  return TakeBackReward(work, recorder, referral, referral.advocate, referral.advocate_reward);
}

// As it was read, so that what it needs is loaded.
bool IsAsKnown(const StoredReferral* referral, const StoredReferral& known) {
  return referral != nullptr && referral->version == known.version &&
         referral->friend_contact == known.friend_contact && referral->advocate == known.advocate;
}

}  // namespace

void SaveReferral(LoyaltyWork& work, journal::Recorder& recorder, StoredReferral referral) {
  ++referral.version;
  v1::ReferralChanged changed;
  *changed.mutable_referral() = ToProto(referral);
  const std::string& tenant = referral.key.tenant;
  recorder.Record({.shard = referral.friend_contact ? ShardOf(tenant, *referral.friend_contact)
                                                    : ShardOf(tenant, referral.key.id),
                   .tenant = tenant,
                   .subject = NameOf(referral.key),
                   .type = v1::ReferralChanged::descriptor()->full_name(),
                   .subject_version = referral.version,
                   .payload = changed.SerializeAsString()});
  work.referrals().SaveReferral(referral);
}

absl::Status ApplyToReferrals(LoyaltyWork& work, journal::Recorder& recorder,
                              const Program& program, const CustomerEvent& event) {
  if (!program.referrals) return absl::OkStatus();
  const MemberKey key{program.tenant, program.id, event.contact.id};
  if (event.refund_of) {
    for (const StoredReferral& referral : work.referrals().ReferralsOf(key)) {
      if (!referral.course.purchase || referral.course.purchase->event != *event.refund_of) {
        continue;
      }
      SaveIfChanged(work, recorder, referral,
                    OnRefund(referral.course,
                             event.has_amount ? std::optional(event.amount_minor) : std::nullopt,
                             recorder.now()));
    }
  }
  if (event.fact.event_type != program.referrals->event_type) return absl::OkStatus();
  const Member* member = work.FindMember(key);
  if (member != nullptr && member->erased) return absl::OkStatus();
  const ReferralPurchase purchase{event.id, event.occur_time, event.amount_minor};
  if (Qualifies(*program.referrals, event.fact.currency, event.amount_minor)) {
    const ReferralPurchase* first = work.referrals().FirstPurchaseOf(key);
    if (first == nullptr || IsBefore(purchase, *first)) {
      work.referrals().SavePurchase(key, purchase);
      // It may come after all else was moved to whom the contact was merged into.
      if (const auto into = MergedInto(work, key)) {
        work.SaveAlias({key.tenant, key.contact}, *into);
      }
    }
  }
  for (const StoredReferral& referral : work.referrals().ReferralsOf(key)) {
    if (!Qualifies(referral.course.terms, event.fact.currency, event.amount_minor)) continue;
    SaveIfChanged(work, recorder, referral,
                  OnPurchase(referral.course, purchase, recorder.now(), ZoneOf(program)));
  }
  return absl::OkStatus();
}

void NeedReferralSides(LoyaltyWork& work, const StoredReferral& known) {
  work.referrals().NeedReferral(known.key);
  work.NeedProgram({known.key.tenant, known.key.program});
  const auto need = [&](const std::optional<Uuid>& contact, const ReferralReward& reward) {
    if (!contact) return;
    const MemberKey member = MemberIn(known.key, *contact);
    work.NeedMember(member);
    const WalletKey wallet{member.tenant, member.program, known.course.terms.wallet, *contact};
    work.NeedWallet(wallet);
    if (reward.member && reward.lot) {
      work.NeedPosting({MemberIn(known.key, *reward.member), wallet.wallet, reward.number}, wallet,
                       /*take_back=*/true);
    }
  };
  need(known.friend_contact, known.friend_reward);
  need(known.advocate, known.advocate_reward);
}

absl::Status SettleReferral(LoyaltyWork& work, journal::Recorder& recorder,
                            const StoredReferral& known) {
  const StoredReferral* stored = work.referrals().FindReferral(known.key);
  if (!IsAsKnown(stored, known)) return absl::OkStatus();
  StoredReferral referral = *stored;
  const absl::Time now = recorder.now();
  switch (DueOf(referral.course, now)) {
    case ReferralDue::kNothing:
      return absl::OkStatus();
    case ReferralDue::kExpire:
      referral.course = Expired(referral.course, now);
      break;
    case ReferralDue::kReward:
      CLM_RETURN_IF_ERROR(GiveReward(work, recorder, referral, referral.friend_contact,
                                     referral.course.terms.friend_points, referral.friend_reward));
      CLM_RETURN_IF_ERROR(GiveReward(work, recorder, referral, referral.advocate,
                                     referral.course.terms.advocate_points,
                                     referral.advocate_reward));
      referral.course = Rewarded(referral.course, now);
      break;
    case ReferralDue::kTakeBack:
      CLM_RETURN_IF_ERROR(TakeBackBoth(work, recorder, referral));
      referral.course = TakenBack(referral.course, referral.course.end_reason, now);
      break;
  }
  SaveReferral(work, recorder, std::move(referral));
  return absl::OkStatus();
}

absl::Status CancelReferral(LoyaltyWork& work, journal::Recorder& recorder,
                            const StoredReferral& known) {
  const StoredReferral* stored = work.referrals().FindReferral(known.key);
  if (!IsAsKnown(stored, known)) {
    return error::Make(absl::StatusCode::kAborted, "REFERRAL_CHANGED",
                       "the referral was changed at the same time; repeat the request");
  }
  StoredReferral referral = *stored;
  const absl::Time now = recorder.now();
  if (IsOpen(referral.course.state)) {
    referral.course = OnCancel(referral.course, ReferralEnd::kByHand, now);
  } else if (referral.course.state == ReferralState::kRewarded) {
    CLM_RETURN_IF_ERROR(TakeBackBoth(work, recorder, referral));
    referral.course = TakenBack(referral.course, ReferralEnd::kByHand, now);
  } else {
    return error::Precondition("REFERRAL_ENDED", "the referral has ended already");
  }
  SaveReferral(work, recorder, std::move(referral));
  return absl::OkStatus();
}

void MergeReferrals(LoyaltyWork& work, journal::Recorder& recorder, const EntityKey& merged,
                    const EntityKey& survivor) {
  const absl::Time now = recorder.now();
  std::set<ProgramKey> programs;
  for (const EntityKey& contact : {merged, survivor}) {
    for (ProgramKey& program : work.referrals().ProgramsOf(contact)) {
      programs.insert(std::move(program));
    }
  }
  for (const ProgramKey& key : programs) {
    const MemberKey from{key.tenant, key.program, merged.id};
    const MemberKey into{key.tenant, key.program, survivor.id};
    const absl::TimeZone zone = ZoneOf(*work.FindProgram(key));
    for (StoredReferral referral : work.referrals().ReferralsOf(from)) {
      referral.friend_contact = survivor.id;
      SaveReferral(work, recorder, std::move(referral));
    }
    bool referred = false;
    for (const StoredReferral& referral : work.referrals().ReferralsOf(into)) {
      ReferralCourse course = referral.course;
      if (referral.advocate == merged.id || referral.advocate == survivor.id) {
        course = OnCancel(course, ReferralEnd::kSamePerson, now);
      }
      if (referred) course = OnCancel(course, ReferralEnd::kReferredBefore, now);
      // What one of the two has bought is the other's first purchase too.
      for (const MemberKey& who : {from, into}) {
        const ReferralPurchase* first = work.referrals().FirstPurchaseOf(who);
        if (first != nullptr) course = OnPurchase(course, *first, now, zone);
      }
      referred = referred || (course.state != ReferralState::kCancelled &&
                              course.state != ReferralState::kExpired);
      SaveIfChanged(work, recorder, referral, std::move(course));
    }
  }
  work.referrals().MoveAll(merged, survivor.id);
}

void ForgetReferrals(LoyaltyWork& work, journal::Recorder& recorder, const EntityKey& contact) {
  for (const ProgramKey& key : work.referrals().ProgramsOf(contact)) {
    const MemberKey who{key.tenant, key.program, contact.id};
    for (StoredReferral referral : work.referrals().ReferralsOf(who)) {
      SaveIfChanged(work, recorder, referral,
                    OnCancel(referral.course, ReferralEnd::kErased, recorder.now()));
    }
  }
  work.referrals().Forget(contact);
}

}  // namespace clm::loyalty
