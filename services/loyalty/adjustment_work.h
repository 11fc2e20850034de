// Corrections of balances as part of the unit of work: what two persons decide about, and what one
// has corrected in a day. A proposal is changed under the shard of its member's contact and under
// its own: while a merge is under way two members could be meant.
#ifndef CLM_SERVICES_LOYALTY_ADJUSTMENT_WORK_H_
#define CLM_SERVICES_LOYALTY_ADJUSTMENT_WORK_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/pg/pg.h"
#include "services/loyalty/adjustments.h"
#include "services/loyalty/loyalty_keys.h"

namespace clm::loyalty {

// Thread-compatible.
class AdjustmentWork {
 public:
  // ---- Before the transaction loads.
  void Need(const AdjustmentKey& key) { adjustments_.try_emplace(key); }
  // What was corrected of a balance on the day of `at`; without a wallet, of the programme's first.
  struct Day {
    MemberKey member;
    std::string wallet;
    absl::Time at;
  };
  void NeedDay(Day day) { days_.push_back(std::move(day)); }
  absl::Status Load(pg::Tx& tx);

  // ---- After it.
  const std::vector<Day>& days() const { return days_; }
  // Null: there is none.
  const Adjustment* Find(const AdjustmentKey& key) const;

  // ---- Staging.
  void Save(const Adjustment& adjustment);
  // All proposals about the one contact are about the other.
  void Move(const EntityKey& from, const EntityKey& into);
  // Takes away whom they were about and what was said, by older names too, and the stored answers.
  void Forget(const EntityKey& contact);

  void Keep() { undo_.clear(); }
  void Discard();
  absl::Status Flush(pg::Tx& tx);
  // After the answers of the transaction are written.
  absl::Status Sweep(pg::Tx& tx);

 private:
  struct Slot {
    std::optional<Adjustment> adjustment;
    bool loaded = false;
    bool dirty = false;
  };
  std::map<AdjustmentKey, Slot> adjustments_;
  std::vector<Day> days_;
  std::vector<std::pair<EntityKey, EntityKey>> moved_;
  std::vector<EntityKey> forgotten_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> AdjustmentWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_ADJUSTMENT_WORK_H_
