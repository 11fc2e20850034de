#include "services/loyalty/order_proto.h"

#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/base/status_macros.h"
#include "libs/base/time_proto.h"
#include "services/loyalty/loyalty_proto.h"

namespace clm::loyalty {
namespace {

// By wallet: what a line brought, and what of it came back.
std::map<std::string, std::pair<int64_t, int64_t>> PointsOf(const Order& order,
                                                            const OrderLine& line) {
  std::map<std::string, std::pair<int64_t, int64_t>> points;
  const int64_t back = order.state == OrderState::kCancelled ? line.item.quantity : line.returned;
  for (const OrderEarning& earning : order.earnings) {
    for (const auto& [id, share] : earning.shares) {
      if (id != line.id) continue;
      auto& [earned, returned] = points[earning.earning.wallet];
      earned += share;
      returned += PartOfUnits(share, line.item.quantity, 0, back);
    }
  }
  return points;
}

// All but what columns hold.
v1::Order ContentToProto(const Order& order) {
  v1::Order out;
  out.set_currency(order.currency);
  for (const OrderLine& line : order.lines) {
    v1::OrderLine* to = out.add_lines();
    to->set_id(line.id);
    to->set_sku(line.item.sku);
    to->set_category(line.item.category);
    to->set_quantity(line.item.quantity);
    to->set_unit_price_minor(line.item.unit_price_minor);
    to->set_discount_minor(line.item.discount_minor);
    to->set_tax_minor(line.item.tax_minor);
    to->set_returned_quantity(line.returned);
  }
  for (const OrderEarning& earning : order.earnings) {
    v1::OrderEarning* to = out.add_earnings();
    to->set_rule(earning.earning.rule);
    to->set_wallet(earning.earning.wallet);
    // Without whose it is, which is with the row.
    to->set_posting(absl::StrCat(earning.earning.number));
    to->set_lot(earning.earning.lot.ToString());
    to->set_points(earning.earning.points);
    to->set_taken_back(earning.taken_back);
    to->set_not_taken(earning.not_taken);
    for (const auto& [line, points] : earning.shares) {
      v1::OrderShare* share = to->add_shares();
      share->set_line_id(line);
      share->set_points(points);
    }
  }
  for (const OrderReturn& back : order.returns) {
    v1::OrderReturn* to = out.add_returns();
    to->set_return_id(back.id);
    for (const auto& [line, quantity] : back.lines) {
      v1::ReturnedUnits* units = to->add_lines();
      units->set_line_id(line);
      units->set_quantity(quantity);
    }
    clm::ToProto(back.time, to->mutable_return_time());
    to->set_taken_back(back.taken_back);
    to->set_not_taken(back.not_taken);
  }
  return out;
}

absl::Status ReadBody(const std::string& body, Order& order) {
  v1::Order wire;
  if (!wire.ParseFromString(body)) return error::Internal("an order is stored in an unknown form");
  TermsFromProto(wire, order);
  for (int i = 0; i < wire.lines_size(); ++i) {
    order.lines[i].returned = wire.lines(i).returned_quantity();
  }
  for (const v1::OrderEarning& from : wire.earnings()) {
    OrderEarning earning;
    earning.earning.rule = from.rule();
    earning.earning.wallet = from.wallet();
    const std::optional<Uuid> lot = Uuid::Parse(from.lot());
    if (!lot || !absl::SimpleAtoi(from.posting(), &earning.earning.number)) {
      return error::Internal("an order is stored in an unknown form");
    }
    earning.earning.lot = *lot;
    earning.earning.points = from.points();
    earning.taken_back = from.taken_back();
    earning.not_taken = from.not_taken();
    for (const v1::OrderShare& share : from.shares()) {
      earning.shares.emplace_back(share.line_id(), share.points());
    }
    order.earnings.push_back(std::move(earning));
  }
  for (const v1::OrderReturn& from : wire.returns()) {
    OrderReturn back;
    back.id = from.return_id();
    for (const v1::ReturnedUnits& units : from.lines()) {
      back.lines.emplace_back(units.line_id(), units.quantity());
    }
    back.time = clm::FromProto(from.return_time());
    back.taken_back = from.taken_back();
    back.not_taken = from.not_taken();
    order.returns.push_back(std::move(back));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OrderKey> ParseOrderName(absl::string_view field, absl::string_view name) {
  CLM_ASSIGN_OR_RETURN(auto segments,
                       ParseResourceName(field, "tenants/*/programs/*/orders/*", name));
  return OrderKey{std::move(segments[0]), std::move(segments[1]), std::move(segments[2])};
}

void TermsFromProto(const v1::Order& wire, Order& order) {
  order.currency = wire.currency();
  order.lines.clear();
  for (const v1::OrderLine& line : wire.lines()) {
    OrderLine out;
    out.id = line.id();
    out.item.sku = line.sku();
    out.item.category = line.category();
    out.item.quantity = line.quantity();
    out.item.unit_price_minor = line.unit_price_minor();
    out.item.discount_minor = line.discount_minor();
    out.item.tax_minor = line.tax_minor();
    order.lines.push_back(std::move(out));
  }
}

v1::Order ToProto(const Order& order) {
  v1::Order out = ContentToProto(order);
  out.set_name(NameOf(order.key));
  if (order.contact) {
    out.set_member(NameOf(MemberKey{order.key.tenant, order.key.program, *order.contact}));
  }
  out.set_state(static_cast<v1::Order::State>(static_cast<int>(order.state) + 1));
  out.set_amount_minor(AmountMinorOf(order));
  for (size_t i = 0; i < order.lines.size(); ++i) {
    for (const auto& [wallet, points] : PointsOf(order, order.lines[i])) {
      v1::OrderLinePoints* to = out.mutable_lines(static_cast<int>(i))->add_points();
      to->set_wallet(wallet);
      to->set_earned(points.first);
      to->set_returned(points.second);
    }
  }
  for (size_t i = 0; i < order.earnings.size(); ++i) {
    v1::OrderEarning* to = out.mutable_earnings(static_cast<int>(i));
    to->clear_posting();
    if (!order.earned_by) continue;
    const RuleEarning& earning = order.earnings[i].earning;
    to->set_posting(NameOf(PostingKey{
        {order.key.tenant, order.key.program, *order.earned_by}, earning.wallet, earning.number}));
  }
  clm::ToProto(order.create_time, out.mutable_create_time());
  clm::ToProto(order.update_time, out.mutable_update_time());
  if (order.close_time) clm::ToProto(*order.close_time, out.mutable_close_time());
  out.set_member_erased(order.erased);
  out.set_etag(Etag(order.version));
  return out;
}

std::string BodyOf(const Order& order) { return ContentToProto(order).SerializeAsString(); }

absl::StatusOr<Order> ReadOrder(const pg::Row& row, int column) {
  Order order;
  int at = column;
  order.key.tenant = std::string(row.Text(at++));
  order.key.program = std::string(row.Text(at++));
  order.key.id = std::string(row.Text(at++));
  order.contact = row.OptUuid(at++);
  order.erased = row.Bool(at++);
  order.earned_by = row.OptUuid(at++);
  order.merged_into = row.OptUuid(at++);
  order.state = static_cast<OrderState>(row.Int(at++) - 1);
  CLM_RETURN_IF_ERROR(ReadBody(row.Bytes(at++), order));
  order.counted = row.Int(at++);
  order.counted_money = row.Bool(at++);
  order.create_time = row.Time(at++);
  order.update_time = row.Time(at++);
  order.close_time = row.OptTime(at++);
  order.version = row.Int(at);
  return order;
}

}  // namespace clm::loyalty
