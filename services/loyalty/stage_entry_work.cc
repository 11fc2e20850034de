#include "services/loyalty/stage_entry_work.h"

#include <utility>

#include "libs/base/status_macros.h"

namespace clm::loyalty {
namespace {

#define CLM_STAGE_ENTRY_COLUMNS                                                               \
  "e.tenant_id, e.contact_id, e.model_id, e.sequence, e.owner_id, e.stage_id, e.superseded, " \
  "e.seen"

constexpr pg::Statement kEntriesByKey{"loyalty.stage_entries_by_key",
                                      "SELECT " CLM_STAGE_ENTRY_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS model_id, unnest($4::bigint[]) AS sequence) AS w
  CROSS JOIN LATERAL (SELECT * FROM stage_entry e WHERE e.tenant_id = w.tenant_id
    AND e.contact_id = w.contact_id AND e.model_id = w.model_id AND e.sequence = w.sequence
    OFFSET 0) e)sql"};

constexpr pg::Statement kEntriesByOwner{"loyalty.stage_entries_by_owner",
                                        "SELECT " CLM_STAGE_ENTRY_COLUMNS R"sql(
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS owner_id) AS w
  CROSS JOIN LATERAL (SELECT * FROM stage_entry e WHERE e.owner_id = w.owner_id
    AND e.tenant_id = w.tenant_id OFFSET 0) e)sql"};

constexpr pg::Statement kInsertEntries{"loyalty.insert_stage_entries", R"sql(
  INSERT INTO stage_entry (tenant_id, contact_id, model_id, sequence, owner_id, stage_id,
                           superseded, seen)
  SELECT unnest($1::text[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::bigint[]),
         unnest($5::uuid[]), unnest($6::text[]), unnest($7::boolean[]), unnest($8::boolean[])
  ON CONFLICT DO NOTHING)sql"};

constexpr pg::Statement kUpdateEntries{"loyalty.update_stage_entries", R"sql(
  UPDATE stage_entry e SET (owner_id, superseded, seen) = (w.owner_id, w.superseded, w.seen)
  FROM (SELECT unnest($1::text[]) AS tenant_id, unnest($2::uuid[]) AS contact_id,
               unnest($3::text[]) AS model_id, unnest($4::bigint[]) AS sequence,
               unnest($5::uuid[]) AS owner_id, unnest($6::text[]) AS stage_id,
               unnest($7::boolean[]) AS superseded, unnest($8::boolean[]) AS seen) AS w
  CROSS JOIN LATERAL (SELECT f.ctid FROM stage_entry f WHERE f.tenant_id = w.tenant_id
    AND f.contact_id = w.contact_id AND f.model_id = w.model_id AND f.sequence = w.sequence
    OFFSET 0) AS at
  WHERE e.ctid = at.ctid)sql"};

struct EntryColumns {
  std::vector<std::string> tenants, models, stages;
  std::vector<Uuid> contacts, owners;
  std::vector<int64_t> sequences;
  std::vector<bool> superseded, seen;

  pg::Args ToArgs() && {
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(models));
    args.AddArray(std::move(sequences)).AddArray(std::move(owners)).AddArray(std::move(stages));
    args.AddArray(std::move(superseded)).AddArray(std::move(seen));
    return args;
  }
};

}  // namespace

const StageEntry* StageEntryWork::Find(const StageEntryKey& key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : &it->second.entry;
}

StageEntryWork::Counts StageEntryWork::CountOf(const EntityKey& owner, const std::string& model,
                                               const std::string& stage) const {
  Counts counts;
  const auto owned = owned_.find(owner);
  if (owned == owned_.end()) return counts;
  for (const StageEntryKey& key : owned->second) {
    const StageEntry& entry = entries_.at(key).entry;
    if (key.model != model || entry.stage != stage) continue;
    counts.standing += entry.superseded ? 0 : 1;
    counts.seen += entry.seen ? 1 : 0;
  }
  return counts;
}

void StageEntryWork::Put(const StageEntryKey& key, std::optional<Slot> slot) {
  const auto it = entries_.find(key);
  if (it != entries_.end()) owned_[{key.tenant, it->second.entry.owner}].erase(key);
  if (!slot) {
    entries_.erase(key);
    return;
  }
  owned_[{key.tenant, slot->entry.owner}].insert(key);
  entries_[key] = *std::move(slot);
}

void StageEntryWork::Save(const StageEntryKey& key, const StageEntry& entry) {
  const auto it = entries_.find(key);
  std::optional<Slot> before;
  if (it != entries_.end()) before = it->second;
  undo_.emplace_back([this, key, before] { Put(key, before); });
  Put(key, Slot{entry, before && before->stored, true});
}

void StageEntryWork::MoveAll(const EntityKey& from, const EntityKey& into) {
  const auto owned = owned_.find(from);
  if (owned == owned_.end()) return;
  for (const StageEntryKey& key : std::set<StageEntryKey>(owned->second)) {
    StageEntry entry = entries_.at(key).entry;
    entry.owner = into.id;
    Save(key, entry);
  }
}

void StageEntryWork::Discard() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

absl::Status StageEntryWork::Load(pg::Tx& tx) {
  const auto add = [this](const pg::Result& rows) {
    for (int i = 0; i < rows.size(); ++i) {
      const pg::Row row = rows[i];
      const StageEntryKey key{std::string(row.Text(0)), row.Uuid(1), std::string(row.Text(2)),
                              row.Int(3)};
      Put(key, Slot{{row.Uuid(4), std::string(row.Text(5)), row.Bool(6), row.Bool(7)}, true});
    }
  };
  if (!needed_.empty()) {
    std::vector<std::string> tenants, models;
    std::vector<Uuid> contacts;
    std::vector<int64_t> sequences;
    for (const StageEntryKey& key : needed_) {
      tenants.push_back(key.tenant);
      contacts.push_back(key.contact);
      models.push_back(key.model);
      sequences.push_back(key.sequence);
    }
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(contacts)).AddArray(std::move(models));
    args.AddArray(std::move(sequences));
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kEntriesByKey, args));
    add(rows);
  }
  if (!needed_owners_.empty()) {
    std::vector<std::string> tenants;
    std::vector<Uuid> owners;
    for (const EntityKey& owner : needed_owners_) {
      tenants.push_back(owner.tenant);
      owners.push_back(owner.id);
    }
    pg::Args args;
    args.AddArray(std::move(tenants)).AddArray(std::move(owners));
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kEntriesByOwner, args));
    add(rows);
  }
  return absl::OkStatus();
}

absl::Status StageEntryWork::Flush(pg::Tx& tx) {
  EntryColumns inserts, updates;
  for (const auto& [key, slot] : entries_) {
    if (!slot.dirty) continue;
    EntryColumns& c = slot.stored ? updates : inserts;
    c.tenants.push_back(key.tenant);
    c.contacts.push_back(key.contact);
    c.models.push_back(key.model);
    c.sequences.push_back(key.sequence);
    c.owners.push_back(slot.entry.owner);
    c.stages.push_back(slot.entry.stage);
    c.superseded.push_back(slot.entry.superseded);
    c.seen.push_back(slot.entry.seen);
  }
  if (!inserts.tenants.empty()) {
    const auto size = static_cast<int64_t>(inserts.tenants.size());
    CLM_ASSIGN_OR_RETURN(const pg::Result done,
                         tx.Exec(kInsertEntries, std::move(inserts).ToArgs()));
    // The shard of a merged contact and that of its survivor have heard of one move at once:
    // whoever comes second decides again.
    if (done.affected() != size) return pg::Retry();
  }
  if (updates.tenants.empty()) return absl::OkStatus();
  return tx.Exec(kUpdateEntries, std::move(updates).ToArgs()).status();
}

std::vector<const pg::Statement*> StageEntryWorkStatements() {
  return {&kEntriesByKey, &kEntriesByOwner, &kInsertEntries, &kUpdateEntries};
}

}  // namespace clm::loyalty
