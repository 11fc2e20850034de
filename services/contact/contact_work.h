// The unit of work of the contact service: what one transaction reads and writes, as an identity
// map over many contacts of many tenants. Handlers declare, decide by the pure rules, and stage;
// nobody else writes these tables (imports included).
#ifndef CLM_SERVICES_CONTACT_CONTACT_WORK_H_
#define CLM_SERVICES_CONTACT_CONTACT_WORK_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/resource_name.h"
#include "libs/base/uuid.h"
#include "libs/journal/mutation.h"
#include "libs/pg/pg.h"
#include "services/contact/attribute_index.h"
#include "services/contact/attributes.h"
#include "services/contact/consent.h"
#include "services/contact/contact.h"
#include "services/contact/identity_policy.h"
#include "services/contact/import_job.h"
#include "services/contact/import_store.h"
#include "services/contact/known_standings.h"
#include "services/contact/merge.h"
#include "services/contact/timeline.h"

namespace clm::contact {

// Told after each commit which contacts are different now, on a lane's thread; brief.
class ContactObserver {
 public:
  virtual ~ContactObserver() = default;
  // The records, consents, subscriptions or events of `keys` changed. `heads` are the new offsets
  // of the journal's shards: the version of everything the service knows about a contact of that
  // shard.
  // `merged` became aliases, for ever; no journal row need tell it on their shards. Not OK when
  // somebody who has to know could not be told.
  virtual absl::Status ContactsCommitted(const std::vector<EntityKey>& keys,
                                         const std::vector<EntityKey>& merged,
                                         const journal::Offsets& heads) = 0;
};

struct TenantIdentifier {
  std::string tenant;
  Identifier identifier;
  friend bool operator==(const TenantIdentifier&, const TenantIdentifier&) = default;
  template <class H>
  friend H AbslHashValue(H h, const TenantIdentifier& key) {
    return H::combine(std::move(h), key.tenant, key.identifier);
  }
};

// Before the name of a field in attribute_change, where attributes have their bare ids.
inline constexpr char kFieldPrefix[] = "contact.";

// One identifier that a contact has, with when it was first seen.
struct HeldIdentifier {
  Identifier identifier;
  absl::Time first_seen;
};

class ContactWork : public journal::Work {
 public:
  // `secret` salts tombstones and suppressions; `observer` and `known` may be null.
  ContactWork(std::string secret, ContactObserver* observer, KnownStandings* known);

  // ---- Before Load.
  void NeedContact(const EntityKey& key);
  // Its standing alone, at a fraction of the cost.
  void NeedStanding(const EntityKey& key);
  // Who has it, and whether it is erased.
  void NeedIdentifier(const std::string& tenant, const Identifier& identifier);
  // Also erased when `spelling` is: the same identifier as it was kept under another policy.
  void NeedSpelling(const std::string& tenant, const Identifier& identifier,
                    const Identifier& spelling);
  // The attribute definitions of a tenant.
  void NeedRegistry(const std::string& tenant);
  void NeedIdentityPolicy(const std::string& tenant);
  void NeedEvent(const std::string& tenant, const Uuid& event_id);
  void NeedCost(const std::string& tenant, const Uuid& cost);
  void NeedTopic(const std::string& tenant, const std::string& topic);
  // The job stays as it is until the transaction ends.
  void NeedImportJob(const EntityKey& job);
  // All identifiers of a contact.
  void NeedHeld(const EntityKey& key);
  // Consents, subscriptions, all identifiers, aliases and suppressions of a contact.
  void NeedSurroundings(const EntityKey& key);
  void NeedSuppression(const std::string& tenant, const std::string& channel,
                       const std::string& address);

  // ---- After Load: what is stored, with what this transaction has staged.
  // nullptr when there is none.
  const Contact* FindContact(const EntityKey& key) const;
  // nullopt when there is no such contact.
  std::optional<Standing> FindStanding(const EntityKey& key) const;
  std::optional<Uuid> Owner(const std::string& tenant, const Identifier& identifier) const;
  bool IsTombstone(const std::string& tenant, const Identifier& identifier) const;
  const AttributeRegistry& Registry(const std::string& tenant) const;
  // Of a NeedRegistry tenant; 0 when the attribute is not defined.
  int64_t DefinitionVersion(const std::string& tenant, const std::string& id) const;
  // Of a NeedIdentityPolicy tenant.
  const StoredIdentityPolicy& FindIdentityPolicy(const std::string& tenant) const;
  // Whose event it is, when it is known already.
  std::optional<Uuid> EventContact(const std::string& tenant, const Uuid& event_id) const;
  const AcquisitionCost* FindCost(const std::string& tenant, const Uuid& cost) const;
  const Topic* FindTopic(const std::string& tenant, const std::string& topic) const;
  // nullptr when there is none.
  const ImportJob* FindImportJob(const EntityKey& job) const;
  const std::vector<ConsentAct>& Consents(const EntityKey& key) const;
  std::optional<Subscription> FindSubscription(const EntityKey& key,
                                               const std::string& topic) const;
  std::vector<Subscription> Subscriptions(const EntityKey& key) const;
  // Of a NeedHeld contact.
  const std::vector<HeldIdentifier>& Identifiers(const EntityKey& key) const;
  const std::vector<Uuid>& Aliases(const EntityKey& key) const;
  const Suppression* FindSuppression(const std::string& tenant, const std::string& channel,
                                     const std::string& address) const;
  // The suppressions of a contact's addresses.
  std::vector<Suppression> Suppressions(const EntityKey& key) const;

  // ---- Staging. Everything is undone by Discard.
  // The outcome of a rule: record, identifiers, history of attributes and fields.
  void Save(const Change& change, const std::string& actor, const std::string& source,
            const std::string& reason = "");
  // The contact has the identifier beside those that its record shows.
  void Hold(const EntityKey& key, const Identifier& identifier, absl::Time now);
  // What is cached about the contact is stale after the commit, though no row of its own changes.
  void Touch(const EntityKey& key) { touched_.insert(key); }
  void AddEvent(const EntityKey& key, BehaviorEvent event);
  // An event that went to the contact had an identifier that was not used.
  void AddViolation(const EntityKey& key, StoredViolation violation);
  void AddConsent(const EntityKey& key, ConsentAct act);
  void SaveSubscription(const EntityKey& key, Subscription subscription);
  void SaveSuppression(const std::string& tenant, Suppression suppression);
  void RemoveSuppression(const std::string& tenant, const std::string& channel,
                         const std::string& address);
  void SaveTopic(const std::string& tenant, Topic topic);
  void SaveDefinition(const std::string& tenant, AttributeDefinition definition, int64_t version);
  void SaveIdentityPolicy(const std::string& tenant, StoredIdentityPolicy policy);
  void AddCost(const std::string& tenant, AcquisitionCost cost);
  // Where an import stands, in the transaction that applies its rows; one that is in other hands by
  // now fails the transaction.
  void AddImportProgress(ImportProgress progress);
  // What became of a job; not its counts.
  void SaveImportJob(ImportJob job);
  // Leaves only salted hashes of the identifiers, purges the surroundings, those of its aliases and
  // all stored answers but that to `request_id`, and with `anonymize_events` the properties of past
  // events, in the journal too. Also what the same transaction has written.
  void Purge(const EntityKey& key, const std::vector<Identifier>& identifiers,
             bool anonymize_events, const std::string& request_id);
  // Moves everything that hangs on the duplicate to the primary, as the plan says.
  void ApplyMerge(const MergePlan& plan, const Uuid& merge_id, const std::string& actor);

  // ---- journal::Work
  void Locked(const absl::flat_hash_map<int, int64_t>& heads) override { heads_ = heads; }
  absl::Status Load(pg::Tx& tx) override;
  void Keep() override;
  void Discard() override;
  absl::Status Flush(pg::Tx& tx) override;
  absl::Status Sweep(pg::Tx& tx) override;
  journal::ShardSet Rewritten() const override { return rewritten_; }
  absl::Status Committed(const journal::Offsets& heads) override;

  // The hash by which tombstones and suppressions of `tenant` are found.
  static std::string Hash(absl::string_view secret, const std::string& tenant,
                          const Identifier& identifier);

 private:
  struct Slot {
    std::optional<Contact> contact;
    bool stored = false;  // Has a row.
    bool dirty = false;
    IndexedValues indexed = {};  // Has these rows of attribute_index.
  };
  struct OwnerSlot {
    std::optional<Uuid> owner;
    bool dirty = false;
    bool tombstone = false;
    absl::Time first_seen;
    bool stored = false;  // Has a row.
  };
  struct Surroundings {
    std::vector<ConsentAct> consents;
    std::vector<Subscription> subscriptions;
    std::vector<Uuid> aliases;
    std::vector<Suppression> suppressions;
  };
  struct AttributeChange {
    EntityKey key;
    int64_t version;
    absl::Time set_time;
    std::string actor;
    std::string source;
    std::string reason;
    std::string changes;
    std::string former;
  };
  struct Purged {
    EntityKey key;
    std::vector<Identifier> identifiers;
    bool anonymize_events;
    std::optional<Uuid> request_id;
  };
  struct Merged {
    EntityKey primary;
    EntityKey duplicate;
    Uuid merge_id;
    std::string actor;
    absl::Time at;
    std::vector<std::string> filled_fields;
  };
  using TextKey = std::pair<std::string, std::string>;         // (tenant, id)
  using SuppressionKey = std::pair<std::string, std::string>;  // (tenant, channel + hash)

  SuppressionKey KeyOf(const std::string& tenant, const std::string& channel,
                       const std::string& address) const;
  // Stages who has an identifier; nobody has one without an owner.
  void SetOwner(const TenantIdentifier& key, std::optional<Uuid> owner, bool tombstone,
                absl::Time first_seen);
  // What Identifiers tells from now on; nothing when they are not loaded.
  void SetHeld(const EntityKey& key, const Identifier& identifier,
               std::optional<absl::Time> first_seen);
  template <class T>
  void Append(std::vector<T>& list, T item);
  template <class Map, class Key, class Value>
  void Put(Map& map, const Key& key, Value value);

  absl::Status LoadRegistries(pg::Tx& tx);
  absl::Status LoadIdentityPolicies(pg::Tx& tx);
  absl::Status LoadContacts(pg::Tx& tx);
  absl::Status LoadStandings(pg::Tx& tx);
  // Takes those out of `keys` that the process knows.
  absl::Status RecallStandings(pg::Tx& tx, std::vector<EntityKey>& keys);
  void LearnStandings(const journal::Offsets& heads);
  absl::Status LoadIdentifiers(pg::Tx& tx);
  absl::Status LoadHeld(pg::Tx& tx);
  absl::Status LoadEvents(pg::Tx& tx);
  absl::Status LoadCosts(pg::Tx& tx);
  absl::Status LoadTopics(pg::Tx& tx);
  absl::Status LoadImportJobs(pg::Tx& tx);
  absl::Status LoadSurroundings(pg::Tx& tx);
  absl::Status LoadSuppressions(pg::Tx& tx);
  absl::Status FlushContacts(pg::Tx& tx);
  // `sorted`: the contacts that FlushContacts writes.
  absl::Status FlushAttributeIndex(pg::Tx& tx, const std::vector<const Contact*>& sorted);
  absl::Status FlushIdentifiers(pg::Tx& tx);
  absl::Status FlushEvents(pg::Tx& tx);
  absl::Status FlushViolations(pg::Tx& tx);
  absl::Status FlushConsent(pg::Tx& tx);
  absl::Status FlushRegistries(pg::Tx& tx);
  absl::Status FlushMerges(pg::Tx& tx);

  const std::string secret_;
  ContactObserver* const observer_;
  KnownStandings* const known_;
  std::vector<std::function<void()>> undo_;

  absl::flat_hash_map<EntityKey, Slot> contacts_;
  // Of those that are not among contacts_.
  absl::flat_hash_map<EntityKey, std::optional<Standing>> standings_;
  absl::flat_hash_map<int, int64_t> heads_;   // Of the locked shards, before this transaction.
  KnownStandings::MergeCounts merge_counts_;  // Read when standings are loaded.
  absl::flat_hash_map<TenantIdentifier, OwnerSlot> owners_;
  std::vector<std::pair<TenantIdentifier, Identifier>> spellings_;  // Of some of owners_.
  absl::flat_hash_map<EntityKey, std::vector<HeldIdentifier>> held_;
  absl::flat_hash_map<std::string, AttributeRegistry> registries_;
  absl::flat_hash_map<TextKey, int64_t> definition_versions_;
  absl::flat_hash_map<std::string, StoredIdentityPolicy> policies_;
  absl::flat_hash_map<EntityKey, std::optional<Uuid>> events_;  // (tenant, event id) -> contact.
  absl::flat_hash_map<EntityKey, std::optional<AcquisitionCost>> costs_;
  absl::flat_hash_map<TextKey, std::optional<Topic>> topics_;
  std::map<EntityKey, std::optional<ImportJob>> import_jobs_;  // In the order of their locks.
  absl::flat_hash_map<EntityKey, Surroundings> surroundings_;
  absl::flat_hash_map<SuppressionKey, std::optional<Suppression>> suppressions_;

  std::vector<AttributeChange> attribute_changes_;
  std::vector<std::pair<EntityKey, BehaviorEvent>> new_events_;
  std::vector<std::pair<EntityKey, StoredViolation>> new_violations_;
  std::vector<std::pair<EntityKey, ConsentAct>> new_consents_;
  std::vector<std::pair<EntityKey, Subscription>> new_subscriptions_;
  std::vector<std::pair<std::string, Suppression>> new_suppressions_;
  std::vector<SuppressionKey> removed_suppressions_;
  std::vector<std::pair<std::string, Topic>> new_topics_;
  std::vector<std::tuple<std::string, AttributeDefinition, int64_t>> new_definitions_;
  std::vector<std::pair<std::string, StoredIdentityPolicy>> new_policies_;
  std::vector<std::pair<std::string, AcquisitionCost>> new_costs_;
  std::vector<ImportProgress> new_progress_;
  std::vector<ImportJob> changed_imports_;
  std::vector<Purged> purged_;
  std::vector<Merged> merged_;
  absl::flat_hash_set<EntityKey> touched_;
  journal::ShardSet rewritten_;
};

// Every statement of the unit of work, for the test that prepares them.
std::vector<const pg::Statement*> ContactWorkStatements();

// Reads a contact from the columns tenant_id, id, status, email, phone, given_name, family_name,
// locale, timezone, external_ids, attributes, source, merged_into, create_time, update_time,
// version. INTERNAL when an attribute is not in the registry: the registry is older than the row.
absl::StatusOr<Contact> ReadContact(const pg::Row& row, const AttributeRegistry& registry);

// From the columns policy, update_time, version, the first of them at `column`.
absl::StatusOr<StoredIdentityPolicy> ReadIdentityPolicy(const pg::Row& row, int column);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_WORK_H_
