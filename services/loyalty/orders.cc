#include "services/loyalty/orders.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"

namespace clm::loyalty {

absl::Status ValidateOrder(const Order& order) {
  error::FieldErrors errors;
  if (order.lines.empty()) errors.Add("order.lines", "is required");
  std::set<absl::string_view> ids;
  for (size_t i = 0; i < order.lines.size() && !errors.Full(); ++i) {
    if (!ids.insert(order.lines[i].id).second) {
      errors.Add(absl::StrCat("order.lines[", i, "].id"),
                 absl::StrCat("'", order.lines[i].id, "' is there twice"));
    }
  }
  errors.AddStatus("order", CheckEarnFact(FactOf(order)));
  return errors.ToStatus();
}

int64_t AmountMinorOf(const Order& order) {
  int64_t sum = 0;
  for (const OrderLine& line : order.lines) sum += AmountMinorOf(line.item);
  return sum;
}

EarnFact FactOf(const Order& order) {
  EarnFact fact;
  fact.currency = order.currency;
  for (const OrderLine& line : order.lines) fact.lines.push_back(line.item);
  return fact;
}

absl::StatusOr<std::vector<UnitsBack>> PlanReturn(const Order& order, const ReturnedUnits& units) {
  error::FieldErrors errors;
  if (units.empty()) errors.Add("lines", "is required");
  std::vector<UnitsBack> back;
  std::set<size_t> named;
  for (size_t i = 0; i < units.size() && !errors.Full(); ++i) {
    const auto& [id, quantity] = units[i];
    const std::string path = absl::StrCat("lines[", i, "]");
    const auto line = std::find_if(order.lines.begin(), order.lines.end(),
                                   [&](const OrderLine& known) { return known.id == id; });
    if (line == order.lines.end()) {
      errors.Add(path + ".line_id", absl::StrCat("the order has no line '", id, "'"));
      continue;
    }
    const size_t at = line - order.lines.begin();
    if (!named.insert(at).second) errors.Add(path + ".line_id", "is there twice");
    const int64_t left = line->item.quantity - line->returned;
    if (quantity < 1) {
      errors.Add(path + ".quantity", "must be at least 1");
    } else if (quantity > left) {
      errors.Add(path + ".quantity",
                 absl::StrCat("must be at most ", left, ": of ", line->item.quantity, " bought, ",
                              line->returned, " came back before"));
    } else {
      back.push_back({at, line->returned, line->returned + quantity});
    }
  }
  CLM_RETURN_IF_ERROR(errors.ToStatus());
  size_t told = units.size();
  for (const OrderReturn& before : order.returns) told += before.lines.size();
  if (told > kMaxReturnedLines) {
    return error::Precondition(
        "ORDER_RETURNS", absl::StrCat("lines: all returns of an order have together at most ",
                                      kMaxReturnedLines, "; cancelling takes back what is left"));
  }
  return back;
}

std::vector<UnitsBack> UnitsLeft(const Order& order) {
  std::vector<UnitsBack> left;
  for (size_t i = 0; i < order.lines.size(); ++i) {
    const OrderLine& line = order.lines[i];
    if (line.returned < line.item.quantity) left.push_back({i, line.returned, line.item.quantity});
  }
  return left;
}

int64_t PointsBack(const Order& order, const OrderEarning& earning,
                   const std::vector<UnitsBack>& units) {
  const std::map<absl::string_view, int64_t> shares(earning.shares.begin(), earning.shares.end());
  int64_t points = 0;
  for (const UnitsBack& back : units) {
    const OrderLine& line = order.lines[back.line];
    const auto share = shares.find(line.id);
    if (share == shares.end()) continue;
    points += PartOfUnits(share->second, line.item.quantity, back.before, back.after);
  }
  return points;
}

int64_t MoneyBack(const Order& order, const std::vector<UnitsBack>& units) {
  int64_t money = 0;
  for (const UnitsBack& back : units) {
    const EarnLine& item = order.lines[back.line].item;
    money += PartOfUnits(AmountMinorOf(item), item.quantity, back.before, back.after);
  }
  return money;
}

int64_t MoneyKept(const Order& order) {
  int64_t money = 0;
  for (const OrderLine& line : order.lines) {
    const int64_t amount = AmountMinorOf(line.item);
    money += amount - PartOfUnits(amount, line.item.quantity, 0, line.returned);
  }
  return money;
}

}  // namespace clm::loyalty
