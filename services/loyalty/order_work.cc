#include "services/loyalty/order_work.h"

#include <string>

#include "libs/base/status_macros.h"
#include "services/loyalty/order_proto.h"

namespace clm::loyalty {
namespace {

constexpr pg::Statement kLoadOrders{"order.load", "SELECT w.place, " CLM_ORDER_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::text[]) AS program_id,
               unnest($3::text[]) AS id, generate_subscripts($3::text[], 1) AS place) AS w
  CROSS JOIN LATERAL (SELECT * FROM customer_order o WHERE o.tenant_id = w.tenant_id
    AND o.program_id = w.program_id AND o.id = w.id OFFSET 0) o )sql" CLM_ORDER_DETAILS};

constexpr pg::Statement kSaveOrders{"order.save", R"sql(
  INSERT INTO customer_order (tenant_id, program_id, id, contact_id, earned_by, state, currency,
                              amount_minor, body, counted, counted_money, create_time,
                              update_time, close_time, version)
  SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]),
         unnest($5::uuid[]), unnest($6::smallint[]), unnest($7::text[]), unnest($8::bigint[]),
         unnest($9::bytea[]), unnest($10::bigint[]), unnest($11::boolean[]),
         unnest($12::timestamptz[]), unnest($13::timestamptz[]), unnest($14::timestamptz[]),
         unnest($15::bigint[])
  ON CONFLICT (tenant_id, program_id, id) DO UPDATE SET
    (contact_id, earned_by, state, currency, amount_minor, body, counted, counted_money,
     update_time, close_time, version) =
    (excluded.contact_id, excluded.earned_by, excluded.state, excluded.currency,
     excluded.amount_minor, excluded.body, excluded.counted, excluded.counted_money,
     excluded.update_time, excluded.close_time, excluded.version))sql"};

constexpr pg::Statement kMoveOrders{"order.move", R"sql(
  UPDATE customer_order SET contact_id = $3::uuid
  WHERE contact_id = $2::uuid AND tenant_id = $1::text)sql"};

constexpr pg::Statement kForgetOrders{"order.forget", R"sql(
  UPDATE customer_order SET (contact_id, earned_by, member_erased) = (NULL, NULL, true)
  WHERE tenant_id = $1::text AND contact_id = ANY ($2::uuid || ARRAY(
    SELECT x.contact_id FROM contact_alias x
    WHERE x.tenant_id = $1::text AND x.merged_into = $2::uuid)))sql"};

}  // namespace

void OrderWork::Need(const OrderKey& key, const MemberKey& member, Use use) {
  needed_.push_back({key, member, use});
  orders_.try_emplace(key);
}

const Order* OrderWork::Find(const OrderKey& key) const {
  const auto it = orders_.find(key);
  return it == orders_.end() || !it->second.order ? nullptr : &*it->second.order;
}

void OrderWork::Save(const Order& order) {
  Slot& slot = orders_[order.key];
  undo_.emplace_back([&slot, before = slot] { slot = before; });
  slot.order = order;
  slot.dirty = true;
}

void OrderWork::Move(const EntityKey& from, const EntityKey& into) {
  moved_.emplace_back(from, into);
  undo_.emplace_back([this] { moved_.pop_back(); });
}

void OrderWork::Forget(const EntityKey& contact) {
  forgotten_.push_back(contact);
  undo_.emplace_back([this] { forgotten_.pop_back(); });
}

void OrderWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status OrderWork::Load(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, ids;
  std::vector<Slot*> places;
  for (auto& [key, slot] : orders_) {
    if (std::exchange(slot.loaded, true)) continue;
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    ids.push_back(key.id);
    places.push_back(&slot);
  }
  if (places.empty()) return absl::OkStatus();
  pg::Args args;
  args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kLoadOrders, args));
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(places[rows[i].Int(0) - 1]->order, ReadOrder(rows[i], 1));
  }
  return absl::OkStatus();
}

absl::Status OrderWork::Flush(pg::Tx& tx) {
  std::vector<std::string> tenants, programs, ids, currencies, bodies;
  std::vector<std::optional<Uuid>> contacts, earned_by;
  std::vector<int64_t> states, amounts, counted, versions;
  std::vector<bool> counted_money;
  std::vector<absl::Time> created, updated;
  std::vector<std::optional<absl::Time>> closed;
  for (const auto& [key, slot] : orders_) {
    if (!slot.dirty) continue;
    const Order& order = *slot.order;
    tenants.push_back(key.tenant);
    programs.push_back(key.program);
    ids.push_back(key.id);
    contacts.push_back(order.contact);
    earned_by.push_back(order.earned_by);
    states.push_back(static_cast<int64_t>(order.state) + 1);
    currencies.push_back(order.currency);
    amounts.push_back(AmountMinorOf(order));
    bodies.push_back(BodyOf(order));
    counted.push_back(order.counted);
    counted_money.push_back(order.counted_money);
    created.push_back(order.create_time);
    updated.push_back(order.update_time);
    closed.push_back(order.close_time);
    versions.push_back(order.version);
  }
  if (!ids.empty()) {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(programs)).AddArray(std::move(ids));
    args.AddArray(std::move(contacts)).AddArray(std::move(earned_by)).AddArray(std::move(states));
    args.AddArray(std::move(currencies)).AddArray(std::move(amounts));
    args.AddBytesArray(std::move(bodies)).AddArray(std::move(counted));
    args.AddArray(std::move(counted_money)).AddArray(std::move(created));
    args.AddArray(std::move(updated)).AddArray(std::move(closed)).AddArray(std::move(versions));
    CLM_RETURN_IF_ERROR(tx.Exec(kSaveOrders, args).status());
  }
  // After what was saved: that moves too, and is forgotten.
  for (const auto& [from, into] : moved_) {
    pg::Args args;
    args.Add(from.tenant).Add(from.id).Add(into.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kMoveOrders, args).status());
  }
  for (const EntityKey& contact : forgotten_) {
    pg::Args args;
    args.Add(contact.tenant).Add(contact.id);
    CLM_RETURN_IF_ERROR(tx.Exec(kForgetOrders, args).status());
  }
  return absl::OkStatus();
}

std::vector<const pg::Statement*> OrderWorkStatements() {
  return {&kLoadOrders, &kSaveOrders, &kMoveOrders, &kForgetOrders};
}

}  // namespace clm::loyalty
