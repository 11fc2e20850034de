#include "services/loyalty/ledger_handlers.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "libs/journal/mutate.h"
#include "libs/rpc/fingerprint.h"
#include "libs/rpc/status.h"
#include "services/loyalty/ledger.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/member_mutation.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {
namespace {

using Admit = WalletSession::Admit;

WalletKey WalletOf(const MemberKey& member, const std::string& wallet) {
  return {member.tenant, member.program, wallet, member.contact};
}

// The instant that a rehearsal is about; nullopt: that of the transaction.
absl::StatusOr<std::optional<absl::Time>> RehearsalTime(bool dry_run, bool has_now,
                                                        const google::protobuf::Timestamp& now,
                                                        absl::Time present) {
  if (!has_now) return std::nullopt;
  if (!dry_run) return error::InvalidField("now", "is for dry_run only");
  const absl::Time time = clm::FromProto(now);
  if (time < present) return error::InvalidField("now", "lies in the past");
  return time;
}

// The caller's own id of what is asked for.
struct External {
  std::optional<ExternalKey> key;
  std::string fingerprint;
};

template <class Req>
absl::StatusOr<External> ExternalOf(const rpc::Call& call, const ProgramKey& program,
                                    PostingKind kind, const Req& request) {
  if (request.external_id().empty()) {
    if (request.source().empty()) return External();
    return error::InvalidField("source", "is for external_id only");
  }
  return External{
      ExternalKey{program.tenant, program.program, request.source(), request.external_id(), kind},
      rpc::Fingerprint(request, call.method)};
}

// The answer that the same id got before; nullopt when it is new. ALREADY_EXISTS when it was
// something else.
template <class Resp>
absl::StatusOr<std::optional<Resp>> Repeated(const LoyaltyWork& work, const External& external) {
  if (!external.key) return std::nullopt;
  const ExternalUse* use = work.FindExternal(*external.key);
  if (use == nullptr) return std::nullopt;
  if (use->fingerprint != external.fingerprint) {
    const std::string posting = NameOf(PostingKey{use->member, use->wallet, use->number});
    return error::Make(absl::StatusCode::kAlreadyExists, "EXTERNAL_ID_REUSED",
                       absl::StrCat("external_id: was used for another request, which made ",
                                    posting, "; compare the two, or use an id of its own"),
                       {{"posting", posting}});
  }
  if (use->response.empty()) {
    return error::Precondition("MEMBER_ERASED", "external_id: its member was erased");
  }
  Resp response;
  if (!response.ParseFromString(use->response)) {
    return error::Internal("the stored answer cannot be read");
  }
  return response;
}

template <class Resp>
void Remember(LoyaltyWork& work, const External& external, const PostingKey& posting,
              const Resp& response) {
  if (!external.key) return;
  work.SaveExternal(*external.key, {posting.member, posting.wallet, posting.number,
                                    external.fingerprint, response.SerializeAsString()});
}

template <class Req>
PostingNote NoteOf(const rpc::Call& call, const Req& request, int64_t amount) {
  PostingNote note;
  note.amount = amount;
  note.reason = request.reason();
  note.actor = call.caller.actor;
  return note;
}

template <class Req>
PostingNote ExternalNoteOf(const rpc::Call& call, const Req& request, int64_t amount) {
  PostingNote note = NoteOf(call, request, amount);
  note.source = request.source();
  note.external_id = request.external_id();
  return note;
}

v1::PostingResponse AnswerOf(const StoredPosting& posting, const WalletSession& session) {
  v1::PostingResponse response;
  *response.mutable_posting() = ToProto(posting);
  *response.mutable_balance() = session.balance();
  return response;
}

// How points are earned, where a request says something else than the wallet.
struct EarnTerms {
  std::optional<PendingRule> pending;
  std::optional<ExpiryRule> expiry;
};

absl::StatusOr<EarnTerms> ParseEarnTerms(const std::string& prefix,
                                         const v1::EarnPointsRequest& request) {
  EarnTerms terms;
  error::FieldErrors errors;
  if (!request.pending().empty()) {
    const auto pending = ParsePendingRule(prefix + "pending", request.pending());
    errors.AddStatus("", pending.status());
    if (pending.ok()) terms.pending = *pending;
  }
  if (!request.expiry().empty()) {
    const auto expiry = ParseExpiryRule(prefix + "expiry", request.expiry(), RoundUp::kNone);
    errors.AddStatus("", expiry.status());
    if (expiry.ok()) terms.expiry = *expiry;
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  return terms;
}

// A lot as the wallet's terms, or those of the request, want it.
NewLot LotOf(const WalletSession& session, int64_t amount, const EarnTerms& terms) {
  const absl::TimeZone zone = ZoneOf(session.program());
  const absl::Time now = session.now();
  NewLot lot{.id = Uuid::V7(now), .amount = amount, .earn_time = now};
  const PendingRule& pending = terms.pending ? *terms.pending : session.terms().pending;
  ExpiryRule expiry = session.terms().expiry;
  if (terms.expiry) expiry.after = terms.expiry->after;
  absl::Time counted_from = now;
  if (pending.kind != PendingRule::Kind::kImmediate) {
    const std::optional<absl::Time> active = ActiveFrom(pending, now, zone);
    lot.activate_time = active.value_or(absl::InfiniteFuture());
    counted_from = active.value_or(now);
  }
  lot.expire_time = ExpireTime(expiry, counted_from, zone);
  return lot;
}

absl::StatusOr<StoredPosting> EarnIn(WalletSession& session, int64_t amount, const EarnTerms& terms,
                                     PostingNote note) {
  const absl::Time now = session.now();
  CLM_ASSIGN_OR_RETURN(const Posting posting,
                       Earn(session.wallet(), LotOf(session, amount, terms), Uuid::V7(now), now));
  return session.Post(posting, std::move(note));
}

// The redemption's parts, in the order in which they were taken.
std::vector<Allocation> AllocationsOf(const Posting& posting, const Wallet& wallet) {
  std::vector<Allocation> allocations;
  for (const Entry& entry : posting.entries) {
    if (entry.account == Account::kRedeemed && entry.lot) {
      allocations.push_back({*entry.lot, entry.amount});
    }
  }
  std::sort(allocations.begin(), allocations.end(), [&](const Allocation& a, const Allocation& b) {
    const auto first = wallet.lots.find(a.lot);
    const auto second = wallet.lots.find(b.lot);
    if (first == wallet.lots.end() || second == wallet.lots.end()) return a.lot < b.lot;
    return SpendsBefore(first->second, second->second);
  });
  return allocations;
}

int64_t SumOf(const std::vector<StoredPosting>& postings, PostingKind kind) {
  int64_t sum = 0;
  for (const StoredPosting& posting : postings) {
    if (posting.posting.kind == kind) sum += posting.amount;
  }
  return sum;
}

// The posting that a request is about.
absl::StatusOr<StoredPosting> RequirePosting(const LoyaltyWork& work, const PostingKey& key,
                                             std::initializer_list<PostingKind> kinds,
                                             absl::string_view what) {
  const StoredPosting* posting = work.FindPosting(key);
  if (posting == nullptr) return error::NotFound(NameOf(key));
  if (std::find(kinds.begin(), kinds.end(), posting->posting.kind) == kinds.end()) {
    return error::Precondition(
        "POSTING_KIND",
        absl::StrCat("posting: is of kind ", Name(posting->posting.kind), "; ", what),
        {{"kind", std::string(Name(posting->posting.kind))}});
  }
  return *posting;
}

// The lot that an earn made.
absl::StatusOr<Uuid> LotOf(const StoredPosting& posting) {
  for (const Entry& entry : posting.posting.entries) {
    if (entry.lot) return *entry.lot;
  }
  return error::Internal("a posting that earned points names no lot");
}

int64_t MetadataNumber(const absl::Status& status, absl::string_view key) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(error::MetadataValue(status, key), &number)) return 0;
  return number;
}

// What every change of one member needs.
void DeclareMember(LoyaltyWork& work, const MemberKey& member) {
  work.NeedProgram({member.tenant, member.program});
  work.NeedMember(member);
}

}  // namespace

void LedgerHandlers::EarnPoints(const rpc::Call& call, const v1::EarnPointsRequest& request,
                                rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto terms = ParseEarnTerms("", request);
  if (!terms.ok()) return reply(terms.status());
  const auto external =
      ExternalOf(call, {member->tenant, member->program}, PostingKind::kEarn, request);
  if (!external.ok()) return reply(external.status());
  const auto now = RehearsalTime(request.dry_run(), request.has_now(), request.now(), call.now);
  if (!now.ok()) return reply(now.status());
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.rehearsal = request.dry_run();
  mutation.declare = [request, external = *external, now = *now](LoyaltyWork& work,
                                                                 const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedWallet(WalletOf(m, request.wallet()));
    if (now) work.NeedDueBy(*now);
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.apply = [call, request, terms = *terms, external = *external, now = *now](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    CLM_ASSIGN_OR_RETURN(auto repeated, Repeated<v1::PostingResponse>(work, external));
    if (repeated) return *std::move(repeated);
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, m, request.wallet(), Admit::kNewcomers, now));
    CLM_ASSIGN_OR_RETURN(
        const StoredPosting posting,
        EarnIn(session, request.amount(), terms, ExternalNoteOf(call, request, request.amount())));
    v1::PostingResponse response = AnswerOf(posting, session);
    Remember(work, external, posting.key, response);
    session.Record();
    return response;
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void LedgerHandlers::ActivatePoints(const rpc::Call& call, const v1::ActivatePointsRequest& request,
                                    rpc::Reply<v1::PostingResponse> reply) {
  const auto key = ParsePostingName("posting", request.posting());
  if (!key.ok()) return reply(key.status());
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, key->member.tenant, request);
  mutation.member = key->member;
  mutation.declare = [key = *key](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedPosting(key, WalletOf(m, key.wallet));
  };
  mutation.apply = [call, request, key = *key](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, m, key.wallet, Admit::kMembers));
    CLM_ASSIGN_OR_RETURN(
        const StoredPosting earned,
        RequirePosting(work, key, {PostingKind::kEarn}, "only earned points can be made active"));
    CLM_ASSIGN_OR_RETURN(const Uuid lot, LotOf(earned));
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         Activate(session.wallet(), lot, Uuid::V7(session.now()), session.now()));
    PostingNote note = NoteOf(call, request, earned.amount);
    note.refers_to = key;
    const StoredPosting posted = session.Post(posting, std::move(note));
    session.Record();
    return AnswerOf(posted, session);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void LedgerHandlers::RedeemPoints(const rpc::Call& call, const v1::RedeemPointsRequest& request,
                                  rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto external =
      ExternalOf(call, {member->tenant, member->program}, PostingKind::kRedeem, request);
  if (!external.ok()) return reply(external.status());
  const auto now = RehearsalTime(request.dry_run(), request.has_now(), request.now(), call.now);
  if (!now.ok()) return reply(now.status());
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.rehearsal = request.dry_run();
  mutation.declare = [request, external = *external, now = *now](LoyaltyWork& work,
                                                                 const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedWallet(WalletOf(m, request.wallet()), request.amount());
    if (now) work.NeedDueBy(*now);
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.apply = [call, request, external = *external, now = *now](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    CLM_ASSIGN_OR_RETURN(auto repeated, Repeated<v1::PostingResponse>(work, external));
    if (repeated) return *std::move(repeated);
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, m, request.wallet(), Admit::kMembers, now));
    const auto redemption =
        Redeem(session.wallet(), request.amount(), Uuid::V7(session.now()), session.now());
    if (request.dry_run() && error::Reason(redemption.status()) == "POINTS_SHORT") {
      v1::PostingResponse response;
      *response.mutable_balance() = session.balance();
      response.set_shortfall(MetadataNumber(redemption.status(), "shortfall"));
      return response;
    }
    CLM_RETURN_IF_ERROR(redemption.status());
    const StoredPosting posting =
        session.Post(redemption->posting, ExternalNoteOf(call, request, request.amount()));
    v1::PostingResponse response = AnswerOf(posting, session);
    Remember(work, external, posting.key, response);
    session.Record();
    return response;
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void LedgerHandlers::CancelRedemption(const rpc::Call& call,
                                      const v1::CancelRedemptionRequest& request,
                                      rpc::Reply<v1::PostingResponse> reply) {
  const auto key = ParsePostingName("posting", request.posting());
  if (!key.ok()) return reply(key.status());
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, key->member.tenant, request);
  mutation.member = key->member;
  mutation.declare = [key = *key](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedPosting(key, WalletOf(m, key.wallet));
  };
  mutation.apply = [call, request, key = *key](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, m, key.wallet, Admit::kMembers));
    CLM_ASSIGN_OR_RETURN(
        const StoredPosting redeemed,
        RequirePosting(work, key, {PostingKind::kRedeem, PostingKind::kCapture},
                       "only a redemption can be cancelled, or the capture of a hold"));
    Cancellation cancellation;
    cancellation.allocations = AllocationsOf(redeemed.posting, session.wallet());
    cancellation.cancelled = SumOf(work.References(key), PostingKind::kCancelRedemption);
    if (request.amount() > 0) cancellation.amount = request.amount();
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         loyalty::CancelRedemption(session.wallet(), cancellation,
                                                   Uuid::V7(session.now()), session.now()));
    const int64_t rest = redeemed.amount - cancellation.cancelled;
    PostingNote note = NoteOf(call, request, request.amount() > 0 ? request.amount() : rest);
    note.refers_to = key;
    const StoredPosting posted = session.Post(posting, std::move(note));
    session.Record();
    return AnswerOf(posted, session);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void LedgerHandlers::HoldPoints(const rpc::Call& call, const v1::HoldPointsRequest& request,
                                rpc::Reply<v1::HoldResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto external =
      ExternalOf(call, {member->tenant, member->program}, PostingKind::kHold, request);
  if (!external.ok()) return reply(external.status());
  std::optional<DurationSpec> duration;
  if (!request.duration().empty()) {
    const auto parsed = ParseDurationSpec("duration", request.duration());
    if (!parsed.ok()) return reply(parsed.status());
    duration = *parsed;
  }
  MemberMutation<v1::HoldResponse> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.declare = [request, external = *external](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedWallet(WalletOf(m, request.wallet()), request.amount());
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.apply = [call, request, duration, external = *external](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::HoldResponse> {
    CLM_ASSIGN_OR_RETURN(auto repeated, Repeated<v1::HoldResponse>(work, external));
    if (repeated) return *std::move(repeated);
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, m, request.wallet(), Admit::kMembers));
    const absl::Time now = session.now();
    const PendingRule lasts{PendingRule::Kind::kAfter, duration.value_or(session.program().hold)};
    NewHold hold{.id = Uuid::V7(now), .amount = request.amount()};
    hold.expire_time = *ActiveFrom(lasts, now, ZoneOf(session.program()));
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         PlaceHold(session.wallet(), hold, Uuid::V7(now), now));
    const StoredPosting posted =
        session.Post(posting, ExternalNoteOf(call, request, request.amount()));
    work.SaveHold(m, hold.id, {.wallet = session.key(), .create_time = now});
    v1::HoldResponse response;
    *response.mutable_hold() =
        ToProto(m, session.wallet().holds.at(hold.id), *work.FindHold(m, hold.id));
    *response.mutable_balance() = session.balance();
    Remember(work, external, posted.key, response);
    session.Record();
    return response;
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

namespace {

// Ends a hold by `end`, which answers with the posting and how many points were spent.
template <class Req, class End>
void EndHold(journal::Lanes& lanes, const rpc::Call& call, const Req& request, End end,
             rpc::Reply<v1::HoldResponse> reply) {
  const auto name = ParseHoldName("hold", request.hold());
  if (!name.ok()) return reply(name.status());
  MemberMutation<v1::HoldResponse> mutation;
  mutation.info = journal::InfoFor(call, name->member.tenant, request);
  mutation.member = name->member;
  mutation.declare = [id = name->hold](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedHold(m, id);
  };
  mutation.apply = [call, request, end, id = name->hold](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::HoldResponse> {
    if (const auto into = MergedInto(work, m)) return Moved(*into);
    if (work.FindHold(m, id) == nullptr) return error::NotFound(NameOf(HoldName{m, id}));
    LoyaltyWork::HoldPlace place = *work.FindHold(m, id);
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, m, place.wallet.wallet, Admit::kMembers));
    int64_t held = 0;
    for (const Allocation& part : session.wallet().holds.at(id).allocations) held += part.amount;
    CLM_ASSIGN_OR_RETURN(const auto ended, end(session, id));
    const auto& [posting, captured] = ended;
    const int64_t amount = posting.kind == PostingKind::kCapture ? captured : held;
    const StoredPosting posted = session.Post(posting, NoteOf(call, request, amount));
    place.captured = captured;
    place.end_posting = posted.key.number;
    work.SaveHold(m, id, place);
    v1::HoldResponse response;
    *response.mutable_hold() = ToProto(m, session.wallet().holds.at(id), place);
    *response.mutable_balance() = session.balance();
    session.Record();
    return response;
  };
  RunOnMember(lanes, std::move(mutation), std::move(reply));
}

}  // namespace

void LedgerHandlers::CaptureHold(const rpc::Call& call, const v1::CaptureHoldRequest& request,
                                 rpc::Reply<v1::HoldResponse> reply) {
  const auto capture = [amount = request.amount()](
                           WalletSession& session,
                           const Uuid& id) -> absl::StatusOr<std::pair<Posting, int64_t>> {
    int64_t points = amount;
    if (points == 0) {
      for (const Allocation& part : session.wallet().holds.at(id).allocations)
        points += part.amount;
    }
    CLM_ASSIGN_OR_RETURN(
        const Redemption redemption,
        loyalty::CaptureHold(session.wallet(), id, points, Uuid::V7(session.now()), session.now()));
    return std::pair(redemption.posting, points);
  };
  EndHold(*parts_.lanes, call, request, capture, std::move(reply));
}

void LedgerHandlers::ReleaseHold(const rpc::Call& call, const v1::ReleaseHoldRequest& request,
                                 rpc::Reply<v1::HoldResponse> reply) {
  const auto release = [](WalletSession& session,
                          const Uuid& id) -> absl::StatusOr<std::pair<Posting, int64_t>> {
    CLM_ASSIGN_OR_RETURN(
        const Posting posting,
        loyalty::ReleaseHold(session.wallet(), id, Uuid::V7(session.now()), session.now()));
    return std::pair(posting, int64_t{0});
  };
  EndHold(*parts_.lanes, call, request, release, std::move(reply));
}

void LedgerHandlers::ReturnPoints(const rpc::Call& call, const v1::ReturnPointsRequest& request,
                                  rpc::Reply<v1::ReturnPointsResponse> reply) {
  const auto key = ParsePostingName("posting", request.posting());
  if (!key.ok()) return reply(key.status());
  const auto external =
      ExternalOf(call, {key->member.tenant, key->member.program}, PostingKind::kReturn, request);
  if (!external.ok()) return reply(external.status());
  MemberMutation<v1::ReturnPointsResponse> mutation;
  mutation.info = journal::InfoFor(call, key->member.tenant, request);
  mutation.member = key->member;
  mutation.declare = [key = *key, external = *external](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedPosting(key, WalletOf(m, key.wallet), /*take_back=*/true);
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.apply = [call, request, key = *key, external = *external](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::ReturnPointsResponse> {
    CLM_ASSIGN_OR_RETURN(auto repeated, Repeated<v1::ReturnPointsResponse>(work, external));
    if (repeated) return *std::move(repeated);
    CLM_ASSIGN_OR_RETURN(WalletSession session,
                         WalletSession::Open(work, recorder, m, key.wallet, Admit::kMembers));
    CLM_ASSIGN_OR_RETURN(
        const StoredPosting earned,
        RequirePosting(work, key, {PostingKind::kEarn}, "only earned points can be taken back"));
    CLM_ASSIGN_OR_RETURN(const Uuid lot, LotOf(earned));
    int64_t amount = request.amount();
    if (amount == 0) {
      const auto kept = session.wallet().lots.find(lot);
      if (kept == session.wallet().lots.end()) return error::Internal("a lot is not stored");
      amount = kept->second.earned - kept->second.returned;
    }
    if (amount == 0) {
      return error::Precondition("RETURN_EXCEEDED",
                                 "posting: all of its points were taken back already",
                                 {{"available", "0"}});
    }
    CLM_ASSIGN_OR_RETURN(const Return taken,
                         ReturnEarned(session.wallet(), lot, amount, session.terms().return_policy,
                                      Uuid::V7(session.now()), session.now()));
    v1::ReturnPointsResponse response;
    response.set_not_taken(taken.not_taken);
    PostingKey made = key;
    if (!taken.posting.entries.empty()) {
      PostingNote note = ExternalNoteOf(call, request, amount - taken.not_taken);
      note.refers_to = key;
      const StoredPosting posted = session.Post(taken.posting, std::move(note));
      *response.mutable_posting() = ToProto(posted);
      made = posted.key;
    }
    *response.mutable_balance() = session.balance();
    Remember(work, external, made, response);
    session.Record();
    return response;
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void LedgerHandlers::AdjustPoints(const rpc::Call& call, const v1::AdjustPointsRequest& request,
                                  rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  if (request.amount() == 0) return reply(error::InvalidField("amount", "must not be 0"));
  EarnTerms terms;
  // A correction counts at once.
  terms.pending.emplace();
  if (!request.expiry().empty()) {
    const auto expiry = ParseExpiryRule("expiry", request.expiry(), RoundUp::kNone);
    if (!expiry.ok()) return reply(expiry.status());
    terms.expiry = *expiry;
  }
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.declare = [request](LoyaltyWork& work, const MemberKey& m) {
    DeclareMember(work, m);
    work.NeedWallet(WalletOf(m, request.wallet()), std::max<int64_t>(0, -request.amount()));
  };
  mutation.apply = [call, request, terms](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    CLM_ASSIGN_OR_RETURN(
        WalletSession session,
        WalletSession::Open(work, recorder, m, request.wallet(),
                            request.amount() > 0 ? Admit::kNewcomers : Admit::kMembers));
    const absl::Time now = session.now();
    CLM_ASSIGN_OR_RETURN(const Posting posting,
                         request.amount() > 0
                             ? AdjustUp(session.wallet(), LotOf(session, request.amount(), terms),
                                        Uuid::V7(now), now)
                             : AdjustDown(session.wallet(), -request.amount(), Uuid::V7(now), now));
    const StoredPosting posted = session.Post(posting, NoteOf(call, request, request.amount()));
    session.Record();
    return AnswerOf(posted, session);
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

void LedgerHandlers::TransferPoints(const rpc::Call& call, const v1::TransferPointsRequest& request,
                                    rpc::Reply<v1::PostingResponse> reply) {
  const auto member = ParseMemberName("member", request.member());
  if (!member.ok()) return reply(member.status());
  const auto to = ParseMemberName("to_member", request.to_member());
  if (!to.ok()) return reply(to.status());
  if (to->tenant != member->tenant || to->program != member->program) {
    return reply(error::InvalidField("to_member", "is not of the same programme as member"));
  }
  if (*to == *member) return reply(error::InvalidField("to_member", "is the same member"));
  const auto external =
      ExternalOf(call, {member->tenant, member->program}, PostingKind::kTransfer, request);
  if (!external.ok()) return reply(external.status());
  MemberMutation<v1::PostingResponse> mutation;
  mutation.info = journal::InfoFor(call, member->tenant, request);
  mutation.member = *member;
  mutation.also = *to;
  mutation.declare = [request, to = *to, external = *external](LoyaltyWork& work,
                                                               const MemberKey& m) {
    DeclareMember(work, m);
    DeclareMember(work, to);
    work.NeedWallet(WalletOf(m, request.wallet()), request.amount());
    work.NeedWallet(WalletOf(to, request.wallet()));
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.apply = [call, request, to = *to, external = *external](
                       LoyaltyWork& work, journal::Recorder& recorder,
                       const MemberKey& m) -> absl::StatusOr<v1::PostingResponse> {
    CLM_ASSIGN_OR_RETURN(auto repeated, Repeated<v1::PostingResponse>(work, external));
    if (repeated) return *std::move(repeated);
    // Whoever the receiver has become would be on a shard that is not locked.
    if (const auto into = MergedInto(work, to)) {
      MemberKey now = to;
      now.contact = *into;
      return error::Precondition("MEMBER_MERGED",
                                 absl::StrCat("to_member: was merged into ", NameOf(now)),
                                 {{"member", NameOf(now)}});
    }
    CLM_ASSIGN_OR_RETURN(WalletSession giver,
                         WalletSession::Open(work, recorder, m, request.wallet(), Admit::kMembers));
    CLM_ASSIGN_OR_RETURN(
        WalletSession receiver,
        WalletSession::Open(work, recorder, to, request.wallet(), Admit::kMembers));
    CLM_ASSIGN_OR_RETURN(
        const Posting posting,
        loyalty::TransferPoints(giver.wallet(), receiver.wallet(), request.amount(),
                                Uuid::V7(giver.now()), giver.now()));
    PostingNote note = ExternalNoteOf(call, request, request.amount());
    note.peer = to.contact;
    const StoredPosting posted = giver.Post(posting, std::move(note));
    PostingNote received = NoteOf(call, request, request.amount());
    received.peer = m.contact;
    receiver.Post(posting, std::move(received));
    v1::PostingResponse response = AnswerOf(posted, giver);
    Remember(work, external, posted.key, response);
    giver.Record();
    receiver.Record();
    return response;
  };
  RunOnMember(*parts_.lanes, std::move(mutation), std::move(reply));
}

namespace {

// One of a batch on its way.
struct EarnItem {
  absl::Status status;
  v1::EarnPointsRequest request;
  MemberKey member;
  EarnTerms terms;
  External external;
};

EarnItem ItemOf(const rpc::Call& call, const ProgramKey& program, const v1::EarnPointsRequest& wire,
                const std::string& prefix) {
  EarnItem item{.request = wire};
  error::FieldErrors errors;
  if (!wire.request_id().empty()) errors.Add(prefix + "request_id", "is for EarnPoints only");
  if (wire.dry_run()) errors.Add(prefix + "dry_run", "is for EarnPoints only");
  if (wire.has_now()) errors.Add(prefix + "now", "is for EarnPoints only");
  const auto member = ParseMemberName(prefix + "member", wire.member());
  errors.AddStatus("", member.status());
  if (member.ok()) item.member = *member;
  if (member.ok() && ProgramKey{member->tenant, member->program} != program) {
    errors.Add(prefix + "member", "is of another programme than the parent");
  }
  const auto terms = ParseEarnTerms(prefix, wire);
  errors.AddStatus("", terms.status());
  if (terms.ok()) item.terms = *terms;
  const auto external = ExternalOf(call, program, PostingKind::kEarn, wire);
  errors.AddStatus(prefix, external.status());
  if (external.ok()) item.external = *external;
  item.status = errors.ToStatus();
  return item;
}

absl::StatusOr<PostingKey> EarnItemNow(const rpc::Call& call, const EarnItem& item,
                                       LoyaltyWork& work, journal::Recorder& recorder) {
  CLM_ASSIGN_OR_RETURN(auto repeated, Repeated<v1::PostingResponse>(work, item.external));
  if (repeated) return ParsePostingName("posting", repeated->posting().name());
  MemberKey member = item.member;
  if (const auto into = MergedInto(work, member)) {
    member.contact = *into;
    return error::Precondition("MEMBER_MERGED",
                               absl::StrCat("member: was merged into ", NameOf(member)),
                               {{"member", NameOf(member)}});
  }
  CLM_ASSIGN_OR_RETURN(
      WalletSession session,
      WalletSession::Open(work, recorder, member, item.request.wallet(), Admit::kNewcomers));
  const auto earned = EarnIn(session, item.request.amount(), item.terms,
                             ExternalNoteOf(call, item.request, item.request.amount()));
  if (earned.ok()) Remember(work, item.external, earned->key, AnswerOf(*earned, session));
  // What was due has happened, whatever became of the item.
  session.Record();
  CLM_RETURN_IF_ERROR(earned.status());
  return earned->key;
}

}  // namespace

void LedgerHandlers::BatchEarnPoints(const rpc::Call& call,
                                     const v1::BatchEarnPointsRequest& request,
                                     rpc::Reply<v1::BatchEarnPointsResponse> reply) {
  const auto program = ParseProgramName("parent", request.parent());
  if (!program.ok()) return reply(program.status());
  auto items = std::make_shared<std::vector<EarnItem>>();
  journal::MutationInfo info = journal::InfoFor(call, program->tenant, request);
  info.weight = std::max(1, request.requests_size());
  for (int i = 0; i < request.requests_size(); ++i) {
    EarnItem& item = items->emplace_back(
        ItemOf(call, *program, request.requests(i), absl::StrCat("requests[", i, "].")));
    if (item.status.ok()) info.shards.set(ShardOf(item.member.tenant, item.member.contact));
  }
  if (info.shards.none()) info.shards.set(ShardOf(program->tenant, NameOf(*program)));
  journal::Mutate<LoyaltyWork>(
      *parts_.lanes, std::move(info),
      [items, program = *program](LoyaltyWork& work) {
        work.NeedProgram(program);
        for (const EarnItem& item : *items) {
          if (!item.status.ok()) continue;
          DeclareMember(work, item.member);
          work.NeedWallet(WalletOf(item.member, item.request.wallet()));
          if (item.external.key) work.NeedExternal(*item.external.key);
        }
      },
      [call, items](LoyaltyWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        v1::BatchEarnPointsResponse response;
        for (const EarnItem& item : *items) {
          v1::BatchEarnPointsResponse::Result* result = response.add_results();
          if (!item.status.ok()) {
            *result->mutable_status() = rpc::ToRpcStatus(item.status);
            continue;
          }
          const absl::StatusOr<PostingKey> earned = EarnItemNow(call, item, work, recorder);
          *result->mutable_status() = rpc::ToRpcStatus(earned.status());
          if (earned.ok()) result->set_posting(NameOf(*earned));
        }
        return response.SerializeAsString();
      },
      std::move(reply));
}

absl::StatusOr<v1::Hold> LedgerHandlers::GetHold(const rpc::Call& call,
                                                 const v1::GetHoldRequest& request) {
  CLM_ASSIGN_OR_RETURN(const HoldName name, ParseHoldName("name", request.name()));
  return parts_.reader->GetHold(name, call.now, call.deadline);
}

absl::StatusOr<v1::Posting> LedgerHandlers::GetPosting(const rpc::Call& call,
                                                       const v1::GetPostingRequest& request) {
  CLM_ASSIGN_OR_RETURN(const PostingKey key, ParsePostingName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const StoredPosting posting, parts_.reader->GetPosting(key, call.deadline));
  return ToProto(posting);
}

absl::StatusOr<v1::ListPostingsResponse> LedgerHandlers::ListPostings(
    const rpc::Call& call, const v1::ListPostingsRequest& request) {
  CLM_ASSIGN_OR_RETURN(const MemberKey member, ParseMemberName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListPostings", request.parent(), request.wallet()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<int64_t> before;
  int64_t number = 0;
  if (!last.empty() && absl::SimpleAtoi(last[0], &number)) before = number;
  CLM_ASSIGN_OR_RETURN(auto postings, parts_.reader->Postings(member, request.wallet(), before,
                                                              size + 1, call.deadline));
  v1::ListPostingsResponse response;
  const bool more = static_cast<int>(postings.size()) > size;
  if (more) postings.resize(size);
  for (const StoredPosting& posting : postings) *response.add_postings() = ToProto(posting);
  if (more) {
    response.set_next_page_token(
        parts_.tokens->Encode(list, {absl::StrCat(postings.back().key.number)}));
  }
  return response;
}

absl::StatusOr<v1::Liability> LedgerHandlers::GetLiability(const rpc::Call& call,
                                                           const v1::GetLiabilityRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey key, ParseProgramName("name", request.name()));
  absl::Time as_of = call.now;
  if (request.has_as_of()) {
    as_of = clm::FromProto(request.as_of());
    if (as_of > call.now) return error::InvalidField("as_of", "lies in the future");
  }
  CLM_ASSIGN_OR_RETURN(const Program program, parts_.reader->GetProgram(key, call.deadline));
  CLM_ASSIGN_OR_RETURN(const auto outstanding,
                       parts_.reader->Outstanding(key, as_of, call.deadline));
  v1::Liability response;
  clm::ToProto(as_of, response.mutable_as_of());
  for (const WalletTerms& terms : program.wallets) {
    v1::Liability::Part* part = response.add_parts();
    part->set_wallet(terms.id);
    part->set_currency(terms.currency);
    const auto sums = outstanding.find(terms.id);
    if (sums == outstanding.end()) continue;
    part->set_outstanding(sums->second.points);
    part->set_debt(sums->second.debt);
    CLM_ASSIGN_OR_RETURN(const int64_t minor, LiabilityMinor(terms, sums->second.points));
    part->set_value_minor(minor);
  }
  return response;
}

absl::StatusOr<v1::AuditProgramResponse> LedgerHandlers::AuditProgram(
    const rpc::Call& call, const v1::AuditProgramRequest& request) {
  CLM_ASSIGN_OR_RETURN(const ProgramKey key, ParseProgramName("name", request.name()));
  CLM_RETURN_IF_ERROR(parts_.reader->GetProgram(key, call.deadline).status());
  return parts_.reader->AuditProgram(key, call.deadline);
}

}  // namespace clm::loyalty
