#include "services/loyalty/order_states.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "libs/testing/status_matchers.h"

namespace clm::loyalty {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::ReasonIs;
using testing::StatusIs;

TEST(OrderStatesTest, EveryMoveIsOneOfTheTableOrRefusedNamingBothStates) {
  using enum OrderState;
  const std::map<std::pair<OrderState, OrderState>, OrderEffect> moves = {
      {{kOpen, kClosed}, OrderEffect::kEarn},
      {{kOpen, kCancelled}, OrderEffect::kNone},
      {{kClosed, kOpen}, OrderEffect::kTakeBackAll},
      {{kClosed, kCancelled}, OrderEffect::kTakeBackAll},
      {{kClosed, kPartiallyReturned}, OrderEffect::kTakeBackLines},
      {{kPartiallyReturned, kPartiallyReturned}, OrderEffect::kTakeBackLines},
      {{kPartiallyReturned, kCancelled}, OrderEffect::kTakeBackAll},
  };
  for (const OrderState from : {kOpen, kClosed, kPartiallyReturned, kCancelled}) {
    for (const OrderState to : {kOpen, kClosed, kPartiallyReturned, kCancelled}) {
      const auto effect = MoveOrder(from, to);
      const auto expected = moves.find({from, to});
      if (expected != moves.end()) {
        EXPECT_THAT(effect, IsOkAndHolds(expected->second)) << Name(from) << " " << Name(to);
        continue;
      }
      EXPECT_THAT(effect,
                  StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(std::string(Name(to)))))
          << Name(from) << " " << Name(to);
      EXPECT_THAT(effect, ReasonIs("ORDER_STATE"));
      EXPECT_EQ(error::MetadataValue(effect.status(), "from"), Name(from));
      EXPECT_EQ(error::MetadataValue(effect.status(), "to"), Name(to));
      EXPECT_EQ(error::MetadataValue(effect.status(), "allowed"), MovesFrom(from));
    }
  }
}

TEST(OrderStatesTest, RefusalsNameTheMovesThereAre) {
  EXPECT_EQ(MovesFrom(OrderState::kOpen), "CLOSED, CANCELLED");
  EXPECT_EQ(MovesFrom(OrderState::kClosed), "OPEN, CANCELLED, PARTIALLY_RETURNED");
  EXPECT_EQ(MovesFrom(OrderState::kPartiallyReturned), "PARTIALLY_RETURNED, CANCELLED");
  EXPECT_EQ(MovesFrom(OrderState::kCancelled), "");
  EXPECT_THAT(MoveOrder(OrderState::kOpen, OrderState::kPartiallyReturned),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("it can become CLOSED, CANCELLED")));
  EXPECT_THAT(
      MoveOrder(OrderState::kCancelled, OrderState::kOpen),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("it can become nothing else")));
}

}  // namespace
}  // namespace clm::loyalty
