// Orders as part of the unit of work. An order is changed under the shard of its contact and under
// its own: its number is taken once, and a contact may be heard of under two names for a moment.
#ifndef CLM_SERVICES_LOYALTY_ORDER_WORK_H_
#define CLM_SERVICES_LOYALTY_ORDER_WORK_H_

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"
#include "services/loyalty/loyalty_keys.h"
#include "services/loyalty/orders.h"

namespace clm::loyalty {

// Thread-compatible.
class OrderWork {
 public:
  // What a mutation does with an order besides changing it.
  struct Use {
    bool earns = false;
    bool takes_back = false;
  };
  struct Needed {
    OrderKey key;
    MemberKey member;
    Use use;
  };
  // Before the transaction loads.
  void Need(const OrderKey& key, const MemberKey& member, Use use);
  absl::Status Load(pg::Tx& tx);

  const std::vector<Needed>& needed() const { return needed_; }
  const Order* Find(const OrderKey& key) const;
  // As of when orders earn that this transaction closes: counts of caps are loaded for it.
  absl::Time as_of() const { return as_of_; }
  void set_as_of(absl::Time time) { as_of_ = time; }

  void Save(const Order& order);
  // All orders of the one contact are those of the other.
  void Move(const EntityKey& from, const EntityKey& into);
  // Takes away whose the contact's orders were, also by older names.
  void Forget(const EntityKey& contact);

  void Keep() { undo_.clear(); }
  void Discard();
  absl::Status Flush(pg::Tx& tx);

 private:
  struct Slot {
    std::optional<Order> order;
    bool loaded = false;
    bool dirty = false;
  };
  std::vector<Needed> needed_;
  std::map<OrderKey, Slot> orders_;
  std::vector<std::pair<EntityKey, EntityKey>> moved_;
  std::vector<EntityKey> forgotten_;
  std::vector<std::function<void()>> undo_;
  absl::Time as_of_ = absl::InfinitePast();
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> OrderWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ORDER_WORK_H_
