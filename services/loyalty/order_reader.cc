#include "services/loyalty/order_reader.h"

#include "absl/strings/str_cat.h"
#include "libs/base/error.h"
#include "libs/base/status_macros.h"
#include "libs/filter/filter.h"
#include "libs/filter/sql.h"
#include "services/loyalty/loyalty_proto.h"
#include "services/loyalty/order_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kGetOrder{
    "order.get", "SELECT " CLM_ORDER_COLUMNS " FROM customer_order o " CLM_ORDER_DETAILS R"sql(
  WHERE o.tenant_id = $1::text AND o.program_id = $2::text AND o.id = $3::text)sql"};

constexpr pg::Statement kProgramOfOrders{"order.program", R"sql(
  SELECT FROM program WHERE tenant_id = $1::text AND id = $2::text)sql"};

enum OrderField {
  kOrderState,
  kOrderCurrency,
  kOrderAmount,
  kOrderCreated,
  kOrderUpdated,
  kClosed
};

const filter::Schema& OrderSchema() {
  static const auto& kSchema = *[] {
    auto* schema = new filter::Schema;
    schema->AddEnum(kOrderState, "state", {"OPEN", "CLOSED", "PARTIALLY_RETURNED", "CANCELLED"})
        .Add(kOrderCurrency, "currency", filter::Type::kString)
        .Add(kOrderAmount, "amount_minor", filter::Type::kInt64)
        .Add(kOrderCreated, "create_time", filter::Type::kTimestamp)
        .Add(kOrderUpdated, "update_time", filter::Type::kTimestamp)
        .Add(kClosed, "close_time", filter::Type::kTimestamp);
    return schema;
  }();
  return kSchema;
}

const filter::Columns& OrderFilterColumns() {
  static const auto& kColumns = *[] {
    auto* columns = new filter::Columns;
    columns->AddEnum("state", "o.state",
                     {{"OPEN", 1}, {"CLOSED", 2}, {"PARTIALLY_RETURNED", 3}, {"CANCELLED", 4}});
    columns->Add("currency", "o.currency").Add("amount_minor", "o.amount_minor");
    columns->Add("create_time", "o.create_time").Add("update_time", "o.update_time");
    columns->Add("close_time", "o.close_time");
    return columns;
  }();
  return kColumns;
}

}  // namespace

absl::StatusOr<Order> OrderReader::Get(const OrderKey& key, absl::Time deadline) {
  pg::Args args;
  args.Add(key.tenant).Add(key.program).Add(key.id);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_.Query({pg::Scope::Tenant(key.tenant), deadline}, kGetOrder, args));
  if (rows.empty()) return error::NotFound(NameOf(key));
  return ReadOrder(rows[0], 0);
}

absl::StatusOr<std::vector<Order>> OrderReader::List(const Query& query, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const filter::Expression expression,
                       filter::Parse(query.filter, OrderSchema(), {}));
  pg::Args program;
  program.Add(query.program.tenant).Add(query.program.program);
  pg::Args args = program;
  std::string where = "o.tenant_id = $1::text AND o.program_id = $2::text";
  if (query.member) {
    const int at = args.size() + 1;
    absl::StrAppend(&where, " AND o.contact_id = coalesce((SELECT x.merged_into FROM ",
                    "contact_alias x WHERE x.tenant_id = $1::text AND x.contact_id = $", at,
                    "::uuid AND x.moved), $", at, "::uuid)");
    args.Add(*query.member);
  }
  if (!query.filter.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string condition,
                         filter::ToSql(expression, OrderFilterColumns(), query.now, args));
    absl::StrAppend(&where, " AND ", condition);
  }
  if (query.before) {
    const int at = args.size();
    absl::StrAppend(&where, " AND (o.create_time, o.id) < ($", at + 1, "::timestamptz, $", at + 2,
                    "::text)");
    args.Add(query.before->first).Add(query.before->second);
  }
  const std::string sql = absl::StrCat(
      "SELECT " CLM_ORDER_COLUMNS " FROM customer_order o " CLM_ORDER_DETAILS " WHERE ", where,
      " ORDER BY o.create_time DESC, o.id DESC LIMIT ", query.limit);
  std::vector<Order> orders;
  CLM_RETURN_IF_ERROR(pool_.Read(
      {pg::Scope::Tenant(query.program.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        orders.clear();
        CLM_ASSIGN_OR_RETURN(const pg::Result known, tx.Exec(kProgramOfOrders, program));
        if (known.empty()) {
          return error::NotFound(NameOf(query.program));
        }
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.ExecDynamic(sql, args));
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(Order order, ReadOrder(rows[i], 0));
          orders.push_back(std::move(order));
        }
        return absl::OkStatus();
      }));
  return orders;
}

std::vector<const pg::Statement*> OrderReaderStatements() {
  return {&kGetOrder, &kProgramOfOrders};
}

}  // namespace clm::loyalty
