#include "services/loyalty/order_earning.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/base/status_macros.h"
#include "services/loyalty/member_tier.h"

namespace clm::loyalty {
namespace {

bool CountsOrders(const Program& program, TierBasis basis) {
  return program.tiers && program.tiers->event_type.empty() && program.tiers->scheme.basis == basis;
}

void CountForTier(const Program& program, Order& order) {
  order.counted = 0;
  order.counted_money = CountsOrders(program, TierBasis::kMoneySpent);
  if (order.counted_money) {
    if (order.currency == program.tiers->scheme.currency) order.counted = AmountMinorOf(order);
  } else if (CountsOrders(program, TierBasis::kEventCount)) {
    order.counted = 1;
  }
}

}  // namespace

void NeedForOrders(LoyaltyWork& work, absl::Time now) {
  // Rows keep microseconds.
  work.orders().set_as_of(absl::FromUnixMicros(absl::ToUnixMicros(now)));
  for (const OrderWork::Needed& needed : work.orders().needed()) {
    const MemberKey& member = needed.member;
    const Program* program = work.FindProgram({member.tenant, member.program});
    if (program == nullptr) continue;
    const Order* order = work.orders().Find(needed.key);
    const absl::Time at =
        order != nullptr && order->close_time ? *order->close_time : work.orders().as_of();
    if (needed.use.earns || needed.use.takes_back) NeedRules(work, *program, member, "", at);
    if (!needed.use.takes_back || order == nullptr) continue;
    // It may be closed in this very transaction.
    if (order->state == OrderState::kOpen) NeedWhatRulesMayEarn(work, *program, member);
    for (const OrderEarning& earning : order->earnings) {
      NeedTakeBack(work, *program, member, order->earned_by.value_or(member.contact),
                   earning.earning, at);
    }
  }
}

absl::StatusOr<std::vector<EarnOutcome>> CloseOrder(LoyaltyWork& work, journal::Recorder& recorder,
                                                    const Program& program, const MemberKey& member,
                                                    const std::string& actor, Order& order) {
  if (!order.close_time) order.close_time = std::min(work.orders().as_of(), recorder.now());
  PostingNote note;
  note.reason = absl::StrCat("order ", order.key.id);
  note.actor = actor;
  note.order = order.key.id;
  CLM_ASSIGN_OR_RETURN(Earned earned, EarnByRules(work, recorder, program, member, FactOf(order),
                                                  *order.close_time, note, [&] {
                                                    if (work.FindMember(member) == nullptr)
                                                      Enrol(work, recorder, member);
                                                  }));
  order.earned_by = member.contact;
  order.earnings.clear();
  for (const Earned::Earning& one : earned.earnings) {
    OrderEarning earning{.earning = one.earning};
    for (const auto& [line, points] : earned.outcomes[one.outcome].shares) {
      earning.shares.emplace_back(order.lines[line].id, points);
    }
    order.earnings.push_back(std::move(earning));
  }
  order.state = OrderState::kClosed;
  // As with events: who is no member, and does not become one, has no tier to count for.
  if (work.FindMember(member) != nullptr) {
    CountForTier(program, order);
    CLM_RETURN_IF_ERROR(
        ProgressTier(work, recorder, program, member, *order.close_time, order.counted));
  }
  return std::move(earned.outcomes);
}

absl::StatusOr<PointsTaken> TakeBackUnits(LoyaltyWork& work, journal::Recorder& recorder,
                                          const Program& program, const MemberKey& member,
                                          const std::vector<UnitsBack>& units,
                                          std::optional<ReturnPolicy> policy,
                                          const PostingNote& note, Order& order) {
  PointsTaken sum;
  for (OrderEarning& earning : order.earnings) {
    CLM_ASSIGN_OR_RETURN(
        const PointsTaken taken,
        TakeBack(work, recorder, program, member, *order.earned_by, earning.earning,
                 PointsBack(order, earning, units), policy, *order.close_time, note));
    earning.taken_back += taken.taken;
    earning.not_taken += taken.not_taken;
    sum.taken += taken.taken;
    sum.not_taken += taken.not_taken;
  }
  bool all = true;
  for (const UnitsBack& left : UnitsLeft(order)) {
    all &= std::any_of(units.begin(), units.end(), [&](const UnitsBack& back) {
      return back.line == left.line && back.after == left.after;
    });
  }
  int64_t uncounted =
      order.counted_money ? std::min(order.counted, MoneyBack(order, units)) : order.counted;
  const TierBasis basis = order.counted_money ? TierBasis::kMoneySpent : TierBasis::kEventCount;
  if (!((order.counted_money || all) && CountsOrders(program, basis))) uncounted = 0;
  order.counted -= uncounted;
  CLM_RETURN_IF_ERROR(ProgressTier(work, recorder, program, member, *order.close_time, -uncounted));
  return sum;
}

}  // namespace clm::loyalty
