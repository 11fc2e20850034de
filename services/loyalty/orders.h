// Orders of shops: what was bought, what it earned, what came back.
//
// What a line brought of the points is exact, and what its units bring back is: of the first units
// rounded down, with the rest in the last. So the parts of any way of returning sum up to the
// whole.
//
// Values and pure functions; thread-safe. Money is in minor units.
#ifndef CLM_SERVICES_LOYALTY_ORDERS_H_
#define CLM_SERVICES_LOYALTY_ORDERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/uuid.h"
#include "services/loyalty/earn_rules.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/order_states.h"
#include "services/loyalty/rule_work.h"

namespace clm::loyalty {

// At most so many lines in all returns of an order together: all of them are in each of its events.
inline constexpr size_t kMaxReturnedLines = 2000;

struct OrderLine {
  std::string id;
  EarnLine item;
  int64_t returned = 0;  // Units.
};

struct OrderEarning {
  RuleEarning earning;
  int64_t taken_back = 0;
  int64_t not_taken = 0;
  std::vector<std::pair<std::string, int64_t>> shares;  // By line id; sum up to the points.
};

// Units of a line, by its id.
using ReturnedUnits = std::vector<std::pair<std::string, int64_t>>;

struct OrderReturn {
  std::string id;
  ReturnedUnits lines;
  absl::Time time;
  int64_t taken_back = 0;
  int64_t not_taken = 0;
};

struct Order {
  OrderKey key;
  std::optional<Uuid> contact;  // Whose points it moves; none: erased.
  bool erased = false;
  std::optional<Uuid> earned_by;  // Whose postings those of the earnings are.
  // What the contact was merged into, where the order has not followed yet.
  std::optional<Uuid> merged_into;
  OrderState state = OrderState::kOpen;
  std::string currency;
  std::vector<OrderLine> lines;
  std::vector<OrderEarning> earnings;
  std::vector<OrderReturn> returns;
  int64_t counted = 0;         // For the tier, net of what was taken back.
  bool counted_money = false;  // It is money, else the order itself.
  absl::Time create_time;
  absl::Time update_time;
  std::optional<absl::Time> close_time;  // The first.
  int64_t version = 0;
};

// Refuses with every bad field at once, as "order.lines[1].id".
absl::Status ValidateOrder(const Order& order);

// Of all lines, after discounts and before tax.
int64_t AmountMinorOf(const Order& order);

// What the rules look at.
EarnFact FactOf(const Order& order);

// Units that come back: of which line, and how many had come back before and will have.
struct UnitsBack {
  size_t line = 0;
  int64_t before = 0;
  int64_t after = 0;
};
// INVALID_ARGUMENT naming every bad field, as "lines[0].quantity": lines that the order has not or
// that are named twice, and more units than are left. FAILED_PRECONDITION, reason ORDER_RETURNS,
// beyond kMaxReturnedLines.
absl::StatusOr<std::vector<UnitsBack>> PlanReturn(const Order& order, const ReturnedUnits& units);
// All that did not come back yet.
std::vector<UnitsBack> UnitsLeft(const Order& order);

// What the units bring back of an earning, and of what the order counted in money.
int64_t PointsBack(const Order& order, const OrderEarning& earning,
                   const std::vector<UnitsBack>& units);
int64_t MoneyBack(const Order& order, const std::vector<UnitsBack>& units);
// What is left of the order after its returns: AmountMinorOf less what they took.
int64_t MoneyKept(const Order& order);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDERS_H_
