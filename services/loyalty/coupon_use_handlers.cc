// The RPCs of CouponService about uses of coupons.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clm/loyalty/v1/coupon_event.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/mutate.h"
#include "services/loyalty/coupon_handlers.h"
#include "services/loyalty/coupon_mutation.h"
#include "services/loyalty/coupon_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

constexpr int kMergedTries = 4;

// Keeps a use, tells of it, and answers with it.
v1::CouponUse Keep(CouponWork& work, journal::Recorder& recorder, CouponUse use) {
  ++use.version;
  work.SaveUse(use);
  v1::CouponUsed used;
  *used.mutable_use() = ToProto(use);
  *used.mutable_counts() = CountsToProto(*work.FindCoupon(use.key.coupon));
  recorder.Record({.shard = ShardOfCoupon(use.key.coupon),
                   .tenant = use.key.coupon.tenant,
                   .subject = NameOf(use.key),
                   .type = v1::CouponUsed::descriptor()->full_name(),
                   .subject_version = use.version,
                   .payload = used.SerializeAsString()});
  return used.use();
}

void SaveExternal(CouponWork& work, const CouponExternal& external, const CouponUse& use,
                  v1::CouponUse response) {
  if (!external.key) return;
  // An erasure takes it from the use.
  response.clear_member();
  work.SaveExternal(*external.key,
                    {use.key, external.fingerprint, response.SerializeAsString(), use.contact});
}

// What the same request was answered before.
absl::StatusOr<std::optional<v1::CouponUse>> FindAnswer(const CouponWork& work,
                                                        const CouponExternal& external) {
  const CouponExternalUse* known = external.key ? work.FindExternal(*external.key) : nullptr;
  if (known == nullptr) return std::nullopt;
  if (known->fingerprint != external.fingerprint) {
    return error::Make(absl::StatusCode::kAlreadyExists, "EXTERNAL_ID_REUSED",
                       "external_id: stands for another request already",
                       {{"use", NameOf(known->use)}});
  }
  v1::CouponUse response;
  if (!response.ParseFromString(known->response)) {
    return error::Internal("the stored answer cannot be read");
  }
  if (known->contact) {
    const CouponKey& coupon = known->use.coupon;
    response.set_member(NameOf(MemberKey{coupon.tenant, coupon.program, *known->contact}));
  }
  return response;
}

// What a request about a typed code has in common: whose code, for whom.
struct Asked {
  ProgramKey program;
  std::optional<MemberKey> member;
  StoredCoupon coupon;  // As it was before the lanes: what never changes of it counts.
};

template <class Req>
absl::StatusOr<Asked> ReadAsked(const CouponHandlers::Parts& parts, const rpc::Call& call,
                                const Req& request) {
  Asked asked;
  CLM_ASSIGN_OR_RETURN(asked.program, ParseProgramName("parent", request.parent()));
  if (!request.member().empty()) {
    CLM_ASSIGN_OR_RETURN(asked.member, ParseMemberName("member", request.member()));
    if (asked.member->tenant != asked.program.tenant ||
        asked.member->program != asked.program.program) {
      return error::InvalidField("member", "is of another programme than the parent");
    }
  }
  std::optional<Uuid> contact;
  if (asked.member) contact = asked.member->contact;
  CLM_ASSIGN_OR_RETURN(asked.coupon, parts.guesses->FindCoupon(call, asked.program, contact, "code",
                                                               request.code()));
  return asked;
}

std::optional<CouponBudgetKey> BudgetOf(const CouponKey& coupon, const std::string& budget) {
  if (budget.empty()) return std::nullopt;
  return CouponBudgetKey{coupon.tenant, coupon.program, budget};
}

// What a decision about a coupon reads.
void DeclareCoupon(CouponWork& work, const CouponKey& coupon, const std::string& budget,
                   const std::optional<Uuid>& contact) {
  work.NeedProgram({coupon.tenant, coupon.program});
  work.NeedCoupon(coupon);
  if (const auto key = BudgetOf(coupon, budget)) work.NeedBudget(*key);
  if (contact) work.NeedCounts(coupon, *contact);
}

std::optional<Uuid> ContactOf(const std::optional<MemberKey>& member) {
  return member ? std::optional<Uuid>(member->contact) : std::nullopt;
}

// The shards of a coupon, its budget, and the caller's own id.
void LockCoupon(const CouponKey& coupon, const std::string& budget, const CouponExternal& external,
                journal::MutationInfo& info) {
  info.shards.set(ShardOfCoupon(coupon));
  if (const auto key = BudgetOf(coupon, budget)) info.shards.set(ShardOfBudget(*key));
  if (external.key) info.shards.set(ShardOfExternal(*external.key));
}

// A new use by a typed code. `open` sets what is particular to it.
template <class Req>
void UseCode(const CouponHandlers::Parts& parts, const rpc::Call& call, Req request,
             CouponKeyKind kind, CouponAct act,
             const std::function<void(const Program&, absl::Time now, CouponUse&)>& open,
             rpc::Reply<v1::CouponUse> reply) {
  const auto asked = ReadAsked(parts, call, request);
  if (!asked.ok()) return reply(asked.status());
  // Typed differently it is the same request.
  request.set_code(asked->coupon.code);
  const auto external = CouponExternalOf(call, asked->program, kind, request);
  if (!external.ok()) return reply(external.status());
  CouponOrder order = FromProto(request.order());
  CouponMutation<v1::CouponUse> mutation;
  mutation.info = journal::InfoFor(call, asked->program.tenant, request);
  LockCoupon(asked->coupon.key, asked->coupon.budget, *external, mutation.info);
  mutation.member = asked->member;
  mutation.declare = [key = asked->coupon.key, budget = asked->coupon.budget, external = *external](
                         CouponWork& work, const std::optional<MemberKey>& member) {
    DeclareCoupon(work, key, budget, ContactOf(member));
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.answered = [external = *external](const CouponWork& work) {
    return FindAnswer(work, external);
  };
  mutation.apply = [key = asked->coupon.key, act, open, order, external = *external,
                    source = request.source(), external_id = request.external_id()](
                       CouponWork& work, journal::Recorder& recorder,
                       const std::optional<MemberKey>& member) -> absl::StatusOr<v1::CouponUse> {
    const StoredCoupon& coupon = *work.FindCoupon(key);
    const absl::Time now = recorder.now();
    CLM_ASSIGN_OR_RETURN(const int64_t discount,
                         DiscountFor(work, coupon, ContactOf(member), order, act, now));
    CouponUse use;
    use.key = {key, Uuid::V7(now)};
    use.contact = use.person = ContactOf(member);
    use.source = source;
    use.external_id = external_id;
    use.create_time = now;
    Charge(work, coupon, order, discount, use);
    open(*work.FindProgram({key.tenant, key.program}), now, use);
    v1::CouponUse response = Keep(work, recorder, use);
    SaveExternal(work, external, use, response);
    return response;
  };
  RunOnCoupons(*parts.lanes, std::move(mutation), std::move(reply));
}

}  // namespace

absl::StatusOr<v1::CheckCouponResponse> CouponHandlers::CheckCoupon(
    const rpc::Call& call, const v1::CheckCouponRequest& request) {
  CLM_ASSIGN_OR_RETURN(Asked asked, ReadAsked(parts_, call, request));
  const CouponKey& key = asked.coupon.key;
  for (int tries = 1;; ++tries) {
    CouponWork work(parts_.clock);
    DeclareCoupon(work, key, asked.coupon.budget, ContactOf(asked.member));
    if (asked.member) work.NeedPerson(*asked.member);
    CLM_RETURN_IF_ERROR(parts_.reader->Load(key.tenant, work, call.deadline));
    if (asked.member) {
      const absl::Status known = CheckPerson(work, *asked.member);
      if (const auto to = MovedTo(known); to && tries < kMergedTries) {
        asked.member->contact = *to;
        continue;
      }
      CLM_RETURN_IF_ERROR(known);
    }
    const StoredCoupon& coupon = *work.FindCoupon(key);
    v1::CheckCouponResponse response;
    CLM_ASSIGN_OR_RETURN(const int64_t discount,
                         DiscountFor(work, coupon, ContactOf(asked.member),
                                     FromProto(request.order()), CouponAct::kRedeem, work.as_of()));
    response.set_discount_minor(discount);
    *response.mutable_coupon() = ToProto(coupon);
    return response;
  }
}

void CouponHandlers::ReserveCoupon(const rpc::Call& call, const v1::ReserveCouponRequest& request,
                                   rpc::Reply<v1::CouponUse> reply) {
  std::optional<DurationSpec> duration;
  if (!request.duration().empty()) {
    const auto parsed = ParseDurationSpec("duration", request.duration());
    if (!parsed.ok()) return reply(parsed.status());
    duration = *parsed;
  }
  UseCode(
      parts_, call, request, CouponKeyKind::kReserve, CouponAct::kReserve,
      [duration](const Program& program, absl::Time now, CouponUse& use) {
        const PendingRule lasts{PendingRule::Kind::kAfter, duration.value_or(program.hold)};
        use.state = CouponUseState::kReserved;
        use.expire_time = *ActiveFrom(lasts, now, ZoneOf(program));
      },
      std::move(reply));
}

void CouponHandlers::RedeemCoupon(const rpc::Call& call, const v1::RedeemCouponRequest& request,
                                  rpc::Reply<v1::CouponUse> reply) {
  UseCode(
      parts_, call, request, CouponKeyKind::kRedeem, CouponAct::kRedeem,
      [](const Program&, absl::Time now, CouponUse& use) {
        use.state = CouponUseState::kRedeemed;
        use.redeem_time = now;
      },
      std::move(reply));
}

namespace {

// FAILED_PRECONDITION unless the use is in that state.
absl::Status CheckState(const CouponUse& use, CouponUseState wanted) {
  if (use.state == wanted) return absl::OkStatus();
  if (use.state == CouponUseState::kTimedOut) {
    return error::Precondition("COUPON_RESERVATION_TIMED_OUT",
                               "use: the time of the reservation is over");
  }
  const auto name = [](CouponUseState state) {
    return v1::CouponUse::State_Name(static_cast<v1::CouponUse::State>(state));
  };
  return error::Precondition("COUPON_USE_STATE",
                             absl::StrCat("use: is ", name(use.state), ", not ", name(wanted)),
                             {{"state", name(use.state)}});
}

// Goes on with a use that is there; `change` decides.
template <class Req>
void ChangeUse(
    const CouponHandlers::Parts& parts, const rpc::Call& call, const Req& request,
    const CouponExternal& external,
    const std::function<absl::Status(const CouponWork&, absl::Time now, CouponUse&)>& change,
    rpc::Reply<v1::CouponUse> reply) {
  const auto key = ParseCouponUseName("use", request.use());
  if (!key.ok()) return reply(key.status());
  // Which budget it is of, and whose, never changes, but that an erasure takes the person away.
  const auto known = parts.reader->GetUse(*key, call.now, call.deadline);
  if (!known.ok()) return reply(known.status());
  CouponMutation<v1::CouponUse> mutation;
  mutation.info = journal::InfoFor(call, key->coupon.tenant, request);
  if (known->person) {
    // The answer names them, and an erasure takes it away: after it or before it, not meanwhile.
    mutation.info.aggregate = known->person;
    mutation.info.shards.set(ShardOf(key->coupon.tenant, *known->person));
  }
  LockCoupon(key->coupon, known->budget, external, mutation.info);
  mutation.declare = [key = *key, budget = known->budget, contact = known->contact, external](
                         CouponWork& work, const std::optional<MemberKey>&) {
    DeclareCoupon(work, key.coupon, budget, contact);
    work.NeedUse(key);
    if (external.key) work.NeedExternal(*external.key);
  };
  mutation.answered = [external](const CouponWork& work) { return FindAnswer(work, external); };
  mutation.apply = [key = *key, change, external](
                       CouponWork& work, journal::Recorder& recorder,
                       const std::optional<MemberKey>&) -> absl::StatusOr<v1::CouponUse> {
    CouponUse use = *work.FindUse(key);
    CLM_RETURN_IF_ERROR(change(work, recorder.now(), use));
    v1::CouponUse response = Keep(work, recorder, use);
    SaveExternal(work, external, use, response);
    return response;
  };
  RunOnCoupons(*parts.lanes, std::move(mutation), std::move(reply));
}

void GiveBack(CouponUseState state, absl::Time now, CouponUse& use) {
  use.state = state;
  use.end_time = now;
  use.budget_counted = false;
}

}  // namespace

void CouponHandlers::RedeemReservedCoupon(const rpc::Call& call,
                                          const v1::RedeemReservedCouponRequest& request,
                                          rpc::Reply<v1::CouponUse> reply) {
  const auto key = ParseCouponUseName("use", request.use());
  if (!key.ok()) return reply(key.status());
  const auto external = CouponExternalOf(call, {key->coupon.tenant, key->coupon.program},
                                         CouponKeyKind::kRedeem, request);
  if (!external.ok()) return reply(external.status());
  std::optional<CouponOrder> order;
  if (request.has_order()) order = FromProto(request.order());
  ChangeUse(
      parts_, call, request, *external,
      [order, source = request.source(), external_id = request.external_id()](
          const CouponWork& work, absl::Time now, CouponUse& use) -> absl::Status {
        CLM_RETURN_IF_ERROR(CheckState(use, CouponUseState::kReserved));
        const StoredCoupon& coupon = *work.FindCoupon(use.key.coupon);
        if (order) {
          // It was valid when it was reserved, which is what a reservation is for.
          CLM_ASSIGN_OR_RETURN(const int64_t discount,
                               DiscountFor(work, coupon, use.contact, *order, CouponAct::kRedeem,
                                           use.create_time, &use));
          Charge(work, coupon, *order, discount, use);
        } else if (!coupon.terms.enabled) {
          return error::Precondition("COUPON_DISABLED", "the coupon is disabled");
        }
        use.state = CouponUseState::kRedeemed;
        use.redeem_time = now;
        if (!external_id.empty()) {
          use.source = source;
          use.external_id = external_id;
        }
        return absl::OkStatus();
      },
      std::move(reply));
}

void CouponHandlers::ReleaseCoupon(const rpc::Call& call, const v1::ReleaseCouponRequest& request,
                                   rpc::Reply<v1::CouponUse> reply) {
  ChangeUse(
      parts_, call, request, CouponExternal(),
      [](const CouponWork&, absl::Time now, CouponUse& use) -> absl::Status {
        CLM_RETURN_IF_ERROR(CheckState(use, CouponUseState::kReserved));
        GiveBack(CouponUseState::kReleased, now, use);
        return absl::OkStatus();
      },
      std::move(reply));
}

void CouponHandlers::CancelCouponRedemption(const rpc::Call& call,
                                            const v1::CancelCouponRedemptionRequest& request,
                                            rpc::Reply<v1::CouponUse> reply) {
  ChangeUse(
      parts_, call, request, CouponExternal(),
      [](const CouponWork&, absl::Time now, CouponUse& use) -> absl::Status {
        CLM_RETURN_IF_ERROR(CheckState(use, CouponUseState::kRedeemed));
        GiveBack(CouponUseState::kCancelled, now, use);
        return absl::OkStatus();
      },
      std::move(reply));
}

absl::StatusOr<v1::CouponUse> CouponHandlers::GetCouponUse(const rpc::Call& call,
                                                           const v1::GetCouponUseRequest& request) {
  CLM_ASSIGN_OR_RETURN(const CouponUseKey key, ParseCouponUseName("name", request.name()));
  CLM_ASSIGN_OR_RETURN(const CouponUse use, parts_.reader->GetUse(key, call.now, call.deadline));
  return ToProto(use);
}

absl::StatusOr<v1::ListCouponUsesResponse> CouponHandlers::ListCouponUses(
    const rpc::Call& call, const v1::ListCouponUsesRequest& request) {
  CLM_ASSIGN_OR_RETURN(const CouponKey key, ParseCouponName("parent", request.parent()));
  CLM_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const std::vector<std::string> list = {"ListCouponUses", request.parent()};
  CLM_ASSIGN_OR_RETURN(const auto last, parts_.tokens->Decode(list, request.page_token()));
  std::optional<Uuid> before;
  if (!last.empty()) before = Uuid::FromBytes(last[0]);
  CLM_ASSIGN_OR_RETURN(auto uses,
                       parts_.reader->Uses(key, before, size + 1, call.now, call.deadline));
  v1::ListCouponUsesResponse response;
  const bool more = static_cast<int>(uses.size()) > size;
  if (more) uses.resize(size);
  for (const CouponUse& use : uses) *response.add_uses() = ToProto(use);
  if (more) {
    response.set_next_page_token(parts_.tokens->Encode(list, {uses.back().key.id.ToBytes()}));
  }
  return response;
}

}  // namespace clm::loyalty
