#include "services/loyalty/order_states.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"

namespace clm::loyalty {
namespace {

struct Move {
  OrderState from;
  OrderState to;
  OrderEffect effect;
};
constexpr Move kMoves[] = {
    {OrderState::kOpen, OrderState::kClosed, OrderEffect::kEarn},
    {OrderState::kOpen, OrderState::kCancelled, OrderEffect::kNone},
    {OrderState::kClosed, OrderState::kOpen, OrderEffect::kTakeBackAll},
    {OrderState::kClosed, OrderState::kCancelled, OrderEffect::kTakeBackAll},
    {OrderState::kClosed, OrderState::kPartiallyReturned, OrderEffect::kTakeBackLines},
    {OrderState::kPartiallyReturned, OrderState::kPartiallyReturned, OrderEffect::kTakeBackLines},
    {OrderState::kPartiallyReturned, OrderState::kCancelled, OrderEffect::kTakeBackAll},
};

}  // namespace

absl::string_view Name(OrderState state) {
  switch (state) {
    case OrderState::kOpen:
      return "OPEN";
    case OrderState::kClosed:
      return "CLOSED";
    case OrderState::kPartiallyReturned:
      return "PARTIALLY_RETURNED";
    case OrderState::kCancelled:
      return "CANCELLED";
  }
  return "";
}

absl::StatusOr<OrderEffect> MoveOrder(OrderState from, OrderState to) {
  for (const Move& move : kMoves) {
    if (move.from == from && move.to == to) return move.effect;
  }
  const std::string allowed = MovesFrom(from);
  return error::Precondition(
      "ORDER_STATE",
      absl::StrCat("an order that is ", Name(from), " cannot become ", Name(to), "; it can become ",
                   allowed.empty() ? "nothing else" : allowed),
      {{"from", std::string(Name(from))}, {"to", std::string(Name(to))}, {"allowed", allowed}});
}

std::string MovesFrom(OrderState from) {
  std::string moves;
  for (const Move& move : kMoves) {
    if (move.from == from) absl::StrAppend(&moves, moves.empty() ? "" : ", ", Name(move.to));
  }
  return moves;
}

}  // namespace clm::loyalty
