// Between the wire, the rows and the rules: orders.
#ifndef CLM_SERVICES_LOYALTY_ORDER_PROTO_H_
#define CLM_SERVICES_LOYALTY_ORDER_PROTO_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clm/loyalty/v1/order.pb.h"
#include "libs/pg/pg.h"
#include "services/loyalty/orders.h"

// The columns of ReadOrder, of an order `o` with its details.
#define CLM_ORDER_COLUMNS                                                                      \
  "o.tenant_id, o.program_id, o.id, o.contact_id, o.member_erased, o.earned_by, "              \
  "a.merged_into, o.state, o.body, o.counted, o.counted_money, o.create_time, o.update_time, " \
  "o.close_time, o.version"
#define CLM_ORDER_DETAILS \
  "LEFT JOIN contact_alias a ON a.tenant_id = o.tenant_id AND a.contact_id = o.contact_id"

namespace clm::loyalty {

absl::StatusOr<OrderKey> ParseOrderName(absl::string_view field, absl::string_view name);

// What callers set: currency and lines.
void TermsFromProto(const v1::Order& wire, Order& order);
v1::Order ToProto(const Order& order);

std::string BodyOf(const Order& order);
// The first column is at `column`. INTERNAL for a row that no version of this program wrote.
absl::StatusOr<Order> ReadOrder(const pg::Row& row, int column);

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_PROTO_H_
