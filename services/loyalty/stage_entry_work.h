// Which stages customers have entered, as part of the unit of work.
#ifndef CLM_SERVICES_LOYALTY_STAGE_ENTRY_WORK_H_
#define CLM_SERVICES_LOYALTY_STAGE_ENTRY_WORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/pg/pg.h"

namespace clm::loyalty {

// A move into a stage, as the lifecycle service numbers it.
struct StageEntryKey {
  std::string tenant;
  Uuid contact;  // Of whom it was told.
  std::string model;
  int64_t sequence = 0;
  friend auto operator<=>(const StageEntryKey&, const StageEntryKey&) = default;
  friend bool operator==(const StageEntryKey&, const StageEntryKey&) = default;
};

struct StageEntry {
  Uuid owner;  // Who the contact is by now.
  std::string stage;
  bool superseded = false;
  bool seen = false;  // Rules have looked at it.
};

// Thread-compatible. Everything is to be needed, and so loaded, before it is read or changed.
class StageEntryWork {
 public:
  void NeedEntry(const StageEntryKey& key) { needed_.insert(key); }
  void NeedEntriesOf(const EntityKey& owner) { needed_owners_.insert(owner); }
  absl::Status Load(pg::Tx& tx);

  const StageEntry* Find(const StageEntryKey& key) const;
  struct Counts {
    int64_t standing = 0;  // Not superseded.
    int64_t seen = 0;      // Also superseded ones.
  };
  // How often a needed owner has entered a stage.
  Counts CountOf(const EntityKey& owner, const std::string& model, const std::string& stage) const;

  void Save(const StageEntryKey& key, const StageEntry& entry);
  // What was the one's is the other's; `from` is a needed owner.
  void MoveAll(const EntityKey& from, const EntityKey& into);

  void Keep() { undo_.clear(); }
  void Discard();
  absl::Status Flush(pg::Tx& tx);

 private:
  struct Slot {
    StageEntry entry;
    bool stored = false;
    bool dirty = false;
  };
  void Put(const StageEntryKey& key, std::optional<Slot> slot);

  std::set<StageEntryKey> needed_;
  absl::flat_hash_set<EntityKey> needed_owners_;
  std::map<StageEntryKey, Slot> entries_;
  absl::flat_hash_map<EntityKey, std::set<StageEntryKey>> owned_;
  std::vector<std::function<void()>> undo_;
};

// Every statement of it, for the test that prepares them.
std::vector<const pg::Statement*> StageEntryWorkStatements();

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_STAGE_ENTRY_WORK_H_
