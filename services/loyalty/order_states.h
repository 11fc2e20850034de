// The states of an order and what moving between them does to points: they are earned when an order
// closes, and taken back when it does not stay closed.
//
//   OPEN                -> CLOSED               earn
//   OPEN                -> CANCELLED            nothing
//   CLOSED              -> OPEN, CANCELLED      take back all
//   CLOSED              -> PARTIALLY_RETURNED   take back the parts of the lines that are returned
//   PARTIALLY_RETURNED  -> PARTIALLY_RETURNED   the same, for further lines
//   PARTIALLY_RETURNED  -> CANCELLED            take back what is left
//
// Pure and thread-safe.
#ifndef CLM_SERVICES_LOYALTY_ORDER_STATES_H_
#define CLM_SERVICES_LOYALTY_ORDER_STATES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace clm::loyalty {

enum class OrderState { kOpen, kClosed, kPartiallyReturned, kCancelled };

// The UPPER_SNAKE names used in errors and on the wire.
absl::string_view Name(OrderState state);

enum class OrderEffect { kNone, kEarn, kTakeBackLines, kTakeBackAll };

// FAILED_PRECONDITION, reason ORDER_STATE, for every other move: names both states, and in the
// metadata `allowed` those that the order can become, separated by commas. Repeats of a request are
// answered before this is asked.
absl::StatusOr<OrderEffect> MoveOrder(OrderState from, OrderState to);

// The states that an order can become, separated by ", "; empty for one that stays as it is.
std::string MovesFrom(OrderState from);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_STATES_H_
