#include "services/loyalty/wallet_session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_tier.h"

namespace clm::loyalty {
namespace {

constexpr char kMoved[] = "MEMBER_MOVED";

// The entries of one member, balanced by themselves: what goes to the other member, or comes from
// there, passes through TRANSFERRED.
std::vector<Entry> PartOf(const std::vector<Entry>& entries, const Uuid& member) {
  std::vector<Entry> part;
  int64_t sum = 0;
  for (const Entry& entry : entries) {
    if (entry.member != member) continue;
    part.push_back(entry);
    sum += entry.amount;
  }
  if (sum != 0) part.push_back({member, Account::kTransferred, std::nullopt, -sum});
  return part;
}

}  // namespace

void RecordFor(journal::Recorder& recorder, const MemberKey& member, int64_t version,
               const google::protobuf::Message& payload) {
  recorder.Record({.shard = ShardOf(member.tenant, member.contact),
                   .tenant = member.tenant,
                   .subject = NameOf(member),
                   .type = payload.GetDescriptor()->full_name(),
                   .subject_version = version,
                   .payload = payload.SerializeAsString()});
}

absl::Status ProgramChanged() {
  return error::Make(absl::StatusCode::kAborted, "PROGRAM_CHANGED",
                     "the programme was changed at the same time; repeat the request");
}

absl::Status Moved(const Uuid& to) {
  return error::Make(absl::StatusCode::kAborted, kMoved, "the member's contact was merged",
                     {{"contact", to.ToString()}});
}

std::optional<Uuid> MovedTo(const absl::Status& status) {
  if (error::Reason(status) != kMoved) return std::nullopt;
  return Uuid::Parse(error::MetadataValue(status, "contact"));
}

std::optional<Uuid> MergedInto(const LoyaltyWork& work, const MemberKey& member) {
  const Member* known = work.FindMember(member);
  return known != nullptr ? known->merged_into : work.AliasOf({member.tenant, member.contact});
}

absl::Status MemberMerged(absl::string_view field, const MemberKey& member, const Uuid& into) {
  MemberKey now = member;
  now.contact = into;
  return error::Precondition("MEMBER_MERGED",
                             absl::StrCat(field, ": was merged into ", NameOf(now)),
                             {{"member", NameOf(now)}});
}

void Enrol(LoyaltyWork& work, journal::Recorder& recorder, const MemberKey& key) {
  work.SaveMember(key, {.enrol_time = recorder.now()});
  v1::MemberEnrolled enrolled;
  enrolled.set_member(NameOf(key));
  RecordFor(recorder, key, 1, enrolled);
}

absl::StatusOr<WalletSession> WalletSession::Open(LoyaltyWork& work, journal::Recorder& recorder,
                                                  const MemberKey& member,
                                                  const std::string& wallet, Admit admit,
                                                  std::optional<absl::Time> now) {
  const Program* program = work.FindProgram({member.tenant, member.program});
  if (program == nullptr) return error::NotFound(NameOf(ProgramKey{member.tenant, member.program}));
  CLM_ASSIGN_OR_RETURN(const WalletTerms* terms, FindWallet(*program, wallet));
  if (const auto into = MergedInto(work, member)) return Moved(*into);
  const Member* known = work.FindMember(member);
  if (known == nullptr) {
    if (admit != Admit::kNewcomers || program->join_policy == JoinPolicy::kEnrolment) {
      return error::NotFound(NameOf(member));
    }
    Enrol(work, recorder, member);
  } else if (known->erased && admit != Admit::kErased) {
    return error::Precondition("MEMBER_ERASED",
                               "member: the person was erased; their points do not move any more");
  }
  if (!work.HasWallet({member.tenant, member.program, terms->id, member.contact})) {
    return ProgramChanged();
  }
  WalletSession session(work, recorder, member, *program, *terms, now.value_or(recorder.now()));
  CLM_RETURN_IF_ERROR(session.SettleNow());
  return session;
}

absl::Status WalletSession::SettleNow() {
  CLM_ASSIGN_OR_RETURN(const std::vector<Posting> postings, Settle(*wallet_, now_));
  for (const Posting& posting : postings) {
    int64_t amount = 0;
    for (const Entry& entry : posting.entries) amount += std::max<int64_t>(0, entry.amount);
    const StoredPosting stored = Post(posting, {.amount = amount});
    for (const auto& [id, hold] : wallet_->holds) {
      if (posting.id != TimeOutPosting(id)) continue;
      LoyaltyWork::HoldPlace ended = *work_->FindHold(member_, id);
      ended.end_posting = stored.key.number;
      work_->SaveHold(member_, id, std::move(ended));
    }
  }
  return absl::OkStatus();
}

StoredPosting WalletSession::Post(const Posting& posting, PostingNote note) {
  StoredPosting stored;
  stored.posting = posting;
  stored.posting.entries = PartOf(posting.entries, member_.contact);
  stored.amount = note.amount;
  stored.reason = std::move(note.reason);
  stored.actor = std::move(note.actor);
  stored.source = std::move(note.source);
  stored.external_id = std::move(note.external_id);
  stored.order = std::move(note.order);
  stored.refers_to = std::move(note.refers_to);
  stored.peer = note.peer;
  if (note.earn_time && program_->tiers &&
      program_->tiers->scheme.basis == TierBasis::kPointsEarned &&
      TierWallet(*program_).id == terms_->id) {
    const int64_t sign = posting.kind == PostingKind::kReturn ? -1 : 1;
    CountForTier(*work_, *program_, member_, *note.earn_time, sign * note.amount);
  }
  StoredPosting posted = work_->Post(key(), std::move(stored));
  v1::Posting* told = posted_.add_postings();
  *told = ToProto(posted);
  // Free text may name a person, and the journal is kept.
  told->clear_reason();
  return posted;
}

v1::Balance WalletSession::balance() const { return ToProto(terms_->id, wallet_->totals); }

absl::Status WalletSession::Record() {
  if (posted_.postings().empty()) return absl::OkStatus();
  RecordPostings();
  return UpdateTier(*work_, *recorder_, member_, now_);
}

void WalletSession::RecordPostings() {
  if (posted_.postings().empty()) return;
  *posted_.add_balances() = balance();
  RecordFor(*recorder_, member_, work_->PostingsIn(key()), posted_);
  posted_.Clear();
}

absl::Status SettleWallet(LoyaltyWork& work, journal::Recorder& recorder, const WalletKey& key) {
  const MemberKey member{key.tenant, key.program, key.member};
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, member, key.wallet, WalletSession::Admit::kErased));
  return session.Record();
}

}  // namespace clm::loyalty
