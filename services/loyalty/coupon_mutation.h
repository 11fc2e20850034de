// The way into the lanes of whatever changes coupons, and what uses of them have in common.
#ifndef CLM_SERVICES_LOYALTY_COUPON_MUTATION_H_
#define CLM_SERVICES_LOYALTY_COUPON_MUTATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clm/loyalty/v1/coupon.pb.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/journal/lanes.h"
#include "libs/rpc/call.h"
#include "libs/rpc/fingerprint.h"
#include "libs/rpc/reply.h"
#include "services/loyalty/codes.h"
#include "services/loyalty/coupon_work.h"
#include "services/loyalty/coupons.h"
#include "services/loyalty/wallet_session.h"

namespace clm::loyalty {

// Which shards are locked for what.
int ShardOfCoupon(const CouponKey& key);
int ShardOfBudget(const CouponBudgetKey& key);
// Of the codes of a programme, which are unique.
int ShardOfCodes(const ProgramKey& key);

// Who uses a coupon, or whom it is for: they have to be a member. Moved when they are somebody else
// by now; NOT_FOUND; FAILED_PRECONDITION, reason MEMBER_ERASED.
absl::Status CheckPerson(const CouponWork& work, const MemberKey& member);

struct NewCode {
  std::string shown;
  std::string folded;
};

// Of random numbers, to choose from.
absl::StatusOr<std::vector<NewCode>> MakeCodes(const CodeFormat& format, int count);

// Keeps a coupon that is new or whose terms have changed, tells of it without its code, and answers
// with it.
v1::Coupon KeepCoupon(CouponWork& work, journal::Recorder& recorder, const StoredCoupon& coupon);

// Whether a coupon may come out of the budget that it names, which was needed.
absl::Status CheckBudgetOf(const CouponWork& work, const StoredCoupon& coupon,
                           const ProgramKey& program);

template <class Resp>
struct CouponMutation {
  journal::MutationInfo info;  // With the shards, but for that of `member`.
  // Whose contact's shard is locked besides.
  std::optional<MemberKey> member;
  // `member` as they are by then.
  std::function<void(CouponWork&, const std::optional<MemberKey>& member)> declare;
  // The answer that was given before, by the caller's own id. May be null.
  std::function<absl::StatusOr<std::optional<Resp>>(const CouponWork&)> answered;
  std::function<absl::StatusOr<Resp>(CouponWork&, journal::Recorder&,
                                     const std::optional<MemberKey>& member)>
      apply;
};

// Runs the mutation, and again when the member's contact turns out to have been merged.
template <class Resp>
void RunOnCoupons(journal::Lanes& lanes, CouponMutation<Resp> mutation, rpc::Reply<Resp> reply,
                  int tries = 4) {
  auto shared = std::make_shared<CouponMutation<Resp>>(std::move(mutation));
  journal::MutationInfo info = shared->info;
  if (shared->member) {
    info.shards.set(ShardOf(shared->member->tenant, shared->member->contact));
    info.aggregate = shared->member->contact;
  }
  lanes.Submit(std::make_unique<journal::MutationOf<CouponWork>>(
      std::move(info),
      [shared](CouponWork& work) {
        if (shared->member) work.NeedPerson(*shared->member);
        shared->declare(work, shared->member);
      },
      [shared](CouponWork& work, journal::Recorder& recorder) -> absl::StatusOr<std::string> {
        if (shared->answered) {
          CLM_ASSIGN_OR_RETURN(const std::optional<Resp> answer, shared->answered(work));
          if (answer) return answer->SerializeAsString();
        }
        if (shared->member) CLM_RETURN_IF_ERROR(CheckPerson(work, *shared->member));
        CLM_ASSIGN_OR_RETURN(const Resp response, shared->apply(work, recorder, shared->member));
        return response.SerializeAsString();
      },
      [&lanes, shared, tries,
       reply = std::move(reply)](absl::StatusOr<journal::Answer> answer) mutable {
        if (const auto to = MovedTo(answer.status()); to && tries > 1 && shared->member) {
          shared->member->contact = *to;
          return RunOnCoupons(lanes, std::move(*shared), std::move(reply), tries - 1);
        }
        if (!answer.ok()) return reply(answer.status());
        if (answer->replayed) reply.MarkReplay();
        reply.Bytes(std::move(answer->response));
      }));
}

// The caller's own id of a use.
struct CouponExternal {
  std::optional<CouponExternalKey> key;
  std::string fingerprint;
};

// INVALID_ARGUMENT for a source without an id.
template <class Req>
absl::StatusOr<CouponExternal> CouponExternalOf(const rpc::Call& call, const ProgramKey& program,
                                                CouponKeyKind kind, const Req& request) {
  if (request.external_id().empty()) {
    if (request.source().empty()) return CouponExternal();
    return error::InvalidField("source", "is for external_id only");
  }
  return CouponExternal{CouponExternalKey{program.tenant, program.program, request.source(),
                                          request.external_id(), kind},
                        rpc::Fingerprint(request, call.method)};
}

// Two requests of one id are on one shard, whatever coupons they are about.
int ShardOfExternal(const CouponExternalKey& key);

// What a use of the coupon would take off the order now, by whom; see DiscountOf. `at` is when it
// has to be valid. `instead`, a reservation, is given back by it. The counts of `person`, if there
// is one, were needed.
absl::StatusOr<int64_t> DiscountFor(const CouponWork& work, const StoredCoupon& coupon,
                                    const std::optional<Uuid>& person, CouponOrder order,
                                    CouponAct act, absl::Time at,
                                    const CouponUse* instead = nullptr);

// Makes the use one of that discount of that order, counted as the coupon and its budget count.
void Charge(const CouponWork& work, const StoredCoupon& coupon, const CouponOrder& order,
            int64_t discount, CouponUse& use);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_COUPON_MUTATION_H_
